// Raw memory: commands are parsed where the received bytes lie.
import Commands
import Core
import LogStore
import Node
import NodeCommands
import RESP
import Replication

/// What one event loop of a node owns: its executor and its connections.
final class SimulatedWorker: @unchecked Sendable {
  // Safe to share: a simulation has one thread.
  unowned let node: NodeProcess
  let loop: SimulatedLoop
  let executor: Executor
  var takesWrites = true
  var clients: [UInt64: ClientConnection] = [:]
  private var isReleaseAsked = false

  init(node: NodeProcess, loop: SimulatedLoop, store: LogStore) {
    self.node = node
    self.loop = loop
    executor = Executor(store: store, services: node)
  }

  func beginBatch() {
    executor.beginBatch(
      now: node.core.clock, tick: node.monotonic, good: good, takesWrites: takesWrites)
    executor.level = node.configuration.commit.level
    executor.attention = node.pausesWrites ? [.paused] : []
    if node.monotonic.milliseconds >= node.core.readLease.load(ordering: .relaxed) {
      executor.attention.insert(.unconfirmed)
    }
    executor.writeBar = WriteBar(rawValue: node.core.writeBar.load(ordering: .relaxed)) ?? .none
  }
  var good: Gate {
    let good = node.core.good(of: executor.store)
    return Gate(durable: good.durable, committed: good.committed)
  }
  func endBatch() { if executor.endBatch() { node.wakeCommit() } }

  /// Replies may have become good, or what somebody waits for has come.
  func askForRelease() {
    guard !isReleaseAsked else { return }
    isReleaseAsked = true
    loop.run { [self] in
      isReleaseAsked = false
      let good = good
      for id in clients.keys.sorted() {
        clients[id]?.release(good: good)
        clients[id]?.retry()
      }
    }
  }
}

/// Who a client is, for the checkers: the other side of its connection sees it without a byte on the wire.
protocol CommandObserver: AnyObject {
  /// The next command of the connection ran on this node.
  func executed(on node: NodeProcess, appendedBefore: UInt64, appendedAfter: UInt64, reply: [UInt8])
}

/// The server's side of a connection: bytes in, commands executed, replies out when they are good. Later perhaps a
/// slave's stream.
final class ClientConnection: ConnectionReceiver, StreamCandidate, @unchecked Sendable {
  // Safe to share: a simulation has one thread.
  unowned let worker: SimulatedWorker
  let connection: SimulatedConnection
  let session: Session
  private var parser = RequestParser()
  private var arguments = ArgumentList()
  private var held: [(gate: Gate, bytes: [UInt8], replies: Int, since: UInt64)] = []
  /// In the executor's buffer.
  private var replies = 0
  private var suspension: Suspension?
  private var stream: RelayInput?
  private var isClosed = false
  /// Commands that arrived while one was suspended.
  private var isStalled = false
  private let observer: (any CommandObserver)?

  init(worker: SimulatedWorker, connection: SimulatedConnection, id: UInt64) {
    self.worker = worker
    self.connection = connection
    observer = connection.tag as? any CommandObserver
    session = Session(id: id, authenticated: true)
  }

  private var node: NodeProcess { worker.node }

  // MARK: ConnectionReceiver

  var wantedBytes: Int { stream?.wantedBytes ?? 0 }
  func opened(_ connection: any NodeConnection) {}
  func writabilityChanged(_ isWritable: Bool) { stream?.writabilityChanged(isWritable) }

  func closed(_ reason: String) {
    isClosed = true
    worker.clients[session.id] = nil
    if let stream {
      stream.closed(reason)
    } else if session.isSlaveLink {
      node.row.slaveLeft(LinkID(session.id))
    }
  }

  func received(_ bytes: UnsafeRawBufferPointer) -> Int {
    if let stream { return stream.received(bytes) }
    if isClosed || session.closing { return bytes.count }
    guard suspension == nil, let start = bytes.baseAddress else {
      isStalled = true
      return 0
    }
    return execute(start, bytes.count)
  }

  // MARK: Commands

