import Commands
import Core
import LogStore
import Node
import RESP
import Replication

// What connections wait for: WAIT, WAITAOF, WAITLSN, and the end of any other suspension.
extension RowCommands {
  /// Whether what a connection waits for has come: nil while it has not; then what is to be answered, if anything.
  package func outcome(of suspension: Suspension, now: Tick) -> PendingReply.Answer?? {
    switch suspension {
    case .time(let until): return now >= until ? .some(nil) : nil
    case .reply(let pending): return pending.ready.map { .some($0) }
    case .turn: return .some(nil)
    // A log that takes no writes says so itself.
    case .room: return store.isOverloaded && store.isWritable ? nil : .some(nil)
    // The connection asks the commands of its transaction itself.
    case .exec: return nil
    case .paused: return host.pausesClients(now: now) ? nil : .some(nil)
    case .unconfirmed(let deadline):
      // As a slave it shows what was written before the question when it has caught up with the new master.
      if !isMaster { return replication.upstream.view.isInSync ? .some(nil) : nil }
      let isOver = now >= deadline || now.milliseconds < node.readLease.load(ordering: .relaxed)
      return isOver ? .some(nil) : nil
    case .slaves(let count, let lsn, let deadline): return waitOutcome(count, lsn, deadline, now)
    case .disks(let local, let count, let lsn, let deadline):
      return waitDisksOutcome(local, count, lsn, deadline, now)
    case .visible(let lsn, let deadline): return visibleOutcome(lsn, deadline, now)
    }
  }

  func wait(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
    -> Outcome
  {
    guard isMaster else {
      throw .text(
        "ERR WAIT cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated."
      )
    }
    guard let count = parseInteger(arguments[1]) else { throw .notInteger }
    guard let timeout = parseInteger(arguments[2]) else { throw .text("ERR timeout is not an integer or out of range") }
    guard timeout >= 0 else { throw .text("ERR timeout is negative") }
    let lsn = LSN(session.lastWrite)
    let reached = acknowledged(lsn)
    if reached >= count || executor.inTransaction {
      executor.reply.integer(Int64(reached))
      return .done
    }
    let deadline = timeout == 0 ? nil : executor.tick.advanced(by: UInt64(timeout))
    return .suspended(.slaves(count: Int(clamping: count), lsn: lsn, deadline: deadline))
  }

  /// How many slaves have everything up to an LSN on disk.
  private func acknowledged(_ lsn: LSN) -> Int { replication.ackedDurableLSNs.count { $0 >= lsn } }

  private func waitOutcome(_ count: Int, _ lsn: LSN, _ deadline: Tick?, _ now: Tick) -> PendingReply.Answer?? {
    guard isMaster else { return Self.unblocked }
    let reached = acknowledged(lsn)
    guard reached >= count || deadline.map({ now >= $0 }) ?? false else { return nil }
    return .some { $0.reply.integer(Int64(reached)) }
  }

  /// The LSN that a client waits for may be another record in the new master's log.
  private static let unblocked: PendingReply.Answer?? = .some {
    $0.reply.error("UNBLOCKED this node is no master any more: what was waited for may be lost")
  }

  /// WAITAOF numlocal numreplicas timeout: like WAIT, and whether this node has it on disk.
  func waitDisks(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure) -> Outcome
  {
    guard let local = parseInteger(arguments[1]), let count = parseInteger(arguments[2]) else { throw .notInteger }
    guard local == 0 || local == 1, count >= 0 else { throw .text("ERR value is out of range") }
    guard let timeout = parseInteger(arguments[3]) else { throw .text("ERR timeout is not an integer or out of range") }
    guard timeout >= 0 else { throw .text("ERR timeout is negative") }
    if count > 0, !isMaster {
      throw .text("ERR WAITAOF cannot be used with replica instances.")
    }
    let lsn = LSN(session.lastWrite)
    let deadline =
      executor.inTransaction ? executor.tick : timeout == 0 ? nil : executor.tick.advanced(by: UInt64(timeout))
    if let answer = waitDisksOutcome(Int(local), Int(clamping: count), lsn, deadline, executor.tick) {
      answer?(executor)
      return .done
    }
    return .suspended(.disks(local: Int(local), slaves: Int(clamping: count), lsn: lsn, deadline: deadline))
  }

  private func waitDisksOutcome(_ local: Int, _ count: Int, _ lsn: LSN, _ deadline: Tick?, _ now: Tick) -> PendingReply
    .Answer??
  {
    guard count == 0 || isMaster else { return Self.unblocked }
    let here = store.positions.durable >= lsn ? 1 : 0
    let reached = acknowledged(lsn)
    guard here >= local && reached >= count || deadline.map({ now >= $0 }) ?? false else { return nil }
    return .some {
      $0.reply.array(2)
      $0.reply.integer(Int64(here))
      $0.reply.integer(Int64(reached))
    }
  }

  func waitLSN(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    guard let wanted = parseInteger(arguments[1]), wanted >= 0 else { throw .notInteger }
    guard let timeout = parseInteger(arguments[2]) else { throw .text("ERR timeout is not an integer or out of range") }
    guard timeout >= 0 else { throw .text("ERR timeout is negative") }
    let lsn = LSN(UInt64(wanted))
    if store.positions.applied >= lsn || executor.inTransaction {
      executor.reply.integer(store.positions.applied >= lsn ? 1 : 0)
      return .done
    }
    return .suspended(.visible(lsn: lsn, deadline: timeout == 0 ? nil : executor.tick.advanced(by: UInt64(timeout))))
  }

  private func visibleOutcome(_ lsn: LSN, _ deadline: Tick?, _ now: Tick) -> PendingReply.Answer?? {
    if store.positions.applied >= lsn { return .some { $0.reply.integer(1) } }
    guard deadline.map({ now >= $0 }) ?? false else { return nil }
    return .some { $0.reply.integer(0) }
  }
}
