import Commands
import Connection
import Core
import LogStore
import Node
import RESP

/// One event loop of a node that serves clients.
final class SimulatedWorker: ConnectionLoopHost, @unchecked Sendable {
  // Safe to share: a simulation has one thread.
  unowned let node: NodeProcess
  let eventLoop: SimulatedLoop
  private(set) var loop: ConnectionLoop!
  var clients: [UInt64: SimulatedSocket] = [:]
  private var isReleaseAsked = false

  init(node: NodeProcess, eventLoop: SimulatedLoop, store: LogStore) {
    self.node = node
    self.eventLoop = eventLoop
    let executor = Executor(store: store, services: node, table: .simulated)
    loop = ConnectionLoop(host: self, executor: executor, outputBufferBytesMax: 1 << 20)
    loop.level = node.configuration.commit.level
    loop.syncTimeoutMilliseconds = node.configuration.sync.timeoutMilliseconds
  }

  /// Replies may have become good, or what somebody waits for has come.
  func askForRelease() {
    guard !isReleaseAsked else { return }
    isReleaseAsked = true
    eventLoop.run { [weak self] in
      guard let self else { return }
      isReleaseAsked = false
      loop.release()
    }
  }

  func move(to store: LogStore) {
    loop.move(to: store, clients.sorted { $0.key < $1.key }.map(\.value.connection))
  }

  /// The process ended: no connection is told, and none holds its driver any longer.
  func dismantle() {
    for client in clients.values { client.connection.letGo() }
    clients = [:]
    loop.letGo()
  }

  // MARK: ConnectionLoopHost

  var tick: Tick { node.monotonic }
  var good: Gate {
    let good = node.core.good(of: loop.executor.store)
    return Gate(durable: good.durable, committed: good.committed)
  }
  var isMaster: Bool { node.core.isMaster }

  func beginBatch(forwarding: Bool) {
    let executor = loop.executor
    executor.beginBatch(now: node.core.clock, tick: tick, good: good, takesWrites: loop.takesWrites)
    executor.keys.writeBar = WriteBar(rawValue: node.core.writeBar.load(ordering: .relaxed)) ?? .none
    executor.attention = node.pausesWrites ? [.paused] : []
    if executor.store.isOverloaded { executor.attention.insert(.full) }
    if tick.milliseconds >= node.core.readLease.load(ordering: .relaxed) { executor.attention.insert(.unconfirmed) }
  }
  func endBatch() { if loop.executor.endBatch() { node.wakeCommit() } }

  func outcome(of suspension: Suspension, now: Tick) -> PendingReply.Answer?? {
    node.row.outcome(of: suspension, now: now)
  }
  func scheduleRound() { eventLoop.run { [weak self] in self?.loop.round() } }
}
