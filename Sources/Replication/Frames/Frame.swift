// Raw memory: a frame's header is written to and read from memory that the caller owns.
import Core

// The frame, version 1. After the reply to MS_SYNC_SLAVE the connection carries frames in both directions.
// Little endian, fixed width.
//
//   offset  size  name                meaning
//   0       4     magic               "PLF1"; the digit is the version of the frame format
//   4       4     header checksum     crc32c of bytes 8..<64
//   8       1     type                see FrameType
//   9       1     flags               bits 0-1: compression of the body (0 none, 1 lz4, 2 zstd); bit 2: a log or delta frame
//                               that holds a part of one record, the next one goes on with it; other bits are 0
//   10      2     reserved            0
//   12      4     body bytes          on the wire, <= 4 MiB
//   16      4     uncompressed bytes  of the body once opened, <= 16 MiB; = body bytes if not compressed
//   20      4     body checksum       crc32c of the body as it is on the wire; 0 for an empty body
//   24      4     term                log, delta: of the last record; other types: the sender's term
//   28      4     master age          milliseconds since the sender heard of the master; 0 from the master, and from a slave
//   32      8     first LSN           log, delta: of the first record. fileChunk, fileDone: the file's number. digest: at which LSN
//   40      8     last LSN            log, delta: of the last record. fileChunk: offset in the file. heartbeat: master's last LSN
//   48      8     committed LSN       what the slave may show (0 from a slave)
//   56      8     master clock        milliseconds since 1970 on the master's wall clock (0 from a slave)
//   64      ...   body                log: records as they are in the log. delta: records, uncompressed values,
//                               in LSN order with gaps. fileChunk: bytes as they are in the file
//
// The header has its own checksum, so that a damaged length is found at once and not after waiting for 4 MiB; it covers
// the body's checksum, so that header and body cannot be of two frames. A file's number and offset are in the header,
// so that the body is exactly bytes of a file and can leave from a mapping without a copy.
// A frame cut off by a lost connection is dropped whole: nothing of it was handed on.

/// What a frame carries. The values are on the wire and never change their meaning.
package enum FrameType: UInt8, Hashable, Sendable, CaseIterable {
  case syncBegin = 1
  case fileManifest = 2
  case fileChunk = 3
  case fileDone = 4
  case log = 5
  case syncEnd = 6
  case heartbeat = 7
  case ack = 8
  case slaveList = 9
  case digest = 10
  case needPlan = 11
  case error = 12
  /// Only to a peer with the capability `delta`.
  case delta = 13
  case deltaEnd = 14
  /// Only to a slave that follows the stream: it is to be master now.
  case handover = 15
  /// Only to a peer with the capability `proof`: it is to show what it holds. See `ProofQuestion`.
  case prove = 16
  /// The answer.
  case proof = 17
  /// Only to a peer with the capability `path`: who is above the sender now.
  case upstreamPath = 18

  /// Which types a slave may send; everything else comes from the master only.
  package var mayComeFromSlave: Bool {
    switch self {
    case .ack, .error, .proof: true
    case .syncBegin, .fileManifest, .fileChunk, .fileDone, .log, .syncEnd, .heartbeat, .slaveList, .digest, .needPlan,
      .delta, .deltaEnd, .handover, .prove, .upstreamPath:
      false
    }
  }
  package var mayComeFromMaster: Bool { self != .ack && self != .proof }

  /// Bulk types may be compressed; small control frames gain nothing.
  package var mayBeCompressed: Bool {
    switch self {
    case .log, .delta, .fileChunk, .fileManifest, .slaveList, .digest: true
    case .syncBegin, .fileDone, .syncEnd, .heartbeat, .ack, .needPlan, .error, .deltaEnd, .handover, .prove, .proof,
      .upstreamPath:
      false
    }
  }
}

package enum Compression: UInt8, Hashable, Sendable, CaseIterable {
  case none = 0
  case lz4 = 1
  case zstd = 2
}

/// Bounds of a frame. Both ends of a connection use the same; they are part of protocol version 1.
package enum FrameLimits {
  package static let bodyBytesMax = 4 << 20
  package static let uncompressedBytesMax = 16 << 20
  /// Compressed data that claims to grow more than this is refused unopened; a sender stays below it.
  package static let expansionMax = 1000
  package static let controlBodyBytesMax = 64 << 10
  /// A record that is larger than a body comes in parts; the parts together are bounded too.
  package static let recordBytesMax = 1 << 30
}

/// Bytes of a peer that are no frame, or no body of their type. `offset` is the position in the connection's stream
/// where the frame begins; 0 when a body is looked at on its own.
package struct FrameError: Error, Hashable, Sendable, CustomStringConvertible {
  package enum Code: String, Hashable, Sendable {
    case badMagic, badHeaderChecksum, unknownType, badFlags, reservedNotZero, bodyTooLong, uncompressedTooLong
    case expansionTooHigh, badLength, badLSNs, badNumber, badBodyChecksum, badBody, badCompression
  }
  package let code: Code
  package let message: String
  package var offset: UInt64

  package init(_ code: Code, _ message: String, offset: UInt64 = 0) {
    self.code = code
    self.message = message
    self.offset = offset
  }
  package var description: String { "\(code.rawValue): \(message), in the frame at stream offset \(offset)" }
  package var asReplicationError: ReplicationError { ReplicationError(.badFrame, description) }
}

