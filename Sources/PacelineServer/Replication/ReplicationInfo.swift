import Core
import LogStore
import Replication

extension ServerCore {
  /// The lines of INFO's replication section: Redis's names, and Paceline's beside them.
  func replicationInfo() -> [(String, String)] {
    let positions = store.positions
    var lines: [(String, String)] = []
    switch role {
    case .master: lines.append(("role", "master"))
    case .slave(let master):
      lines.append(("role", "slave"))
      lines.append(contentsOf: slaveLines(master))
    }
    // A slave knows others of the row, too; its own slaves are listed.
    let slaves = replication.slaves.filter { isMaster || $0.state.link != nil || $0.pin != nil }
    lines.append(("connected_slaves", String(slaves.count { $0.state.link != nil })))
    let voters = node.votersInLog
    for (number, slave) in slaves.enumerated() { lines.append(("slave\(number)", line(of: slave, voters))) }
    lines.append(contentsOf: [
      ("master_failover_state", node.succession.view.failover.rawValue),
      ("master_replid", directory.lineage.description),
      ("master_replid2", String(repeating: "0", count: 40)), ("master_repl_offset", positions.appended.description),
      ("second_repl_offset", "-1"), ("repl_backlog_active", "1"),
      ("repl_backlog_size", String(configuration.walKeepBytes)),
      ("repl_backlog_first_byte_offset", store.firstRetainedLSN.description),
      ("repl_backlog_histlen", String(positions.appended.value &- store.firstRetainedLSN.previous.value)),
      ("node_id", directory.node.description), ("lineage", directory.lineage.description),
      ("term", node.term.description),
      ("last_replicaof_error", node.replicaOfError.withLock { $0 }),
      ("appended_lsn", positions.appended.description), ("written_lsn", positions.written.description),
      ("durable_lsn", positions.durable.description), ("committed_lsn", positions.committed.description),
      ("applied_lsn", positions.applied.description), ("log_start_lsn", store.firstRetainedLSN.description),
      ("sync_full", String(replication.counters.full.load(ordering: .relaxed))),
      ("sync_delta", String(replication.counters.delta.load(ordering: .relaxed))),
      ("sync_partial_ok", String(replication.counters.partial.load(ordering: .relaxed))),
      ("sync_bytes_sent", String(replication.wireBytesSent.load(ordering: .relaxed))),
      ("databases", String(store.databases)), ("databases_configured", String(configuration.databases)),
      ("expected_write_rate", String(replication.expectedBytesPerSecond)),
    ])
    lines.append(contentsOf: [
      ("diverged_slaves", replication.divergedSlaves.map(\.description).joined(separator: ";")),
      ("records_cut_on_slaves", String(replication.recordsCutOnSlaves.load(ordering: .relaxed))),
    ])
    return lines + commitLines
  }

  private func slaveLines(_ master: NodeAddress) -> [(String, String)] {
    let view = replication.upstream.view
    let now = Clocks.monotonic
    let applied = store.positions.applied
    let behind = view.masterLastLSN > applied ? view.masterLastLSN.value - applied.value : 0
    var lines: [(String, String)] = [
      ("master_host", master.host), ("master_port", String(master.port)),
      ("master_link_status", view.isLinkUp && view.isInSync ? "up" : "down"),
      (
        "master_last_io_seconds_ago", view.lastHeard.milliseconds == 0 ? "-1" : String(now.since(view.lastHeard) / 1000)
      ),
      ("master_sync_in_progress", view.isLinkUp && !view.isInSync ? "1" : "0"),
      ("slave_read_repl_offset", applied.description), ("slave_repl_offset", applied.description),
      ("slave_priority", "100"), ("slave_read_only", "1"), ("replica_announced", "1"),
    ]
    if !view.isLinkUp { lines.append(("master_link_down_since_seconds", String(now.since(view.downSince) / 1000))) }
    if !view.isLinkUp || !view.isInSync {
      let waits = node.waitsForPeers.map { "this node waits \($0)" }
      lines.append(("master_link_down_reason", waits ?? view.lastError ?? ""))
    }
    lines.append(contentsOf: [
      ("sync_state", view.state), ("lag_records", String(behind)),
      ("last_sync_plan", view.lastPlan), ("last_sync_reason", view.lastReason),
      ("last_sync_estimated_bytes", String(view.lastEstimatedBytes)), ("last_sync_bytes", String(view.lastBytes)),
      ("last_sync_seconds", String(view.lastSeconds)), ("last_sync_error", view.lastError ?? ""),
      ("syncs", String(view.syncCount)), ("diverged_from_master", view.dissentsFrom == nil ? "0" : "1"),
      ("digest_state", node.digestRepair.state(view.digest)), ("digest_lsn", view.digestLSN.description),
      ("sync_bytes_done", String(view.progress?.bytesDone ?? 0)),
      ("sync_bytes_total", String(view.progress?.bytesTotal ?? 0)),
    ])
    if let ahead = node.expiryClock.masterIsAhead {
      lines.append(("master_clock_ahead_ms", String(ahead)))
      lines.append(("clock_warning", node.expiryClock.clocksDiffer ? "1" : "0"))
    }
    lines.append(contentsOf: node.digestRepair.lines)
    return lines
  }

