// Raw memory: copies arguments out of the executor's memory.
import Commands
import Core
import LogStore
import Node
import RESP
import Replication

// ROLE, MS_PLAN and MS_SLAVES: who follows whom, and how far behind.
extension RowCommands {
  func role(_ executor: Executor) {
    switch role {
    case .master:
      let online = replication.slaves.filter { $0.state.link != nil }
      executor.reply.array(3)
      executor.reply.bulk("master")
      executor.reply.integer(Int64(store.positions.appended.value))
      executor.reply.array(online.count)
      for slave in online {
        executor.reply.array(3)
        executor.reply.bulk(slave.address.host)
        executor.reply.bulk(String(slave.address.port))
        executor.reply.bulk(slave.ack.appliedLSN.description)
      }
    case .slave(let master):
      let view = replication.upstream.view
      executor.reply.array(5)
      executor.reply.bulk("slave")
      executor.reply.bulk(master.host)
      executor.reply.integer(Int64(master.port))
      executor.reply.bulk(view.isInSync ? "connected" : view.isLinkUp ? "sync" : "connect")
      executor.reply.integer(Int64(store.positions.applied.value))
    }
  }

  /// For every slave (or the one named): what a sync would cost now, and what was chosen last. On a slave: its own last
  /// plan.
  func plan(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    if arguments.count > 2 { throw .wrongArgumentCount }
    let wanted = arguments.count == 2 ? text(arguments[1]) : nil
    let pending = PendingReply()
    host.runBlocking { [self] in
      let lines = planLines(wanted)
      answer(pending) { executor in
        guard let lines else { return executor.reply.error("ERR no such slave") }
        executor.reply.array(lines.count)
        for line in lines { executor.reply.bulk(line) }
      }
    }
    return suspended(pending, executor)
  }

  /// nil if the slave that is wanted is not there.
  private func planLines(_ wanted: String?) -> [String]? {
    var lines: [String] = []
    for slave in replication.slaves
    where wanted == nil || slave.id.description.hasPrefix(wanted ?? "") || "\(slave.address)" == wanted {
      lines.append("slave \(slave.id) at \(slave.address)")
      if let last = slave.plan {
        lines.append("  last: \(last.summary)")
        lines.append(contentsOf: last.lines.map { "    \($0)" })
      }
      if let sync = slave.lastSync { lines.append("  last sync: \(sync.line)") }
      do {
        let now = try replication.plan(request(for: slave)).report
        lines.append("  now: \(now.summary)")
        lines.append(contentsOf: now.lines.map { "    \($0)" })
      } catch {
        lines.append("  now: cannot be planned, \(error)")
      }
    }
    if wanted != nil { return lines.isEmpty ? nil : lines }
    if case .slave(let master) = role {
      let view = replication.upstream.view
      lines.append("this node follows \(master)")
      lines.append("  last: \(view.lastPlan.isEmpty ? "none yet" : view.lastPlan) \(view.lastReason)")
      if let sync = view.lastSync { lines.append("  last sync: \(sync.line)") }
    }
    if lines.isEmpty { lines.append("no slave is registered") }
    return lines
  }

  /// As if the slave asked now, from the position it acknowledged last.
  private func request(for slave: Slave) -> SyncRequest {
    let store = self.store
    let terms = store.withWriteLock { _ in store.terms }
    let lsn = slave.ack.durableLSN
    let position = lsn == .none ? Position.none : terms.position(at: lsn)
    let history = terms.upTo(lsn)
    return SyncRequest(id: slave.id, position: position, history: history, lineage: directory.lineage)
  }

  /// One array a slave: id, address, state, durable LSN, applied LSN, lag in records, bytes and milliseconds; of its last
  /// sync the plan, the estimated bytes, the bytes, the milliseconds.
  func slaves(_ executor: Executor) {
    if case .slave = role, let list = replication.upstream.view.slaves {
      let voters = node.votersInLog
      executor.reply.array(list.slaves.count)
      for slave in list.slaves {
        executor.reply.array(6)
        executor.reply.bulk(slave.id.description)
        executor.reply.bulk(slave.address.description)
        executor.reply.bulk("\(slave.state)")
        executor.reply.integer(Int64(slave.durableLSN.value))
        executor.reply.integer(Int64(slave.appliedLSN.value))
        executor.reply.bulk(voters.contains(slave.id) ? "voter" : "learner")
      }
      return
    }
    let slaves = replication.slaves
    executor.reply.array(slaves.count)
    for slave in slaves {
      let lag = node.lag(of: slave)
      executor.reply.array(13)
      executor.reply.bulk(slave.id.description)
      executor.reply.bulk(slave.address.description)
      executor.reply.bulk("\(slave.state.listState)")
      executor.reply.integer(Int64(slave.ack.durableLSN.value))
      executor.reply.integer(Int64(slave.ack.appliedLSN.value))
      executor.reply.integer(Int64(clamping: lag.records))
      executor.reply.integer(Int64(clamping: lag.bytes))
      executor.reply.integer(lag.milliseconds.map { Int64(clamping: $0) } ?? -1)
      executor.reply.bulk(slave.lastSync?.mode.name ?? "none")
      executor.reply.integer(Int64(clamping: slave.lastSync?.estimatedBytes ?? 0))
      executor.reply.integer(Int64(clamping: slave.lastSync?.bytes ?? 0))
      executor.reply.integer(Int64((slave.lastSync?.seconds ?? 0) * 1000))
      executor.reply.bulk(node.commitment.voters.ids.contains(slave.id) ? "voter" : "learner")
    }
  }
}
