extension NodeReport {
  /// One object; what the node does not tell is null.
  package var json: JSONText {
    var members: [(String, JSONText)] = [("node", .string(address.description)), ("reachable", .boolean(isReachable))]
    let status: ReportedStatus?
    switch answer {
    case .unreachable(let reason):
      members.append(("error", .string(reason)))
      status = nil
    case .status(let told): status = told
    }
    func list(_ elements: [String]?) -> JSONText { .array((elements ?? []).map { .string($0) }) }
    let log = status?.log
    let upstream = status?.upstream
    let commit = status?.commit
    let data = status?.dataSet
    let load = status?.load
    members += [
      ("id", JSONText(identity)), ("role", JSONText(role)), ("master", JSONText(master?.description)),
      ("term", JSONText(status?.term)), ("appended_lsn", JSONText(log?.appended)),
      ("durable_lsn", JSONText(log?.durable)), ("committed_lsn", JSONText(log?.committed)),
      ("applied_lsn", JSONText(log?.applied)), ("lag_records", JSONText(lag.records)),
      ("lag_bytes", JSONText(lag.bytes)), ("lag_ms", JSONText(lag.milliseconds)),
      ("master_link_status", JSONText(upstream?.linkStatus)),
      ("sync_state", JSONText(upstream?.syncState ?? lineAtMaster?["state"])), ("sync_plan", JSONText(plan)),
      ("last_sync_reason", JSONText(upstream?.lastReason)), ("sync", syncProgress?.json ?? .null),
      ("digest_state", JSONText(upstream?.digest)),
      ("master_clock_ahead_ms", JSONText(upstream?.clockAheadMilliseconds.map(Double.init))),
      ("disk_state", JSONText(status?.disk.state)), ("disk_error", JSONText(status?.disk.error)),
      ("ops_per_second", JSONText(load?.opsPerSecond)), ("keys", JSONText(load?.keys)),
      ("commit_level", JSONText(commit?.level)),
      ("commit_degraded", commit?.isDegraded.map { .boolean($0) } ?? .null),
      ("commit_pending_records", JSONText(commit?.pendingRecords)), ("read_lease", JSONText(commit?.readLease)),
      ("voters_waiting", JSONText(commit?.votersWaiting)), ("lost_records", JSONText(data?.lostRecords)),
      ("lost_files", list(data?.lostFiles)), ("master_link_down_reason", JSONText(upstream?.downReason)),
      ("writes_refused", JSONText(commit?.writesRefused)), ("lineage", JSONText(data?.lineage)),
      ("other_data_set", JSONText(data?.other)), ("waits_for_peers", JSONText(data?.waitsForPeers)),
      ("replaced_stores", list(data?.replaced)), ("replaced_stores_bytes", JSONText(data?.replacedBytes)),
      ("used_memory", JSONText(load?.memoryBytes)), ("index_bytes", JSONText(load?.indexBytes)),
      ("data_bytes", JSONText(load?.dataBytes)),
    ]
    return .object(members)
  }
}

extension SyncProgress {
  fileprivate var json: JSONText {
    .object([
      ("bytes_done", .integer(bytesDone)), ("bytes_total", .integer(bytesTotal)),
      ("bytes_per_second", JSONText(bytesPerSecond)), ("eta_ms", JSONText(remainingMilliseconds)),
    ])
  }
}
