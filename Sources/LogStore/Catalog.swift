import Core

/// Which table stands behind each numbered database. Table ids are never reused: flushing a database binds a new
/// table to it, and every record with the old id is dead.
///
/// A catalog record carries the whole state after the change (it is small), so the newest one is all that is needed.
///
///  offset size name       meaning
///       0    1 operation  1 flush one, 2 flush all, 3 swap (for people who read the log)
///       1    1 zero
///       2    2 databases  n
///       4    4 nextTable
///       8    4 each of n: table id
public struct Catalog: Equatable, Sendable {
  public enum Operation: UInt8, Sendable {
    case flushDatabase = 1
    case flushAll = 2
    case swapDatabases = 3
  }
  public private(set) var tables: [UInt32]
  public private(set) var nextTable: UInt32
  public static let key: [UInt8] = Array("databases".utf8)

  public init(databases: Int) {
    tables = (0..<databases).map { UInt32($0 + 1) }
    nextTable = UInt32(databases + 1)
  }

  mutating func flush(_ database: Int) {
    tables[database] = nextTable
    nextTable += 1
  }
  mutating func flushAll() { for database in tables.indices { flush(database) } }
  mutating func swap(_ a: Int, _ b: Int) { tables.swapAt(a, b) }

  public func encoded(_ operation: Operation) -> [UInt8] {
    var out = ByteWriter(capacity: 8 + tables.count * 4)
    out.u8(operation.rawValue)
    out.u8(0)
    out.u16(UInt16(tables.count))
    out.u32(nextTable)
    for table in tables { out.u32(table) }
    return out.bytes
  }

  /// nil for bytes that are not a catalog.
  public init?(_ bytes: [UInt8]) {
    var reader = ByteReader(bytes)
    guard let operation = try? reader.u8(), Operation(rawValue: operation) != nil, (try? reader.u8()) == 0,
      let count = try? reader.u16(), count > 0, let next = try? reader.u32(), reader.remaining == Int(count) * 4
    else { return nil }
    nextTable = next
    tables = []
    for _ in 0..<count { tables.append((try? reader.u32()) ?? 0) }
    guard Set(tables).count == tables.count, tables.allSatisfy({ $0 > 0 && $0 < next }) else { return nil }
  }
}
