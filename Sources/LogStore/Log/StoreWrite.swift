// Raw memory: appending records to the active segment.
import Core
import Synchronization

/// Why the store takes no writes.
public enum WriteRefusal: Equatable, Sendable {
  /// A write or flush failed; the store stays closed for writes until it is started again.
  case failed(String)
  /// The disk is full; writes are taken again when there is room.
  case noSpace(String)
  case keyTooLong(Int)
  case valueTooLong(Int)
  case outOfMemory
}

extension LogStore {
  /// Why writes are refused at present, nil if they are taken. Cheap: one load.
  @inlinable @inline(__always) public var isWritable: Bool { refusal.load(ordering: .relaxed) == 0 }
  /// A write or flush failed; only opening the store again ends it.
  public var isClosedForGood: Bool { refusal.load(ordering: .acquiring) > 1 }
  public var writeRefusal: WriteRefusal? {
    switch refusal.load(ordering: .acquiring) {
    case 0: nil
    case 1: .noSpace(failureText.withLock { $0 })
    default: .failed(failureText.withLock { $0 })
    }
  }

  /// Begins a put: header and key are in place, the caller fills the value's bytes at the returned address and calls
  /// `endPut`. nil if there is no memory for another segment. Key and value lengths are the caller's to check.
  @inlinable @inline(__always)
  public func beginPut(
    _ table: TableReference, key: UnsafeRawBufferPointer, valueBytes: Int, expiry: UInt64,
    _ access: borrowing WriteAccess
  ) -> UnsafeMutableRawPointer? {
    let bytes = RecordView.bytes(key: key.count, value: valueBytes, expires: expiry != 0)
    if activeUsed &+ bytes > activeCapacity { guard roll(for: bytes) else { return nil } }
    let record = activeBase + activeUsed
    writeHeader(record, kind: .put, table: table.pointee.id, key: key, valueBytes: valueBytes, expiry: expiry)
    return record + (RecordView.headerBytes + (expiry != 0 ? 8 : 0) + key.count)
  }

  /// Completes the put begun last and points the index at it.
  @inlinable @inline(__always)
  public func endPut(_ target: WriteTarget, _ access: borrowing WriteAccess) {
    let record = RecordView(activeBase + activeUsed)
    let entry = IndexEntry(tag: target.hash.tag, segment: activeSlot, offset: activeUsed)
    let bytes = finishRecord(record)
    keyspace.point(target, at: entry, record, bytes: bytes, access)
    publish()
  }

  /// Appends a tombstone for the key at `target`, which must have a record. false if there is no memory.
  @discardableResult
  public func delete(_ target: WriteTarget, key: UnsafeRawBufferPointer, _ access: borrowing WriteAccess) -> Bool {
    precondition(target.old != nil, "delete of a key that has no record")
    let bytes = RecordView.bytes(key: key.count, value: 0, expires: false)
    if activeUsed + bytes > activeCapacity { guard roll(for: bytes) else { return false } }
    let record = activeBase + activeUsed
    writeHeader(record, kind: .delete, table: target.table.pointee.id, key: key, valueBytes: 0, expiry: 0)
    finishRecord(RecordView(record))
    active.keptRecords += 1
    active.keptBytes += bytes
    keyspace.remove(target, by: lastLSN, access)
    publish()
    return true
  }

  /// Appends a record that no table's index holds: a catalog change or a no-op.
  func appendPlain(_ kind: RecordKind, key: [UInt8], value: [UInt8], _ access: borrowing WriteAccess) -> Bool {
    let bytes = RecordView.bytes(key: key.count, value: value.count, expires: false)
    if activeUsed + bytes > activeCapacity { guard roll(for: bytes) else { return false } }
    let record = activeBase + activeUsed
    key.withUnsafeBytes {
      writeHeader(record, kind: kind, table: 0, key: $0, valueBytes: value.count, expiry: 0)
    }
    value.withUnsafeBytes {
      (record + RecordView.headerBytes + key.count).copyMemory(
        from: $0.baseAddress ?? UnsafeRawPointer(record), byteCount: $0.count)
    }
    if kind == .catalog {
      active.keptRecords += 1
      active.keptBytes += bytes
    }
    finishRecord(RecordView(record))
    return true
  }

  /// LSN of the record appended last. Under the write lock.
  @inlinable @inline(__always) public var lastAppended: UInt64 { lastLSN }

  // MARK: Databases

