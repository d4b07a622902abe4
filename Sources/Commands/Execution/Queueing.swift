// Raw memory: copies lines of the reply.
import LogStore
import RESP

/// The queue of a transaction: what MULTI puts into it, and how EXEC runs it. What may be queued, and what waits for the end,
/// the flags of the rows tell.
extension Executor {
  // MARK: Between MULTI and EXEC

  /// Queues a copy of a command whose name and arity are right. What is refused here makes EXEC refuse everything.
  func enqueue(_ command: Command, _ arguments: borrowing ArgumentList, _ session: Session) {
    var flags = table.lookup.flags(command)
    if flags.contains(.container), arguments.count > 1 {
      guard let row = table.resolve(arguments) else {
        refuseToQueue(session)
        return reply.unknownSubcommand(arguments)
      }
      guard row.accepts(argumentCount: arguments.count) else {
        refuseToQueue(session)
        return reply.wrongArgumentCount(of: row.name)
      }
      flags = row.flags
    }
    if let failure = refusalToQueue(flags, arguments) {
      refuseToQueue(session)
      return answer(failure, table.row(command).name)
    }
    if session.transaction?.aborted == false,
      session.transaction?.add(command, copying: arguments, flags) == false
    {
      refuseToQueue(session)
      return reply.error("ERR the transaction is too large: at most \(Transaction.bytesMax) bytes of commands")
    }
    reply.simple("QUEUED" as StaticString)
  }

  private func refuseToQueue(_ session: Session) {
    errorReplies &+= 1
    session.transaction?.abort()
  }

  private func refusalToQueue(_ flags: CommandFlags, _ arguments: borrowing ArgumentList) -> CommandFailure? {
    if !flags.isDisjoint(with: [.noMulti, .neverQueued]) {
      return .text("ERR Command not allowed inside a transaction")
    }
    if flags.contains(.changesLevel), arguments.count > 2 {
      return .text("ERR a commit level cannot be changed inside a transaction")
    }
    guard flags.contains(.write) else { return nil }
    if !keys.takesWrites { return .readOnly }
    return store.isWritable ? nil : keys.refusal()
  }

  // MARK: EXEC

  /// Runs a queue under the write lock, as one moment. What of it waits comes behind, in the tail of the outcome.
  func run(_ transaction: Transaction, _ session: Session) -> Outcome {
    // `run` begins with the session's and leaves that of the keys in step with it.
    session.gate = keys.gate
    session.lastWrite = keys.lastWrite
    let start = reply.count
    reply.array(transaction.queue.count)
    var tail: ExecTail?
    var kept = start
    for queued in transaction.queue {
      // What is about the server keeps its order behind a command that waits.
      if queued.flags.contains(.waits) || tail != nil && isBehindWaiting(queued) {
        let waiting = tail ?? ExecTail()
        waiting.add(bytes: UnsafeRawBufferPointer(rebasing: reply.bytes[kept...]))
        waiting.add(waiting: queued)
        kept = reply.count
        tail = waiting
        continue
      }
      commandsProcessed &+= 1
      let begin = reply.count
      switch run(queued.command, queued.arguments, session) {
      case .done:
        // CLIENT REPLY answers nothing, but an array needs every element.
        if reply.count == begin { reply.null() }
      case .suspended:
        reply.truncate(to: begin)
        reply.error("ERR the command would wait, which a transaction cannot" as StaticString)
      }
      if attention.contains(.monitors) { feedMonitors(queued.command, queued.arguments, session) }
    }
    guard let tail else { return .done }
    tail.add(bytes: UnsafeRawBufferPointer(rebasing: reply.bytes[kept...]))
    reply.truncate(to: start)
    return .suspended(.exec(tail))
  }

  /// What the host serves, but for what is about the data of the transaction's moment: WAIT and its kin answer at once what
  /// is so, DIGEST what is there.
  private func isBehindWaiting(_ queued: QueuedCommand) -> Bool {
    queued.flags.contains(.served) && queued.flags.isDisjoint(with: [.inPlace, .readonly])
  }

  /// `-EXECABORT ...: ` and the text of the failure.
  func discarded(because failure: CommandFailure) {
    errorReplies &+= 1
    let begin = reply.count
    answer(failure, "exec")
    // Without the '-' that begins an error.
    let line = [UInt8](reply.bytes[(begin + 1)...])
    reply.truncate(to: begin)
    reply.raw("-EXECABORT Transaction discarded because of: ")
    line.withUnsafeBytes { reply.raw($0) }
  }
}
