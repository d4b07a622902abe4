import Commands
import Core
import LogStore
import NIOCore
import NIOPosix
import RESP
import Synchronization

/// What one event loop owns: its executor and the connections whose replies wait for a commit.
///
/// Everything but `releaseRequested` is touched on the loop only.
final class LoopWorker: @unchecked Sendable {
  // Safe to share: other threads only hand it to `eventLoop.execute`, and flip the atomic.
  let eventLoop: any EventLoop
  let server: ServerCore
  let executor: Executor
  let counters = LoopCounters()
  var lookAhead = LookAhead()
  /// False on a slave. A hint for quick refusals; what counts is the store's own flag, under its lock.
  var takesWrites = true
  /// On a slave: what clients write goes to the master.
  private(set) var forwardsWrites = false
  /// Replies held for one client beyond which its commands wait.
  var outputBufferBytesMax: Int
  /// What all connections together may hold that owe a password, and how long each may owe it.
  private(set) var strangersBytesMax = 0
  private(set) var authTimeoutMilliseconds: UInt64 = 0
  /// When the connections that owe a password were looked at last.
  private var lookedAtStrangers = Tick(milliseconds: 0)
  /// The level that every write has at least.
  var level = RecordLevel.async
  /// How long a reply may wait for slaves.
  private var syncTimeoutMilliseconds: UInt64 = 0
  /// Invariant: exactly the handlers whose `isWaiting` is set, each once.
  private var waiting: [ClientHandler] = []
  /// Connections that stopped executing: suspended commands, and writers held back by a slow disk.
  private var suspended: [ObjectIdentifier: ClientHandler] = [:]
  /// Invariant: exactly the handlers whose `isBehindOthers` is set, each once, and only while a round is due.
  private var behindOthers: [ClientHandler] = []
  private var isRoundDue = false
  var clients: [UInt64: ClientHandler] = [:]
  private var commitIsAsked = false
  private let releaseRequested = Atomic<Bool>(false)
  /// How many connections wait; read by the commit thread to skip loops where nobody does.
  private let waitingCount = Atomic<Int>(0)

  init(eventLoop: any EventLoop, server: ServerCore, store: LogStore) {
    self.eventLoop = eventLoop
    self.server = server
    executor = Executor(store: store, services: server)
    outputBufferBytesMax = server.configuration.outputBufferBytesMax
    configure(server.configuration)
  }

  func configure(_ settings: ServerConfiguration) {
    outputBufferBytesMax = settings.outputBufferBytesMax
    level = settings.commit.level
    forwardsWrites = settings.forwardWrites
    syncTimeoutMilliseconds = UInt64(settings.syncTimeoutMilliseconds)
    strangersBytesMax = settings.unauthenticatedBytesMax
    authTimeoutMilliseconds = UInt64(settings.authTimeoutSeconds) * 1000
  }

  // MARK: Batches

  /// - Parameter forwarding: writes go to the master, so they may be queued; the store itself refuses them on a slave.
  @inline(__always)
  func beginBatch(forwarding: Bool) {
    let tick = Clocks.monotonic
    executor.beginBatch(
      now: server.clock(at: tick), tick: tick, good: server.good(of: executor.store),
      takesWrites: takesWrites || forwarding || server.roleTakesWrites.load(ordering: .acquiring))
    executor.writeBar = server.writeBar
    executor.attention = server.service.attention
    if _slowPath(executor.store.isOverloaded) { executor.attention.insert(.full) }
    if _slowPath(executor.tick.milliseconds >= server.node.readLease.load(ordering: .relaxed)) {
      executor.attention.insert(.unconfirmed)
    }
  }

