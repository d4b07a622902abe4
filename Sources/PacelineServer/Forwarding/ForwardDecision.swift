// Raw memory: looks at commands where they lie in the receive buffer; what is kept of them is copied.
import Commands
import Connection
import Core
import LogStore
import RESP

/// Which commands of a client go to the master.
extension Forwarder {
  /// - Parameter sendsWrites: writes go to the master; if not, only reads that would not show what was written before.
  func decide(
    _ arguments: borrowing ArgumentList, _ bytes: UnsafeRawBufferPointer, _ session: Session, sendsWrites: Bool
  ) -> Screening {
    let table = worker.loop.executor.table
    guard session.authenticated, !session.isMonitor, let command = table.lookup.find(arguments[0]),
      table.lookup.accepts(command, argumentCount: arguments.count)
    else { return here }
    let flags = table.lookup.flags(command)
    if session.transaction != nil {
      if flags.contains(.runsQueue) { return decideExec(command, bytes, session, sendsWrites: sendsWrites) }
      return flags.isSuperset(of: [.atOnce, .unwatches]) ? hereWithoutWatch : here
    }
    if flags.contains(.unwatches), !flags.contains(.endsTransaction) { return hereWithoutWatch }
    if isMaster { return here }
    let kind: ForwardBatch.Kind
    if flags.contains(.write) {
      guard sendsWrites else { return here }
      kind = .write
    } else if flags.contains(.watches) {
      guard sendsWrites else { return here }
      kind = .watch
    } else {
      // A container has no flags, its subcommand has.
      let called = flags.contains(.container) ? table.resolve(arguments)?.flags ?? [] : flags
      guard called.contains(.readonly), !called.contains(.nodeBound) else { return here }
      guard watching || batch.hasWrites || isBehind(session) else { return here }
      kind = .read
    }
    guard batch.hasRoom(for: bytes.count), session.replyMode != .skipping || batch.isEmpty else { return .wait }
    if isHeldBack(writes: kind == .write) { return batch.isEmpty ? .paused : .wait }
    if kind == .watch { watching = true }
    batch.add(bytes, kind, session.replyMode)
    return added(command, session)
  }

  private var here: Screening { batch.isEmpty ? .execute : .wait }

  private var hereWithoutWatch: Screening {
    guard batch.isEmpty else { return .wait }
    unwatch()
    return .execute
  }

  private func isHeldBack(writes: Bool) -> Bool {
    let executor = worker.loop.executor
    return executor.attention.contains(.paused) && worker.server.holdsBack(writes: writes, now: executor.tick)
  }

  private func added(_ command: Command, _ session: Session) -> Screening {
    worker.loop.executor.commandsProcessed &+= 1
    session.lastCommand = command
    if session.replyMode == .skipping { session.replyMode = .on }
    return .taken
  }

  // MARK: EXEC

  private func decideExec(
    _ command: Command, _ bytes: UnsafeRawBufferPointer, _ session: Session, sendsWrites: Bool
  ) -> Screening {
    guard let transaction = session.transaction, batch.isEmpty else { return here }
    if transaction.aborted { return hereWithoutWatch }
    // Keys watched where the transaction cannot run: they may have changed.
    if watchIsLost || isMaster && watching { return touched(command, session) }
    if isMaster { return .execute }
    let isWrite = transaction.writes && sendsWrites
    guard isWrite || watching || !transaction.writes && isBehind(session) else { return .execute }
    if !session.watched.isEmpty, transaction.writes { return touched(command, session) }
    guard transaction.queue.allSatisfy({ Self.mayBeForwarded($0) }) else {
      return answer(command, session) { reply in
        reply.error(
          "EXECABORT Transaction discarded because of: FORWARD a command in it is about this node and cannot go to the master"
        )
      }
    }
    if isHeldBack(writes: transaction.writes) { return .paused }
    batch.add(transaction, bytes, session.replyMode)
    session.discardTransaction()
    return added(command, session)
  }

  private static func mayBeForwarded(_ queued: QueuedCommand) -> Bool {
    !queued.flags.isDisjoint(with: [.write, .readonly, .anyNode])
  }

  private func touched(_ command: Command, _ session: Session) -> Screening {
    answer(command, session) { $0.nullArray() }
  }

  /// The end of a transaction that is not executed anywhere.
  private func answer(_ command: Command, _ session: Session, _ write: (inout ReplyBuffer) -> Void) -> Screening {
    session.discardTransaction()
    unwatch()
    let begin = worker.loop.executor.reply.count
    write(&worker.loop.executor.reply)
    if session.replyMode == .off || session.replyMode == .skipping { worker.loop.executor.reply.truncate(to: begin) }
    _ = added(command, session)
    return .answered
  }
}
