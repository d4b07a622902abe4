// Raw memory: looks at replies where they were written.
import Core
import LogStore
import RESP

/// Executes the commands of one event loop: finds the row of a command, asks what may hold it back, and calls its function.
///
/// A batch is what one read of a socket brought: `beginBatch`, `execute` for each command, `endBatch`. What the commands see
/// of the keys, and do to them, is `keys`; what they answer is `reply`. One per event loop, on that loop.
package final class Executor {
  package let keys: KeyAccess
  package let services: any ServerServices
  package let table: CommandTable
  /// The table's, without asking an object for it.
  private let lookup: CommandLookup
  /// Of every command on this loop, by its number.
  package let figures: CommandFigures
  /// The subcommand that runs, while its container does.
  private var subcommandFigure: Int?
  package var reply = ReplyBuffer(capacity: 64 << 10)

  /// Monotonic time of the batch.
  package private(set) var tick = Tick(milliseconds: 0)
  /// What the host wants to see or hold back of every command.
  package var attention: Attention = []
  /// How long slow commands of this batch took, in microseconds.
  private var turnTime: UInt64 = 0

  // Counters of this loop; written here only, read by INFO through the host.
  package var commandsProcessed: UInt64 = 0
  package internal(set) var errorReplies: UInt64 = 0

  package init(store: LogStore, services: any ServerServices, table: CommandTable = .data) {
    keys = KeyAccess(store: store, services: services)
    self.services = services
    self.table = table
    lookup = table.lookup
    figures = CommandFigures(count: table.figures)
  }

  // MARK: Batches

  /// Follows the node to another store, between two batches.
  package func use(_ other: LogStore) { keys.use(other) }

  /// - Parameters:
  ///   - good: what may be shown at once.
  ///   - takesWrites: false on a slave.
  @inline(__always)
  package func beginBatch(now: @autoclosure () -> WallClock, tick: Tick, good: Gate, takesWrites: Bool) {
    keys.beginBatch(now: now(), good: good, takesWrites: takesWrites)
    self.tick = tick
    turnTime = 0
  }

  /// Returns true if the batch wrote: the commit thread has work.
  @inline(__always)
  package func endBatch() -> Bool { keys.endBatch() }

  // MARK: What the host asks of a batch

  package var store: LogStore { @inline(__always) get { keys.store } }
  /// EXEC is running its commands: none of them may wait.
  package var inTransaction: Bool { keys.inTransaction }
  /// The least level of this batch's writes: the server's and the connection's.
  package var level: RecordLevel {
    get { keys.level }
    set { keys.level = newValue }
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
    keys.gate = session.gate
    keys.lastWrite = session.lastWrite
    session.lastCommand = command
    if _slowPath(keys.values.isUsed) { keys.values.reset() }
    let begin = reply.count
    defer {
      session.gate = keys.gate
      session.lastWrite = keys.lastWrite
    }
    do throws(CommandFailure) {
      let flags = lookup.flags(command)
      // What writes is refused on a slave before anything else is said about it.
      if _slowPath(!keys.takesWrites), flags.contains(.write) {
        figures.rejected(Int(command.number))
        failed(.readOnly, command, from: begin)
        return .done
      }
      let isSampled = figures.called(Int(command.number))
      let mayTakeLong = flags.isDisjoint(with: [.fast, .brief])
      let outcome =
        try isSampled || mayTakeLong
        ? callTimed(command, arguments, session, mayTakeLong: mayTakeLong)
        : call(lookup.function(command), command, arguments, session)
      if reply.count > begin, reply.bytes[begin] == UInt8(ascii: "-") {
        noteFailure(of: command)
        noteError(from: begin)
      }
      reply.checkReply(from: begin, of: table.row(command).name)
      if _slowPath(keys.largeBytes > Self.turnBytesMax), !keys.inTransaction { attention.insert(.turnIsOver) }
      return outcome
    } catch {
      noteFailure(of: command)
      failed(error, command, from: begin)
      return .done
    }
  }

  @inline(__always)
  private func call(
    _ function: CommandFunction, _ command: Command, _ arguments: borrowing ArgumentList, _ session: Session
  ) throws(CommandFailure) -> Outcome {
    switch function {
    case .answers(let answer):
      try answer(arguments, self, session)
      return .done
    case .mayWait(let perform): return try perform(arguments, self, session)
    case .served(let perform):
      keys.releaseLock()
      return try perform(arguments, self, session)
    case .container, .help: return try callSubcommand(of: table.row(command), arguments, session)
    }
  }

  /// Commands that may take long are timed one by one, also for SLOWLOG, and of the others some. Those with subcommands may.
  @inline(never)
  private func callTimed(
    _ command: Command, _ arguments: borrowing ArgumentList, _ session: Session, mayTakeLong: Bool
  ) throws(CommandFailure) -> Outcome {
    let function = lookup.function(command)
    let start = services.nanoseconds
    defer {
      let nanoseconds = services.nanoseconds &- start
      if let figure = figure(of: command) { figures.took(nanoseconds, figure) }
      if mayTakeLong, !attention.contains(.timed) {
        finished(command, arguments, session, microseconds: nanoseconds / 1000)
      }
    }
    return try call(function, command, arguments, session)
  }

  /// The place of the present command, which has run, among the figures; nil if its second word named no subcommand.
  private func figure(of command: Command) -> Int? {
    if case .container = lookup.function(command) { return subcommandFigure }
    return Int(command.number)
  }

  @inline(never)
  private func noteFailure(of command: Command) {
    if let figure = figure(of: command) { figures.failed(figure) }
  }

  /// Without a second word: the container's own function, which it has if its arity allows that. Example: COMMAND.
  private func callSubcommand(
    of container: CommandRow, _ arguments: borrowing ArgumentList, _ session: Session
  ) throws(CommandFailure) -> Outcome {
    subcommandFigure = nil
    guard arguments.count > 1 else {
      subcommandFigure = container.figure
      return try call(container.function, container.command, arguments, session)
    }
    guard let row = container.subcommand(named: arguments[1]) else {
      figures.takeBack(container.figure)
      errorReplies &+= 1
      reply.unknownSubcommand(arguments)
      return .done
    }
    guard row.accepts(argumentCount: arguments.count) else {
      figures.takeBack(container.figure)
      figures.rejected(row.figure)
      errorReplies &+= 1
      reply.wrongArgumentCount(of: row.name)
      return .done
    }
    subcommandFigure = row.figure
    figures.move(from: container.figure, to: row.figure)
    session.lastSubcommand = row.name
    if case .help = row.function {
      reply.help(container)
      return .done
    }
    return try call(row.function, row.command, arguments, session)
  }

  /// Runs a command that reads several keys so that they are of one moment: if a record it saw is newer than the log was
  /// at its start, it runs again, the last time under the write lock.
  @inline(__always)
  func consistently(_ body: () throws(CommandFailure) -> Void) throws(CommandFailure) {
    if keys.holdsLock { return try body() }
    let begin = reply.count
    for _ in 0..<3 {
      let start = keys.store.positions.applied.value
      keys.newestSeen = 0
      try body()
      if keys.newestSeen <= start { return }
      reply.truncate(to: begin)
    }
    keys.holdStill()
    try body()
  }

  // MARK: After a command

  func finished(
    _ command: Command, _ arguments: borrowing ArgumentList, _ session: Session, since start: UInt64
  ) {
    finished(command, arguments, session, microseconds: services.stopwatch &- start)
  }

  private func finished(
    _ command: Command, _ arguments: borrowing ArgumentList, _ session: Session, microseconds: UInt64
  ) {
    if lookup.flags(command).contains(.skipSlowlog) { return }
    turnTime &+= microseconds
    if turnTime > Self.turnMicroseconds, !keys.inTransaction { attention.insert(.turnIsOver) }
    services.finished(table.row(command), arguments, session, microseconds: microseconds)
  }
  private static let turnBytesMax = 1 << 20
  private static let turnMicroseconds: UInt64 = 5000

  @inline(never)
  private func failed(_ failure: CommandFailure, _ command: Command, from begin: Int) {
    errorReplies &+= 1
    // What was written of an aggregate before the failure.
    reply.truncate(to: begin)
    answer(failure, table.row(command).name)
    noteError(from: begin)
  }

  @inline(never)
  func noteError(from begin: Int) {
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
    figures.rejected(Int(command.number))
    let begin = reply.count
    defer { noteError(from: begin) }
    let flags = lookup.flags(command)
    if !session.authenticated, !flags.contains(.noAuth) {
      reply.error("NOAUTH Authentication required.")
      return .done
    }
    if flags.contains(.runsQueue) {
      // Redis takes an EXEC that it cannot run for the end of the transaction, if there is one or not.
      reply.error("EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command")
      session.discardTransaction()
    } else {
      reply.wrongArgumentCount(of: table.row(command).name)
      session.transaction?.abort()
    }
    applyReplyMode(session, from: begin)
    return .done
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
}
