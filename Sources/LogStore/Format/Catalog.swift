import Core

/// Which table stands behind each numbered database, at which level its writes are committed, and which nodes vote.
///
/// Table ids are never reused: flushing a database binds a new table to it, and every record with the old id is dead.
/// The commit level belongs to the number of the database: FLUSHDB keeps it, SWAPDB does not move it.
///
/// A catalog record carries the whole state after the change (it is small), so the newest one is all that is needed. It
/// counts when it is applied; but who votes is decided by the newest one in the log, applied or not.
///
///  offset size name       meaning
///       0    1 operation  1 flush one, 2 flush all, 3 swap, 4 level of a database, 5 voters, 6 number of databases (for
///                         people who read the log)
///       1    1 voters     v, at most 64
///       2    2 databases  n
///       4    4 nextTable
///       8    4 each of n: table id
///       .    1 each of n: commit level, 0 none of its own, else 1 + that of the records
///       .   20 each of v: node id; rising
public struct Catalog: Equatable, Sendable {
  public enum Operation: UInt8, Sendable {
    case flushDatabase = 1
    case flushAll = 2
    case swapDatabases = 3
    case setLevel = 4
    case setVoters = 5
    case setDatabases = 6
  }
  public private(set) var tables: [UInt32]
  public private(set) var nextTable: UInt32
  /// By database; nil: the server's own level counts.
  public private(set) var levels: [RecordLevel?]
  /// Rising, without doubles.
  public private(set) var voters: [NodeID] = []
  public static let key: [UInt8] = Array("databases".utf8)
  public static let votersMax = 64
  /// The largest next table id that is taken from another node: tables can be replaced as often again.
  public static let outsideTableMax: UInt32 = 1 << 31
  public static let databasesMax = 65_535

  public init(databases: Int) {
    tables = (0..<databases).map { UInt32($0 + 1) }
    nextTable = UInt32(databases + 1)
    levels = Array(repeating: nil, count: databases)
  }

  mutating func flush(_ database: Int) {
    tables[database] = nextTable
    nextTable += 1
  }
  mutating func flushAll() { for database in tables.indices { flush(database) } }
  mutating func swap(_ a: Int, _ b: Int) { tables.swapAt(a, b) }
  mutating func setLevel(_ level: RecordLevel?, of database: Int) { levels[database] = level }
  /// Databases above the number are gone, new ones are empty. Without any other change before it, database n has table
  /// n + 1, as in a log that names no databases.
  mutating func setDatabases(_ count: Int) {
    while tables.count > count {
      tables.removeLast()
      levels.removeLast()
    }
    while tables.count < count {
      tables.append(nextTable)
      levels.append(nil)
      nextTable += 1
    }
  }
  mutating func setVoters(_ nodes: [NodeID]) { voters = Set(nodes).sorted() }

  public func encoded(_ operation: Operation) -> [UInt8] {
    var out = ByteWriter(capacity: 8 + tables.count * 5 + voters.count * NodeID.byteCount)
    out.u8(operation.rawValue)
    out.u8(UInt8(voters.count))
    out.u16(UInt16(tables.count))
    out.u32(nextTable)
    for table in tables { out.u32(table) }
    for level in levels { out.u8(level.map { $0.rawValue + 1 } ?? 0) }
    for voter in voters { out.raw(voter.bytes) }
    return out.bytes
  }

  /// nil for bytes that are not a catalog.
  public init?(_ bytes: [UInt8]) {
    var reader = ByteReader(bytes)
    guard let operation = try? reader.u8(), Operation(rawValue: operation) != nil, let nodes = try? reader.u8(),
      Int(nodes) <= Self.votersMax, let count = try? reader.u16(), count > 0, let next = try? reader.u32(), next < .max,
      reader.remaining == Int(count) * 5 + Int(nodes) * NodeID.byteCount
    else { return nil }
    nextTable = next
    tables = []
    levels = []
    for _ in 0..<count { tables.append((try? reader.u32()) ?? 0) }
    guard Set(tables).count == tables.count, tables.allSatisfy({ $0 > 0 && $0 < next }) else { return nil }
    for _ in 0..<count {
      guard let level = try? reader.u8(), level <= 1 + RecordLevel.quorum.rawValue else { return nil }
      levels.append(level == 0 ? nil : RecordLevel(rawValue: level - 1))
    }
    for _ in 0..<nodes {
      guard let id = try? reader.raw(NodeID.byteCount) else { return nil }
      voters.append(NodeID(random: id))
    }
    for (a, b) in zip(voters, voters.dropFirst()) where a >= b { return nil }
  }
}