  public func flushDatabase(_ database: Int, _ access: borrowing WriteAccess) -> Bool {
    changeCatalog(.flushDatabase, access) { $0.flush(database) }
  }
  public func flushAll(_ access: borrowing WriteAccess) -> Bool { changeCatalog(.flushAll, access) { $0.flushAll() } }
  public func swapDatabases(_ a: Int, _ b: Int, _ access: borrowing WriteAccess) -> Bool {
    changeCatalog(.swapDatabases, access) { $0.swap(a, b) }
  }

  /// The level at which writes to a database are committed from now on; nil: the server's. Belongs to the number of the
  /// database: FLUSHDB keeps it, SWAPDB does not move it. false without memory.
  public func setTableLevel(_ database: Int, _ level: RecordLevel?, _ access: borrowing WriteAccess) -> Bool {
    changeCatalog(.setLevel, access) { $0.setLevel(level, of: database) }
  }

  /// Which nodes vote from now on, at most `Catalog.votersMax`. false without memory.
  public func setVoters(_ nodes: [NodeID], _ access: borrowing WriteAccess) -> Bool {
    precondition(Set(nodes).count <= Catalog.votersMax, "\(nodes.count) voters, at most \(Catalog.votersMax)")
    return changeCatalog(.setVoters, access) { $0.setVoters(nodes) }
  }

  /// The data set has so many databases from now on, which the log names. Nothing is appended where it does already.
  /// false without memory.
  ///
  /// - Parameter count: not below `databasesUsed`.
  public func nameDatabases(_ count: Int, _ access: borrowing WriteAccess) -> Bool {
    precondition(count >= databasesUsed && count <= Catalog.databasesMax, "\(count) databases")
    // A log that names none has this number.
    if newestCatalogLSN == 0, count == configuration.databases { return true }
    if newestCatalogLSN > 0, count == databases { return true }
    return changeCatalog(.setDatabases, access) { $0.setDatabases(count) }
  }

  /// Up to which number databases have keys or a commit level of their own. Under the write lock. O(databases).
  public var databasesUsed: Int {
    (0..<databases).last { keyCount($0) > 0 || tableLevel($0) != nil }.map { $0 + 1 } ?? 0
  }

  /// The log names the number of its databases, and nothing else was said about them. Under the write lock.
  public var onlyNamesDatabases: Bool {
    guard keyspace.catalogEntry != .empty, votersInLog.isEmpty else { return false }
    return record(keyspace.catalogEntry).record.value.first == Catalog.Operation.setDatabases.rawValue
      && catalog.nextTable == UInt32(databases) + 1
  }

  private func changeCatalog(
    _ operation: Catalog.Operation, _ access: borrowing WriteAccess, _ change: (inout Catalog) -> Void
  ) -> Bool {
    var changed = catalog
    change(&changed)
    let entry: IndexEntry
    guard appendPlain(.catalog, key: Catalog.key, value: changed.encoded(operation), access) else { return false }
    entry = IndexEntry(tag: 0, segment: activeSlot, offset: activeUsed - lastRecordBytes)
    votersInLog = changed.voters
    adopt(changed, at: lastLSN, entry: entry, access)
    publish()
    return true
  }

  func adopt(_ changed: Catalog, at lsn: UInt64, entry: IndexEntry, _ access: borrowing WriteAccess) {
    keyspace.adopt(changed, at: lsn, entry: entry, slots: slots.end, access)
    catalogLSN.store(lsn, ordering: .releasing)
  }

  // MARK: Terms and units

  /// Begins a new term with its no-op record, at this commit level, which holds until the next `setLevel`.
  public func beginTerm(_ reign: Reign, level: RecordLevel = .async, _ access: borrowing WriteAccess) -> Bool {
    setLevel(level, access)
    terms.begin(reign, at: LSN(lastLSN + 1))
    currentTerm = reign.term.value
    guard appendPlain(.noop, key: [], value: reign.owner.bytes, access) else { return false }
    publish()
    return true
  }

  /// What follows, up to `endUnit`, is one unit: whole or not at all, after a crash and on every slave.
  public func beginUnit(_ access: borrowing WriteAccess) {
    precondition(!inUnit, "a unit is open already")
    inUnit = true
    unitLastRecord = nil
  }

  /// Closes the unit: its last record says so, and everything becomes visible in one step.
  public func endUnit(_ access: borrowing WriteAccess) {
    inUnit = false
    if let last = unitLastRecord {
      last.put(RecordView(last).flags & ~RecordFlag.unitContinues, at: 11)
      last.put(RecordView(last).expectedChecksum, at: 0)
      unitLastRecord = nil
    }
    publish()
  }

