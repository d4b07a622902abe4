import Core

/// One piece of the log.
///
/// Life: active (one at a time, in memory) -> filled (no more records; written out by the commit thread) -> sealed
/// (complete on disk, `.idx` beside it) -> perhaps dropped. The commit thread hands a filled segment to the maintenance
/// thread through `SealQueue` and does not touch it again. A data file is a segment too, sealed from the start.
/// Sealed segments stay in memory while they are in the ops buffer and are read from their mapping afterwards.
///
/// Owned by the store. `used`, `lastLSN`, `state` and `content` change under the write lock. `output` is the commit
/// thread's until it hands the segment over, then the maintenance thread's. `state` alone is looked at without a lock: log
/// readers ask whether a segment was dropped.
public final class Segment: @unchecked Sendable {
  // Safe to share: each field has one writer at a time, see above; readers come through published index entries.
  public enum State: Sendable { case active, filled, sealed, dropped }
  /// Where its bytes are.
  enum Content {
    /// Not there yet, or given up.
    case none
    /// Readers see the memory that it was appended to.
    case memory(SegmentMemory)
    /// Readers see its file.
    case mapped(MappedFile)
  }
  /// How far its bytes are on the way to its file.
  enum Output {
    /// It has no file yet.
    case notBegun
    case open(Open)
    /// Written and flushed: it waits for its index file.
    case handedOver(any OpenFile)
    /// Nothing is written any more.
    case closed

    /// Offset up to which the file was written, while that is not all.
    var written: Int {
      switch self {
      case .notBegun: 0
      case .open(let open): open.written
      case .handedOver, .closed: .max
      }
    }

    struct Open {
      let file: any OpenFile
      /// Offset up to which the file was written, and up to which it was flushed.
      var written = 0
      var flushed = 0
      /// What the last tail mark says is flushed; -1 before the first mark.
      var marked = -1
    }
  }
  public let slot: Int
  /// First and last LSN of the range that it stands for; in a data file the records at the ends may be gone.
  public var firstLSN: LSN { name.firstLSN }
  public let name: LogFileName
  public let capacity: Int
  /// Offset of the first record.
  public let recordsAt: Int
  /// Every record of its range that was dead because of a record up to here is gone from it.
  public internal(set) var cleanUpTo = LSN.none
  /// Bytes of tombstones and catalog records in it.
  public internal(set) var keptBytes = 0
  /// Some of its dead records had to stay: compacting it again is of no use before this LSN is settled.
  var notBefore = LSN.none
  /// A record in it was found damaged: it is not compacted.
  public internal(set) var isDamaged = false
  public internal(set) var state = State.active
  public internal(set) var lastLSN: LSN
  public internal(set) var used: Int
  var content: Content
  var output: Output
  /// The unit that its last record belongs to goes on in the next segment.
  var endsInsideUnit = false
  /// Every 256 KiB the place of a record, so that an LSN is found by a short walk.
  var landmarks: [(lsn: UInt64, offset: Int)] = []
  /// Tombstones and catalog records: while it holds some, a segment without live keys may still be needed.
  public internal(set) var keptRecords = 0
  /// crc32c of the whole file; known when sealed.
  public internal(set) var fileChecksum: UInt32 = 0
  public internal(set) var pins = 0
  /// Jobs that have decided what of it moves to a new file: no index entry may come to point at it meanwhile.
  var rewriters = 0
  /// The log's last LSN when nothing in this segment was alive any more: what replaced its records is not newer.
  var deadSince = LSN.none

  @usableFromInline static let landmarkStep = 256 << 10

  /// - Parameter used: bytes of header and records.
  init(
    slot: Int, name: LogFileName, capacity: Int, used: Int, recordsAt: Int = SegmentFormat.headerBytes,
    content: Content, output: Output
  ) {
    self.content = content
    self.output = output
    self.slot = slot
    self.name = name
    self.recordsAt = recordsAt
    self.capacity = capacity
    self.used = used
    lastLSN = name.firstLSN.previous
  }

  /// A piece that stands in a complete file.
  static func sealed(
    slot: Int, name: LogFileName, recordsAt: Int, lastLSN: LSN, cleanUpTo: LSN, checksum: UInt32, _ mapping: MappedFile
  ) -> Segment {
    let segment = Segment(
      slot: slot, name: name, capacity: mapping.count, used: mapping.count, recordsAt: recordsAt,
      content: .mapped(mapping), output: .closed)
    segment.state = .sealed
    segment.lastLSN = lastLSN
    segment.cleanUpTo = cleanUpTo
    segment.fileChecksum = checksum
    return segment
  }

  /// The place of the active segment before the first append, and between two logs.
  static func nowhere() -> Segment {
    Segment(
      slot: 0, name: LogFileName(firstLSN: LSN(1)), capacity: 0, used: 0, content: .none, output: .closed)
  }

  /// The memory that it was appended to, as long as readers see that.
  var memory: SegmentMemory? {
    switch content {
    case .memory(let memory): memory
    case .none, .mapped: nil
    }
  }
  var isInMemory: Bool { memory != nil }

  /// The file takes no more; after that it may be sealed.
  func closeFile() {
    switch output {
    case .open(let open): open.file.close()
    case .handedOver(let file): file.close()
    case .notBegun, .closed: break
    }
    output = .closed
  }

  func noteLandmark(_ lsn: UInt64, at offset: Int) {
    landmarks.append((lsn, offset))
  }

  /// The best known place at or before an LSN.
  func landmark(before lsn: UInt64) -> Int {
    var low = 0
    var high = landmarks.count
    while low < high {
      let middle = (low + high) / 2
      if landmarks[middle].lsn <= lsn { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? recordsAt : landmarks[low - 1].offset
  }
}
