import Commands
import Core
import LogStore
import RESP
import Synchronization

/// What the connections of one loop share: the executor, and the lists of those that wait.
///
/// Owned by the loop's host; everything but `waitingCount` is touched on the loop only.
package final class ConnectionLoop {
  package let executor: Executor
  /// Unsafe so that the data path does not count references: the host owns the loop, and both end together.
  unowned(unsafe) let host: any ConnectionLoopHost
  var lookAhead = LookAhead()
  /// False on a slave. A hint for quick refusals; what counts is the store's own flag, under its lock.
  package var takesWrites = true
  /// Replies held for one client beyond which its commands wait.
  package var outputBufferBytesMax: Int
  /// The level that every write has at least.
  package var level = RecordLevel.async
  /// How long a reply may wait for slaves.
  package var syncTimeoutMilliseconds: UInt64 = 0
  /// Connections whose replies wait for a commit.
  /// Invariant: each once, and all whose place says so.
  private var waiting: [ClientConnection] = []
  /// Connections that execute no further command for now, in the order in which they stopped.
  /// Invariant: each once, and all whose place says `isListed`; some go on already and leave at the next look.
  private var suspended: [ClientConnection] = []
  /// Connections that have had their turn.
  /// Invariant: each once, and only while a round is due.
  private var behindOthers: [ClientConnection] = []
  private var isRoundDue = false
  /// How many connections wait for something but their turn: what INFO calls blocked. Others read it.
  package let blockedCount = Atomic<Int>(0)
  /// How many places in both lists are taken. Others read it, to leave loops alone where nobody waits.
  package let waitingCount = Atomic<Int>(0)

  /// Where a connection stands in the lists of its loop.
  struct Place {
    var isWaiting = false
    var isSuspended = false
    /// ... and not only until the others have had their turn.
    var isBlocked = false
    var isListed = false
    var isBehindOthers = false
  }

  package init(host: any ConnectionLoopHost, executor: Executor, outputBufferBytesMax: Int) {
    self.host = host
    self.executor = executor
    self.outputBufferBytesMax = outputBufferBytesMax
  }

  /// The loop's process has ended: connections that wait are not told, only the hold on each other goes.
  package func letGo() { (waiting, suspended, behindOthers) = ([], [], []) }

  // MARK: The commit gate

  func wait(_ connection: ClientConnection) {
    guard !connection.place.isWaiting else { return }
    connection.place.isWaiting = true
    waiting.append(connection)
    waitingCount.add(1, ordering: .sequentiallyConsistent)
  }

  /// Sends what has become good, answers what has waited too long, and lets suspended connections look again.
  package func release() {
    let good = host.good
    let now = host.tick
    let isLost = executor.store.isClosedForGood
    var left = 0
    // In place: a connection that is released may be appended again by what its bytes bring, behind the ones looked at.
    let count = waiting.count
    for i in 0..<count {
      let connection = waiting[i]
      if connection.place.isWaiting, !connection.release(good: good) {
        if isLost {
          connection.abandonHeld()
        } else {
          connection.timeOut(now, milliseconds: syncTimeoutMilliseconds, good: good)
        }
        waiting[left] = connection
        left += 1
      } else if connection.place.isWaiting {
        connection.place.isWaiting = false
        waitingCount.subtract(1, ordering: .sequentiallyConsistent)
      }
    }
    waiting.removeSubrange(left..<count)
    retrySuspended()
  }

  private func retrySuspended() {
    let count = suspended.count
    guard count > 0 else { return }
    var left = 0
    for i in 0..<count {
      let connection = suspended[i]
      if connection.place.isSuspended { connection.retry() }
      if connection.place.isSuspended {
        suspended[left] = connection
        left += 1
      } else {
        connection.place.isListed = false
      }
    }
    suspended.removeSubrange(left..<count)
  }

  /// Another store from here on. LSNs of the old one say nothing about it: where its log was cut back, other records have
  /// them. So replies that still wait are not released by it.
  package func move(to store: LogStore, _ connections: [ClientConnection]) {
    let good = host.good
    for connection in connections { connection.endHeld(good: good) }
    executor.use(store)
  }

  func forget(_ connection: ClientConnection) {
    if connection.place.isWaiting {
      // It leaves the list at the next release.
      connection.place.isWaiting = false
      waitingCount.subtract(1, ordering: .sequentiallyConsistent)
    }
    resumed(connection)
  }

  // MARK: Suspended connections

  func suspend(_ connection: ClientConnection, isBlocked: Bool) {
    note(connection, isBlocked: isBlocked)
    if !connection.place.isSuspended {
      connection.place.isSuspended = true
      waitingCount.add(1, ordering: .sequentiallyConsistent)
    }
    if !connection.place.isListed {
      connection.place.isListed = true
      suspended.append(connection)
    }
  }

  func resumed(_ connection: ClientConnection) {
    guard connection.place.isSuspended else { return }
    note(connection, isBlocked: false)
    connection.place.isSuspended = false
    waitingCount.subtract(1, ordering: .sequentiallyConsistent)
  }

  private func note(_ connection: ClientConnection, isBlocked: Bool) {
    guard connection.place.isBlocked != isBlocked else { return }
    connection.place.isBlocked = isBlocked
    blockedCount.add(isBlocked ? 1 : -1, ordering: .relaxed)
  }

  /// The connection has had its turn: it goes on when the loop has looked at its sockets.
  ///
  /// One round for all of them, and the next one only when all have gone on: the loop runs what is due before it looks at a
  /// socket, and with a task for each, that of one connection is always due when the command of another was slow.
  func goOnBehindOthers(_ connection: ClientConnection) {
    guard !connection.place.isBehindOthers else { return }
    connection.place.isBehindOthers = true
    behindOthers.append(connection)
    if !isRoundDue { askForRound() }
  }

  private func askForRound() {
    isRoundDue = true
    host.scheduleRound()
  }

  /// The loop has looked at its sockets.
  package func round() {
    let connections = behindOthers
    behindOthers.removeAll()
    for connection in connections {
      connection.place.isBehindOthers = false
      connection.retry()
    }
    isRoundDue = false
    if !behindOthers.isEmpty { askForRound() }
  }
}

/// What the connections of a loop ask of their node.
package protocol ConnectionLoopHost: AnyObject {
  var tick: Tick { get }
  /// What of the executor's store may be told now.
  var good: Gate { get }
  var isMaster: Bool { get }
  /// Begins a batch of the loop's executor.
  /// - Parameter forwarding: writes may go to the master, so they may be queued; the store itself refuses them on a slave.
  func beginBatch(forwarding: Bool)
  func endBatch()
  /// Whether what a connection waits for has come: nil while it has not; then what is to be answered, if anything.
  func outcome(of suspension: Suspension, now: Tick) -> PendingReply.Answer??
  /// `ConnectionLoop.round` is to be called when the loop has looked at its sockets.
  func scheduleRound()
}
