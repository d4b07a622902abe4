import Commands
import Core
import LogStore
import NIOCore
import RESP

/// DEBUG, SAVE, BGSAVE and BGREWRITEAOF.
extension ServerCore {
  // MARK: Background work that a client waits for

  /// Runs `work` where blocking is allowed, and answers the client when it is over. Only this connection waits.
  func inBackground(
    _ executor: Executor, _ work: @escaping @Sendable () throws -> PendingReply.Answer
  ) -> Outcome {
    let pending = PendingReply()
    let own = worker(of: executor)
    adminPool.submit { _ in
      do {
        pending.fulfil(try work())
      } catch {
        pending.fulfil { $0.reply.error("ERR \(error)") }
      }
      own.eventLoop.execute { own.loop.release() }
    }
    return .suspended(.reply(pending))
  }

  // MARK: Saving

  /// SAVE: answered when a new generation is on disk.
  func save(_ executor: Executor) -> Outcome {
    guard service.statistics.beginSave() else {
      executor.reply.error("ERR Background save already in progress" as StaticString)
      return .done
    }
    return inBackground(executor) { [self] in
      try runSave()
      return { $0.reply.ok() }
    }
  }

  /// BGSAVE [SCHEDULE]
  func backgroundSave(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    guard arguments.count == 1 || arguments.count == 2 && equalsIgnoringCase(arguments[1], "schedule") else {
      throw .syntax
    }
    // SCHEDULE lets Redis wait for the rewriting of its log, which is the same work here and goes on by itself.
    guard startSave() else { throw .text("ERR Background save already in progress") }
    executor.reply.simple(
      (executor.inTransaction ? "Background saving scheduled" : "Background saving started") as StaticString)
    return .done
  }

  /// BGREWRITEAOF: what there is to tidy in the log is done by the same work.
  func rewriteLog(_ executor: Executor) -> Outcome {
    if startSave() {
      executor.reply.simple("Background append only file rewriting started" as StaticString)
    } else {
      executor.reply.simple("Background append only file rewriting scheduled" as StaticString)
    }
    return .done
  }

  /// False if one is running.
  private func startSave() -> Bool {
    guard service.statistics.beginSave() else { return false }
    adminPool.submit { [self] _ in
      do { try runSave() } catch { logger.error("saving failed", metadata: ["error": "\(error)"]) }
    }
    return true
  }

  /// After `beginSave`. Blocks.
  private func runSave() throws {
    let begin = Clocks.monotonic
    var succeeded = false
    defer {
      service.statistics.endSave(
        succeeded: succeeded, milliseconds: Clocks.monotonic.since(begin), wall: Clocks.wall)
    }
    try node.saveGeneration()
    succeeded = true
  }

  // MARK: DEBUG

  /// DEBUG word ...
  func debug(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) -> Outcome {
    try checkDebugPermission(of: session)
    let word = arguments[1]
    let count = arguments.count
    if equalsIgnoringCase(word, "sleep"), count == 3 { return sleep(arguments, executor, session) }
    if equalsIgnoringCase(word, "object"), count == 3 {
      guard let stored = try executor.keys.readStored(arguments[2], in: session.database),
        let record = try executor.keys.read(arguments[2], in: session.database)
      else { throw .noSuchKey }
      let method =
        switch stored.flags & RecordFlag.compressionMask {
        case RecordFlag.lz4: "lz4"
        case RecordFlag.zstd: "zstd"
        default: "none"
        }
      executor.reply.simple(
        """
        Value at:0x\(String(UInt(bitPattern: stored.base), radix: 16)) refcount:1 \
        encoding:\(parseInteger(record.value) != nil ? "int" : record.valueBytes <= 44 ? "embstr" : "raw") \
        serializedlength:\(stored.valueBytes) lru:0 lru_seconds_idle:0 lsn:\(record.lsn) term:\(record.term) \
        record_bytes:\(stored.recordBytes) compression:\(method)
        """)
    } else if equalsIgnoringCase(word, "set-active-expire"), count == 3 {
      executor.reply.ok()
    } else if equalsIgnoringCase(word, "reload") || equalsIgnoringCase(word, "loadaof"), count >= 2 {
      guard !executor.inTransaction else { throw .text("ERR DEBUG RELOAD is not allowed in a transaction") }
      return inBackground(executor) { [self] in
        try node.saveGeneration()
        return { $0.reply.ok() }
      }
    } else if equalsIgnoringCase(word, "error"), count == 3 {
      executor.reply.error(decoded(arguments[2]))
    } else if equalsIgnoringCase(word, "log"), count == 3 {
      logger.info("DEBUG LOG", metadata: ["debug.text": "\(decoded(arguments[2]).prefix(1024))"])
      executor.reply.ok()
    } else if equalsIgnoringCase(word, "help"), count == 2 {
      executor.reply.help(
        "DEBUG",
        """
        ERROR <string>
            Return a Redis protocol error with <string> as message.
        \(Self.sabotageHelp)LOG <message>
            Write <message> to the server log.
        OBJECT <key>
            Show low level info about `key` and its record in the log.
        RELOAD
            Write a new generation.
        SET-ACTIVE-EXPIRE <0|1>
            Accepted and without effect: what has expired is deleted by records in the log.
        SLEEP <seconds>
            Stop this connection for <seconds>. Decimals allowed.
        """)
    } else if try !sabotage(arguments, executor, session) {
      executor.reply.subcommandSyntaxError(arguments)
    }
    return .done
  }

  private func checkDebugPermission(of session: Session) throws(CommandFailure) {
    switch configuration.debugCommand {
    case .yes: return
    case .local:
      if service.clients[session.id].map({ Self.isLocal($0.channel.remoteAddress) }) == true { return }
    case .no: break
    }
    throw .text(
      """
      ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local \
      connection, otherwise you need to set this option in the configuration file, and then restart the server.
      """)
  }

  /// DEBUG SLEEP seconds: Redis stops the whole server, here only this connection waits.
  private func sleep(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) -> Outcome {
    let seconds = min(max(Double(parseFloat(arguments[2]) ?? 0), 0), 86_400)
    guard seconds > 0, !executor.inTransaction else {
      executor.reply.ok()
      return .done
    }
    // A slow command for those who look for one.
    if let debug = session.lastCommand {
      finished(executor.table.row(debug), arguments, session, microseconds: UInt64(seconds * 1_000_000))
    }
    let pending = PendingReply()
    let own = worker(of: executor)
    own.eventLoop.scheduleTask(in: .microseconds(Int64(seconds * 1_000_000))) {
      pending.fulfil { $0.reply.ok() }
      own.loop.release()
    }
    return .suspended(.reply(pending))
  }
}
