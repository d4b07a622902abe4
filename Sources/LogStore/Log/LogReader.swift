// Raw memory: copies log bytes out of segments.
import Core
import Synchronization

/// A place in the log between two records.
public struct LogCursor: Sendable {
  var segment: Segment?
  var offset: Int
  /// The next record's LSN.
  public var next: LSN
  public static let unplaced = LogCursor(segment: nil, offset: 0, next: .none)
  init(segment: Segment?, offset: Int, next: LSN) {
    self.segment = segment
    self.offset = offset
    self.next = next
  }
  /// Before the record with this LSN.
  public init(startingAt lsn: LSN) { self.init(segment: nil, offset: 0, next: lsn) }
}

/// A run of whole records as they stand in the log.
public struct LogRun: Sendable {
  public var first: LSN
  public var last: LSN
  /// Term of the last record.
  public var term: Term
  public var bytes: Int
  /// All of it came from memory.
  public var fromMemory: Bool
}

public enum LogReadError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The log does not reach back so far.
  case dropped(wanted: LSN, logStart: LSN)
  case damaged(file: String, offset: Int, lsn: LSN)
  public var description: String {
    switch self {
    case .dropped(let wanted, let start): "LSN \(wanted) is no longer in the log, which begins at \(start)"
    case .damaged(let file, let offset, let lsn): "\(file) is damaged at offset \(offset), near LSN \(lsn)"
    }
  }
}

extension LogStore {
  /// LSN from which the raw log is complete.
  public var firstRetainedLSN: LSN { LSN(publishedLogStart.load(ordering: .acquiring)) }

  /// Copies whole records from `cursor` on into `buffer`, up to and including `limit`, and moves the cursor.
  ///
  /// Any thread, inside an epoch. Records from mapped files are verified before they leave. Returns nil when there is
  /// nothing up to `limit`, or when the next record does not fit (`bytesNeeded` then says what it takes).
  public func read(
    _ cursor: inout LogCursor, upTo limit: LSN, into buffer: UnsafeMutableRawBufferPointer, bytesNeeded: inout Int
  ) throws(LogReadError) -> LogRun? {
    bytesNeeded = 0
    let limit = min(limit, positions.appended)
    if cursor.next > limit { return nil }
    var run: LogRun?
    var filled = 0
    while cursor.next <= limit {
      let segment: Segment
      if let here = cursor.segment, here.state != .dropped { segment = here } else { segment = try place(&cursor) }
      guard let (start, mapped) = addresses.segment(segment.slot) else {
        throw .dropped(wanted: cursor.next, logStart: firstRetainedLSN)
      }
      // A filled segment's end is final; in the active one `limit` stops the walk before its end.
      let end = segment.state == .active ? segment.capacity : segment.used
      if cursor.offset >= end {
        cursor.segment = nil
        continue
      }
      let record = RecordView(start + cursor.offset)
      if mapped, record.verify(available: end - cursor.offset) != .good {
        throw .damaged(file: path(of: segment, SegmentFormat.fileSuffix), offset: cursor.offset, lsn: cursor.next)
      }
      if record.lsn > limit.value { break }
      let bytes = record.recordBytes
      if filled + bytes > buffer.count {
        if run == nil { bytesNeeded = bytes }
        return run
      }
      (buffer.baseAddress! + filled).copyMemory(from: record.base, byteCount: bytes)
      filled += bytes
      let lsn = LSN(record.lsn)
      run = LogRun(
        first: run?.first ?? lsn, last: lsn, term: Term(record.term), bytes: filled,
        fromMemory: (run?.fromMemory ?? true) && !mapped)
      cursor.offset += bytes
      cursor.next = lsn.next
    }
    return run
  }

  func place(_ cursor: inout LogCursor) throws(LogReadError) -> Segment {
    return try withWriteLock { access throws(LogReadError) in
      // Landmarks of the active segment change under it.
      try place(&cursor, access)
    }
  }

