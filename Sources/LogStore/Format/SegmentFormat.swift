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
//      16    8 flushed     the file was on disk up to this offset before the write that put the mark here
//      24    4 zero
//      28    4 checksum   crc32c of bytes 0..<28
//
// After a power cut the parts written since the last flush are there or not, page by page, so good records may follow
// lost ones. The marks tell this from damage: when the first bad record stands at X and some mark behind it says that
// more than X was flushed, an acknowledged record is damaged and the store is not opened. Otherwise everything from X
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
