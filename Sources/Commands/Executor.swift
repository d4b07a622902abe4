// Raw memory: hands views of records and arguments through; none outlives its batch.
import Core
import LogStore
import RESP
import Synchronization

/// Executes the commands of one event loop against the store.
///
/// A batch is what one read of a socket brought: `beginBatch`, `execute` for each command, `endBatch`. Inside a batch
/// the loop is in its epoch, so records may be read where they lie. The first write of a batch takes the write lock and
/// the batch keeps it; it is never held across IO.
package final class Executor {
  /// Unowned and unsafe so that the data path does not count references; `ownedStore` keeps it alive, and both change
  /// together in `use`, between two batches.
  package private(set) unowned(unsafe) var store: LogStore
  private var ownedStore: LogStore
  private var participant: EpochDomain.Participant
  package let services: any ServerServices
  @usableFromInline let lookup = CommandLookup.shared
  package var reply = ReplyBuffer(capacity: 64 << 10)
  package let values = ValueScratch()

  // Set for the batch.
  /// The master's wall clock in milliseconds.
  package private(set) var now: UInt64 = 0
  package private(set) var tick = Tick(milliseconds: 0)
  /// What was good when the batch began.
  @usableFromInline var good = Gate.open
  /// What is good at any level and was visible when the batch began: reading it waits for nothing.
  @usableFromInline var settled: UInt64 = 0
  package private(set) var holdsLock = false
  private var gaveLockBack = false
  /// False on a slave.
  package private(set) var takesWrites = true
  /// What the shell wants to see or hold back of every command.
  package var attention: Attention = []
  var monitored: Bool { attention.contains(.monitors) }
  /// The newest LSN that the present command saw; see `consistently`.
  var newestSeen: UInt64 = 0
  /// The gate of the present session, kept here while a batch runs.
  @usableFromInline var gate = Gate()
  /// The least level of this batch's writes: the server's and the connection's.
  package var level = RecordLevel.async
  /// What this batch wrote in large records, and how long its slow commands took, in microseconds.
  private var turnBytes = 0
  private var turnTime: UInt64 = 0
  /// Why the shell lets no writes in, although the log would take them.
  package var writeBar = WriteBar.none
  /// EXEC is running its commands: none of them may wait, and their records are one unit already.
  package internal(set) var inTransaction = false
  /// The present command frees space in the end: it is taken on a full disk, too, as long as this part of the space that is
  /// kept is left; nil for all other commands.
  var freesWith: UInt64?
  /// A command of many deletions was let in as a whole: it is not refused in the middle.
  var isFreeing = false
  /// Writes go into one unit of the log.
  var inUnit = false

  // Counters of this loop; written here only, read by INFO through the shell.
  package var commandsProcessed: UInt64 = 0
  package var hits: UInt64 = 0
  package var misses: UInt64 = 0
  package var expiredSeen: UInt64 = 0
  package var errorReplies: UInt64 = 0

  package init(store: LogStore, services: any ServerServices) {
    self.store = store
    ownedStore = store
    self.services = services
    guard let participant = store.epochs.join() else {
      preconditionFailure("more event loops than the epoch domain has places for")
    }
    self.participant = participant
  }

  /// Follows the node to another store, between two batches.
  package func use(_ other: LogStore) {
    precondition(!holdsLock, "the store changed inside a batch")
    store.epochs.resign(participant)
    store = other
    ownedStore = other
    guard let place = other.epochs.join() else {
      preconditionFailure("more event loops than the epoch domain has places for")
    }
    participant = place
  }

  // MARK: Batches

  /// - Parameters:
  ///   - good: what may be shown at once.
  ///   - takesWrites: false on a slave.
  @inline(__always)
  package func beginBatch(now: @autoclosure () -> WallClock, tick: Tick, good: Gate, takesWrites: Bool) {
    store.epochs.enter(participant)
    self.tick = tick
    self.good = good
    // Before the question whether levels are in use: who writes the first such record answers it before it is visible.
    let applied = store.positions.applied.value
    // And before the clock: a master's that was set back goes back here before the first record written by it is visible.
    self.now = now().milliseconds
    settled = min(store.isGated ? min(good.durable, good.committed) : good.durable, applied)
    self.takesWrites = takesWrites
    turnBytes = 0
    turnTime = 0
  }

  /// Returns true if the batch wrote: the commit thread has work.
  @inline(__always)
  package func endBatch() -> Bool {
    let wrote = holdsLock || gaveLockBack
    gaveLockBack = false
    if holdsLock {
      holdsLock = false
      store.noteAppended()
      store.writeLock.unlock()
    }
    store.epochs.leave(participant)
    return wrote
  }

  /// Gives the write lock back in the middle of a batch: commands about the server take it themselves where they need it.
  /// What the batch wrote before is complete. Not inside a transaction.
  func releaseLock() {
    guard holdsLock, !inTransaction else { return }
    holdsLock = false
    gaveLockBack = true
    store.noteAppended()
    store.writeLock.unlock()
  }

  // MARK: One command

  /// Executes one command and appends its reply.
  @inline(__always)
  package func execute(_ arguments: borrowing ArgumentList, _ session: Session) -> Outcome {
    commandsProcessed &+= 1
    guard let command = lookup.find(arguments[0]) else { return unknown(arguments, session) }
    guard lookup.accepts(command, argumentCount: arguments.count) else {
      return wrongCount(command, arguments, session)
    }
    if _slowPath(
      !session.authenticated || session.transaction != nil || session.replyMode != .on || !attention.isEmpty
        || session.staleness != nil)
    {
      return executeSpecially(command, arguments, session)
    }
    return run(command, arguments, session)
  }

  /// Runs a command whose name and arity are right, and turns a failure into its error reply.
  @inline(__always)
  func run(_ command: Command, _ arguments: borrowing ArgumentList, _ session: Session) -> Outcome {
    gate = session.gate
    lastWrite = session.lastWrite
    session.lastCommand = command
    if _slowPath(values.isUsed) { values.reset() }
    let begin = reply.count
    defer {
      session.gate = gate
      session.lastWrite = lastWrite
    }
    do throws(CommandFailure) {
      // The two commands that most clients send most of the time, before the big switch.
      if command == .get {
        try get(arguments, session)
        return .done
      }
      if command == .set {
        try set(arguments, session)
        return .done
      }
      let isTimed = !lookup.flags(command).contains(.fast) && !attention.contains(.timed)
      let outcome = try isTimed ? dispatchTimed(command, arguments, session) : dispatch(command, arguments, session)
      if reply.count > begin, reply.bytes[begin] == UInt8(ascii: "-") { noteError(from: begin) }
      reply.checkReply(from: begin, of: CommandTable.info(command).name)
      return outcome
    } catch {
      errorReplies &+= 1
      // What was written of an aggregate before the failure.
      reply.truncate(to: begin)
      answer(error)
      noteError(from: begin)
      return .done
    }
  }

  /// Commands that may take long are timed one by one, for SLOWLOG.
  @inline(never)
  private func dispatchTimed(_ command: Command, _ arguments: borrowing ArgumentList, _ session: Session)
    throws(CommandFailure) -> Outcome
  {
    let start = services.stopwatch
    defer { finished(command, arguments, session, since: start) }
    return try dispatch(command, arguments, session)
  }

  private func finished(
    _ command: Command, _ arguments: borrowing ArgumentList, _ session: Session, since start: UInt64
  ) {
    if lookup.flags(command).contains(.skipSlowlog) { return }
    let microseconds = services.stopwatch &- start
    turnTime &+= microseconds
    if turnTime > Self.turnMicroseconds, !inTransaction { attention.insert(.turnIsOver) }
    services.finished(command, arguments, session, microseconds: microseconds)
  }

  @inline(never)
  private func noteError(from begin: Int) {
    // CLIENT REPLY may have taken it back already.
    guard reply.count > begin else { return }
    services.noteError(UnsafeRawBufferPointer(rebasing: reply.bytes[begin...]))
  }

  @inline(never)
  private func unknown(_ arguments: borrowing ArgumentList, _ session: Session) -> Outcome {
    errorReplies &+= 1
    let begin = reply.count
    defer { noteError(from: begin) }
    if !session.authenticated {
      reply.error("NOAUTH Authentication required.")
      return .done
    }
    reply.unknownCommand(arguments)
    session.transaction?.abort()
    applyReplyMode(session, from: begin)
    return .done
  }

  @inline(never)
  private func wrongCount(_ command: Command, _ arguments: borrowing ArgumentList, _ session: Session) -> Outcome {
    errorReplies &+= 1
    let begin = reply.count
    defer { noteError(from: begin) }
    if !session.authenticated, !lookup.flags(command).contains(.noAuth) {
      reply.error("NOAUTH Authentication required.")
      return .done
    }
    if command == .exec {
      // Redis takes an EXEC that it cannot run for the end of the transaction, if there is one or not.
      reply.error("EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command")
      session.discardTransaction()
    } else {
      reply.wrongArgumentCount(command)
      session.transaction?.abort()
    }
    applyReplyMode(session, from: begin)
    return .done
  }

  /// Authentication, queueing, MONITOR and CLIENT REPLY: everything that is rare.
  @inline(never)
  private func executeSpecially(_ command: Command, _ arguments: borrowing ArgumentList, _ session: Session) -> Outcome
  {
    let begin = reply.count
    let flags = lookup.flags(command)
    if !session.authenticated, !flags.contains(.noAuth) {
      errorReplies &+= 1
      reply.error("NOAUTH Authentication required.")
      noteError(from: begin)
      return .done
    }
    if attention.contains(.turnIsOver) {
      commandsProcessed &-= 1
      return .suspended(.turn)
    }
    if attention.contains(.full), waitsForRoom(command, flags, session) {
      commandsProcessed &-= 1
      return .suspended(.room)
    }
    if attention.contains(.paused), isHeldBack(command, flags, session) {
      commandsProcessed &-= 1
      return .suspended(.paused)
    }
    if attention.contains(.unconfirmed), needsQuorum(command, flags, session) {
      guard let deadline = services.leaseDeadline(now: tick) else {
        errorReplies &+= 1
        reply.error(
          "NOQUORUM a majority of the voters was not heard of for too long, another master may have been made: nothing was done"
        )
        // Only EXEC comes here inside a transaction, and it is over with its answer.
        if session.transaction != nil { session.discardTransaction() }
        noteError(from: begin)
        applyReplyMode(session, from: begin)
        return .done
      }
      commandsProcessed &-= 1
      return .suspended(.unconfirmed(deadline: deadline))
    }
    defer { applyReplyMode(session, from: begin) }
    if session.isMonitor, !flags.isDisjoint(with: [.write, .readonly]) {
      errorReplies &+= 1
      reply.error("ERR Replica can't interact with the keyspace")
      noteError(from: begin)
      return .done
    }
    if session.transaction != nil, queues(command) {
      enqueue(command, arguments, session)
      if reply.bytes[begin] == UInt8(ascii: "-") { noteError(from: begin) }
      return .done
    }
    if let refusal = staleness(flags, session) {
      errorReplies &+= 1
      reply.error(refusal)
      noteError(from: begin)
      return .done
    }
    let start = attention.contains(.timed) ? services.stopwatch : 0
    defer { if start > 0 { finished(command, arguments, session, since: start) } }
    // After the command, as Redis does: SELECT shows the new database, EXEC comes behind what it ran.
    defer { if monitored { feedMonitors(command, arguments, session) } }
    return run(command, arguments, session)
  }

  /// The log that waits to be written is full, and the command would add to it.
  private func waitsForRoom(_ command: Command, _ flags: CommandFlags, _ session: Session) -> Bool {
    let queues = session.transaction != nil && command != .exec
    let writes = flags.contains(.write) && !queues || command == .exec && session.transaction?.writes == true
    return writes && takesWrites && store.isWritable && store.isOverloaded
  }

  /// A large record was written: a few bytes from a client may have brought it, and many such commands may follow in the
  /// same batch.
  @inline(never)
  func noteLarge(_ bytes: Int) throws(CommandFailure) {
    guard bytes <= store.configuration.valueBytesMax else { throw .valueTooLong }
    turnBytes += bytes
    if inTransaction {
      // All of it stays in memory until the end of the unit, and nothing of it can wait.
      guard turnBytes <= Self.unitBytesMax else { throw .unitTooLarge }
    } else if turnBytes > Self.turnBytesMax {
      attention.insert(.turnIsOver)
    }
  }
  /// Records up to this size are too small for anybody to notice.
  @inline(__always) static var smallBytesMax: Int { 4096 }
  private static let turnBytesMax = 1 << 20
  private static let turnMicroseconds: UInt64 = 5000
  /// What one transaction may append.
  private static let unitBytesMax = 256 << 20

  /// CLIENT PAUSE: whether the command, of which nothing has happened yet, has to wait.
  private func isHeldBack(_ command: Command, _ flags: CommandFlags, _ session: Session) -> Bool {
    let writes = flags.contains(.write) || command == .exec && session.transaction?.writes == true
    return services.holdsBack(writes: writes, now: tick)
  }

  /// Whether a command shows or changes what a quorum decides.
  private func needsQuorum(_ command: Command, _ flags: CommandFlags, _ session: Session) -> Bool {
    let isData =
      session.transaction == nil
      ? !flags.isDisjoint(with: [.write, .readonly]) : command == .exec
    let asked = level.joined(store.tableLevel(session.database))
    // A slave shows nothing as long as it was just started and does not know which of its records are good.
    return isData && (asked.asksQuorum || store.isReplica && asked != .async)
  }

  func applyReplyMode(_ session: Session, from begin: Int) {
    switch session.replyMode {
    case .on: break
    case .off: reply.truncate(to: begin)
    case .skipNext: session.replyMode = .skipping  // CLIENT REPLY SKIP itself answers nothing
    case .skipping:
      reply.truncate(to: begin)
      session.replyMode = .on
    }
  }

  // MARK: Reading

  /// The live record of a key with its value as it was written, nil if there is none or it has expired. Notes what the
  /// reply must wait for. Valid until the next command.
  @inline(__always)
  package func read(_ key: UnsafeRawBufferPointer, in database: Int) throws(CommandFailure) -> RecordView? {
    guard let record = try readStored(key, in: database) else { return nil }
    if _slowPath(record.isCompressed) { return try expanded(record, key, in: database) }
    return record
  }

  /// The same as it is stored: for those who do not look at the value, which may be compressed.
  @inline(__always)
  package func readStored(_ key: UnsafeRawBufferPointer, in database: Int) throws(CommandFailure) -> RecordView? {
    let table = store.table(database)
    switch store.find(table, store.hash(key), key) {
    case .found(let record):
      // An old record may be seen through a new binding of its table (SWAPDB).
      let seen = max(record.lsn, table.pointee.boundAt)
      if _slowPath(seen > settled) { return try readUnsettled(key, in: database) }
      if seen > newestSeen { newestSeen = seen }
      return unlessExpired(record)
    case .missing(let lastRemoval):
      if _slowPath(lastRemoval > settled) { return try readUnsettled(key, in: database) }
      if lastRemoval > newestSeen { newestSeen = lastRemoval }
      return nil
    case .damaged:
      throw .corrupt
    }
  }

  @inline(__always)
  func unlessExpired(_ record: RecordView) -> RecordView? {
    if _slowPath(record.flags & RecordFlag.expiry != 0), record.expiry <= now {
      expiredSeen &+= 1
      return nil
    }
    return record
  }

  /// A read that meets something newer than the batch knew: what belongs to an unfinished unit is waited for (its writer
  /// holds the lock and does no IO), what is not good yet holds the reply back.
  @inline(never)
  private func readUnsettled(_ key: UnsafeRawBufferPointer, in database: Int) throws(CommandFailure) -> RecordView? {
    var waited = holdsLock
    while true {
      let seen: UInt64
      var record: RecordView?
      let table = store.table(database)
      switch store.find(table, store.hash(key), key) {
      case .found(let found):
        seen = max(found.lsn, table.pointee.boundAt)
        record = found
      case .missing(let lastRemoval): seen = lastRemoval
      case .damaged: throw .corrupt
      }
      if !waited, seen > store.positions.applied.value {
        store.writeLock.lock()
        store.writeLock.unlock()
        waited = true
        continue
      }
      see(seen, record.map { $0.lsn == seen ? $0.level : .quorum } ?? .quorum)
      if seen > newestSeen { newestSeen = seen }
      // Newer than the batch, so perhaps written by a clock that was set back meanwhile.
      if let record, record.flags & RecordFlag.expiry != 0, record.expiry <= now, let clock = services.expiryClock {
        now = min(now, clock.milliseconds)
      }
      return record.flatMap(unlessExpired)
    }
  }

  /// Runs a command that reads several keys so that they are of one moment: if a record it saw is newer than the log was
  /// at its start, it runs again, the last time under the write lock.
  @inline(__always)
  func consistently(_ body: () throws(CommandFailure) -> Void) throws(CommandFailure) {
    if holdsLock { return try body() }
    let begin = reply.count
    for _ in 0..<3 {
      let start = store.positions.applied.value
      newestSeen = 0
      try body()
      if newestSeen <= start { return }
      reply.truncate(to: begin)
    }
    holdStill()
    try body()
  }

  /// Takes the write lock for the rest of the batch, on a slave as well: for what must be read at one moment.
  @inline(__always)
  func holdStill() {
    if holdsLock { return }
    store.writeLock.lock()
    holdsLock = true
    store.wallClock = now
  }

  /// LSN of the newest write of the present session.
  package var lastWrite: UInt64 = 0
}