  // MARK: The record under construction

  @inlinable @inline(__always)
  func writeHeader(
    _ record: UnsafeMutableRawPointer, kind: RecordKind, table: UInt32, key: UnsafeRawBufferPointer, valueBytes: Int,
    expiry: UInt64
  ) {
    record.put(UInt32(truncatingIfNeeded: valueBytes), at: 4)
    record.put(UInt16(truncatingIfNeeded: key.count), at: 8)
    record.put(kind.rawValue, at: 10)
    record.put(
      (expiry != 0 ? RecordFlag.expiry : 0) | (inUnit ? RecordFlag.unitContinues : 0) | levelFlags, at: 11)
    record.put(table, at: 12)
    record.put(lastLSN &+ 1, at: 16)
    record.put(currentTerm, at: 24)
    var at = RecordView.headerBytes
    if expiry != 0 {
      record.put(expiry, at: at)
      at += 8
    }
    (record + at).copyMemory(from: key.baseAddress ?? UnsafeRawPointer(record), byteCount: key.count)
  }

  /// Padding, checksums, position. Returns the record's bytes.
  @inlinable @inline(__always) @discardableResult
  func finishRecord(_ record: RecordView) -> Int {
    let memory = activeBase + activeUsed
    let end = record.contentEnd
    let bytes = (end + 7) & ~7
    for i in end..<bytes { memory.put(UInt8(0), at: i) }
    // The content hash of a compressed value is that of the value as it was written: `putCompressed` has set it.
    if _fastPath(!record.isCompressed) {
      memory.put(
        CRC32C.checksum(UnsafeRawPointer(memory + RecordView.headerBytes), count: end - RecordView.headerBytes), at: 28)
    }
    memory.put(record.expectedChecksum, at: 0)
    lastLSN &+= 1
    if activeUsed &- lastLandmark >= Segment.landmarkStep { noteLandmark(lastLSN) }
    activeUsed &+= bytes
    lastRecordBytes = bytes
    if inUnit { unitLastRecord = memory }
    return bytes
  }

  @usableFromInline @inline(never)
  func noteLandmark(_ lsn: UInt64) {
    lastLandmark = activeUsed
    active.noteLandmark(lsn, at: activeUsed)
  }

  /// Makes what was appended visible, unless a unit is open.
  @inlinable @inline(__always)
  func publish() {
    if inUnit { return }
    positions.set(appended: LSN(lastLSN))
    positions.set(applied: LSN(lastLSN))
  }

  /// Closes the active segment and begins the next one, large enough for `bytes`. false without memory.
  @inline(never) @usableFromInline
  func roll(for bytes: Int) -> Bool {
    let capacity = max(configuration.segmentBytes, SegmentFormat.headerBytes + bytes)
    guard let slot = slots.take() else { return false }
    guard let memory = pool.take(capacity) else {
      slots.giveBack(slot)
      return false
    }
    if activeSlot != 0, activeUsed == active.recordsAt {
      // It has no LSN of its own: the next one takes its name, and its file.
      active.used = activeUsed
      dropEmptySegment()
    } else if activeSlot != 0 {
      active.used = activeUsed
      active.lastLSN = LSN(lastLSN)
      active.state = .filled
      active.endsInsideUnit = inUnit ? unitLastRecord != nil : replicatedUnitIsOpen
      closedBytes += activeUsed - active.recordsAt
    }
    let segment = Segment(
      slot: slot, name: LogFileName(firstLSN: LSN(lastLSN + 1)), capacity: capacity, used: SegmentFormat.headerBytes,
      content: .memory(memory), output: .notBegun)
    SegmentFormat.writeHeader(memory.start, firstLSN: segment.firstLSN, lineage: hashSeed, term: Term(currentTerm))
    activate(segment, memory: memory)
    segmentList.withLock { $0.append(segment) }
    return true
  }

  /// Takes the active segment, which has no records, out of the log. Its file is not touched.
  func dropEmptySegment() {
    let empty = active
    empty.state = .dropped
    segmentList.withLock { list in list.removeAll { $0 === empty } }
    epochs.retire { [identity] in identity.store?.recycle(empty) }
  }

  func activate(_ segment: Segment, memory: SegmentMemory) {
    active = segment
    activeBase = memory.start
    activeUsed = segment.used
    activeCapacity = segment.capacity
    activeSlot = segment.slot
    activeRecordsAt = segment.recordsAt
    lastLandmark = 0
    addresses.publish(memory, capacity: segment.capacity, slot: segment.slot)
  }
}
