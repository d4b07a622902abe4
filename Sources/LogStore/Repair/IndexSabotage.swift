// Raw memory: hands out views of records where they lie.
import Core

// For tests of what finds and repairs damage of the index: makes it.
extension LogStore {
  /// Takes a key's entry out as if it had never been there. `silently`: the running digest does not notice. false if there is
  /// no such key.
  public func breakIndex(
    dropping key: UnsafeRawBufferPointer, database: Int, silently: Bool, _ access: borrowing WriteAccess
  ) -> Bool {
    let target = locate(table(database), hash(key), key)
    guard let old = target.old else { return false }
    keyspace.takeOut(target.entry, of: target.table, target.hash, old.weight, by: 0, access)
    if silently {
      keyspace.correct(target.table, partition: target.hash.partition, digest: old.digest, keys: 1, access)
    }
    return true
  }

  /// Points the index at the record with this LSN, whatever came after it. false if the log has no such put.
  public func breakIndex(pointingAt lsn: LSN, _ access: borrowing WriteAccess) -> Bool {
    for segment in segmentList.withLock({ $0 }) where segment.firstLSN <= lsn {
      guard segment.state == .active || segment.lastLSN >= lsn, segment.rewriters == 0 else { continue }
      guard let start = addresses.start(segment.slot) else { continue }
      var isDone = false
      walk(segment, from: lsn, to: lsn) { record in
        guard record.kind == RecordKind.put.rawValue, tables.reference(record.table) != nil else { return false }
        index(record, at: IndexEntry(tag: 0, segment: segment.slot, offset: record.base - start), access)
        isDone = true
        return false
      }
      if isDone { return true }
    }
    return false
  }
}
