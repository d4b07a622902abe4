import Core
import LogStore
import RESP

/// What may hold a command back, refuse it or queue it before it runs: authentication, a transaction, a pause, a full log, a
/// missing majority, staleness. Everything that is rare; the hot path asks one question and passes it by.
extension Executor {
  @inline(never)
  func executeSpecially(_ command: Command, _ arguments: borrowing ArgumentList, _ session: Session) -> Outcome {
    let begin = reply.count
    let flags = table.lookup.flags(command)
    if !session.authenticated, !flags.contains(.noAuth) {
      return refused("NOAUTH Authentication required.", command, from: begin)
    }
    if let suspension = heldBack(flags, session) {
      commandsProcessed &-= 1
      return .suspended(suspension)
    }
    defer { applyReplyMode(session, from: begin) }
    if isUnconfirmed(flags, session) {
      // Only EXEC comes here inside a transaction, and it is over with its answer.
      if session.transaction != nil { session.discardTransaction() }
      return refused(
        "NOQUORUM a majority of the voters was not heard of for too long, another master may have been made: nothing was done",
        command, from: begin)
    }
    if session.isMonitor, !flags.isDisjoint(with: [.write, .readonly]) {
      return refused("ERR Replica can't interact with the keyspace", command, from: begin)
    }
    if session.transaction != nil, !flags.contains(.atOnce) {
      enqueue(command, arguments, session)
      if reply.bytes[begin] == UInt8(ascii: "-") { noteError(from: begin) }
      return .done
    }
    if let refusal = staleness(flags, session) { return refused(refusal, command, from: begin) }
    let start = attention.contains(.timed) ? services.stopwatch : 0
    defer { if start > 0 { finished(command, arguments, session, since: start) } }
    // After the command, as Redis does: SELECT shows the new database, EXEC comes behind what it ran.
    defer { if attention.contains(.monitors) { feedMonitors(command, arguments, session) } }
    return run(command, arguments, session)
  }

  private func refused(_ line: String, _ command: Command, from begin: Int) -> Outcome {
    errorReplies &+= 1
    figures.rejected(Int(command.number))
    reply.error(line)
    noteError(from: begin)
    return .done
  }

  /// What the command, of which nothing has happened yet, has to wait for.
  private func heldBack(_ flags: CommandFlags, _ session: Session) -> Suspension? {
    if attention.contains(.turnIsOver) { return .turn }
    if attention.contains(.full), waitsForRoom(flags, session) { return .room }
    // CLIENT PAUSE.
    if attention.contains(.paused) {
      let writes = flags.contains(.write) || flags.contains(.runsQueue) && session.transaction?.writes == true
      if services.holdsBack(writes: writes, now: tick) { return .paused }
    }
    if attention.contains(.unconfirmed), needsQuorum(flags, session),
      let deadline = services.leaseDeadline(now: tick)
    {
      return .unconfirmed(deadline: deadline)
    }
    return nil
  }

  /// A majority was not heard of for so long that waiting has no sense any more.
  private func isUnconfirmed(_ flags: CommandFlags, _ session: Session) -> Bool {
    attention.contains(.unconfirmed) && needsQuorum(flags, session) && services.leaseDeadline(now: tick) == nil
  }

  /// The log that waits to be written is full, and the command would add to it.
  private func waitsForRoom(_ flags: CommandFlags, _ session: Session) -> Bool {
    let runsQueue = flags.contains(.runsQueue)
    let queues = session.transaction != nil && !runsQueue
    let writes = flags.contains(.write) && !queues || runsQueue && session.transaction?.writes == true
    return writes && keys.takesWrites && store.isWritable && store.isOverloaded
  }

  /// Whether a command shows or changes what a quorum decides.
  private func needsQuorum(_ flags: CommandFlags, _ session: Session) -> Bool {
    let isData =
      session.transaction == nil
      ? !flags.isDisjoint(with: [.write, .readonly]) : flags.contains(.runsQueue)
    let asked = level.joined(store.tableLevel(session.database))
    // A slave shows nothing as long as it was just started and does not know which of its records are good.
    return isData && (asked.asksQuorum || store.isReplica && asked != .async)
  }

  /// The error for a read that would show what is too old; nil if it may go on.
  func staleness(_ flags: CommandFlags, _ session: Session) -> String? {
    guard let bound = session.staleness, flags.contains(.readonly) else { return nil }
    return services.staleness(beyond: bound, store, now: tick)
  }
}
