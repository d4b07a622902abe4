import Core
import Node
import Replication

/// A slave's link to its master.
struct UpstreamStatus: Sendable {
  let master: NodeAddress
  let view: UpstreamView
  let now: Tick
  let applied: LSN
  let waitsForPeers: String?
  let digestState: String
  let clockAheadMilliseconds: Int64?
  let clocksDiffer: Bool
  let repairs: DigestRepair.Figures

  init(_ server: ServerCore, _ master: NodeAddress) {
    self.master = master
    view = server.replication.upstream.view
    now = Clocks.monotonic
    applied = server.store.positions.applied
    waitsForPeers = server.node.waitsForPeers
    digestState = server.node.digestRepair.state(view.digest)
    clockAheadMilliseconds = server.node.expiryClock.masterIsAhead.map { Int64($0) }
    clocksDiffer = server.node.expiryClock.clocksDiffer
    repairs = server.node.digestRepair.repairs
  }

  private var isUp: Bool { view.isLinkUp && view.isInSync }
  private var lagRecords: UInt64 { view.masterLastLSN > applied ? view.masterLastLSN.value - applied.value : 0 }

  static let fields: [StatusField<UpstreamStatus>] = [
    .init("master_host", .none, "on a slave, as all up to `connected_slaves`: the master's address") {
      .text($0.master.host)
    },
    .init("master_port", .none, "and its port") { .text(String($0.master.port)) },
    .init("master_link_status", .none, "`up` when this node follows its master's log without a gap, else `down`") {
      .text($0.isUp ? "up" : "down")
    },
    .init("master_last_io_seconds_ago", .seconds, "when the master was last heard; -1: never") {
      $0.view.lastHeard.milliseconds == 0 ? .count(-1) : .number($0.now.since($0.view.lastHeard) / 1000)
    },
    .init("master_sync_in_progress", .none, "1 while this node catches up") {
      .flag($0.view.isLinkUp && !$0.view.isInSync)
    },
    .init("slave_read_repl_offset", .lsn, "as `applied_lsn`") { .number($0.applied.value) },
    .init("slave_repl_offset", .lsn, "as `applied_lsn`") { .number($0.applied.value) },
    .constant("slave_priority", "100"),
    .constant("slave_read_only", "1"),
    .constant("replica_announced", "1"),
    .init("master_link_down_since_seconds", .seconds, "how long the link is closed; left out while it is not") {
      $0.view.isLinkUp ? nil : .number($0.now.since($0.view.downSince) / 1000)
    },
    .init(
      "master_link_down_reason", .none,
      "why the link is not up; `OTHERDATASET ...` when this node keeps its data from a master with another data set; "
        + "left out while it is up"
    ) { status in
      status.isUp ? nil : .text(status.waitsForPeers.map { "this node waits \($0)" } ?? status.view.lastError ?? "")
    },
    .init("sync_state", .none, "what the link does: `in sync`, or a word for the step it is at") {
      .text($0.view.state)
    },
    .init("lag_records", .records, "what the master has and reads here do not show") { .number($0.lagRecords) },
    .init("last_sync_plan", .none, "`full`, `delta` or `partial`") { .text($0.view.lastPlan) },
    .init("last_sync_reason", .none, "why it was that") { .text($0.view.lastReason) },
    .init("last_sync_estimated_bytes", .bytes, "what the master expected to send") {
      .number($0.view.lastEstimatedBytes)
    },
    .init("last_sync_bytes", .bytes, "what came until the barrier") { .number($0.view.lastBytes) },
    .init("last_sync_seconds", .seconds, "how long that took") { .real($0.view.lastSeconds) },
    .init("last_sync_error", .none, "why the link was closed last") { .text($0.view.lastError ?? "") },
    .init("syncs", .count, "syncs of this node since its start") { .count($0.view.syncCount) },
    .init("diverged_from_master", .none, "1: this node holds committed records that its master does not") {
      .flag($0.view.dissentsFrom != nil)
    },
    .init(
      "digest_state", .none,
      "`equal`, `different`, `repairing` (found different, and being made equal) or `unknown`"
    ) { .text($0.digestState) },
    .init("digest_lsn", .lsn, "where that was") { .number($0.view.digestLSN.value) },
    .init("sync_bytes_done", .bytes, "of the sync under way") { .number($0.view.progress?.bytesDone ?? 0) },
    .init("sync_bytes_total", .bytes, "what it will be") { .number($0.view.progress?.bytesTotal ?? 0) },
    .init("master_clock_ahead_ms", .milliseconds, "how far the master's wall clock is ahead of this node's") {
      $0.clockAheadMilliseconds.map { .count(Int($0)) }
    },
    .init("clock_warning", .none, "1 where they differ by more than a second") {
      $0.clockAheadMilliseconds == nil ? nil : .flag($0.clocksDiffer)
    },
    .init("digest_repairs", .count, "repairs of differences since the start") { .count($0.repairs.repairs) },
    .init("digest_repaired_records", .records, "records that they put right") { .count($0.repairs.records) },
    .init("digest_repair_bytes", .bytes, "what was fetched for them") { .count($0.repairs.bytes) },
    .init("digest_error", .none, "why the last one failed") {
      .text(singleLine($0.repairs.error, bytesMax: 512))
    },
  ]
}
