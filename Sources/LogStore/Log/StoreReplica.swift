// Raw memory: takes over records as another node wrote them.
import Core
import Synchronization

/// Why bytes from another node were not appended. Nothing of the refused run is in the log then, but for the good
/// records before it.
public enum ReplicaRefusal: Error, Equatable, Sendable, CustomStringConvertible {
  case damagedRecord(after: LSN)
  case gap(expected: LSN, got: LSN)
  case termWentBack(from: Term, to: Term)
  /// A term begins with the record that names its owner.
  case termWithoutOwner(Term, at: LSN)
  /// A term, an expiry or a table id that no master writes.
  case numberTooLarge(at: LSN)
  case outOfMemory
  public var description: String {
    switch self {
    case .damagedRecord(let lsn): "a record after LSN \(lsn) is damaged"
    case .gap(let expected, let got): "expected LSN \(expected), got \(got)"
    case .termWentBack(let from, let to): "the term went back from \(from) to \(to)"
    case .termWithoutOwner(let term, let lsn): "LSN \(lsn) begins term \(term) and does not say whose it is"
    case .numberTooLarge(let lsn): "the record with LSN \(lsn) holds a number that no master writes"
    case .outOfMemory: "no memory for another segment"
    }
  }
}

extension LogStore {
  /// Appends whole records of the master's log as they are. They become visible through `apply`.
  public func appendReplicated(_ bytes: UnsafeRawBufferPointer, _ access: borrowing WriteAccess) throws(ReplicaRefusal)
  {
    var at = 0
    defer { positions.set(appended: LSN(lastLSN)) }
    while at < bytes.count {
      let record = RecordView(bytes.baseAddress! + at)
      guard record.verify(available: bytes.count - at) == .good else { throw .damagedRecord(after: LSN(lastLSN)) }
      guard record.lsn == lastLSN + 1 else { throw .gap(expected: LSN(lastLSN + 1), got: LSN(record.lsn)) }
      guard record.term >= currentTerm else {
        throw .termWentBack(from: Term(currentTerm), to: Term(record.term))
      }
      guard record.numbersAreWithinLimits else { throw .numberTooLarge(at: LSN(record.lsn)) }
      let count = record.recordBytes
      guard at + count <= bytes.count else { throw .damagedRecord(after: LSN(lastLSN)) }
      if record.term > currentTerm {
        let reign = Reign(term: Term(record.term), owner: record.owner)
        guard reign.owner != .unknown else { throw .termWithoutOwner(reign.term, at: LSN(record.lsn)) }
        terms.begin(reign, at: LSN(record.lsn))
        currentTerm = record.term
      }
      if record.flags & RecordFlag.commitLevelMask != levelFlags { setLevel(record.level, access) }
      if activeUsed + count > activeCapacity { guard roll(for: count) else { throw .outOfMemory } }
      (activeBase + activeUsed).copyMemory(from: record.base, byteCount: count)
      lastLSN = record.lsn
      replicatedUnitIsOpen = record.unitContinues
      if record.kind == RecordKind.catalog.rawValue { noteVoters(record) }
      if activeUsed - lastLandmark >= Segment.landmarkStep { noteLandmark(lastLSN) }
      activeUsed += count
      at += count
    }
  }

  /// A record was read from the log at a start. The one that begins a term says more about it than any generation: that
  /// may know a tail which was lost since. A term that another record begins has no known owner.
  func noteTerm(_ record: RecordView) {
    guard record.term > currentTerm || record.kind == RecordKind.noop.rawValue, record.term > 0 else { return }
    let owner = record.owner
    guard record.term > currentTerm || owner != .unknown else { return }
    terms.found(Reign(term: Term(record.term), owner: owner), at: LSN(record.lsn))
    currentTerm = terms.last?.term.value ?? currentTerm
  }

  private func noteVoters(_ record: RecordView) {
    guard let catalog = Catalog([UInt8](record.value)) else { return }
    votersInLog = catalog.voters
  }

