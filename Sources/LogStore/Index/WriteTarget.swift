// Raw memory: follows tables to their indexes.
/// The place of a key for a write: found once, used for the comparison with the old record and for the change.
/// Valid under the write lock until the next change of the index.
public struct WriteTarget {
  @usableFromInline let table: TableReference
  @usableFromInline let hash: IndexHash
  @usableFromInline let cursor: KeyIndex.Cursor
  @usableFromInline let entry: IndexEntry
  /// The record that stands there now, expired or not; nil if there is none.
  public let old: RecordView?
  /// A damaged record is in the way; it may be of this key.
  public let damaged: Bool

  @inlinable @inline(__always)
  init(
    table: TableReference, hash: IndexHash, cursor: KeyIndex.Cursor, entry: IndexEntry, old: RecordView?, damaged: Bool
  ) {
    self.table = table
    self.hash = hash
    self.cursor = cursor
    self.entry = entry
    self.old = old
    self.damaged = damaged
  }

  /// The first place on a key's path whose record is the key's.
  /// - Parameter own: the record behind an entry, nil if it is another key's.
  static func find(
    on table: TableReference, _ hash: IndexHash, _ own: (IndexEntry) -> RecordView?
  ) -> WriteTarget {
    table.pointee.index._withUnsafeGuaranteedRef { index in
      var cursor = index.cursor(hash)
      while true {
        let entry = cursor.next()
        let record = entry == .empty ? nil : own(entry)
        if entry == .empty || record != nil {
          return WriteTarget(table: table, hash: hash, cursor: cursor, entry: entry, old: record, damaged: false)
        }
      }
    }
  }

  /// The slot of the segment in which `old` lies; of no meaning without it.
  public var slot: Int { entry.segment }
}
