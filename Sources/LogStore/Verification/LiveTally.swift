import Core

/// What is alive by the records of some files, and what is dead: for checks without a server. Records may come in any order.
public struct LiveTally {
  /// One database, as DIGEST shows it.
  public struct Database: Equatable, Sendable {
    public var database: Int
    public var digest: UInt64
    public var keys: Int
  }
  private struct Place: Hashable {
    let table: UInt32
    let hash: UInt64
  }
  private struct Newest {
    var lsn: UInt64
    /// 0 for a deletion, of which nothing is alive.
    var bytes: Int
    var digest: UInt64
  }
  private var newest: [Place: Newest] = [:]
  private var catalog: (lsn: UInt64, tables: [UInt32], bytes: Int)?
  public private(set) var records = 0
  public private(set) var bytes = 0

  public init() {}

  mutating func note(_ record: RecordView, hash: UInt64) {
    records += 1
    bytes += record.recordBytes
    switch RecordKind(rawValue: record.kind) {
    case .put, .delete:
      let place = Place(table: record.table, hash: hash)
      if let known = newest[place], known.lsn > record.lsn { return }
      let isPut = record.kind == RecordKind.put.rawValue
      newest[place] = Newest(
        lsn: record.lsn, bytes: isPut ? record.recordBytes : 0, digest: isPut ? record.digest : 0)
    case .catalog:
      if let known = catalog, known.lsn > record.lsn { return }
      if let tables = Catalog([UInt8](record.value))?.tables { catalog = (record.lsn, tables, record.recordBytes) }
    case .noop, nil: break
    }
  }

  /// Of the databases that have keys, rising.
  public var databases: [Database] {
    var sums: [UInt32: (digest: UInt64, keys: Int)] = [:]
    for (place, item) in newest where item.bytes > 0 {
      let sum = sums[place.table] ?? (0, 0)
      sums[place.table] = (sum.digest &+ item.digest, sum.keys + 1)
    }
    // Before the first catalog record a database's table has its number.
    let tables = catalog?.tables ?? Catalog(databases: Int(sums.keys.max() ?? 0) + 1).tables
    return tables.enumerated().compactMap { database, table in
      sums[table].map { Database(database: database, digest: $0.digest, keys: $0.keys) }
    }
  }

  /// Records that a key or the catalog needs, and their bytes; the others, tombstones among them, are dead or wait for
  /// compaction.
  public var live: (records: Int, bytes: Int) {
    let tables = catalog.map { Set($0.tables) }
    var live = (records: catalog == nil ? 0 : 1, bytes: catalog?.bytes ?? 0)
    for (place, item) in newest where item.bytes > 0 && tables?.contains(place.table) ?? true {
      live = (live.records + 1, live.bytes + item.bytes)
    }
    return live
  }
}
