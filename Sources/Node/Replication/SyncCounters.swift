import Replication
import Synchronization

/// How many syncs of each kind this node served.
package final class SyncCounters: Sendable {
  package let full = Atomic<Int>(0)
  package let delta = Atomic<Int>(0)
  package let partial = Atomic<Int>(0)
  func count(_ mode: SyncMode) {
    switch mode {
    case .full: full.add(1, ordering: .relaxed)
    case .delta: delta.add(1, ordering: .relaxed)
    case .partial: partial.add(1, ordering: .relaxed)
    }
  }
  package func reset() {
    full.store(0, ordering: .relaxed)
    delta.store(0, ordering: .relaxed)
    partial.store(0, ordering: .relaxed)
  }
}