/// The facts of one frame.
package struct FrameHeader: Hashable, Sendable {
  package static let byteCount = 64
  static let continuedFlag: UInt8 = 4
  package static let magic: UInt32 = 0x3146_4C50  // "PLF1"

  package var type: FrameType
  package var compression: Compression = .none
  /// Log and delta only: the body is a part of the record `firstLSN`, and more of it follows in the next such frame.
  package var isContinued = false
  package var bodyBytes = 0
  package var uncompressedBytes = 0
  package var term = Term.none
  package var firstLSN = LSN.none
  package var lastLSN = LSN.none
  package var committedLSN = LSN.none
  package var masterClock = WallClock(milliseconds: 0)
  package var masterAge: UInt32 = 0

  package init(
    type: FrameType, compression: Compression = .none, bodyBytes: Int = 0, uncompressedBytes: Int? = nil,
    term: Term = .none, firstLSN: LSN = .none, lastLSN: LSN = .none, committedLSN: LSN = .none,
    masterClock: WallClock = WallClock(milliseconds: 0), masterAge: UInt32 = 0
  ) {
    self.type = type
    self.compression = compression
    self.bodyBytes = bodyBytes
    self.uncompressedBytes = uncompressedBytes ?? bodyBytes
    self.term = term
    self.firstLSN = firstLSN
    self.lastLSN = lastLSN
    self.committedLSN = committedLSN
    self.masterClock = masterClock
    self.masterAge = masterAge
  }

  package var carriesRecords: Bool { type == .log || type == .delta }

  /// fileChunk and fileDone: which file of the manifest.
  package var fileNumber: UInt64 { firstLSN.value }
  /// fileChunk: where in the file the body belongs. fileDone: the file's size.
  package var fileOffset: UInt64 { lastLSN.value }

  package static func fileChunk(
    number: UInt64, offset: UInt64, bytes: Int, term: Term = .none, committedLSN: LSN = .none,
    masterClock: WallClock = WallClock(milliseconds: 0), masterAge: UInt32 = 0
  ) -> FrameHeader {
    FrameHeader(
      type: .fileChunk, bodyBytes: bytes, term: term, firstLSN: LSN(number), lastLSN: LSN(offset),
      committedLSN: committedLSN, masterClock: masterClock, masterAge: masterAge)
  }

  /// Writes the 64 header bytes. The body follows them on the wire and may lie elsewhere.
  /// - Parameter bodyChecksum: crc32c of the `bodyBytes` bytes on the wire.
  package func write(to out: UnsafeMutableRawPointer, bodyChecksum: UInt32) {
    precondition(bodyBytes >= 0 && bodyBytes <= FrameLimits.bodyBytesMax, "a frame body of \(bodyBytes) bytes: \(self)")
    precondition(
      uncompressedBytes >= 0 && uncompressedBytes <= FrameLimits.uncompressedBytesMax,
      "a frame body of \(uncompressedBytes) uncompressed bytes: \(self)")
    out.put(Self.magic, at: 0)
    out.put(type.rawValue, at: 8)
    out.put(compression.rawValue | (isContinued ? Self.continuedFlag : 0), at: 9)
    out.put(UInt16(0), at: 10)
    out.put(UInt32(bodyBytes), at: 12)
    out.put(UInt32(uncompressedBytes), at: 16)
    out.put(bodyBytes == 0 ? 0 : bodyChecksum, at: 20)
    out.put(term.value, at: 24)
    out.put(masterAge, at: 28)
    out.put(firstLSN.value, at: 32)
    out.put(lastLSN.value, at: 40)
    out.put(committedLSN.value, at: 48)
    out.put(masterClock.milliseconds, at: 56)
    out.put(CRC32C.checksum(UnsafeRawPointer(out) + 8, count: Self.byteCount - 8), at: 4)
  }

  /// Writes the header for a body that is already in memory; its length must be `bodyBytes`.
  package func write(to out: UnsafeMutableRawPointer, body: UnsafeRawBufferPointer) {
    precondition(body.count == bodyBytes, "the header says \(bodyBytes) body bytes, there are \(body.count)")
    write(to: out, bodyChecksum: CRC32C.checksum(body))
  }

  /// Splits a log or delta frame whose one record is larger than a body may be. Ranges are half-open, in the record's bytes; a
  /// frame that fits comes back as it is. Only one record at a time may be larger than a body.
  package func parts() -> [(header: FrameHeader, range: Range<Int>)] {
    guard carriesRecords, bodyBytes > FrameLimits.bodyBytesMax else { return [(self, 0..<bodyBytes)] }
    precondition(
      firstLSN == lastLSN && bodyBytes <= FrameLimits.recordBytesMax, "a log frame that cannot be split: \(self)")
    var parts: [(header: FrameHeader, range: Range<Int>)] = []
    for start in stride(from: 0, to: bodyBytes, by: FrameLimits.bodyBytesMax) {
      let end = min(start + FrameLimits.bodyBytesMax, bodyBytes)
      var part = self
      part.bodyBytes = end - start
      part.uncompressedBytes = end - start
      part.isContinued = end < bodyBytes
      parts.append((part, start..<end))
    }
    return parts
  }

  /// A whole frame, header and body, for small control frames.
  package func frame(body: [UInt8] = []) -> [UInt8] {
    var header = self
    header.bodyBytes = body.count
    if header.compression == .none { header.uncompressedBytes = body.count }
    var out = [UInt8](repeating: 0, count: Self.byteCount)
    // The array is 64 bytes long, which is what `write` fills.
    out.withUnsafeMutableBytes { header.write(to: $0.baseAddress!, bodyChecksum: CRC32C.checksum(body)) }
    out.append(contentsOf: body)
    return out
  }
}
