import Core
import Replication

/// What INFO, ROLE and the status page show; a value, so that any thread may read it.
struct UpstreamView: Sendable {
  var master: NodeAddress?
  var isLinkUp = false
  var isInSync = false
  var state = "detached"
  var upstream: [NodeID] = []
  var slaves: SlaveList?
  var lastError: String?
  var lastPlan = ""
  var lastReason = ""
  var lastEstimatedBytes: UInt64 = 0
  var lastBytes: UInt64 = 0
  var lastSeconds = 0.0
  var progress: SyncProgress?
  var masterLastLSN = LSN.none
  var masterClock = WallClock(milliseconds: 0)
  var lastHeard = Tick(milliseconds: 0)
  var downSince = Tick(milliseconds: 0)
  var digest = "unknown"
  var digestLSN = LSN.none
  var syncCount = 0
  /// The disk keeps the link closed.
  var hold: DiskHold?

  /// nil until a sync reached its barrier.
  var lastSync: SyncRecord? {
    guard lastBytes > 0, let mode = SyncMode(name: lastPlan) else { return nil }
    return SyncRecord(mode: mode, estimatedBytes: lastEstimatedBytes, bytes: lastBytes, seconds: lastSeconds)
  }
}
