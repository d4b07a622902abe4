// Raw memory: fills a range of the index's partitions from index files.
import Core

/// One thread's share of a start: the partitions `partitions` of every table, from all index files in LSN order.
/// What it counts is its own until `merge`, so that the threads share nothing that they write.
struct Loader: @unchecked Sendable {
  // Safe to share: handed from its thread to the opening thread when it is done.
  private let store: LogStore
  private let partitions: Range<Int>
  private let share: KeyspaceShare

  init(store: LogStore, partitions: Range<Int>, slots: Int) {
    self.store = store
    self.partitions = partitions
    share = KeyspaceShare(slots: slots)
  }

  /// How many entries ahead the home slots are fetched: the load waits for memory and for little else.
  private static let prefetchDistance = 24

  func load(_ segment: Segment, _ file: IndexFile) {
    for i in 0..<file.count {
      if i + Self.prefetchDistance < file.count {
        let ahead = file.entry(i + Self.prefetchDistance)
        let hash = IndexHash(ahead.hash)
        if partitions.contains(hash.partition), let table = store.tables.reference(ahead.table) {
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

  private func put(_ item: IndexFile.Entry, _ hash: IndexHash, _ segment: Segment) {
    guard let table = store.tables.reference(item.table) else { return }
    let entry = IndexEntry(tag: hash.tag, segment: segment.slot, offset: item.offset)
    let digest = RecordView.digest(lsn: segment.firstLSN.value + item.lsnDelta, contentHash: item.contentHash)
    share.ledger.point(target(table, hash, item, segment), at: entry, digest: digest, bytes: item.recordBytes)
    if item.flags & RecordFlag.expiry != 0 {
      let record = store.record(entry).record
      if store.isIntact(record, entry) { share.noteExpiry(of: record, at: entry) }
    }
  }

  private func delete(_ item: IndexFile.Entry, _ hash: IndexHash, _ segment: Segment) {
    guard let table = store.tables.reference(item.table) else { return }
    share.remove(target(table, hash, item, segment), by: segment.firstLSN.value + item.lsnDelta)
  }

  /// The place of an older record of the same key. A damaged one is left where it is: reads of its key will say so.
  private func target(
    _ table: TableReference, _ hash: IndexHash, _ item: IndexFile.Entry, _ segment: Segment
  ) -> WriteTarget {
    var key: UnsafeRawBufferPointer?
    return WriteTarget.find(on: table, hash) { entry in
      let old = store.record(entry).record
      guard store.isIntact(old, entry) else { return nil }
      if key == nil {
        let own = IndexEntry(tag: hash.tag, segment: segment.slot, offset: item.offset)
        let record = store.record(own).record
        guard store.isIntact(record, own) else {
          // The newer record is damaged, and leaving the older one would bring a value back: all of the hash decides.
          return KeyHash.hash(old.key, seed: store.hashSeed) == item.hash ? old : nil
        }
        key = record.key
      }
      guard let key, old.hasKey(key.baseAddress!, count: key.count) else { return nil }
      return old
    }
  }

  func merge(_ access: borrowing WriteAccess) {
    store.keyspace.take(share, access)
    store.keyspace.noteExpiries(share.expiring[...], access)
  }
}
