// Raw memory: fills copies of the key indexes.
import Core

/// The key indexes as a delta makes them: copies beside the ones that readers use, with counters of their own until both
/// take the place of the old ones.
///
/// Owned by one thread. The store's index changes under nobody's hand meanwhile: see `LogStore.indexChange`.
final class DeltaIndex {
  let catalog: Catalog
  /// Where the newest catalog record stands, if it is a new one.
  let catalogRecord: (entry: IndexEntry, lsn: UInt64)?
  /// By database. Those that are not in `fresh` are the store's own.
  let tables: [TableReference]
  private(set) var indexes: [UInt32: KeyIndex] = [:]
  /// What the changes of the copies count for.
  let share: KeyspaceShare
  /// Tombstones and catalog records of pieces that were in the log and not applied: by slot.
  private(set) var kept: [Int: (records: Int, bytes: Int)] = [:]
  private let fresh: [TableReference]
  private let byTable: [UInt32: TableReference]
  private let store: LogStore
  private var isPublished = false

  /// Copies the indexes of tables whose keys change. O(slots).
  init(
    store: LogStore, catalog newest: (catalog: Catalog, lsn: UInt64, entry: IndexEntry)?, changing: Set<UInt32>,
    slots: Int
  ) {
    self.store = store
    catalog = newest?.catalog ?? store.catalog
    catalogRecord = newest.map { ($0.entry, $0.lsn) }
    share = KeyspaceShare(slots: slots)
    var tables: [TableReference] = []
    var fresh: [TableReference] = []
    var byTable: [UInt32: TableReference] = [:]
    for (database, id) in catalog.tables.enumerated() {
      let old = store.tables.indexes[id]
      let bound = store.table(database).pointee
      let index: KeyIndex
      if let old {
        index = changing.contains(id) ? KeyIndex(copying: old) : old
      } else {
        index = KeyIndex(epochs: store.epochs)
      }
      indexes[id] = index
      if bound.id == id, index === old {
        tables.append(store.table(database))
      } else {
        let table = TableReference.allocate(capacity: 1)
        let boundAt = bound.id == id ? bound.boundAt : newest?.lsn ?? bound.boundAt
        table.initialize(to: TableState(id: id, boundAt: boundAt, index: .passUnretained(index)))
        tables.append(table)
        fresh.append(table)
      }
      byTable[id] = tables.last
    }
    self.tables = tables
    self.fresh = fresh
    self.byTable = byTable
    for (id, index) in store.tables.indexes where indexes[id] == nil {
      share.ledger.forget(index, store.addresses)
    }
  }

  deinit {
    if !isPublished { for table in fresh { table.deallocate() } }
  }

  /// Readers may hold them now.
  func publish() { isPublished = true }

  /// A record of the store's own log that was not visible yet: its piece does not count it yet.
  func applyOwn(_ record: RecordView, at place: IndexEntry) {
    if record.kind == RecordKind.delete.rawValue || record.kind == RecordKind.catalog.rawValue {
      let sum = kept[place.segment, default: (0, 0)]
      kept[place.segment] = (sum.records + 1, sum.bytes + record.recordBytes)
    }
    apply(record, at: place)
  }

  /// Lets the copies follow one record; as `LogStore.index` does. Catalog records are passed: the newest counts from the
  /// start, as in a recovery.
  func apply(_ record: RecordView, at place: IndexEntry) {
    switch RecordKind(rawValue: record.kind) {
    case .put: put(record, at: place)
    case .delete: delete(record)
    case .catalog, .noop, nil: break
    }
  }

  private func put(_ record: RecordView, at place: IndexEntry) {
    guard let table = byTable[record.table] else { return }
    let hash = store.hash(record.key)
    let entry = IndexEntry(tag: hash.tag, segment: place.segment, offset: place.offset)
    share.point(store.locate(table, hash, record.key), at: entry, record)
  }

  private func delete(_ record: RecordView) {
    guard let table = byTable[record.table] else { return }
    share.remove(store.locate(table, store.hash(record.key), record.key), by: record.lsn)
  }
}