  @inline(__always)
  func endBatch() {
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

  // MARK: The commit gate

  func wait(_ handler: ClientHandler) {
    guard !handler.isWaiting else { return }
    handler.isWaiting = true
    waiting.append(handler)
    waitingCount.add(1, ordering: .sequentiallyConsistent)
  }

  /// Called by the commit thread: replies may go now.
  func commitAdvanced() {
    guard waitingCount.load(ordering: .sequentiallyConsistent) > 0 else { return }
    if releaseRequested.exchange(true, ordering: .acquiringAndReleasing) { return }
    eventLoop.execute { [self] in
      releaseRequested.store(false, ordering: .releasing)
      release()
    }
  }

  /// Sends what has become good.
  func release() {
    let good = server.good(of: executor.store)
    let now = Clocks.monotonic
    let isLost = executor.store.isClosedForGood
    var left = 0
    // In place: a handler that is released may be appended again by what its bytes bring, behind the ones looked at.
    let count = waiting.count
    for i in 0..<count {
      let handler = waiting[i]
      if handler.isWaiting, !handler.release(good: good) {
        if isLost {
          handler.abandonHeld()
        } else {
          handler.timeOut(now, milliseconds: syncTimeoutMilliseconds, good: good)
        }
        waiting[left] = handler
        left += 1
      } else if handler.isWaiting {
        handler.isWaiting = false
        waitingCount.subtract(1, ordering: .sequentiallyConsistent)
      }
    }
    waiting.removeSubrange(left..<count)
    for handler in suspended.values { handler.retry() }
  }

  /// Another store from here on. LSNs of the old one say nothing about it: where its log was cut back, other records have
  /// them. So replies that still wait are not released by it.
  func move(to store: LogStore) {
    let good = server.good(of: executor.store)
    for handler in clients.values { handler.endHeld(good: good) }
    executor.use(store)
  }

  func forget(_ handler: ClientHandler) {
    if handler.isWaiting {
      // It leaves the list at the next release.
      handler.isWaiting = false
      waitingCount.subtract(1, ordering: .sequentiallyConsistent)
    }
    resumed(handler)
    clients[handler.session.id] = nil
  }

  /// At the end of the server. What was released before leaves first: it is ahead in the loop's queue.
  func closeClients() -> EventLoopFuture<Void> {
    eventLoop.submit { [self] in for client in clients.values { client.channel.close(promise: nil) } }
  }

  // MARK: Suspended connections

  func suspend(_ handler: ClientHandler) {
    if suspended.updateValue(handler, forKey: ObjectIdentifier(handler)) == nil {
      waitingCount.add(1, ordering: .sequentiallyConsistent)
    }
  }
  func resumed(_ handler: ClientHandler) {
    if suspended.removeValue(forKey: ObjectIdentifier(handler)) != nil {
      waitingCount.subtract(1, ordering: .sequentiallyConsistent)
    }
  }

  /// The connection has had its turn: it goes on when the loop has looked at its sockets.
  ///
  /// One task for all of them, and the next one only when all have gone on: the loop runs what is due before it looks at a
  /// socket, and with a task for each, that of one connection is always due when the command of another was slow.
  func goOnBehindOthers(_ handler: ClientHandler) {
    guard !handler.isBehindOthers else { return }
    handler.isBehindOthers = true
    behindOthers.append(handler)
    if !isRoundDue { scheduleRound() }
  }

  private func scheduleRound() {
    isRoundDue = true
    // What is due at once would run before the sockets, too.
    eventLoop.scheduleTask(in: .microseconds(100)) { [self] in
      let handlers = behindOthers
      behindOthers.removeAll()
      for handler in handlers {
        handler.isBehindOthers = false
        handler.retry()
      }
      isRoundDue = false
      if !behindOthers.isEmpty { scheduleRound() }
    }
  }

  /// Several times a second, from the maintenance thread: deadlines of suspended commands.
  func tickIfNeeded() {
    stateChanged()
    guard server.password != nil else { return }
    eventLoop.execute { [self] in lookAtStrangers() }
  }

  private func lookAtStrangers() {
    let now = Clocks.monotonic
    guard now.since(lookedAtStrangers) >= 1000 else { return }
    lookedAtStrangers = now
    for client in Array(clients.values) { client.lookAtStranger(now) }
  }

  /// The state of the row changed (acks, role, positions): whoever waits for it looks again.
  func stateChanged() {
    guard waitingCount.load(ordering: .sequentiallyConsistent) > 0 else { return }
    eventLoop.execute { [self] in release() }
  }
}