  private func execute(_ start: UnsafeRawPointer, _ count: Int) -> Int {
    let executor = worker.executor
    worker.beginBatch()
    executor.level = executor.level.joined(session.level)
    executor.reply.removeAll(keepingCapacity: true)
    executor.reply.protocolVersion = session.protocolVersion
    var at = 0
    loop: while at < count {
      switch parser.next(start + at, count: count - at, limits: RequestLimits(authenticated: true), into: &arguments) {
      case .command(let consumed):
        let before = executor.store.lastAppended
        let begin = executor.reply.count
        let outcome = executor.execute(arguments, session)
        if case .suspended(let why) = outcome, why.isBeforeCommand {
          // Nothing of it has happened: it stays where it is.
          isStalled = true
          break loop
        }
        if executor.reply.count > begin { replies += 1 }
        if let observer {
          observer.executed(
            on: node, appendedBefore: before, appendedAfter: executor.store.lastAppended,
            reply: Array(executor.reply.bytes.dropFirst(begin)))
        }
        at += consumed
        if case .suspended(let why) = outcome {
          suspension = why
          break loop
        }
        if session.closing { break loop }
      case .nothing(let consumed): at += consumed
      case .incomplete: break loop
      case .failed(let error):
        executor.reply.protocolError(error)
        session.closing = true
        break loop
      }
    }
    worker.endBatch()
    sendReplies()
    if session.closing { return count }
    return at
  }

  private func sendReplies() {
    let executor = worker.executor
    guard executor.reply.count > 0 else { return }
    let bytes = Array(executor.reply.bytes)
    executor.reply.removeAll(keepingCapacity: true)
    let count = max(1, replies)
    replies = 0
    if held.isEmpty, session.gate.isPassed(worker.good) {
      session.gate = Gate()
      connection.send(bytes)
    } else {
      held.append((session.gate, bytes, count, node.queue.now))
    }
  }

  func release(good: Gate) {
    while let first = held.first, first.gate.isPassed(good) {
      connection.send(held.removeFirst().bytes)
    }
    if held.isEmpty, session.gate.isPassed(good) { session.gate = Gate() }
    timeOut(good)
    if !held.isEmpty, worker.executor.store.isClosedForGood {
      // Whether what they rest on survives is known only after the restart.
      held = []
      session.closing = true
      connection.send(Array("-UNCERTAIN the log could not be written\r\n".utf8))
    }
    if held.isEmpty, session.closing { connection.close() }
  }

  /// The node goes over to another log: what is good by now leaves, the rest is answered with an error, because what it
  /// tells of may be gone.
  func endHeld(good: Gate) {
    for reply in held {
      if reply.gate.isPassed(good) {
        connection.send(reply.bytes)
      } else {
        for _ in 0..<reply.replies { connection.send(Array("-UNCERTAIN this node took over another log\r\n".utf8)) }
      }
    }
    held = []
    session.gate = Gate()
  }

  /// Answers replies that have waited for slaves too long: their writes may still become good.
  private func timeOut(_ good: Gate) {
    let most = node.configuration.sync.timeoutMilliseconds * 1000
    var isTimedOut = false
    while let first = held.first, first.gate.durable <= good.durable, node.queue.now - first.since >= most {
      held.removeFirst()
      for _ in 0..<first.replies { connection.send(Array("-SYNCTIMEOUT slaves did not confirm in time\r\n".utf8)) }
      isTimedOut = true
    }
    if isTimedOut, held.isEmpty { session.gate = Gate() }
  }

  // MARK: Waiting

  /// Looks whether the suspension is over, and goes on.
  func retry() {
    if suspension == nil, !node.pausesWrites { goOn() }
    guard let why = suspension, !isClosed, let answer = node.row.outcome(of: why, now: node.monotonic) else { return }
    suspension = nil
    if let answer {
      worker.executor.reply.removeAll(keepingCapacity: true)
      answer(worker.executor)
      sendReplies()
    }
    goOn()
  }

  func answerSuspended(_ error: String) {
    guard suspension != nil, !isClosed else { return }
    suspension = nil
    connection.send(Array("-\(error)\r\n".utf8))
    goOn()
  }

  private func goOn() {
    guard isStalled else { return }
    isStalled = false
    connection.readAgain()
  }

  var nodeConnection: (any NodeConnection)? { isClosed || !connection.isOpen ? nil : connection }

  /// From here on the connection is a slave's stream.
  func handOver(answer: [UInt8], to receiver: RelayInput, over _: any NodeConnection) {
    suspension = nil
    worker.clients[session.id] = nil
    connection.send(answer)
    stream = receiver
    goOn()
  }
}
