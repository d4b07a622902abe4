import Core
import LogStore
import Replication
import Synchronization

/// The sums by partition of the last digests that this node sent as a master: its slaves ask for them when they differ.
package final class DigestSamples: Sendable {
  private struct Sample {
    let lsn: LSN
    let databases: [PartitionSums]
  }
  private let samples = Mutex<[Sample]>([])

  /// Digests are sent every 5 s.
  private static let samplesMax = 6

  /// The digest of this moment.
  func take(_ node: NodeCore) -> Digest {
    let store = node.store
    let access = store.writeLock.lock()
    let digest = node.digest(of: store, access)
    let databases = (0..<store.databases).map { database in
      store.keyCount(database) > 0
        ? PartitionSums(store, database, access)
        : PartitionSums(table: store.table(database).pointee.id, partitions: [])
    }
    store.writeLock.unlock(access)
    samples.withLock {
      $0.append(Sample(lsn: digest.lsn, databases: databases))
      if $0.count > Self.samplesMax { $0.removeFirst() }
    }
    return digest
  }

  /// nil: that digest is not kept.
  package func sums(at lsn: LSN, database: Int) -> PartitionSums? {
    guard let sample = samples.withLock({ $0.last { $0.lsn == lsn } }), sample.databases.indices.contains(database)
    else { return nil }
    var sums = sample.databases[database]
    if sums.partitions.isEmpty {
      sums.partitions = Array(
        repeating: PartitionSum(sum: 0, liveRecords: 0), count: KeyIndex.partitionCount)
    }
    return sums
  }
}

extension PartitionSums {
  init(_ store: LogStore, _ database: Int, _ access: borrowing WriteAccess) {
    let (table, sums) = store.partitionSums(database, access)
    self.init(table: table, partitions: sums.map { PartitionSum(sum: $0.sum, liveRecords: $0.keys) })
  }
}
