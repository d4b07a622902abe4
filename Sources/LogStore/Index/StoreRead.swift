// Raw memory: from an index entry to a record.
import Core

/// What a look-up found.
public enum Lookup {
  case found(RecordView)
  /// The LSN of the newest removal that this "nothing" may rest on.
  case missing(lastRemoval: UInt64)
  /// A record on this key's path is damaged; whether it is this key's cannot be told.
  case damaged(lsn: UInt64)
}

/// A record that failed its checksums.
public struct DamagedPlace: Hashable, Sendable, CustomStringConvertible {
  public let file: String
  public let offset: Int
  /// More are not remembered.
  static let countMax = 64
  public var description: String { "\(file) at offset \(offset)" }
}

extension LogStore {
  @inlinable @inline(__always)
  public func hash(_ key: UnsafeRawBufferPointer) -> IndexHash { IndexHash(KeyHash.hash(key, seed: hashSeed)) }

  /// The record behind an entry, and whether it lies in a mapped file.
  @inlinable @inline(__always)
  func record(_ entry: IndexEntry) -> (record: RecordView, mapped: Bool) { addresses.record(entry) }

  /// The newest record of a key. Lock-free; the caller is inside an epoch or holds the write lock. O(1).
  ///
  /// Records in mapped files are verified at every look-up, also those that turn out to be of another key: damage
  /// never passes for "not found".
  @inlinable
  public func find(_ table: TableReference, _ hash: IndexHash, _ key: UnsafeRawBufferPointer) -> Lookup {
    table.pointee.index._withUnsafeGuaranteedRef { index in
      var cursor = index.cursor(hash)
      while true {
        let entry = cursor.next()
        if entry == .empty {
          return .missing(lastRemoval: max(index.lastRemoval(partition: hash.partition), table.pointee.boundAt))
        }
        let (record, mapped) = record(entry)
        if mapped, !isIntact(record, entry) {
          noteDamage(entry)
          return .damaged(lsn: 0)
        }
        if record.hasKey(key.baseAddress!, count: key.count) { return .found(record) }
      }
    }
  }

  /// Finds the place of a key. Under the write lock.
  @inlinable
  public func locate(_ table: TableReference, _ hash: IndexHash, _ key: UnsafeRawBufferPointer) -> WriteTarget {
    table.pointee.index._withUnsafeGuaranteedRef { index in
      var cursor = index.cursor(hash)
      var inTheWay: WriteTarget?
      while true {
        let entry = cursor.next()
        if entry == .empty {
          return inTheWay
            ?? WriteTarget(table: table, hash: hash, cursor: cursor, entry: entry, old: nil, damaged: false)
        }
        let (record, mapped) = record(entry)
        if mapped, !isIntact(record, entry) {
          // Perhaps of this key, and older than what stands behind it: that is the one to replace. Of two good records of a
          // key a compaction would drop one, and leave its place in the index.
          noteDamage(entry)
          inTheWay = WriteTarget(table: table, hash: hash, cursor: cursor, entry: entry, old: nil, damaged: true)
          continue
        }
        if record.hasKey(key.baseAddress!, count: key.count) {
          return WriteTarget(table: table, hash: hash, cursor: cursor, entry: entry, old: record, damaged: false)
        }
      }
    }
  }

  /// No key of this one's partition was removed by a newer record than this.
  @inlinable @inline(__always)
  public func lastRemoval(_ target: WriteTarget) -> UInt64 {
    target.table.pointee.index._withUnsafeGuaranteedRef { $0.lastRemoval(partition: target.hash.partition) }
  }

  /// Asks the processor to fetch what `find` will touch first.
  @inlinable @inline(__always)
  public func prefetch(_ table: TableReference, _ hash: IndexHash) {
    table.pointee.index._withUnsafeGuaranteedRef { $0.prefetch(hash) }
  }

  /// The second step of a prefetch: the record that the home slots point at.
  @inlinable @inline(__always)
  public func prefetchRecord(_ table: TableReference, _ hash: IndexHash) {
    table.pointee.index._withUnsafeGuaranteedRef { index in
      var cursor = index.cursor(hash)
      let entry = cursor.next()
      if entry != .empty { addresses.prefetch(entry) }
    }
  }

