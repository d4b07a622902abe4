import Commands
import Connection
import Core
import LogStore
import NIOCore
import NIOPosix
import RESP
import Synchronization

/// One event loop that serves clients: its connections, and the clocks and tasks that their `ConnectionLoop` needs.
///
/// Everything but `releaseRequested` is touched on the loop only.
final class LoopWorker: @unchecked Sendable {
  // Safe to share: other threads only hand it to `eventLoop.execute`, and flip the atomic.
  let eventLoop: any EventLoop
  let server: ServerCore
  // Set once in `init`, after `self` exists.
  private(set) var loop: ConnectionLoop!
  let counters = LoopCounters()
  /// On a slave: what clients write goes to the master.
  private(set) var forwardsWrites = false
  /// What all connections together may hold that owe a password, and how long each may owe it.
  private(set) var strangersBytesMax = 0
  private(set) var authTimeoutMilliseconds: UInt64 = 0
  /// When the connections that owe a password were looked at last.
  private var lookedAtStrangers = Tick(milliseconds: 0)
  var clients: [UInt64: ClientHandler] = [:]
  private var commitIsAsked = false
  private let releaseRequested = Atomic<Bool>(false)

  init(eventLoop: any EventLoop, server: ServerCore, store: LogStore) {
    self.eventLoop = eventLoop
    self.server = server
    loop = ConnectionLoop(
      host: self, executor: Executor(store: store, services: server, table: .server),
      outputBufferBytesMax: server.configuration.outputBufferBytesMax)
    configure(server.configuration)
  }

  func configure(_ settings: ServerConfiguration) {
    loop.outputBufferBytesMax = settings.outputBufferBytesMax
    loop.executor.figures.keepsLatencies = settings.latencyTracking
    loop.level = settings.commit.level
    loop.syncTimeoutMilliseconds = UInt64(settings.syncTimeoutMilliseconds)
    forwardsWrites = settings.forwardWrites
    strangersBytesMax = settings.unauthenticatedBytesMax
    authTimeoutMilliseconds = UInt64(settings.authTimeoutSeconds) * 1000
  }

  // MARK: From other threads

  /// Called by the commit thread: replies may go now.
  func commitAdvanced() {
    guard loop.waitingCount.load(ordering: .sequentiallyConsistent) > 0 else { return }
    if releaseRequested.exchange(true, ordering: .acquiringAndReleasing) { return }
    eventLoop.execute { [self] in
      releaseRequested.store(false, ordering: .releasing)
      loop.release()
    }
  }

  /// The state of the row changed (acks, role, positions): whoever waits for it looks again.
  func stateChanged() {
    guard loop.waitingCount.load(ordering: .sequentiallyConsistent) > 0 else { return }
    eventLoop.execute { [self] in loop.release() }
  }

  /// Several times a second, from the maintenance thread: deadlines of suspended commands.
  func tickIfNeeded() {
    stateChanged()
    guard server.password != nil else { return }
    eventLoop.execute { [self] in lookAtStrangers() }
  }

  /// At the end of the server. What was released before leaves first: it is ahead in the loop's queue.
  func closeClients() -> EventLoopFuture<Void> {
    eventLoop.submit { [self] in for client in clients.values { client.channel.close(promise: nil) } }
  }

  // MARK: On the loop

  func move(to store: LogStore) { loop.move(to: store, clients.values.map(\.connection)) }

  private func lookAtStrangers() {
    let now = Clocks.monotonic
    guard now.since(lookedAtStrangers) >= 1000 else { return }
    lookedAtStrangers = now
    for client in Array(clients.values) { client.lookAtStranger(now) }
  }
}

extension LoopWorker: ConnectionLoopHost {
  var tick: Tick { Clocks.monotonic }
  var good: Gate { server.good(of: loop.executor.store) }
  var isMaster: Bool { server.isMaster }

  func beginBatch(forwarding: Bool) {
    let executor = loop.executor
    let tick = Clocks.monotonic
    executor.beginBatch(
      now: server.clock(at: tick), tick: tick, good: server.good(of: executor.store),
      takesWrites: loop.takesWrites || forwarding || server.roleTakesWrites.load(ordering: .acquiring))
    executor.keys.writeBar = server.writeBar
    executor.attention = server.service.attention
    if _slowPath(executor.store.isOverloaded) { executor.attention.insert(.full) }
    if _slowPath(executor.tick.milliseconds >= server.node.readLease.load(ordering: .relaxed)) {
      executor.attention.insert(.unconfirmed)
    }
  }

  func endBatch() {
    let executor = loop.executor
    if executor.endBatch(), !commitIsAsked {
      // Behind the connections that are ready in this round of the loop.
      commitIsAsked = true
      eventLoop.execute { [self] in
        commitIsAsked = false
        server.appended()
      }
    }
    counters.publish(executor)
  }

  func outcome(of suspension: Suspension, now: Tick) -> PendingReply.Answer?? {
    server.row.outcome(of: suspension, now: now)
  }

  func scheduleRound() {
    // What is due at once would run before the sockets, too.
    eventLoop.scheduleTask(in: .microseconds(100)) { [self] in loop.round() }
  }
}
