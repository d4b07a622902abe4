// Raw memory: looks at every record that an entry points at.
import Core

/// The figures that a keyspace keeps in step with its entries, counted anew from the entries alone: for checks of the
/// store's code. O(keys).
package struct KeyspaceCensus {
  /// Where a kept figure is not what was counted, in words; empty if all are right.
  package private(set) var differences: [String] = []
  /// Live records with an expiry.
  package private(set) var expiring = 0
  private var bytes: [Int: Int] = [:]
  private var records: [Int: Int] = [:]

  fileprivate init(_ store: LogStore) {
    let hints = Set(store.keyspace.hints.map(\.word))
    if store.keyspace.hints.count != store.keyspace.expiring {
      differences.append("\(store.keyspace.hints.count) hints, \(store.keyspace.expiring) are counted")
    }
    for (id, index) in store.tables.indexes {
      for p in 0..<KeyIndex.partitionCount {
        var digest: UInt64 = 0
        var keys = 0
        index.forEach(partition: p, tags: 0..<1 << 24) { entry in
          let record = store.record(entry).record
          digest &+= record.digest
          keys += 1
          bytes[entry.bucket, default: 0] += record.recordBytes
          records[entry.segment, default: 0] += 1
          guard record.flags & RecordFlag.expiry != 0 else { return }
          expiring += 1
          if !hints.contains(entry.word) { differences.append("no hint for LSN \(record.lsn), which expires") }
        }
        let kept = index.sums(partition: p)
        if kept.digest != digest || Int(kept.keys) != keys {
          differences.append("table \(id), partition \(p): \(kept), counted \(digest) and \(keys)")
        }
      }
    }
    let live = store.keyspace.live
    for slot in 0..<store.slots.end {
      if live.recordCount(slot: slot) != records[slot] ?? 0 {
        differences.append(
          "slot \(slot): \(live.recordCount(slot: slot)) live records, counted \(records[slot] ?? 0)")
      }
      for bucket in slot * LiveCounts.bucketsPerSlot..<(slot + 1) * LiveCounts.bucketsPerSlot
      where Int(live.bytes[bucket]) != bytes[bucket] ?? 0 {
        differences.append("bucket \(bucket): \(live.bytes[bucket]) live bytes, counted \(bytes[bucket] ?? 0)")
      }
    }
    let catalog = store.keyspace.catalogEntry
    if catalog != .empty, store.record(catalog).record.lsn != store.newestCatalogLSN {
      differences.append("the catalog's entry is not at LSN \(store.newestCatalogLSN)")
    }
  }
}

extension LogStore {
  /// Of a store without damage. Under the write lock, or where nobody writes.
  package func census(_ access: borrowing WriteAccess) -> KeyspaceCensus { KeyspaceCensus(self) }
}
