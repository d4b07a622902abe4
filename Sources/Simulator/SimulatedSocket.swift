// Raw memory: hands received bytes on where they lie.
import Commands
import Connection
import Core
import LogStore
import Node
import NodeCommands
import RESP
import Replication

/// Who a client is, for the checkers: the other side of its connection sees it without a byte on the wire.
protocol CommandObserver: AnyObject {
  /// The next command of the connection ran on this node.
  func executed(on node: NodeProcess, appendedBefore: UInt64, appendedAfter: UInt64, reply: [UInt8])
}

/// The node's end of a client's connection: brings its bytes to the `ClientConnection` of the server's code. Later perhaps a
/// slave's stream.
final class SimulatedSocket: ConnectionReceiver, ConnectionDriver, StreamCandidate, @unchecked Sendable {
  // Safe to share: a simulation has one thread.
  unowned let worker: SimulatedWorker
  let socket: SimulatedConnection
  let connection: ClientConnection
  /// Replies that wait, oldest first; see `HeldReplies`.
  private var kept: [[UInt8]] = []
  private var stream: RelayInput?
  /// Bytes were left, because a command waits.
  private var hasUnread = false
  private let observer: (any CommandObserver)?
  /// The command that `observer` is told of when it has run: the end of the log, and of the replies, before it.
  private var observed: (appended: UInt64, reply: Int)?

  init(worker: SimulatedWorker, socket: SimulatedConnection, id: UInt64) {
    self.worker = worker
    self.socket = socket
    observer = socket.tag as? any CommandObserver
    connection = ClientConnection(
      Session(id: id, authenticated: true), on: worker.loop, limits: RequestLimits(authenticated: true))
    connection.begin(self)
  }

  private var session: Session { connection.session }

  private func leave() {
    connection.left()
    kept = []
    worker.clients[session.id] = nil
  }

  // MARK: ConnectionReceiver

  var wantedBytes: Int { stream?.wantedBytes ?? 0 }
  func opened(_ connection: any NodeConnection) {}
  func writabilityChanged(_ isWritable: Bool) {
    if let stream { return stream.writabilityChanged(isWritable) }
    if isWritable, connection.isSuspended { connection.retry() }
  }

  func closed(_ reason: String) {
    if let stream { return stream.closed(reason) }
    leave()
    if session.isSlaveLink { worker.node.row.slaveLeft(LinkID(session.id)) }
  }

  func received(_ bytes: UnsafeRawBufferPointer) -> Int {
    if let stream { return stream.received(bytes) }
    let taken = connection.received(bytes)
    hasUnread = taken < bytes.count
    return taken
  }

  // MARK: ConnectionDriver

  var isWritable: Bool { socket.isWritable }
  func send(_ bytes: UnsafeRawBufferPointer) { socket.send(Array(bytes)) }
  func keep(_ bytes: UnsafeRawBufferPointer) { kept.append(Array(bytes)) }
  func sendKept() { socket.send(kept.removeFirst()) }
  func flush() {}
  func dropKept() { kept.removeFirst() }
  func close() { socket.close() }
  func readOn() {
    guard hasUnread else { return }
    hasUnread = false
    socket.readAgain()
  }
  func wake(at tick: Tick) {
    worker.eventLoop.schedule(afterMilliseconds: tick.since(worker.tick) + 1) { [weak self] in self?.connection.retry()
    }
  }

  var screensCommands: Bool { observer != nil }
  func screen(_ arguments: borrowing ArgumentList, _ bytes: UnsafeRawBufferPointer, at: Int) -> Screening {
    tellObserver()
    let executor = worker.loop.executor
    observed = (executor.store.lastAppended, executor.reply.count)
    return .execute
  }
  var hasTakenCommands: Bool { false }
  func failed(_ error: ProtocolError) {}
  func executed(bytes: Int) {}
  func batchEnds() {
    // What is held back has not run.
    if connection.suspension?.isBeforeCommand ?? false { observed = nil }
    tellObserver()
  }
  func lookAtTaken(now: Tick) -> Bool { false }
  func lostMastership() {}

  private func tellObserver() {
    guard let observer, let observed else { return }
    self.observed = nil
    let executor = worker.loop.executor
    observer.executed(
      on: worker.node, appendedBefore: observed.appended, appendedAfter: executor.store.lastAppended,
      reply: Array(executor.reply.bytes.dropFirst(observed.reply)))
  }

  // MARK: A slave

  var nodeConnection: (any NodeConnection)? { connection.isClosed || !socket.isOpen ? nil : socket }
  func answerSuspended(_ error: String) { connection.answerSuspended(error) }
  /// From here on the connection is a slave's stream.
  func handOver(answer: [UInt8], to receiver: RelayInput, over _: any NodeConnection) {
    leave()
    socket.send(answer)
    stream = receiver
    readOn()
  }
}
