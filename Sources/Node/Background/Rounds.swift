import Core
import LogStore
import Replication

/// What a node looks after several times a second: expiry, sealing and dropping, the disk, votes and leases; every second lag
/// and write rate; now and then a digest.
///
/// Owned by the host's thread for maintenance.
package final class Rounds: BackgroundWork, @unchecked Sendable {
  // Safe to share: its state is touched by one thread only.
  private unowned let node: NodeCore
  private var measuredAt = Tick(milliseconds: 0)
  private var sentDigestAt = Tick(milliseconds: 0)

  private static let intervalMilliseconds: UInt64 = 100
  private static let measureMilliseconds: UInt64 = 1000

  init(_ node: NodeCore) { self.node = node }

  package func step(now: Tick) -> UInt64 {
    // What slaves wait for at the end of the node does not grow by itself.
    if !node.host.isEnding { node.expire() }
    node.maintainStore()
    node.disk.look(node.store)
    node.tick()
    node.replication.sampleWrites()
    if now.since(measuredAt) >= Self.measureMilliseconds {
      measuredAt = now
      node.replication.measure()
    }
    if now.since(sentDigestAt) >= node.configuration.digestIntervalMilliseconds {
      sentDigestAt = now
      node.replication.sendDigest()
    }
    return Self.intervalMilliseconds
  }

  package func end() {}
}
