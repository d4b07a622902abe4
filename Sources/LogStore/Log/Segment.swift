// Raw memory: headers and tail marks are written to and read from memory that the caller owns.
import Core

// A WAL segment file, `<first LSN, 20 digits>.wal`. Little endian.
//
//  offset size name       meaning
//       0    8 magic      "PLWAL\0\0\1", the last byte is the version
//       8    8 firstLSN   LSN of the first record
//      16    8 lineage    first 8 bytes of the id of the data set
//      24    4 term       term at the time of making
//      28    4 checksum   crc32c of bytes 0..<28
//      32   32 zero       reserved
//      64    . records    see Record.swift
//
// The file of the active segment is longer than its records (its space is reserved): a tail mark and then zeros follow
// the last record. Every write puts its records over the mark of the write before and a new mark behind them:
//
//  offset size name       meaning
//       0    8 magic      "PLTAIL\0\1"
//       8    8 end        offset at which this mark stands: the records written so far end here
//      16    8 synced     the file was on disk up to this offset before the write that put the mark here
//      24    4 zero
//      28    4 checksum   crc32c of bytes 0..<28
//
// After a power cut the parts written since the last sync are there or not, page by page, so good records may follow
// lost ones. The marks tell this from damage: when the first bad record stands at X and some mark behind it says that
// more than X was synced, an acknowledged record is damaged and the store is not opened. Otherwise everything from X
// on was never acknowledged and is cut.
//
// Sealing cuts the file to its records and puts an `.idx` beside it. LSNs rise in a segment; gaps are legal (compaction
// makes them).
public enum SegmentFormat {
  public static let magic: UInt64 = 0x0100_004C_4157_4C50  // "PLWAL\0\0\1"
  public static let headerBytes = 64
  public static let fileSuffix = ".wal"
  public static let indexSuffix = ".idx"

  public static func writeHeader(_ memory: UnsafeMutableRawPointer, firstLSN: LSN, lineage: UInt64, term: Term) {
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: headerBytes)
    memory.put(magic, at: 0)
    memory.put(firstLSN.value, at: 8)
    memory.put(lineage, at: 16)
    memory.put(term.value, at: 24)
    memory.put(CRC32C.checksum(UnsafeRawPointer(memory), count: 28), at: 28)
  }

  public struct Header: Sendable {
    public let firstLSN: LSN
    public let lineage: UInt64
    /// A compacted piece of the log.
    public let isData: Bool
    /// Offset of the first record.
    public let recordsAt: Int
    /// Of a raw segment: the term at the time of making.
    public let term: Term
  }

  /// nil if these are not the first bytes of a segment or data file of this version.
  public static func readHeader(_ bytes: UnsafeRawBufferPointer) -> Header? {
    guard bytes.count >= headerBytes, let base = bytes.baseAddress else { return nil }
    let isData = base.u64(0) == DataFileFormat.magic || base.u64(0) == DataFileFormat.magic1
    guard isData || base.u64(0) == magic, CRC32C.checksum(base, count: 28) == base.u32(28) else { return nil }
    let recordsAt = isData ? Int(base.u32(24)) : headerBytes
    guard recordsAt >= headerBytes, recordsAt <= bytes.count, recordsAt % 8 == 0 else { return nil }
    return Header(
      firstLSN: LSN(base.u64(8)), lineage: base.u64(16), isData: isData, recordsAt: recordsAt,
      term: Term(isData ? 0 : base.u32(24)))
  }

  /// Throws if a newer version wrote this file. In every version the first 28 bytes have their checksum behind them: where
  /// it does not hold and the version is one bit off, it is a damaged byte.
  static func refuseNewer(_ bytes: UnsafeRawBufferPointer, file: String) throws(OpenError) {
    guard bytes.count >= headerBytes, let base = bytes.baseAddress else { return }
    let isGood = CRC32C.checksum(base, count: 28) == base.u32(28)
    if !isGood, [magic, DataFileFormat.magic].contains(where: { FormatVersion.isOneBitOff(bytes, from: $0) }) {
      return
    }
    try FormatVersion.refuseNewer(bytes, than: magic, file: file)
    try FormatVersion.refuseNewer(bytes, than: DataFileFormat.magic, file: file)
  }

  /// Whether a good record stands at `offset`, with this LSN if one is given.
  static func hasRecord(_ bytes: UnsafeRawBufferPointer, at offset: Int, _ lsn: LSN?) -> Bool {
    guard let base = bytes.baseAddress, bytes.count - offset >= RecordView.headerBytes else { return false }
    let record = RecordView(base + offset)
    return record.verify(available: bytes.count - offset) == .good
      && lsn.map { $0.value == record.lsn } ?? (record.lsn > 0)
  }

  public static func name(_ firstLSN: LSN, suffix: String) -> String {
    let digits = String(firstLSN.value)
    return String(repeating: "0", count: 20 - digits.count) + digits + suffix
  }
  /// The first LSN in a file's name; nil for other files.
  public static func firstLSN(inName name: String, suffix: String) -> LSN? {
    guard name.hasSuffix(suffix), name.utf8.count == 20 + suffix.utf8.count else { return nil }
    let digits = name.dropLast(suffix.count)
    guard digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else { return nil }
    return UInt64(digits).map { LSN($0) }
  }
}