  /// Finds the segment and offset of `cursor.next`.
  /// - Parameter raw: every LSN is wanted; compacted pieces are no answer.
  func place(_ cursor: inout LogCursor, raw: Bool = true, _ access: borrowing WriteAccess) throws(LogReadError)
    -> Segment
  {
    let wanted = cursor.next
    let segments = segmentList.withLock { $0 }
    guard let index = segments.lastIndex(where: { $0.firstLSN <= wanted }) else {
      throw .dropped(wanted: wanted, logStart: firstRetainedLSN)
    }
    var segment = segments[index]
    if segment.state != .active, segment.lastLSN < wanted {
      // In a gap, or exactly behind the last record.
      guard index + 1 < segments.count else { throw .dropped(wanted: wanted, logStart: firstRetainedLSN) }
      segment = segments[index + 1]
    }
    // A compacted piece has gaps: a run of the raw log never goes through one.
    if raw, segment.name.isData { throw .dropped(wanted: wanted, logStart: firstRetainedLSN) }
    guard let (start, isMapped) = addresses.segment(segment.slot) else {
      throw .dropped(wanted: wanted, logStart: firstRetainedLSN)
    }
    var offset = segment.landmark(before: wanted.value)
    // Behind the active segment's records there may be those of a segment that had the memory before.
    let end = segment === active ? activeUsed : segment.used
    while offset < end {
      let record = RecordView(start + offset)
      if isMapped, record.verify(available: end - offset) != .good {
        throw .damaged(file: path(of: segment, SegmentFormat.fileSuffix), offset: offset, lsn: wanted)
      }
      if record.lsn >= wanted.value { break }
      offset += record.recordBytes
    }
    cursor.segment = segment
    cursor.offset = offset
    return segment
  }

  /// Bytes of log from an LSN to the end, exact to a landmark.
  public func logBytes(from lsn: LSN, _ access: borrowing WriteAccess) -> Int {
    var sum = 0
    for segment in segmentList.withLock({ $0 }).reversed() {
      let used = segment === active ? activeUsed : segment.used
      if segment.firstLSN >= lsn {
        sum += used - segment.recordsAt
      } else {
        if segment === active || segment.lastLSN >= lsn {
          sum += used - min(used, (try? exactOffset(lsn, access)) ?? segment.landmark(before: lsn.value))
        }
        break
      }
    }
    return sum
  }

  /// The first LSN of the newest segments that together have at least `bytes`.
  public func firstLSN(keeping bytes: Int) -> LSN {
    var sum = 0
    var first = LSN(positions.appended.value + 1)
    for segment in segmentList.withLock({ $0 }).reversed() {
      if sum >= bytes { break }
      sum += segment.used
      first = segment.firstLSN
    }
    return first
  }

  /// In which the newest record was written; nil for an empty log. Any thread.
  public var newestReign: Reign? {
    withWriteLock { _ in terms.last?.reign }
  }

  /// Bytes appended since the store was opened. Under the write lock.
  public var appendedBytes: UInt64 {
    var sum = UInt64(activeUsed)
    for segment in segmentList.withLock({ $0 }) where segment !== active { sum += UInt64(segment.used) }
    return sum
  }

  /// Lets an empty log begin at an LSN: what is before it was never here. Before the first append.
  public func startEmpty(at lsn: LSN) {
    withWriteLock { access in
      guard segmentList.withLock({ $0.isEmpty }), lsn > .none else { return }
      lastLSN = lsn.value - 1
      let last = lsn.previous
      positions.set(appended: last)
      positions.set(written: last)
      positions.set(durable: last)
      positions.set(applied: last)
      setLogStart(lsn, access)
      restartLevels(at: last, access)
      rewindFloor = max(rewindFloor, last)
      tombstonesFrom = lsn
    }
  }

  /// The raw log is complete from here on.
  func setLogStart(_ lsn: LSN, _ access: borrowing WriteAccess) {
    logStart = lsn
    publishedLogStart.store(lsn.value, ordering: .releasing)
  }

  private func exactOffset(_ lsn: LSN, _ access: borrowing WriteAccess) throws(LogReadError) -> Int {
    if lsn.value > lastLSN { return activeUsed }
    var cursor = LogCursor(segment: nil, offset: 0, next: lsn)
    _ = try place(&cursor, access)
    return cursor.offset
  }

  /// Holds the sealed segments in place and lists them for a file transfer, with the first LSN of the log behind them.
  /// What lies between was replaced: those pieces were dropped whole.
  public func pinSealedSegments() -> (segments: [Segment], logFrom: LSN) {
    return withWriteLock { _ in
      let segments = segmentList.withLock { $0 }
      let sealed = segments.filter { $0.state == .sealed }
      for segment in sealed { segment.pins += 1 }
      return (sealed, segments.first { $0.state != .sealed }?.firstLSN ?? LSN(lastLSN + 1))
    }
  }
  public func unpin(_ segments: [Segment]) {
    withWriteLock { _ in for segment in segments { segment.pins -= 1 } }
  }
}
