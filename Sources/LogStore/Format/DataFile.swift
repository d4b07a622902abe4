// Raw memory: the header of a data file; collects records into pieces for the disk.
import Core

// A data file, `<first LSN, 20 digits>-<revision, 6 digits>.dat`: a compacted piece of the log. Little endian.
//
//  offset size name       meaning
//       0    8 magic      "PLDAT\0\0\2", the last byte is the version
//       8    8 firstLSN   first LSN of the range that it stands for; its first record may be later
//      16    8 lineage    first 8 bytes of the id of the data set
//      24    4 recordsAt  offset of the first record: 64, or behind the dictionaries of its values
//      28    4 checksum   crc32c of bytes 0..<28
//      32   32 zero       reserved
//      64    . dictionaries, if any, twice; then records as in a segment, LSNs rising, with gaps
//
// Format 1 has its dictionaries once.
//
// The last LSN of the range and how far it is cleaned up stand in the `.idx` beside it and in the generation.
public enum DataFileFormat {
  public static let magic: UInt64 = 0x0200_0054_4144_4C50  // "PLDAT\0\0\2"
  static let magic1: UInt64 = 0x0100_0054_4144_4C50
  public static let fileSuffix = ".dat"
  /// An index entry reaches no further.
  public static let bytesMax = 64 << 20

  static func header(firstLSN: LSN, lineage: UInt64, recordsAt: Int) -> [UInt8] {
    var out = ByteWriter(capacity: SegmentFormat.headerBytes)
    out.u64(magic)
    out.u64(firstLSN.value)
    out.u64(lineage)
    out.u32(UInt32(recordsAt))
    out.u32(CRC32C.checksum(out.bytes))
    out.raw(repeatElement(0, count: SegmentFormat.headerBytes - out.bytes.count))
    return out.bytes
  }
}

/// Writes one data file and the index file beside it: first under a temporary name, in pieces of 1 MiB; `finish` flushes
/// and renames, the index file before the records, so that records under their final name are always complete.
final class DataFileWriter {
  let name: LogFileName
  private(set) var bytes = 0
  private(set) var index: IndexFileBuilder
  private let fileSystem: any FileSystem
  private let directory: String
  private let file: any OpenFile
  /// Space for when the disk is full; set for what frees some in the end.
  var reserve: SpaceReserve?
  private var piece: [UInt8] = []
  private var written = 0
  private var checksum: UInt32 = 0
  private var isClosed = false
  let recordsAt: Int
  var records: Int { index.count }

  static let pieceBytes = 1 << 20

  var temporaryPath: String { "\(directory)/\(name.records).tmp" }

  /// - Parameter dictionaries: of its values; stand between header and records, twice.
  init(
    fileSystem: any FileSystem, directory: String, name: LogFileName, hashSeed: UInt64,
    dictionaries: [UInt32: ValueDictionary] = [:]
  ) throws(FileError) {
    let dictionaries = ValueDictionary.encodeHead(dictionaries)
    self.fileSystem = fileSystem
    self.directory = directory
    self.name = name
    recordsAt = SegmentFormat.headerBytes + dictionaries.count
    index = IndexFileBuilder(firstLSN: name.firstLSN, hashSeed: hashSeed)
    file = try fileSystem.open("\(directory)/\(name.records).tmp", .create)
    piece.reserveCapacity(Self.pieceBytes + 4096)
    piece += DataFileFormat.header(firstLSN: name.firstLSN, lineage: hashSeed, recordsAt: recordsAt)
    piece += dictionaries
    bytes = piece.count
  }

  /// Adds a record, whose bytes may be in any memory. Returns its offset in the file.
  @discardableResult
  func append(_ record: RecordView, hash: UInt64) throws(FileError) -> Int {
    let offset = bytes
    let count = record.recordBytes
    guard bytes + count <= DataFileFormat.bytesMax else {
      throw FileError(operation: "add to", path: name.records, errno: 27, reason: "a data file has at most 64 MiB")
    }
    index.add(record, hash: hash, offset: offset)
    piece.append(contentsOf: UnsafeRawBufferPointer(start: record.base, count: count))
    bytes += count
    if piece.count >= Self.pieceBytes { try flush() }
    return offset
  }

  private func withRoom(_ bytes: Int, _ body: () throws(FileError) -> Void) throws(FileError) {
    guard let reserve else { return try body() }
    try reserve.withRoom(bytes, body)
  }

  private func flush() throws(FileError) {
    checksum = CRC32C.checksum(piece, seed: checksum)
    try withRoom(piece.count) { () throws(FileError) in try file.write(piece, at: UInt64(written)) }
    written += piece.count
    piece.removeAll(keepingCapacity: true)
  }

  /// The file is complete on disk under its name when this returns. Returns the checksum of all of it.
  func finish(lastLSN: LSN, cleanUpTo: LSN) throws(FileError) -> UInt32 {
    do throws(FileError) {
      try flush()
      try file.flush()
      file.close()
      isClosed = true
      let indexBytes = index.encoded(
        lastLSN: lastLSN, dataBytes: bytes, dataChecksum: checksum, cleanUpTo: cleanUpTo)
      try withRoom(2 * indexBytes.count) { () throws(FileError) in
        try fileSystem.replace("\(directory)/\(name.index)", in: directory, with: indexBytes)
      }
      try fileSystem.rename(temporaryPath, to: "\(directory)/\(name.records)")
      try fileSystem.flushDirectory(directory)
    } catch {
      discard()
      throw error
    }
    return checksum
  }

  /// Takes back what was written.
  func discard() {
    if !isClosed { file.close() }
    isClosed = true
    for path in [temporaryPath, "\(directory)/\(name.records)", "\(directory)/\(name.index)"]
    where fileSystem.exists(path) {
      try? fileSystem.unlink(path)
    }
  }
}
