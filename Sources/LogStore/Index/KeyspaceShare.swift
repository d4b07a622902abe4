import Core

/// Changes of the keyspace that are made aside and come into it at once, by `Keyspace.take`: what one thread loads at a
/// start, and what a delta applies to copies of the indexes.
///
/// Owned by one thread until it is taken.
final class KeyspaceShare {
  let ledger: KeyLedger
  private(set) var expiring: [(entry: IndexEntry, expiry: UInt64)] = []
  /// Operations whose key's record was damaged: see `MissedOperations`.
  private(set) var missed: [(table: UInt32, hash: UInt64, lsn: UInt64)] = []

  /// - Parameter slots: of segments that entries may name.
  init(slots: Int) { ledger = KeyLedger(live: LiveCounts(slots: slots)) }
  deinit { ledger.live.free() }

  /// As `Keyspace.point`.
  func point(_ target: WriteTarget, at entry: IndexEntry, _ record: RecordView) {
    ledger.point(target, at: entry, digest: record.digest, bytes: record.recordBytes)
    noteExpiry(of: record, at: entry)
    noteDamage(target, record.lsn)
  }

  /// As `Keyspace.remove`.
  func remove(_ target: WriteTarget, by lsn: UInt64) {
    if let old = target.old { ledger.remove(target, old, by: lsn) }
    noteDamage(target, lsn)
  }

  func noteExpiry(of record: RecordView, at entry: IndexEntry) {
    if record.flags & RecordFlag.expiry != 0 { expiring.append((entry, record.expiry)) }
  }

  private func noteDamage(_ target: WriteTarget, _ lsn: UInt64) {
    if target.damaged { missed.append((target.table.pointee.id, target.hash.value, lsn)) }
  }
}
