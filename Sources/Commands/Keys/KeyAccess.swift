// Raw memory: hands views of records through; none outlives its batch.
import Core
import LogStore
import RESP

/// The keys as the commands of one event loop see and change them: reads in `KeyReads`, writes in `KeyWrites`.
///
/// One per executor, on its loop. Inside a batch the loop is in its epoch, so records may be read where they lie. The first
/// write of a batch takes the write lock and the batch keeps it; it is never held across IO.
/// Invariant: `writeAccess` is there only inside a batch; `inUnit` only while it is. What writes unwraps it: `beginWrite` or
/// `holdStill` comes before.
package final class KeyAccess {
  /// Unowned and unsafe so that the data path does not count references; `ownedStore` keeps it alive, and both change
  /// together in `use`, between two batches.
  package private(set) unowned(unsafe) var store: LogStore
  private var ownedStore: LogStore
  private var participant: EpochDomain.Participant
  let services: any ServerServices
  package let values = ValueScratch()

  // MARK: Of the batch

  /// The master's wall clock in milliseconds.
  package internal(set) var now: UInt64 = 0
  /// What was good when the batch began.
  var good = Gate.open
  /// What is good at any level and was visible when the batch began: reading it waits for nothing.
  var settled: UInt64 = 0
  /// The write lock, from the batch's first write to its end.
  private(set) var writeAccess: WriteAccess?
  package var holdsLock: Bool { writeAccess != nil }
  private var gaveLockBack = false
  /// False on a slave.
  package private(set) var takesWrites = true
  /// Why the host lets no writes in, although the log would take them.
  package var writeBar = WriteBar.none
  /// The least level of this batch's writes: the server's and the connection's.
  package var level = RecordLevel.async
  /// What this batch wrote in large records.
  private(set) var largeBytes = 0

  // MARK: Of the command

  /// What the reply waits for: the gate of the present session, kept here while its command runs.
  package internal(set) var gate = Gate()
  /// LSN of the newest write of the present session.
  package internal(set) var lastWrite: UInt64 = 0
  /// The newest LSN that the present command saw; see `Executor.consistently`.
  var newestSeen: UInt64 = 0
  /// EXEC is running its commands: none of them may wait, and their records are one unit already.
  package internal(set) var inTransaction = false
  /// Writes go into one unit of the log.
  var inUnit = false
  /// The present command frees space in the end: it is taken on a full disk, too, as long as this part of the space that is
  /// kept is left; nil for all other commands.
  var freesWith: UInt64?
  /// A command of many deletions was let in as a whole: it is not refused in the middle.
  var isFreeing = false

  // MARK: Counters of this loop, shown by INFO

  package internal(set) var hits: UInt64 = 0
  package internal(set) var misses: UInt64 = 0
  package internal(set) var expiredSeen: UInt64 = 0

  init(store: LogStore, services: any ServerServices) {
    self.store = store
    ownedStore = store
    self.services = services
    participant = Self.join(store)
  }

  private static func join(_ store: LogStore) -> EpochDomain.Participant {
    guard let participant = store.epochs.join() else {
      preconditionFailure("more event loops than the epoch domain has places for")
    }
    return participant
  }

  /// Follows the node to another store, between two batches.
  func use(_ other: LogStore) {
    precondition(!holdsLock, "the store changed inside a batch")
    store.epochs.resign(participant)
    store = other
    ownedStore = other
    participant = Self.join(other)
  }

  // MARK: Batches

  @inline(__always)
  func beginBatch(now: @autoclosure () -> WallClock, good: Gate, takesWrites: Bool) {
    store.epochs.enter(participant)
    self.good = good
    // Before the question whether levels are in use: who writes the first such record answers it before it is visible.
    let applied = store.positions.applied.value
    // And before the clock: a master's that was set back goes back here before the first record written by it is visible.
    self.now = now().milliseconds
    settled = min(store.isGated ? min(good.durable, good.committed) : good.durable, applied)
    self.takesWrites = takesWrites
    largeBytes = 0
  }

  /// Returns true if the batch wrote: the commit thread has work.
  @inline(__always)
  func endBatch() -> Bool {
    let wrote = holdsLock || gaveLockBack
    gaveLockBack = false
    if let access = writeAccess.take() {
      store.noteAppended(access)
      store.writeLock.unlock(access)
    }
    store.epochs.leave(participant)
    return wrote
  }

  // MARK: The write lock

  /// Takes the write lock for the rest of the batch, on a slave as well: for what must be read at one moment.
  @inline(__always)
  func holdStill() {
    if holdsLock { return }
    writeAccess = store.writeLock.lock()
    store.wallClock = now
  }

  /// Gives the write lock back in the middle of a batch: commands about the server take it themselves where they need it.
  /// What the batch wrote before is complete. Not inside a transaction.
  func releaseLock() {
    guard !inTransaction, let access = writeAccess.take() else { return }
    gaveLockBack = true
    store.noteAppended(access)
    store.writeLock.unlock(access)
  }

  /// Runs `body` under the write lock: the batch's, if it has it already.
  package func withWriteLock<Result, Failure: Error>(
    _ body: (borrowing WriteAccess) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    if holdsLock { return try body(writeAccess!) }
    return try store.withWriteLock(body)
  }

  /// A large record is about to be written: a few bytes from a client may have brought it, and many such commands may
  /// follow in the same batch.
  @inline(never)
  func noteLarge(_ bytes: Int) throws(CommandFailure) {
    guard bytes <= store.configuration.valueBytesMax else { throw .valueTooLong }
    largeBytes += bytes
    // All of a transaction stays in memory until the end of the unit, and nothing of it can wait.
    guard !inTransaction || largeBytes <= Self.unitBytesMax else { throw .unitTooLarge }
  }
  /// Records up to this size are too small for anybody to notice.
  @inline(__always) static var smallBytesMax: Int { 4096 }
  /// What one transaction may append.
  private static let unitBytesMax = 256 << 20

  // MARK: What a reply waits for

  /// The reply tells of something as new as `lsn`: it waits until that is good at its level. A level that is not known
  /// counts as all of them.
  @inline(never)
  package func see(_ lsn: UInt64, _ level: RecordLevel = .both) {
    #if PACELINE_PLANTED_BUGS
      if PlantedBug.readBeforeGate.isPlanted { return }
    #endif
    if level == .async || !store.isGated {
      if lsn > good.durable { gate.durable = max(gate.durable, lsn) }
    } else if lsn > good.committed {
      gate.committed = max(gate.committed, lsn)
    }
  }

  /// The reply waits for the record appended last.
  @inline(__always)
  func wrote() {
    let lsn = store.lastAppended
    if lsn > good.durable { gate.durable = lsn }
    if _slowPath(!store.isAsync) { gate.committed = lsn }
    lastWrite = lsn
  }
}
