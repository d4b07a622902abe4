import Core

// Who expires when: the hints of the keyspace, on a master and on a slave. All under the write lock.
extension LogStore {
  /// A record that was looked at before its time.
  public struct EarlyExpiry: Sendable {
    let entry: IndexEntry
    let expiry: UInt64
  }

  /// Deletes up to `limit` keys whose expiry has passed, by records in the log. On a master only.
  public func expireDue(now: UInt64, limit: Int, _ access: borrowing WriteAccess) -> (deleted: Int, examined: Int) {
    var early: [EarlyExpiry] = []
    let done = expire(now: now, dueAt: now, limit: limit, &early, access)
    lookAgain(at: early, access)
    return done
  }

  /// The same without a rest: hints are kept by the second, and here those of the present second count, too. What is not
  /// due yet comes into `early`; hand it back by `lookAgain` when nothing is left to examine.
  public func expireAll(upTo now: UInt64, limit: Int, early: inout [EarlyExpiry], _ access: borrowing WriteAccess) -> (
    deleted: Int, examined: Int
  ) {
    expire(now: now, dueAt: now + 999, limit: limit, &early, access)
  }

  public func lookAgain(at early: [EarlyExpiry], _ access: borrowing WriteAccess) {
    for item in early { keyspace.lookAgain(at: item.entry, expiry: item.expiry, access) }
  }

  private func expire(
    now: UInt64, dueAt: UInt64, limit: Int, _ early: inout [EarlyExpiry], _ access: borrowing WriteAccess
  ) -> (Int, Int) {
    wallClock = now
    keyspace.unpark(now: now, access)
    // An entry may be older than the segment that has its slot now: nothing at its place is trusted.
    let entries = keyspace.due(now: dueAt, limit: limit, access)
    var deleted = 0
    for entry in entries {
      guard let record = addresses.intactRecord(entry), record.kind == RecordKind.put.rawValue,
        let database = catalog.tables.firstIndex(of: record.table)
      else { continue }
      let target = locate(table(database), hash(record.key), record.key)
      guard let old = target.old, target.entry == entry, old.expiry != 0 else { continue }
      guard old.expiry <= now else {
        early.append(EarlyExpiry(entry: entry, expiry: old.expiry))
        continue
      }
      let key = [UInt8](record.key)
      let gone = key.withUnsafeBytes { delete(target, key: $0, access) }
      guard gone else {
        early.append(EarlyExpiry(entry: entry, expiry: old.expiry))
        break
      }
      deleted += 1
    }
    return (deleted, entries.count)
  }

  /// On a slave: lets go of hints whose records are gone. Those that wait for the master's deletion are looked at again
  /// later; should this node become a master, it deletes them itself. Returns how many were due.
  public func reviewExpiries(now: UInt64, limit: Int, _ access: borrowing WriteAccess) -> Int {
    keyspace.unparkDue(now: now, access)
    let entries = keyspace.due(now: now, limit: limit, access)
    for entry in entries {
      guard let record = addresses.intactRecord(entry), record.kind == RecordKind.put.rawValue,
        let table = tables.reference(record.table), locate(table, hash(record.key), record.key).entry == entry
      else { continue }
      keyspace.park(entry, now: now, access)
    }
    return entries.count
  }
}
