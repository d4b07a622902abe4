import Core

/// Operations of the log whose key's record was damaged, so that they could not find what they replace: a newer record stands
/// beside it in the index, a deletion left it there.
///
/// A compaction that has copied the record before it was damaged would make it readable again. So while a compaction is under
/// way, such operations are remembered, and what they replaced is taken out of the index in the place of being moved. (A
/// repair looks them up in the log: it begins after the damage.)
///
/// Owned by the store, under the write lock.
struct MissedOperations {
  private struct Place: Hashable {
    let table: UInt32
    let hash: UInt64
  }
  /// How many compactions are under way.
  private var compactions = 0
  private var newest: [Place: UInt64] = [:]
  /// More are not remembered: a compaction is given up then.
  static let countMax = 100_000
  private(set) var areTooMany = false

  mutating func begin() { compactions += 1 }
  mutating func end() {
    compactions -= 1
    guard compactions == 0 else { return }
    newest = [:]
    areTooMany = false
  }

  mutating func note(table: UInt32, hash: UInt64, lsn: UInt64) {
    guard compactions > 0 else { return }
    guard newest.count < Self.countMax else {
      areTooMany = true
      return
    }
    newest[Place(table: table, hash: hash)] = lsn
  }

  var isEmpty: Bool { newest.isEmpty }

  /// The operation that replaced a record of this key without finding it.
  func replacement(table: UInt32, hash: UInt64, of lsn: UInt64) -> UInt64? {
    guard let found = newest[Place(table: table, hash: hash)], found > lsn else { return nil }
    return found
  }
}