  /// Makes appended records visible up to `limit`, unit by unit; a unit that is not complete yet waits. Returns the
  /// applied LSN.
  @discardableResult
  public func apply(upTo limit: LSN, _ access: borrowing WriteAccess) throws(LogReadError) -> LSN {
    let end = min(limit, LSN(lastLSN))
    var applied = positions.applied
    if applyCursor.next <= applied { applyCursor = LogCursor(segment: nil, offset: 0, next: applied.next) }
    while applied < end {
      // A first look finds the end of the unit, the second applies it.
      var ahead = applyCursor
      var last = LSN.none
      while ahead.next <= end {
        let (record, _) = try nextRecord(&ahead, access)
        if !record.unitContinues {
          last = LSN(record.lsn)
          break
        }
      }
      guard last != .none else { break }
      while applyCursor.next <= last {
        let (record, entry) = try nextRecord(&applyCursor, access)
        index(record, at: entry, access)
      }
      applied = last
      positions.set(applied: applied)
    }
    return applied
  }

  func nextRecord(_ cursor: inout LogCursor, _ access: borrowing WriteAccess) throws(LogReadError) -> (
    RecordView, IndexEntry
  ) {
    while true {
      let segment: Segment
      if let here = cursor.segment { segment = here } else { segment = try place(&cursor, access) }
      let end = segment === active ? activeUsed : segment.used
      if cursor.offset >= end {
        cursor.segment = nil
        continue
      }
      let entry = IndexEntry(tag: 0, segment: segment.slot, offset: cursor.offset)
      let (record, mapped) = record(entry)
      if mapped, !isIntact(record, entry) {
        throw .damaged(
          file: path(of: segment, SegmentFormat.fileSuffix), offset: cursor.offset, lsn: cursor.next)
      }
      cursor.offset += record.recordBytes
      cursor.next = LSN(record.lsn + 1)
      return (record, entry)
    }
  }

  /// Lets the index follow one record of the log: on a slave, and after a restart.
  func index(_ record: RecordView, at entry: IndexEntry, _ access: borrowing WriteAccess) {
    switch RecordKind(rawValue: record.kind) {
    case .put:
      guard let table = tables.reference(record.table) ?? makeRoom(for: record.table, access) else { return }
      let hash = hash(record.key)
      let place = IndexEntry(tag: hash.tag, segment: entry.segment, offset: entry.offset)
      keyspace.point(locate(table, hash, record.key), at: place, record, bytes: record.recordBytes, access)
    case .delete:
      keep(record, entry)
      guard let table = tables.reference(record.table) else { return }
      keyspace.remove(locate(table, hash(record.key), record.key), by: record.lsn, access)
    case .catalog:
      keep(record, entry)
      // A restart begins with the newest catalog and passes the older ones here.
      if record.lsn >= newestCatalogLSN, let changed = Catalog([UInt8](record.value)) {
        adopt(changed, at: record.lsn, entry: entry, access)
      }
    case .noop, nil:
      break
    }
  }

  private func keep(_ record: RecordView, _ entry: IndexEntry) {
    let segment: Segment? =
      active.slot == entry.segment ? active : segmentList.withLock { $0.first { $0.slot == entry.segment } }
    segment?.keptRecords += 1
    segment?.keptBytes += record.recordBytes
  }

  /// A log that names no databases has as many as it has tables: database n is table n + 1.
  /// nil where the log names them.
  @discardableResult
  func makeRoom(for table: UInt32, _ access: borrowing WriteAccess) -> TableReference? {
    guard newestCatalogLSN == 0, table >= catalog.nextTable, table <= Catalog.databasesMax else { return nil }
    var wider = catalog
    wider.setDatabases(Int(table))
    tables.adopt(wider, at: 0)
    return tables.reference(table)
  }
}

extension RecordView {
  /// Whether another node's record keeps to the bounds of what comes from outside: with larger numbers this node could take
  /// it over and never go on from there.
  var numbersAreWithinLimits: Bool {
    guard Term(term).isWithinLimit, LSN(lsn) <= LSN.limit else { return false }
    guard flags & RecordFlag.expiry == 0 || expiry <= UInt64(Int64.max) else { return false }
    guard kind == RecordKind.catalog.rawValue else { return true }
    return Catalog([UInt8](value)).map { $0.nextTable <= Catalog.outsideTableMax } ?? true
  }
}
