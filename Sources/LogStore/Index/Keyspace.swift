// Raw memory: follows tables to their indexes.
import Core

/// The only door to the index of keys. What must change together changes inside of it: a key's entry, its partition's
/// digest and number of keys, live bytes and live records of the segments, the hint when to look at a record that
/// expires, and what is remembered of operations that met damage.
///
/// Owned by the store. Everything here is under the write lock; readers follow tables and entries without it
/// (`LogStore.find`).
///
/// Invariants: the counts are those of the records that the entries of all tables point at; of every live record with an
/// expiry the wheel has a hint.
@usableFromInline
final class Keyspace: @unchecked Sendable {
  // Safe to share: under the write lock, see above.
  let tables: Tables
  private let addresses: SegmentAddresses
  @usableFromInline let ledger: KeyLedger
  private var wheel = ExpiryWheel()
  private var missed = MissedOperations()
  /// Where the newest catalog record is: the one entry that is the store's and no key's. Compaction takes it along.
  private(set) var catalogEntry = IndexEntry.empty
  /// The master's wall clock, milliseconds: tells which expiries are near.
  @usableFromInline var wallClock: UInt64 = 0

  init(tables: Tables, addresses: SegmentAddresses) {
    self.tables = tables
    self.addresses = addresses
    ledger = KeyLedger(live: LiveCounts(slots: IndexEntry.segmentSlotsMax))
  }
  deinit { ledger.live.free() }

  var live: LiveCounts { ledger.live }

  // MARK: One key

  /// A key's newest record stands at `entry` from now on.
  /// - Parameter bytes: of the record.
  @inlinable @inline(__always)
  func point(
    _ target: WriteTarget, at entry: IndexEntry, _ record: RecordView, bytes: Int, _ access: borrowing WriteAccess
  ) {
    ledger.point(target, at: entry, digest: record.digest, bytes: bytes)
    if _slowPath(target.damaged) { noteMissed(target, record.lsn) }
    if record.flags & RecordFlag.expiry != 0 { noteExpiry(record, at: entry) }
  }

  /// The key is gone by the operation `lsn`, if it was there.
  func remove(_ target: WriteTarget, by lsn: UInt64, _ access: borrowing WriteAccess) {
    if let old = target.old { ledger.remove(target, old, by: lsn) }
    if _slowPath(target.damaged) { noteMissed(target, lsn) }
  }

  /// Takes out this very entry: see `KeyLedger.takeOut`.
  func takeOut(
    _ entry: IndexEntry, of table: TableReference, _ hash: IndexHash, _ weight: RecordWeight, by lsn: UInt64,
    _ access: borrowing WriteAccess
  ) {
    ledger.takeOut(entry, of: table, hash, weight, by: lsn)
  }

  @usableFromInline @inline(never)
  func noteExpiry(_ record: RecordView, at entry: IndexEntry) {
    wheel.add(entry, expiry: record.expiry, now: wallClock)
  }

  @usableFromInline @inline(never)
  func noteMissed(_ target: WriteTarget, _ lsn: UInt64) {
    missed.note(table: target.table.pointee.id, hash: target.hash.value, lsn: lsn)
  }

  // MARK: Compaction

  /// From here to `endRewrite` operations that meet damage are remembered: see `MissedOperations`.
  func beginRewrite(_ access: borrowing WriteAccess) { missed.begin() }
  func endRewrite(_ access: borrowing WriteAccess) { missed.end() }
  /// More than can be remembered: what was copied since cannot be trusted to be the newest.
  var missedTooMuch: Bool { missed.areTooMany }

  /// Records stand in a new file; its segment's records can be read at `slot`. A key that was written meanwhile keeps its
  /// newer place.
  func move(_ moves: ArraySlice<KeyMove>, to slot: Int, _ access: borrowing WriteAccess) {
    for move in moves {
      let place = IndexEntry(tag: move.from.tag, segment: slot, offset: move.offset)
      switch move.owner {
      case .catalog: if catalogEntry == move.from { catalogEntry = place }
      case .key(let table, let hash):
        guard let reference = tables.reference(table) else { continue }
        let path = IndexHash(hash)
        if _slowPath(!missed.isEmpty) {
          let moved = addresses.record(place).record
          if let newer = missed.replacement(table: table, hash: hash, of: moved.lsn) {
            let weight = RecordWeight(digest: moved.digest, bytes: move.bytes)
            ledger.takeOut(move.from, of: reference, path, weight, by: newer)
            continue
          }
        }
        let isMoved = ledger.move(
          move.from, of: reference, path, bytes: move.bytes, to: place, newBytes: move.newBytes)
        if isMoved, move.expires { noteExpiry(addresses.record(place).record, at: place) }
      }
    }
  }

