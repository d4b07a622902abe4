// Raw memory: fills a range of the index's partitions from index files.
import Core

/// One thread's share of a start: the partitions `partitions` of every table, from all index files in LSN order.
/// Counters are its own until `merge`, so that the threads share nothing that they write.
struct Loader: @unchecked Sendable {
  // Safe to share: handed from its thread to the opening thread when it is done.
  private let store: LogStore
  private let partitions: Range<Int>
  /// By slot and MiB, as `LogStore.liveBuckets`.
  private var bytes: [Int32]
  private var records: [Int32]
  private var expiring: [(entry: IndexEntry, expiry: UInt64)] = []

  init(store: LogStore, partitions: Range<Int>, slots: Int) {
    self.store = store
    self.partitions = partitions
    bytes = Array(repeating: 0, count: slots << 6)
    records = Array(repeating: 0, count: slots)
  }

  /// How many entries ahead the home slots are fetched: the load waits for memory and for little else.
  private static let prefetchDistance = 24

  mutating func load(_ segment: Segment, _ file: IndexFile) {
    for i in 0..<file.count {
      if i + Self.prefetchDistance < file.count {
        let ahead = file.entry(i + Self.prefetchDistance)
        let hash = IndexHash(ahead.hash)
        if partitions.contains(hash.partition), let table = store.tableReference(ahead.table) {
          store.prefetch(table, hash)
        }
      }
      let item = file.entry(i)
      let hash = IndexHash(item.hash)
      guard partitions.contains(hash.partition) else { continue }
      switch RecordKind(rawValue: item.kind) {
      case .put: put(item, hash, segment)
      case .delete: delete(item, hash, segment)
      case .catalog, .noop, nil: break
      }
    }
  }

  private mutating func put(_ item: IndexFile.Entry, _ hash: IndexHash, _ segment: Segment) {
    guard let table = store.tableReference(item.table) else { return }
    let entry = IndexEntry(tag: hash.tag, segment: segment.slot, offset: item.offset)
    let digest = RecordView.digest(lsn: segment.firstLSN.value + item.lsnDelta, contentHash: item.contentHash)
    table.pointee.index._withUnsafeGuaranteedRef { index in
      index.partitions[hash.partition].digest &+= digest
      if let (cursor, old, oldEntry) = existing(index, hash, item, segment) {
        index.partitions[hash.partition].digest &-= old.digest
        count(oldEntry, -old.recordBytes, -1)
        index.replace(cursor, with: entry)
      } else {
        index.insert(hash, entry)
      }
    }
    count(entry, item.recordBytes, 1)
    if item.flags & RecordFlag.expiry != 0 {
      let record = store.record(entry).record
      if store.isIntact(record, entry) { expiring.append((entry, record.expiry)) }
    }
  }

  private mutating func delete(_ item: IndexFile.Entry, _ hash: IndexHash, _ segment: Segment) {
    guard let table = store.tableReference(item.table) else { return }
    table.pointee.index._withUnsafeGuaranteedRef { index in
      guard let (cursor, old, oldEntry) = existing(index, hash, item, segment) else { return }
      index.partitions[hash.partition].digest &-= old.digest
      count(oldEntry, -old.recordBytes, -1)
      index.remove(hash, cursor, removedBy: segment.firstLSN.value + item.lsnDelta)
    }
  }

  private mutating func count(_ entry: IndexEntry, _ size: Int, _ number: Int32) {
    bytes[entry.bucket] += Int32(size)
    records[entry.segment] += number
  }

  /// The older record of the same key. A damaged one is left where it is: reads of its key will say so.
  private func existing(_ index: KeyIndex, _ hash: IndexHash, _ item: IndexFile.Entry, _ segment: Segment)
    -> (KeyIndex.Cursor, RecordView, IndexEntry)?
  {
    var cursor = index.cursor(hash)
    var key: UnsafeRawBufferPointer?
    while true {
      let entry = cursor.next()
      if entry == .empty { return nil }
      let old = store.record(entry).record
      guard store.isIntact(old, entry) else { continue }
      if key == nil {
        let own = IndexEntry(tag: hash.tag, segment: segment.slot, offset: item.offset)
        let record = store.record(own).record
        guard store.isIntact(record, own) else {
          // The newer record is damaged, and leaving the older one would bring a value back: all of the hash decides.
          if KeyHash.hash(old.key, seed: store.hashSeed) == item.hash { return (cursor, old, entry) }
          continue
        }
        key = record.key
      }
      if let key, old.hasKey(key.baseAddress!, count: key.count) { return (cursor, old, entry) }
    }
  }

  func merge() {
    for bucket in bytes.indices { store.liveBuckets[bucket] += bytes[bucket] }
    for slot in records.indices { store.liveRecords[slot] += records[slot] }
    for item in expiring { store.wheel.add(item.entry, expiry: item.expiry, now: store.wallClock) }
  }
}
