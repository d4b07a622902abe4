// Raw memory: from an index entry to a record.
import CSupport
import Core
import Synchronization

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
  func record(_ entry: IndexEntry) -> (record: RecordView, mapped: Bool) {
    let base = bases[entry.segment].load(ordering: .acquiring)
    return (
      RecordView(UnsafeRawPointer(bitPattern: (base & ~1) &+ UInt(bitPattern: entry.offset))!), base & 1 != 0
    )
  }

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
          let removal = index.partitions[hash.partition].lastRemoval.load(ordering: .acquiring)
          return .missing(lastRemoval: max(removal, table.pointee.boundAt))
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
      if entry != .empty {
        let base = bases[entry.segment].load(ordering: .relaxed)
        let address = (base & ~1) &+ UInt(bitPattern: entry.offset)
        paceline_prefetch(UnsafeRawPointer(bitPattern: address)!)
        paceline_prefetch(UnsafeRawPointer(bitPattern: address &+ 64)!)
        paceline_prefetch(UnsafeRawPointer(bitPattern: address &+ 128)!)
      }
    }
  }

  /// Verifies a record of a mapped file without trusting its lengths.
  @inline(never) @usableFromInline
  func isIntact(_ record: RecordView, _ entry: IndexEntry) -> Bool {
    let end = mappedEnds[entry.segment]
    return record.verify(available: end - entry.offset) == .good
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
    let base = bases[slot].load(ordering: .acquiring) & ~1
    let address = UInt(bitPattern: record.base)
    guard base > 0, address >= base, address - base < UInt(mappedEnds[slot]) else { return }
    noteDamage(IndexEntry(tag: 0, segment: slot, offset: Int(address - base)))
  }
  /// The first places at which look-ups met damage since the store was opened.
  public var damagedPlaces: [DamagedPlace] { damage.withLock { $0 } }

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