  /// Nothing points at this slot any more; another segment may get it.
  func release(slot: Int, _ access: borrowing WriteAccess) { live.clear(slot: slot) }

  // MARK: Tables

  /// A catalog record, standing at `entry`, counts from now on. The keys of tables that it does not know are gone.
  /// - Parameter slots: how many slots of segments are in use.
  func adopt(_ catalog: Catalog, at lsn: UInt64, entry: IndexEntry, slots: Int, _ access: borrowing WriteAccess) {
    let gone = Set(tables.catalog.tables).subtracting(catalog.tables).compactMap { tables.indexes[$0] }
    let isAnyLeft = tables.indexes.values.contains { index in index.count > 0 && !gone.contains { $0 === index } }
    if isAnyLeft {
      for index in gone { ledger.forget(index, addresses) }
    } else if !gone.isEmpty {
      for slot in 0..<slots { live.clear(slot: slot) }
    }
    catalogEntry = entry
    tables.adopt(catalog, at: lsn)
  }

  /// The tables of a delta take the places of the old ones.
  /// - Parameter entry: of the newest catalog record, if it is a new one.
  func adopt(
    _ catalog: Catalog, at entry: IndexEntry?, indexes: [UInt32: KeyIndex], tables fresh: [TableReference],
    _ access: borrowing WriteAccess
  ) {
    if let entry { catalogEntry = entry }
    tables.adopt(catalog, indexes: indexes, tables: fresh)
  }

  /// A start: this record is the newest catalog record of the sealed files.
  func found(catalogAt entry: IndexEntry, _ access: borrowing WriteAccess) { catalogEntry = entry }

  /// What was changed aside counts from now on, but for its expiries: see `noteExpiries`.
  func take(_ share: KeyspaceShare, _ access: borrowing WriteAccess) {
    live.add(share.ledger.live)
    for item in share.missed { missed.note(table: item.table, hash: item.hash, lsn: item.lsn) }
  }

  /// When to look at records that were added aside.
  func noteExpiries(_ items: ArraySlice<(entry: IndexEntry, expiry: UInt64)>, _ access: borrowing WriteAccess) {
    for item in items { wheel.add(item.entry, expiry: item.expiry, now: wallClock) }
  }

  /// Corrects a partition's digest and number of keys by what a count of its records found missing.
  func correct(_ table: TableReference, partition: Int, digest: UInt64, keys: Int32, _ access: borrowing WriteAccess) {
    table.pointee.index._withUnsafeGuaranteedRef { $0.correct(partition: partition, digest: digest, keys: keys) }
  }

  // MARK: Expiry

  /// Hints that wait, of live records and of such that were overwritten since.
  var expiring: Int { wheel.count }
  /// All of them. O(hints).
  var hints: [IndexEntry] { wheel.entries }

  /// Up to `limit` entries that are due. A hint may be older than the segment that has its slot now: the caller looks
  /// whether the key still has this entry, and hands what is early or waits back by `lookAgain` or `park`.
  func due(now: UInt64, limit: Int, _ access: borrowing WriteAccess) -> [IndexEntry] {
    wheel.due(now: now, limit: limit) { [addresses] in addresses.intactRecord($0)?.expiry }
  }
  func lookAgain(at entry: IndexEntry, expiry: UInt64, _ access: borrowing WriteAccess) {
    wheel.add(entry, expiry: expiry, now: wallClock)
  }
  /// It waits for the master's deletion.
  func park(_ entry: IndexEntry, now: UInt64, _ access: borrowing WriteAccess) { wheel.park(entry, now: now) }
  /// What waits is due again.
  func unpark(now: UInt64, _ access: borrowing WriteAccess) {
    wheel.unpark(now: now) { [addresses] in addresses.intactRecord($0)?.expiry }
  }
  /// The same, for what has waited for a minute.
  func unparkDue(now: UInt64, _ access: borrowing WriteAccess) {
    wheel.unparkDue(now: now) { [addresses] in addresses.intactRecord($0)?.expiry }
  }
}
