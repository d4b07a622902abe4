// Raw memory: follows tables to their indexes.
import Core

/// The one writer of key indexes. Four things change in the same step here, whoever asks: a key's entry, the digest and
/// the number of keys of its partition, the live bytes and the live records of the segments concerned.
///
/// The store has one, under the write lock. A thread that loads its share of a start, and a delta that fills copies of the
/// indexes, have one each, with counts of their own that are added to the store's at the end.
@usableFromInline
struct KeyLedger {
  @usableFromInline let live: LiveCounts

  /// A key's newest record is `record`, at `entry`.
  /// - Parameter bytes: of the record.
  @inlinable @inline(__always)
  func point(_ target: WriteTarget, at entry: IndexEntry, digest: UInt64, bytes: Int) {
    target.table.pointee.index._withUnsafeGuaranteedRef { index in
      if let old = target.old {
        index.replace(target.cursor, target.hash, with: entry, digestChange: digest &- old.digest)
        live.died(target.entry, bytes: old.recordBytes)
      } else {
        index.insert(target.hash, entry, digest: digest)
      }
    }
    live.born(entry, bytes: bytes)
  }

  /// The key at `target`, which has a record, is gone by the operation `lsn`.
  func remove(_ target: WriteTarget, _ old: RecordView, by lsn: UInt64) {
    target.table.pointee.index._withUnsafeGuaranteedRef {
      $0.remove(target.hash, target.cursor, digest: old.digest, removedBy: lsn)
    }
    live.died(target.entry, bytes: old.recordBytes)
  }

  /// Takes out this very entry, wherever it stands on the key's path. Its record need not be readable: the caller knows what
  /// it counted for. false if the path has no such entry.
  @discardableResult
  func takeOut(
    _ entry: IndexEntry, of table: TableReference, _ hash: IndexHash, _ weight: RecordWeight, by lsn: UInt64
  ) -> Bool {
    table.pointee.index._withUnsafeGuaranteedRef { index in
      guard let cursor = index.cursor(hash, at: entry) else { return false }
      index.remove(hash, cursor, digest: weight.digest, removedBy: lsn)
      live.died(entry, bytes: weight.bytes)
      return true
    }
  }

  /// A record stands in another place. false if the key has a newer one: then its entry is somewhere else.
  func move(
    _ from: IndexEntry, of table: TableReference, _ hash: IndexHash, bytes: Int, to place: IndexEntry, newBytes: Int
  ) -> Bool {
    table.pointee.index._withUnsafeGuaranteedRef { index in
      guard let cursor = index.cursor(hash, at: from) else { return false }
      index.replace(cursor, hash, with: place, digestChange: 0)
      live.died(from, bytes: bytes)
      live.born(place, bytes: newBytes)
      return true
    }
  }

  /// A whole index is dropped: nothing that it pointed at is alive. O(keys).
  func forget(_ index: KeyIndex, _ addresses: SegmentAddresses) {
    for p in 0..<KeyIndex.partitionCount {
      index.forEach(partition: p, tags: 0..<1 << 24) { entry in
        live.died(entry, bytes: addresses.record(entry).record.recordBytes)
      }
    }
  }
}