/// What stands behind the records of a file that may still grow; the byte table is at the top of this file.
public enum TailMark {
  public static let magic: UInt64 = 0x0100_4C49_4154_4C50  // "PLTAIL\0\1"
  public static let bytes = 32

  public static func encoded(end: Int, synced: Int) -> [UInt8] {
    var out = ByteWriter(capacity: bytes)
    out.u64(magic)
    out.u64(UInt64(end))
    out.u64(UInt64(synced))
    out.u32(0)
    out.u32(CRC32C.checksum(out.bytes))
    return out.bytes
  }

  /// The `synced` of a good mark at `offset`, nil if none is there.
  public static func synced(_ file: UnsafeRawBufferPointer, at offset: Int) -> Int? {
    guard offset >= 0, file.count - offset >= bytes, let base = file.baseAddress.map({ $0 + offset }) else {
      return nil
    }
    guard base.u64(0) == magic, base.u64(8) == UInt64(offset), base.u64(16) <= UInt64(offset),
      CRC32C.checksum(base, count: 28) == base.u32(28)
    else { return nil }
    return Int(base.u64(16))
  }

  /// The highest `synced` of all marks at or behind `from`; 0 if there is none.
  public static func highestSynced(_ file: UnsafeRawBufferPointer, from: Int) -> Int {
    var highest = 0
    var at = (from + 7) & ~7
    while at + bytes <= file.count {
      if let synced = synced(file, at: at) { highest = max(highest, synced) }
      at += 8
    }
    return highest
  }
}

/// One piece of the log.
///
/// Life: active (one at a time, in memory) -> filled (no more records; written out by the commit thread) -> sealed
/// (complete on disk, `.idx` beside it) -> perhaps dropped. The commit thread hands a filled segment to the maintenance
/// thread through `CommitState.complete` and does not touch it again. A data file is a segment too, sealed from the start. Sealed segments stay in memory while they are in the ops
/// buffer and are read from their mapping afterwards.
///
/// Owned by the store. `used`, `lastLSN` and `state` change under the write lock; `file` and `written` belong to the
/// commit thread until the segment is sealed.
public final class Segment: @unchecked Sendable {
  // Safe to share: each field has one writer at a time, see above; readers come through published index entries.
  public enum State: Sendable { case active, filled, sealed, dropped }
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
  public internal(set) var memory: SegmentMemory?
  public internal(set) var mapping: MappedFile?
  var file: (any OpenFile)?
  var written = 0
  /// How much of the file is on disk; the commit thread's.
  var synced = 0
  /// Written, synced, and no longer the commit thread's.
  var handedOver = false
  /// The unit that its last record belongs to goes on in the next segment.
  var endsInsideUnit = false
  /// What the last tail mark says is synced; -1 before the first mark.
  var marked = -1
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

  init(
    slot: Int, name: LogFileName, capacity: Int, used: Int, recordsAt: Int = SegmentFormat.headerBytes
  ) {
    self.slot = slot
    self.name = name
    self.recordsAt = recordsAt
    self.capacity = capacity
    self.used = used
    lastLSN = name.firstLSN.previous
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
