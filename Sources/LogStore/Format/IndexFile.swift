// Raw memory: entries of the .idx file.
import Core

// What is needed to load a sealed segment into the key index without reading its values. Little endian.
//
//  offset size name          meaning
//       0    8 magic         "PLIDX\0\0\2"
//       8    8 firstLSN      of the segment
//      16    8 lastLSN
//      24    8 dataBytes     size of the segment file
//      32    4 dataChecksum  crc32c of the whole segment file
//      36    4 entries
//      40    8 hashSeed      the seed of the key hashes below
//      48    4 bodyChecksum  crc32c of all entries
//      52    8 cleanUpTo     0 for a raw segment; see `Segment.cleanUpTo`
//      60    4 checksum      crc32c of bytes 0..<60
//      64   32 each entry:
//              0 8 hash         of the key
//              8 4 offset       of the record, in units of 8 bytes
//             12 4 lsnDelta     LSN - firstLSN
//             16 4 contentHash  the record's
//             20 4 table
//             24 4 recordBytes  padding included
//             28 2 keyBytes
//             30 1 kind
//             31 1 flags
//
// Written beside the segment under a temporary name, flushed, renamed. A damaged or missing one is rebuilt from the
// segment.
public struct IndexFile: Sendable {
  public static let magic: UInt64 = 0x0200_0058_4449_4C50  // "PLIDX\0\0\2"
  public static let headerBytes = 64
  public static let entryBytes = 32

  public let firstLSN: LSN
  public let lastLSN: LSN
  public let dataBytes: UInt64
  public let dataChecksum: UInt32
  public let hashSeed: UInt64
  public let cleanUpTo: LSN
  public let count: Int
  private let file: MappedFile

  public struct Entry {
    let base: UnsafeRawPointer
    @inline(__always) public var hash: UInt64 { base.u64(0) }
    @inline(__always) public var offset: Int { Int(base.u32(8)) << 3 }
    @inline(__always) public var lsnDelta: UInt64 { UInt64(base.u32(12)) }
    @inline(__always) public var contentHash: UInt32 { base.u32(16) }
    @inline(__always) public var table: UInt32 { base.u32(20) }
    @inline(__always) public var recordBytes: Int { Int(base.u32(24)) }
    @inline(__always) public var keyBytes: Int { Int(base.u16(28)) }
    @inline(__always) public var kind: UInt8 { base.u8(30) }
    @inline(__always) public var flags: UInt8 { base.u8(31) }
  }

  /// Throws if a newer version wrote this file. In every version the first 60 bytes have their checksum behind them: where
  /// it does not hold, the version is a damaged byte, and the file is made anew from its records.
  static func refuseNewer(_ file: MappedFile, file path: String) throws(OpenError) {
    guard file.count >= headerBytes, CRC32C.checksum(file.start, count: 60) == file.start.u32(60) else { return }
    try FormatVersion.refuseNewer(file.bytes, than: magic, file: path)
  }

  /// Checks everything; the reason when the bytes cannot be used.
  public init(_ file: MappedFile) throws(Damage) {
    let base = file.start
    guard file.count >= Self.headerBytes, base.u64(0) == Self.magic else {
      throw Damage(offset: 0, reason: "not an index file of this version")
    }
    guard CRC32C.checksum(base, count: 60) == base.u32(60) else {
      throw Damage(offset: 0, reason: "the header's checksum is wrong")
    }
    count = Int(base.u32(36))
    guard file.count == Self.headerBytes + count * Self.entryBytes else {
      throw Damage(offset: 36, reason: "\(count) entries announced, the file has \(file.count) bytes")
    }
    guard CRC32C.checksum(base + Self.headerBytes, count: count * Self.entryBytes) == base.u32(48) else {
      throw Damage(offset: Self.headerBytes, reason: "the entries' checksum is wrong")
    }
    firstLSN = LSN(base.u64(8))
    lastLSN = LSN(base.u64(16))
    dataBytes = base.u64(24)
    dataChecksum = base.u32(32)
    hashSeed = base.u64(40)
    cleanUpTo = LSN(base.u64(52))
    self.file = file
  }

  @inline(__always) public func entry(_ i: Int) -> Entry {
    Entry(base: file.start + (Self.headerBytes + i * Self.entryBytes))
  }

  public struct Damage: Error, CustomStringConvertible {
    public let offset: Int
    public let reason: String
    public var description: String { "\(reason) (at offset \(offset))" }
  }

  /// The file for a segment whose records are all good. O(segment).
  /// - Parameter recordsAt: offset of the first record.
  public static func build(
    segment: UnsafeRawBufferPointer, recordsAt: Int = SegmentFormat.headerBytes, firstLSN: LSN, lastLSN: LSN,
    hashSeed: UInt64, dataChecksum: UInt32
  ) -> [UInt8] {
    var builder = IndexFileBuilder(firstLSN: firstLSN, hashSeed: hashSeed)
    var at = recordsAt
    while at < segment.count {
      let record = RecordView(segment.baseAddress! + at)
      builder.add(record, hash: KeyHash.hash(record.key, seed: hashSeed), offset: at)
      at += record.recordBytes
    }
    return builder.encoded(lastLSN: lastLSN, dataBytes: segment.count, dataChecksum: dataChecksum, cleanUpTo: .none)
  }
}

/// Collects the entries of an index file while its records are written.
struct IndexFileBuilder {
  let firstLSN: LSN
  let hashSeed: UInt64
  private(set) var count = 0
  private var entries: [UInt8] = []

  init(firstLSN: LSN, hashSeed: UInt64) {
    self.firstLSN = firstLSN
    self.hashSeed = hashSeed
  }

  mutating func add(_ record: RecordView, hash: UInt64, offset: Int) {
    withUnsafeTemporaryAllocation(byteCount: IndexFile.entryBytes, alignment: 8) { buffer in
      let entry = buffer.baseAddress!
      entry.put(hash, at: 0)
      entry.put(UInt32(offset >> 3), at: 8)
      entry.put(UInt32(truncatingIfNeeded: record.lsn &- firstLSN.value), at: 12)
      entry.put(record.contentHash, at: 16)
      entry.put(record.table, at: 20)
      entry.put(UInt32(record.recordBytes), at: 24)
      entry.put(UInt16(record.keyBytes), at: 28)
      entry.put(record.kind, at: 30)
      entry.put(record.flags, at: 31)
      entries.append(contentsOf: UnsafeRawBufferPointer(buffer))
    }
    count += 1
  }

  func encoded(lastLSN: LSN, dataBytes: Int, dataChecksum: UInt32, cleanUpTo: LSN) -> [UInt8] {
    var out = ByteWriter(capacity: IndexFile.headerBytes + entries.count)
    out.u64(IndexFile.magic)
    out.u64(firstLSN.value)
    out.u64(lastLSN.value)
    out.u64(UInt64(dataBytes))
    out.u32(dataChecksum)
    out.u32(UInt32(count))
    out.u64(hashSeed)
    out.u32(CRC32C.checksum(entries))
    out.u64(cleanUpTo.value)
    out.u32(CRC32C.checksum(out.bytes))
    out.raw(entries)
    return out.bytes
  }
}
