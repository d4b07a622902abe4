// Raw memory: copies records out of segments into a buffer.
import Core

/// What one read of a delta gave.
public struct DeltaRun: Equatable, Sendable {
  public var records = 0
  public var bytes = 0
  /// First and last LSN of the records, and the last one's term; 0 without records.
  public var first = LSN.none
  public var last = LSN.none
  public var term = Term.none
  /// Everything up to here has been looked at.
  public var scannedTo: LSN
  /// All that was asked for has been looked at.
  public var reachedEnd = false
}

/// Walks the log from an LSN on and gives the records that still count, in the order of the log: what a copy of the data
/// as it was at that LSN needs to become that of a later moment.
///
/// Owned by one thread, which is inside an epoch during `read`. The pieces of the log that it has to pass are held in
/// place: what compaction takes out of them could be what the end of the delta needs.
public final class DeltaReader {
  public let after: LSN
  private let store: LogStore
  private var cursor: LogCursor
  private let expander = ValueExpander()
  private var held: [ObjectIdentifier: Segment] = [:]
  /// All pieces up to here are held, or were compacted before the walk.
  private var heldUpTo: LSN
  /// crc32c of all records so far, one behind the other.
  public private(set) var checksum: UInt32 = 0
  /// The next record is larger than the buffer of the last read: it takes so many bytes. 0 if that was not so.
  public private(set) var bytesNeeded = 0

  /// How much of the log is looked at in one read, so that a walk over dead records is no long pause.
  static let lookedBytesMax = 8 << 20

  public init(store: LogStore, after: LSN) {
    self.store = store
    self.after = after
    cursor = LogCursor(startingAt: after.next)
    heldUpTo = store.withWriteLock { _ in LSN(store.lastLSN) }
  }
  deinit { store.unpin(Array(held.values)) }

  /// Copies what counts of the next records up to `limit`, which must be applied here, committed and the end of a unit;
  /// it may rise from read to read. Without records and `reachedEnd`, `scannedTo` or `bytesNeeded` has risen.
  public func read(upTo limit: LSN, into buffer: UnsafeMutableRawBufferPointer) throws(LogReadError) -> DeltaRun {
    try hold()
    bytesNeeded = 0
    var run = DeltaRun(scannedTo: cursor.next.previous)
    defer {
      checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: buffer[0..<run.bytes]), seed: checksum)
    }
    var looked = 0
    while cursor.next <= limit {
      guard looked < Self.lookedBytesMax else { return run }
      let segment: Segment
      if let here = cursor.segment, here.state != .dropped {
        segment = here
      } else if let found = try place(limit) {
        segment = found
      } else {
        break
      }
      guard let (start, isMapped) = store.addresses.segment(segment.slot) else { continue }
      // A filled segment's end is final; in the active one `limit` stops the walk before its end.
      let end = segment.state == .active ? segment.capacity : segment.used
      if cursor.offset >= end {
        // The last records of a compacted piece may be gone.
        cursor = LogCursor(startingAt: max(cursor.next, segment.lastLSN.next))
        run.scannedTo = min(limit, cursor.next.previous)
        continue
      }
      let record = RecordView(start + cursor.offset)
      guard !isMapped || record.verify(available: end - cursor.offset) == .good,
        let kind = RecordKind(rawValue: record.kind)
      else {
        throw .damaged(
          file: store.path(of: segment, SegmentFormat.fileSuffix), offset: cursor.offset, lsn: cursor.next)
      }
      let lsn = LSN(record.lsn)
      if lsn > limit { break }
      let isSent = DeltaRules.isSent(
        kind: kind, lsn: lsn, newest: store.newest(record, store.hash(record.key)),
        newestCatalog: LSN(store.newestCatalogLSN), upTo: limit)
      if isSent {
        let taken: Int?
        do throws(ExpandFailure) {
          taken = try take(record, slot: segment.slot, into: buffer, at: run.bytes)
        } catch {
          throw .damaged(file: store.path(of: segment, SegmentFormat.fileSuffix), offset: cursor.offset, lsn: lsn)
        }
        guard let bytes = taken else {
          if run.records > 0 { bytesNeeded = 0 }
          return run
        }
        if run.records == 0 { run.first = lsn }
        run.last = lsn
        run.term = Term(record.term)
        run.records += 1
        run.bytes += bytes
      }
      looked += record.recordBytes
      cursor.offset += record.recordBytes
      cursor.next = lsn.next
      run.scannedTo = lsn
    }
    run.scannedTo = max(run.scannedTo, limit)
    run.reachedEnd = true
    return run
  }

  /// Copies a record as it leaves this node: readable without the file that it stands in, a unit by itself. Returns its
  /// bytes there; nil without room, then `bytesNeeded` says how much it takes.
  private func take(
    _ record: RecordView, slot: Int, into buffer: UnsafeMutableRawBufferPointer, at offset: Int
  ) throws(ExpandFailure) -> Int? {
    let needsDictionary = ValueExpander.needsDictionary(record)
    guard let bytes = needsDictionary ? ValueExpander.expandedBytes(record) : record.recordBytes else { throw .damaged }
    guard offset + bytes <= buffer.count else {
      bytesNeeded = bytes
      return nil
    }
    let copy = buffer.baseAddress! + offset
    if needsDictionary {
      _ = try expander.expand(
        record, dictionary: store.dictionary(forSlot: slot, table: record.table),
        into: UnsafeMutableRawBufferPointer(start: copy, count: bytes))
    } else {
      copy.copyMemory(from: record.base, byteCount: bytes)
    }
    // Its unit is inside the delta, which becomes visible in one step; the next record may be of another unit.
    if record.unitContinues {
      copy.put(RecordView(copy).flags & ~RecordFlag.unitContinues, at: 11)
      copy.put(RecordView(copy).expectedChecksum, at: 0)
    }
    return bytes
  }

  /// Finds the record at or behind the cursor; nil if there is none up to `limit`.
  private func place(_ limit: LSN) throws(LogReadError) -> Segment? {
    return try store.withWriteLock { access throws(LogReadError) in
      let wanted = cursor.next
      let pieces = store.segmentList.withLock { $0 }
      guard let piece = pieces.first(where: { $0 === store.active || $0.lastLSN >= wanted }), piece.firstLSN <= limit
      else { return nil }
      cursor.next = max(wanted, piece.firstLSN)
      return try store.place(&cursor, raw: false, access)
    }
  }

  /// Holds the pieces that have come since the last read. The pin of the slave should have done so: but a pin can be
  /// lost, and then one that came and went meanwhile may have held what is wanted.
  private func hold() throws(LogReadError) {
    try store.withWriteLock { _ throws(LogReadError) in
      guard store.newestRemoved <= heldUpTo else { throw .dropped(wanted: after.next, logStart: store.logStart) }
      for piece in store.segmentList.withLock({ $0 }) where piece === store.active || piece.lastLSN > after {
        guard held.updateValue(piece, forKey: ObjectIdentifier(piece)) == nil else { continue }
        piece.pins += 1
      }
      heldUpTo = LSN(store.lastLSN)
    }
  }
}

