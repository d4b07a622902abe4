import Core
import Replication

/// What INFO, ROLE and the status page show; a value, so that any thread may read it.
package struct UpstreamView: Sendable {
  package var master: NodeAddress?
  package var isLinkUp = false
  package var isInSync = false
  package var state = "detached"
  package var upstream: [NodeID] = []
  package var slaves: SlaveList?
  package var lastError: String?
  /// The data set that the master holds and this node does not take in place of its own.
  package var refusedLineage: NodeID?
  package var lastPlan = ""
  package var lastReason = ""
  package var lastEstimatedBytes: UInt64 = 0
  package var lastBytes: UInt64 = 0
  package var lastSeconds = 0.0
  package var progress: SyncProgress?
  package var masterLastLSN = LSN.none
  package var masterClock = WallClock(milliseconds: 0)
  package var lastHeard = Tick(milliseconds: 0)
  /// When this node last showed everything that the master had told of.
  package var freshAt = Tick(milliseconds: 0)
  package var downSince = Tick(milliseconds: 0)
  package var digest = "unknown"
  package var digestLSN = LSN.none
  package var syncCount = 0
  /// The master whose log went another way by a mere start: nothing is cut here for it.
  package var dissentsFrom: NodeID?
  /// The disk keeps the link closed.
  package var hold: DiskHold?

  /// nil until a sync reached its barrier.
  package var lastSync: SyncRecord? {
    guard lastBytes > 0, let mode = SyncMode(name: lastPlan) else { return nil }
    return SyncRecord(mode: mode, estimatedBytes: lastEstimatedBytes, bytes: lastBytes, seconds: lastSeconds)
  }
}
