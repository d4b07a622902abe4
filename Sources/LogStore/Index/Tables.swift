// Raw memory: tables at fixed addresses, which readers follow.
import Core
import Synchronization

/// What readers need of the table behind a database, at a fixed address while it is bound. `Tables` owns the index.
public struct TableState {
  public let id: UInt32
  /// LSN of the catalog record that bound it; 0 for the first tables.
  public let boundAt: UInt64
  @usableFromInline let index: Unmanaged<KeyIndex>
  init(id: UInt32, boundAt: UInt64, index: Unmanaged<KeyIndex>) {
    self.id = id
    self.boundAt = boundAt
    self.index = index
  }
}
public typealias TableReference = UnsafeMutablePointer<TableState>

/// The tables behind the databases, as the newest applied catalog has them: their key indexes and commit levels.
///
/// Owned by the store and changed under the write lock; readers look tables and levels up without it, inside an epoch.
@usableFromInline
final class Tables: @unchecked Sendable {
  // Safe to share: what readers look at are atomics, and freed through the epoch domain.
  private let epochs: EpochDomain
  private(set) var catalog: Catalog
  /// The indexes, by the ids of their tables.
  private(set) var indexes: [UInt32: KeyIndex] = [:]
  /// Addresses of `TableState`, by database.
  @usableFromInline let bound: UnsafeMutablePointer<Atomic<UInt>>
  /// The catalog's commit levels as it encodes them, by database.
  @usableFromInline let levels: UnsafeMutablePointer<Atomic<UInt8>>
  /// How many databases are bound: always the catalog's number.
  private let boundCount = Atomic<Int>(0)

  init(epochs: EpochDomain, databases: Int) {
    self.epochs = epochs
    catalog = Catalog(databases: databases)
    let most = Catalog.databasesMax
    bound = Pages.zeroed(most * 8).bindMemory(to: Atomic<UInt>.self, capacity: most)
    levels = Pages.zeroed(most).bindMemory(to: Atomic<UInt8>.self, capacity: most)
    bind(at: 0)
  }

  deinit {
    for db in 0..<count { TableReference(bitPattern: bound[db].load(ordering: .relaxed))?.deallocate() }
    Pages.free(bound, Catalog.databasesMax * 8)
    Pages.free(levels, Catalog.databasesMax)
  }

  // MARK: Readers

  /// How many databases the data set has. Any thread, one load.
  var count: Int { boundCount.load(ordering: .acquiring) }

  /// The table of a database that the data set does not have: empty, and nothing is ever put into it.
  // Safe to share: only read, as nothing is ever put into it.
  @usableFromInline nonisolated(unsafe) static let nowhere: TableReference = {
    let table = TableReference.allocate(capacity: 1)
    table.initialize(to: TableState(id: 0, boundAt: 0, index: .passRetained(KeyIndex(epochs: EpochDomain()))))
    return table
  }()

  /// The table behind a database; an empty one if the data set has no such database (any more). Valid inside an epoch or
  /// under the write lock.
  @inlinable @inline(__always)
  subscript(_ database: Int) -> TableReference {
    TableReference(bitPattern: bound[database].load(ordering: .acquiring)) ?? Self.nowhere
  }

  /// The table with this id if a database still uses it.
  func reference(_ id: UInt32) -> TableReference? {
    for database in 0..<count {
      let table = self[database]
      if table.pointee.id == id { return table }
    }
    return nil
  }

  /// The level at which writes to a database are committed; nil: the server's. Any thread, one load.
  @inlinable @inline(__always)
  func level(_ database: Int) -> RecordLevel? {
    let code = levels[database].load(ordering: .acquiring)
    return code == 0 ? nil : RecordLevel(rawValue: code - 1)
  }

  /// The entries on a key's path: the key's own, and those of other keys with the same tag.
  func path(_ table: TableReference, _ hash: IndexHash) -> [IndexEntry] {
    table.pointee.index._withUnsafeGuaranteedRef { $0.path(hash) }
  }
  func keyCount(_ database: Int) -> Int { self[database].pointee.index._withUnsafeGuaranteedRef { $0.count } }
  /// The digest of a database and its number of keys. Under the write lock.
  func sums(_ database: Int) -> (digest: UInt64, keys: Int) {
    self[database].pointee.index._withUnsafeGuaranteedRef { ($0.digest, $0.count) }
  }

  /// Memory of all indexes. Under the write lock.
  var indexBytes: Int { indexes.values.reduce(0) { $0 + $1.allocatedBytes } }

  // MARK: Changes, under the write lock

  /// The catalog that counts from now on. What no database uses any more is freed when readers are done.
  /// - Parameter lsn: of the catalog record; a read through a table bound by it saw that record. 0 for the first tables.
  func adopt(_ new: Catalog, at lsn: UInt64) {
    set(new)
    bind(at: lsn)
  }

  /// The same with tables that were filled aside: those of a delta take the places of the old ones.
  func adopt(_ new: Catalog, indexes fresh: [UInt32: KeyIndex], tables: [TableReference]) {
    set(new)
    let old = Array(indexes.values)
    indexes = fresh
    epochs.retire { withExtendedLifetime(old) {} }
    unbind(from: tables.count)
    for (database, table) in tables.enumerated() {
      let before = bound[database].exchange(UInt(bitPattern: table), ordering: .acquiringAndReleasing)
      guard before != UInt(bitPattern: table) else { continue }
      epochs.retire { TableReference(bitPattern: before)?.deallocate() }
    }
    boundCount.store(tables.count, ordering: .releasing)
  }

  private func set(_ new: Catalog) {
    catalog = new
    for (database, level) in new.levels.enumerated() {
      levels[database].store(level.map { $0.rawValue + 1 } ?? 0, ordering: .releasing)
    }
  }

  private func bind(at lsn: UInt64) {
    let wanted = Set(catalog.tables)
    for (id, index) in indexes where !wanted.contains(id) {
      indexes[id] = nil
      epochs.retire { withExtendedLifetime(index) {} }
    }
    unbind(from: catalog.tables.count)
    for (db, id) in catalog.tables.enumerated() {
      let old = TableReference(bitPattern: bound[db].load(ordering: .relaxed))
      if let old, old.pointee.id == id { continue }
      let index = indexes[id] ?? KeyIndex(epochs: epochs)
      indexes[id] = index
      let table = TableReference.allocate(capacity: 1)
      table.initialize(to: TableState(id: id, boundAt: lsn, index: .passUnretained(index)))
      bound[db].store(UInt(bitPattern: table), ordering: .releasing)
      if let old {
        let address = UInt(bitPattern: old)
        epochs.retire { TableReference(bitPattern: address)!.deallocate() }
      }
    }
    boundCount.store(catalog.tables.count, ordering: .releasing)
  }

  /// Databases from this one on are none any more.
  private func unbind(from first: Int) {
    let last = count
    guard first < last else { return }
    boundCount.store(first, ordering: .releasing)
    for db in first..<last {
      let address = bound[db].exchange(0, ordering: .acquiringAndReleasing)
      levels[db].store(0, ordering: .releasing)
      epochs.retire { TableReference(bitPattern: address)?.deallocate() }
    }
  }
}
