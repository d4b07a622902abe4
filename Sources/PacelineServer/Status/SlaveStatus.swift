import Core
import LogStore
import Node
import Replication

/// A slave as its master knows it.
struct SlaveStatus: Sendable {
  let slave: Slave
  let lag: Lag
  let isVoter: Bool

  var isConnected: Bool { slave.state.link != nil }

  /// A slave knows others of the row, too; only its own slaves are listed.
  static func all(_ server: ServerCore) -> [SlaveStatus] {
    let isMaster = server.isMaster
    let slaves = server.replication.slaves.filter { isMaster || $0.state.link != nil || $0.pin != nil }
    guard !slaves.isEmpty else { return [] }
    let voters = server.node.votersInLog
    return slaves.map { SlaveStatus(slave: $0, lag: server.node.lag(of: $0), isVoter: voters.contains($0.id)) }
  }

  /// `ip=...,port=...,...`: Redis's names, and Paceline's behind them.
  var line: String {
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
      "vote=\(isVoter ? "voter" : "learner")", "proof=\(slave.proof.name)",
      "plan=\(slave.plan?.mode?.name ?? "none")", "last_sync_plan=\(slave.lastSync?.mode.name ?? "none")",
      "last_sync_estimated_bytes=\(slave.lastSync?.estimatedBytes ?? 0)",
      "last_sync_bytes=\(slave.lastSync?.bytes ?? 0)", "last_sync_seconds=\(slave.lastSync?.seconds ?? 0)",
      "sync_bytes_done=\(progress.bytesDone)",
      "sync_bytes_total=\(progress.bytesTotal)", "sync_rate=\(progress.bytesPerSecond)",
      "sync_eta_ms=\(progress.etaMilliseconds.map(String.init) ?? "-1")",
      "reason=\((slave.plan?.reason ?? "").replacing(",", with: ";"))",
    ].joined(separator: ",")
  }
}