  /// Verifies a record of a mapped file without trusting its lengths.
  @inline(never) @usableFromInline
  func isIntact(_ record: RecordView, _ entry: IndexEntry) -> Bool {
    addresses.isIntact(record, entry)
  }

  /// Remembers where a look-up met damage, for INFO and the server's log.
  @inline(never) @usableFromInline
  func noteDamage(_ entry: IndexEntry) {
    guard let segment = segmentList.withLock({ $0.first { $0.slot == entry.segment } }) else { return }
    let place = DamagedPlace(file: directory + "/" + segment.name.records, offset: entry.offset)
    damage.withLock { if $0.count < DamagedPlace.countMax, !$0.contains(place) { $0.append(place) } }
  }
  /// A record is good, and its value cannot be had: what stands before the records of its file is damaged.
  public func noteUnreadable(_ record: RecordView, slot: Int) {
    if let entry = addresses.entry(of: record, slot: slot) { noteDamage(entry) }
  }
  /// The first places at which look-ups met damage since the store was opened.
  public var damagedPlaces: [DamagedPlace] { damage.withLock { $0 } }

  /// The slot of the segment in which this very record lies; nil if the index has moved on: the key was written anew, or
  /// compaction moved its record. Inside an epoch or under the write lock. O(1).
  public func slot(of record: RecordView, _ table: TableReference, _ hash: IndexHash) -> Int? {
    table.pointee.index._withUnsafeGuaranteedRef { index in
      var cursor = index.cursor(hash)
      while true {
        let entry = cursor.next()
        if entry == .empty { return nil }
        if addresses.record(entry).record.base == record.base { return entry.segment }
      }
    }
  }

  // MARK: Walks over keys

  /// Continues a walk over a database's keys.
  ///
  /// A cursor is `partition << 24 | tag`: places in the order of hashes, so growth of the index between two calls
  /// neither repeats nor skips a key that stays. 0 starts, and 0 is returned at the end.
  /// Calls `body` for at least about `count` keys unless the walk ends; damaged records are passed over.
  public func scan(_ table: TableReference, cursor: UInt64, count: Int, _ body: (RecordView) -> Void) -> UInt64 {
    scanEntries(table, cursor: cursor, count: count) { entry in
      let (record, mapped) = record(entry)
      if mapped, !isIntact(record, entry) { return }
      body(record)
    }
  }

  /// The same, of entries whose records are not looked at.
  func scanEntries(_ table: TableReference, cursor: UInt64, count: Int, _ body: (IndexEntry) -> Void) -> UInt64 {
    var partition = Int(truncatingIfNeeded: cursor >> 24)
    var tag = cursor & 0xFF_FFFF
    var left = count
    let tags: UInt64 = 1 << 24
    return table.pointee.index._withUnsafeGuaranteedRef { index in
      while partition < KeyIndex.partitionCount {
        // At five eighths to four fifths full, so many tags hold about `left` keys.
        let capacity = UInt64(index.slotCount(partition: partition))
        let step = max(1, (tags / capacity) &* UInt64(max(1, left)) &* 5 / 4)
        let upper = min(tags, tag + step)
        index.forEach(partition: partition, tags: tag..<upper) { entry in
          left -= 1
          body(entry)
        }
        tag = upper
        if tag == tags {
          partition += 1
          tag = 0
        }
        if left <= 0, partition < KeyIndex.partitionCount { return UInt64(partition) << 24 | tag }
      }
      return 0
    }
  }

  /// Some live record, chosen by `random`; nil if the table is empty or after many misses. O(1) expected.
  public func anyRecord(_ table: TableReference, random: (UInt64) -> UInt64) -> RecordView? {
    let start = random(UInt64(KeyIndex.partitionCount) << 24)
    // Behind the last key the walk begins again at the first.
    for cursor in [start, 0] {
      var found: [RecordView] = []
      _ = scan(table, cursor: cursor, count: 8) { found.append($0) }
      if !found.isEmpty { return found[Int(random(UInt64(found.count)))] }
    }
    return nil
  }
}
