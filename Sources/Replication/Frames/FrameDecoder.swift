// Raw memory: frames are checked in place in the receive buffer; every read is inside the bounds checked before it.
import Core

/// Finds frames in a connection's received bytes. Owned by the connection, lives on its event loop.
///
/// Holds no bytes: the caller keeps the unread bytes and hands them in from the first unread one. Needs memory for at
/// most one frame (64 bytes + 4 MiB), whatever a peer announces.
/// Invariant: after the first error every further call gives the same error; a broken stream has no next frame.
package struct FrameDecoder: Sendable {
  package struct Frame: Hashable, Sendable {
    package let header: FrameHeader
    /// Where the body is in the bytes handed in; as on the wire, perhaps compressed.
    package let body: Range<Int>
    /// How many bytes the caller must drop before it asks for the next frame.
    package let consumed: Int
  }

  /// How many bytes have been consumed since the connection turned to frames.
  package private(set) var streamOffset: UInt64 = 0
  private var pending: (header: FrameHeader, bodyChecksum: UInt32)?
  private var failure: FrameError?

  package init() {}

  /// How many unread bytes `next` wants to see before it can give a frame.
  package var wantedBytes: Int { FrameHeader.byteCount + (pending?.header.bodyBytes ?? 0) }

  /// The next whole frame, or nil while bytes are missing. Checks everything in the header as soon as it is there,
  /// the body's checksum when the body is. Cost: one crc32c over the frame.
  /// - Parameter unread: all unread bytes of the connection, beginning where the last frame ended.
  package mutating func next(_ unread: UnsafeRawBufferPointer) throws(FrameError) -> Frame? {
    if let failure { throw failure }
    do {
      return try decode(unread)
    } catch {
      var located = error
      located.offset = streamOffset
      failure = located
      throw located
    }
  }

  private mutating func decode(_ unread: UnsafeRawBufferPointer) throws(FrameError) -> Frame? {
    guard unread.count >= FrameHeader.byteCount, let start = unread.baseAddress else { return nil }
    if pending == nil { pending = try Self.header(at: start) }
    guard let (header, bodyChecksum) = pending else { return nil }
    let end = FrameHeader.byteCount + header.bodyBytes
    guard unread.count >= end else { return nil }
    if header.bodyBytes > 0 {
      let found = CRC32C.checksum(start + FrameHeader.byteCount, count: header.bodyBytes)
      guard found == bodyChecksum else {
        throw FrameError(.badBodyChecksum, "crc32c \(found) of a \(header.type) body, \(bodyChecksum) expected")
      }
    }
    pending = nil
    streamOffset &+= UInt64(end)
    return Frame(header: header, body: FrameHeader.byteCount..<end, consumed: end)
  }

  /// Reads and checks 64 bytes.
  private static func header(at start: UnsafeRawPointer) throws(FrameError) -> (FrameHeader, UInt32) {
    guard start.u32(0) == FrameHeader.magic else {
      throw FrameError(.badMagic, "not a frame: it begins with \(start.u32(0).byteSwapped)")
    }
    let checksum = CRC32C.checksum(start + 8, count: FrameHeader.byteCount - 8)
    guard start.u32(4) == checksum else {
      throw FrameError(.badHeaderChecksum, "crc32c \(checksum) of a header, \(start.u32(4)) expected")
    }
    guard let type = FrameType(rawValue: start.u8(8)) else {
      throw FrameError(.unknownType, "frame type \(start.u8(8))")
    }
    let flags = start.u8(9)
    guard flags & ~(FrameHeader.continuedFlag | 3) == 0, let compression = Compression(rawValue: flags & 3) else {
      throw FrameError(.badFlags, "frame flags \(flags)")
    }
    guard start.u16(10) == 0 else {
      throw FrameError(.reservedNotZero, "a reserved field of a \(type) frame is not 0")
    }
    guard let term = Term(outside: UInt64(start.u32(24))) else {
      throw FrameError(.badNumber, "a \(type) frame of term \(start.u32(24)), at most \(Term.limit) is allowed")
    }
    guard let clock = WallClock(outside: start.u64(56)) else {
      throw FrameError(
        .badNumber,
        "a \(type) frame with a clock of \(start.u64(56)) ms, at most \(WallClock.limit.milliseconds) is allowed")
    }
    var header = FrameHeader(
      type: type, compression: compression, bodyBytes: Int(start.u32(12)), uncompressedBytes: Int(start.u32(16)),
      term: term, firstLSN: LSN(start.u64(32)), lastLSN: LSN(start.u64(40)),
      committedLSN: LSN(start.u64(48)), masterClock: clock, masterAge: start.u32(28))
    header.isContinued = flags & FrameHeader.continuedFlag != 0
    guard !header.isContinued || (header.carriesRecords && header.firstLSN == header.lastLSN) else {
      throw FrameError(.badFlags, "a \(type) frame of LSN \(header.firstLSN) to \(header.lastLSN) that is a part")
    }
    try checkLengths(header)
    try checkFields(header)
    for field in [header.firstLSN, header.lastLSN, header.committedLSN] where field > LSN.limit {
      throw FrameError(.badNumber, "a \(type) frame with the number \(field), at most \(LSN.limit) is allowed")
    }
    return (header, start.u32(20))
  }

  private static func checkLengths(_ header: FrameHeader) throws(FrameError) {
    let wire = header.bodyBytes
    let opened = header.uncompressedBytes
    guard wire <= FrameLimits.bodyBytesMax else {
      throw FrameError(
        .bodyTooLong, "a \(header.type) body of \(wire) bytes, at most \(FrameLimits.bodyBytesMax) are allowed")
    }
    guard opened <= FrameLimits.uncompressedBytesMax else {
      throw FrameError(
        .uncompressedTooLong,
        "a body that opens to \(opened) bytes, at most \(FrameLimits.uncompressedBytesMax) are allowed")
    }
    switch header.compression {
    case .none:
      guard wire == opened else {
        throw FrameError(.badLength, "an uncompressed body of \(wire) bytes that claims to open to \(opened)")
      }
    case .lz4, .zstd:
      guard header.type.mayBeCompressed else { throw FrameError(.badFlags, "a compressed \(header.type) frame") }
      guard wire > 0, opened > 0 else { throw FrameError(.badLength, "an empty compressed body") }
      guard opened <= wire * FrameLimits.expansionMax else {
        throw FrameError(.expansionTooHigh, "\(wire) bytes that claim to open to \(opened)")
      }
    }
  }

  private static func checkFields(_ header: FrameHeader) throws(FrameError) {
    let bytes = header.uncompressedBytes
    switch header.type {
    case .log:
      guard header.firstLSN > .none, header.lastLSN >= header.firstLSN else {
        throw FrameError(.badLSNs, "a log frame of LSN \(header.firstLSN) to \(header.lastLSN)")
      }
      // A record has at least one byte, so the body bounds the count; the difference cannot overflow.
      guard header.lastLSN.value - header.firstLSN.value < UInt64(bytes) else {
        throw FrameError(.badLSNs, "LSN \(header.firstLSN) to \(header.lastLSN) in \(bytes) bytes")
      }
      guard header.term > .none else { throw FrameError(.badLSNs, "a log frame of term 0") }
    case .delta:
      // Gaps are what a delta is about: the body does not bound the difference.
      guard header.firstLSN > .none, header.lastLSN >= header.firstLSN, header.lastLSN.value < .max, bytes > 0 else {
        throw FrameError(.badLSNs, "a delta frame of LSN \(header.firstLSN) to \(header.lastLSN) in \(bytes) bytes")
      }
      guard header.term > .none else {
        throw FrameError(.badLSNs, "a delta frame of term 0")
      }
    case .fileChunk:
      guard bytes > 0 else { throw FrameError(.badLength, "an empty chunk of file \(header.fileNumber)") }
      guard !header.fileOffset.addingReportingOverflow(UInt64(bytes)).overflow else {
        throw FrameError(.badLength, "a chunk at offset \(header.fileOffset)")
      }
    case .heartbeat:
      guard bytes == 0 else { throw FrameError(.badLength, "a heartbeat with a body of \(bytes) bytes") }
    case .ack:
      guard bytes == Ack.byteCount else { throw FrameError(.badLength, "an ack with a body of \(bytes) bytes") }
    case .syncBegin, .fileDone, .syncEnd, .needPlan, .error, .deltaEnd, .handover, .prove, .proof, .upstreamPath:
      guard bytes > 0, bytes <= FrameLimits.controlBodyBytesMax else {
        throw FrameError(.badLength, "a \(header.type) body of \(bytes) bytes")
      }
    case .fileManifest, .slaveList, .digest:
      guard bytes > 0 else { throw FrameError(.badLength, "an empty \(header.type) body") }
    }
  }
}