  private func line(of slave: Slave, _ voters: [NodeID]) -> String {
    let lag = node.lag(of: slave)
    let state: String
    var progress = SyncProgress()
    switch slave.state {
    case .registered: state = "wait_bgsave"
    case .syncing(_, _, let now):
      state = "send_bulk"
      progress = now
    case .streaming: state = "online"
    case .disconnected: state = "offline"
    }
    return [
      "ip=\(slave.address.host)", "port=\(slave.address.port)", "state=\(state)", "offset=\(slave.ack.appliedLSN)",
      "lag=\((lag.milliseconds ?? 0) / 1000)", "node=\(slave.id)", "durable_lsn=\(slave.ack.durableLSN)",
      "lag_records=\(lag.records)", "lag_bytes=\(lag.bytes)", "lag_ms=\(lag.milliseconds.map(String.init) ?? "-1")",
      "vote=\(voters.contains(slave.id) ? "voter" : "learner")", "proof=\(slave.proof.name)",
      "plan=\(slave.plan?.mode?.name ?? "none")", "last_sync_plan=\(slave.lastSync?.mode.name ?? "none")",
      "last_sync_estimated_bytes=\(slave.lastSync?.estimatedBytes ?? 0)",
      "last_sync_bytes=\(slave.lastSync?.bytes ?? 0)", "last_sync_seconds=\(slave.lastSync?.seconds ?? 0)",
      "sync_bytes_done=\(progress.bytesDone)",
      "sync_bytes_total=\(progress.bytesTotal)", "sync_rate=\(progress.bytesPerSecond)",
      "sync_eta_ms=\(progress.etaMilliseconds.map(String.init) ?? "-1")",
      "reason=\((slave.plan?.reason ?? "").replacing(",", with: ";"))",
    ].joined(separator: ",")
  }

  /// When writes are good, and what keeps them from it.
  private var leaseState: String {
    let end = node.readLease.load(ordering: .relaxed)
    return end == .max ? "none" : Clocks.monotonic.milliseconds < end ? "held" : "ended"
  }

  private var refusedWrites: String {
    switch writeBar {
    case .none: "no"
    case .fewSlaves: "min-slaves"
    case .queueFull: "queue"
    case .otherDataSet: "other-data-set"
    }
  }

  private var commitLines: [(String, String)] {
    let settings = configuration
    let positions = store.positions
    let store = self.store
    store.writeLock.lock()
    let voters = store.votersInLog
    let pendingBytes = store.pendingBytes
    store.writeLock.unlock()
    let pending = positions.appended.value - min(positions.appended.value, positions.committed.value)
    return [
      ("commit_level", Setting.named("commit")?.read(settings) ?? ""),
      ("commit_degraded", node.commitment.isDegraded ? "1" : "0"),
      ("commit_pending_records", String(pending)), ("commit_pending_bytes", String(pendingBytes)),
      ("writes_refused", refusedWrites), ("read_lease", leaseState), ("voter", settings.voter ? "1" : "0"),
      ("voters", voters.map(\.description).joined(separator: ";")), ("voters_max", String(settings.votersMax)),
      ("voters_waiting", singleLine(node.commitment.votersWaiting ?? "", bytesMax: 2048)),
      ("vote_unsure_up_to_term", node.voteUnsureUpTo.description),
      ("rewinds", String(node.rewinds.load(ordering: .relaxed))),
      ("lost_records", String(node.lostRecords.load(ordering: .relaxed))),
      ("lost_files", node.lostFiles.withLock { $0.joined(separator: ";") }),
    ] + dataSetLines
  }

  /// What keeps this node from the data set that it should have, and what it gave up.
  private var dataSetLines: [(String, String)] {
    let rival = node.rival
    let replaced = directory.replacedStores
    return [
      ("data_set_confirmed", directory.current.dataSet.isConfirmed ? "1" : "0"),
      ("other_data_set", rival?.lineage.description ?? replication.upstream.view.refusedLineage?.description ?? ""),
      ("other_data_set_node", rival?.place ?? ""), ("waits_for_peers", node.waitsForPeers ?? ""),
      ("replaced_stores", replaced.map(\.name).joined(separator: ";")),
      ("replaced_stores_bytes", String(replaced.reduce(UInt64(0)) { $0 + $1.bytes })),
    ]
  }
}
