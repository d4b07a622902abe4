// Raw memory: hands views of watched keys and of lines through; none outlives its call.
import LogStore
import RESP

/// MULTI and what belongs to it. EXEC runs the queue under the write lock and as one unit of the log.
extension Executor {
  func transactionCommand(
    _ command: Command, _ arguments: borrowing ArgumentList, _ session: Session
  ) throws(CommandFailure) -> Outcome {
    switch command {
    case .multi:
      guard session.transaction == nil else { throw .text("ERR MULTI calls can not be nested") }
      session.transaction = Transaction()
      reply.ok()
    case .discard:
      guard session.transaction != nil else { throw .text("ERR DISCARD without MULTI") }
      session.discardTransaction()
      reply.ok()
    case .exec: return try exec(session)
    case .watch: try watch(arguments, session)
    case .unwatch:
      session.unwatch()
      reply.ok()
    default: preconditionFailure("\(command) is not about transactions")
    }
    return .done
  }

  // MARK: Queueing

  /// False for what is executed at once between MULTI and EXEC.
  func queues(_ command: Command) -> Bool {
    switch command {
    case .exec, .discard, .multi, .watch, .quit, .reset: false
    default: true
    }
  }

  /// Queues a copy of a command whose name and arity are right. What is refused here makes EXEC refuse everything.
  func enqueue(_ command: Command, _ arguments: borrowing ArgumentList, _ session: Session) {
    var flags = lookup.flags(command)
    if Self.hasSubcommands(command) {
      guard let info = CommandTable.resolve(arguments) else {
        refuseToQueue(session)
        return reply.unknownCommand(arguments)
      }
      guard info.accepts(argumentCount: arguments.count) else {
        refuseToQueue(session)
        return reply.wrongArgumentCount(info)
      }
      flags = info.flags
    }
    if let failure = refusalToQueue(command, flags, arguments) {
      refuseToQueue(session)
      return answer(failure)
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

  private func refusalToQueue(
    _ command: Command, _ flags: CommandFlags, _ arguments: borrowing ArgumentList
  ) -> CommandFailure? {
    // Redis lets FAILOVER into a transaction; here it answers when it is over, and what is queued behind it would run on a
    // node that is no master any more.
    if flags.contains(.noMulti) || command == .failover { return .text("ERR Command not allowed inside a transaction") }
    // All records of a transaction have one level, which is chosen before the first of them.
    if command == .commit && arguments.count > 2 || command == .table && arguments.count > 2 {
      return .text("ERR a commit level cannot be changed inside a transaction")
    }
    guard flags.contains(.write) else { return nil }
    if !takesWrites { return .readOnly }
    return store.isWritable ? nil : refusal()
  }

  private static func hasSubcommands(_ command: Command) -> Bool {
    switch command {
    case .object, .client, .command, .config, .memory, .slowlog, .latency: true
    default: false
    }
  }

  // MARK: EXEC

  private func exec(_ session: Session) throws(CommandFailure) -> Outcome {
    guard let transaction = session.transaction else { throw .text("ERR EXEC without MULTI") }
    let watched = session.watched
    session.discardTransaction()
    if transaction.aborted { throw .text("EXECABORT Transaction discarded because of previous errors.") }
    if transaction.reads, let refusal = staleness(.readonly, session) {
      errorReplies &+= 1
      reply.error(refusal)
      return .done
    }
    if transaction.writes {
      do throws(CommandFailure) { try beginWriteAnywhere() } catch {
        discarded(because: error)
        return .done
      }
    } else {
      holdStill()
    }
    for key in watched where try isTouched(key) {
      reply.nullArray()
      return .done
    }

    // Without writes there is no unit: a slave's log goes its own way.
    if transaction.writes { store.beginUnit() }
    inTransaction = true
    inUnit = true
    defer {
      inTransaction = false
      inUnit = false
      if transaction.writes { store.endUnit() }
    }
    // `run` begins with the session's and leaves the executor's in step with it.
    session.gate = gate
    session.lastWrite = lastWrite
    let start = reply.count
    reply.array(transaction.queue.count)
    var tail: ExecTail?
    var kept = start
    for queued in transaction.queue {
      // What is about the server keeps its order behind a command that waits.
      if queued.flags.contains(.waits)
        || tail != nil && Self.isServed(queued.command) && !Self.answersInPlace(queued)
      {
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
      if monitored { feedMonitors(queued.command, queued.arguments, session) }
    }
    guard let tail else { return .done }
    tail.add(bytes: UnsafeRawBufferPointer(rebasing: reply.bytes[kept...]))
    reply.truncate(to: start)
    return .suspended(.exec(tail))
  }

  /// About the data of the transaction's moment: WAIT and its kin answer at once what is so, DIGEST what is there.
  private static func answersInPlace(_ queued: QueuedCommand) -> Bool {
    switch queued.command {
    case .wait, .waitaof, .waitlsn, .lastlsn: true
    default: queued.flags.contains(.readonly)
    }
  }

  /// `-EXECABORT ...: ` and the text of the failure.
  private func discarded(because failure: CommandFailure) {
    errorReplies &+= 1
    let begin = reply.count
    answer(failure)
    // Without the '-' that begins an error.
    let line = [UInt8](reply.bytes[(begin + 1)...])
    reply.truncate(to: begin)
    reply.raw("-EXECABORT Transaction discarded because of: ")
    line.withUnsafeBytes { reply.raw($0) }
  }

  // MARK: WATCH

  /// WATCH key [key ...]
  private func watch(_ arguments: borrowing ArgumentList, _ session: Session) throws(CommandFailure) {
    guard session.transaction == nil else { throw .text("ERR WATCH inside MULTI is not allowed") }
    for i in 1..<arguments.count {
      let key = arguments[i]
      let bytes = key.count + 96
      guard bytes <= Transaction.bytesMax - session.watchedBytes else {
        throw .text("ERR too many keys are watched")
      }
      // A key watched twice stands there twice: the older look decides.
      let lsn = try readStored(key, in: session.database)?.lsn ?? 0
      session.watchedBytes += bytes
      session.watched.append(
        WatchedKey(
          database: session.database, boundAt: store.table(session.database).pointee.boundAt, lineage: store.hashSeed,
          key: [UInt8](key), lsn: lsn))
    }
    reply.ok()
  }

  /// Whether a watched key has been written, deleted, or has expired since WATCH. Under the write lock.
  ///
  /// A key that was missing and is missing again counts as untouched: what the client saw is so.
  private func isTouched(_ watched: WatchedKey) throws(CommandFailure) -> Bool {
    if watched.lineage != store.hashSeed { return true }
    let seen: Result<UInt64, CommandFailure> = watched.key.withUnsafeBytes { bytes in
      // The empty key: an empty array may have no address, the index wants one.
      let start = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 8)
      let key = UnsafeRawBufferPointer(start: start, count: bytes.count)
      return Result { () throws(CommandFailure) in try readStored(key, in: watched.database)?.lsn ?? 0 }
    }
    let lsn = try seen.get()
    if lsn != watched.lsn { return true }
    // The same record under another binding: FLUSHDB or SWAPDB passed by.
    return lsn != 0 && store.table(watched.database).pointee.boundAt != watched.boundAt
  }
}