extension LogStore {
  /// What a delta from an LSN on would have to send, from counters. Under the write lock. O(pieces of the log).
  public struct DeltaFigures: Equatable, Sendable {
    /// Of live records, tombstones and catalog records newer than the LSN.
    public var bytes = 0
    public var records = 0
    /// Of the key indexes, which the receiver copies.
    public var indexBytes = 0
    public var tombstonesFrom: LSN
  }
  public func deltaFigures(after lsn: LSN, _ access: borrowing WriteAccess) -> DeltaFigures {
    var figures = DeltaFigures(tombstonesFrom: tombstonesFrom)
    figures.indexBytes = tables.indexBytes
    for segment in segmentList.withLock({ $0 }) {
      let end = segment === active ? activeUsed : segment.used
      guard segment === active || segment.lastLSN > lsn, end > segment.recordsAt else { continue }
      var from = segment.recordsAt
      if segment.firstLSN <= lsn {
        var cursor = LogCursor(startingAt: lsn.next)
        if (try? place(&cursor, raw: false, access)) === segment { from = min(end, cursor.offset) }
      }
      let total = keyspace.live.byteCount(slot: segment.slot)
      let live = from == segment.recordsAt ? total : liveBytes(segment, from: from, end: end)
      let part = Double(end - from) / Double(end - segment.recordsAt)
      figures.bytes += live + Int(Double(segment.keptBytes) * part)
      let liveShare = total > 0 ? Double(live) / Double(total) : 0
      figures.records +=
        Int(Double(keyspace.live.recordCount(slot: segment.slot)) * liveShare) + Int(Double(segment.keptRecords) * part)
    }
    return figures
  }

  /// The MiB that `from` stands in is counted record by record: a small delta may lie in it as a whole.
  private func liveBytes(_ segment: Segment, from: Int, end: Int) -> Int {
    let first = from >> 20
    let bucketEnd = min(end, (first + 1) << 20)
    let start = addresses.start(segment.slot)!
    var sum = 0
    var at = from
    while at < bucketEnd {
      let record = RecordView(start + at)
      guard record.verify(available: end - at) == .good else { break }
      if record.kind == RecordKind.put.rawValue, newest(record, hash(record.key)) == .record(LSN(record.lsn)) {
        sum += record.recordBytes
      }
      at += record.recordBytes
    }
    return sum + keyspace.live.byteCount(slot: segment.slot, fromMebibyte: first + 1)
  }
}
