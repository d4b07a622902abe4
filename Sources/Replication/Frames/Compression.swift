// Raw memory: bodies are compressed from and into the caller's buffers; every call passes the buffer's true size.
import CLZ4
import CZstd

/// Compresses and opens frame bodies. Owned by one connection, used on one event loop at a time; keeps zstd's working
/// memory (a few MB) between frames, made at first use.
package struct BodyCompressor: ~Copyable {
  /// Compression must save at least this part of the body, or the body goes as it is: opening costs the slave time.
  package static let savedPartMin = 8
  package static let zstdWindowLogMax = 27
  package static let zstdLevel: Int32 = 1

  private var compressContext: OpaquePointer?
  private var openContext: OpaquePointer?

  package init() {}
  deinit {
    if let compressContext { ZSTD_freeCCtx(compressContext) }
    if let openContext { ZSTD_freeDCtx(openContext) }
  }

  /// How large `out` must be for `bytes` input bytes. Less is allowed: then what does not fit does not pay.
  package static func outputBytes(for bytes: Int, savedPartMin: Int = savedPartMin) -> Int {
    bytes - bytes / savedPartMin
  }

  /// Compresses a body.
  /// - Parameter savedPartMin: at least one such part of the body must be saved.
  /// - Returns: the number of bytes written to `out`, or nil if compression does not pay: it saves less than that,
  ///   or the body would open to more than `FrameLimits.expansionMax` times its size, which the other side refuses.
  package mutating func compress(
    _ method: Compression, _ body: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer,
    savedPartMin: Int = savedPartMin
  ) -> Int? {
    guard body.count > 0, body.count <= FrameLimits.uncompressedBytesMax, let source = body.baseAddress,
      let target = out.baseAddress
    else { return nil }
    let roomBytes = min(out.count, Self.outputBytes(for: body.count, savedPartMin: savedPartMin))
    let written: Int
    switch method {
    case .none: return nil
    case .lz4:
      written = Int(
        LZ4_compress_default(
          source.assumingMemoryBound(to: CChar.self), target.assumingMemoryBound(to: CChar.self), Int32(body.count),
          Int32(roomBytes)))
    case .zstd:
      if compressContext == nil { compressContext = ZSTD_createCCtx() }
      guard let compressContext else { return nil }
      let result = ZSTD_compressCCtx(compressContext, target, roomBytes, source, body.count, Self.zstdLevel)
      if ZSTD_isError(result) != 0 { return nil }
      written = Int(result)
    }
    guard written > 0, body.count <= written * FrameLimits.expansionMax else { return nil }
    return written
  }

  /// Writes a whole frame: header and body, compressed if the chooser wants it and it pays.
  /// - Parameters:
  ///   - header: lengths and compression are set here.
  ///   - out: at least 64 bytes and the body's; the body must not lie inside it.
  /// - Returns: how many bytes of `out` are to be sent.
  package mutating func writeFrame(
    _ header: FrameHeader, body: UnsafeRawBufferPointer, chooser: inout CompressionChooser,
    into out: UnsafeMutableRawBufferPointer
  ) -> Int {
    let headBytes = FrameHeader.byteCount
    precondition(out.count >= headBytes + body.count, "a frame of \(body.count) body bytes in \(out.count) bytes")
    guard let start = out.baseAddress else { preconditionFailure("a frame into no memory") }
    var header = header
    header.uncompressedBytes = body.count
    header.compression = header.type.mayBeCompressed ? chooser.methodForNext(bodyBytes: body.count) : .none
    if header.compression != .none {
      let target = UnsafeMutableRawBufferPointer(start: start + headBytes, count: body.count)
      let written = compress(header.compression, body, into: target, savedPartMin: chooser.savedPartMin)
      chooser.tried(paid: written != nil)
      header.bodyBytes = written ?? body.count
      if written == nil { header.compression = .none }
    }
    if header.compression == .none {
      header.bodyBytes = body.count
      if let source = body.baseAddress { (start + headBytes).copyMemory(from: source, byteCount: body.count) }
    }
    header.write(to: start, body: UnsafeRawBufferPointer(start: start + headBytes, count: header.bodyBytes))
    return headBytes + header.bodyBytes
  }

  /// Opens a body into exactly `out.count` bytes, which is the header's uncompressed size.
  package mutating func open(
    _ method: Compression, _ body: UnsafeRawBufferPointer, into out: UnsafeMutableRawBufferPointer
  ) throws(FrameError) {
    guard body.count <= FrameLimits.bodyBytesMax, out.count <= FrameLimits.uncompressedBytesMax,
      let source = body.baseAddress, let target = out.baseAddress
    else { throw FrameError(.badCompression, "\(body.count) bytes that open to \(out.count)") }
    switch method {
    case .none:
      guard body.count == out.count else {
        throw FrameError(.badCompression, "\(body.count) uncompressed bytes, \(out.count) announced")
      }
      target.copyMemory(from: source, byteCount: body.count)
    case .lz4:
      let opened = LZ4_decompress_safe(
        source.assumingMemoryBound(to: CChar.self), target.assumingMemoryBound(to: CChar.self), Int32(body.count),
        Int32(out.count))
      guard opened == Int32(out.count) else {
        throw FrameError(.badCompression, "a lz4 body that does not open to its \(out.count) bytes (\(opened))")
      }
    case .zstd:
      try Self.checkZstd(body, announcedBytes: out.count)
      if openContext == nil { openContext = ZSTD_createDCtx() }
      guard let openContext else { throw FrameError(.badCompression, "no memory to open a zstd body") }
      let opened = ZSTD_decompressDCtx(openContext, target, out.count, source, body.count)
      guard ZSTD_isError(opened) == 0, opened == out.count else {
        throw FrameError(.badCompression, "a zstd body that does not open to its \(out.count) bytes")
      }
    }
  }

  /// What zstd's one-shot call does not refuse by itself: a wide window (RFC 8878 section 3.1.1.1), a missing or
  /// another content size, more than one frame.
  private static func checkZstd(_ body: UnsafeRawBufferPointer, announcedBytes: Int) throws(FrameError) {
    guard body.count >= 6, body.loadUnaligned(fromByteOffset: 0, as: UInt32.self).littleEndian == 0xFD2F_B528 else {
      throw FrameError(.badCompression, "not a zstd frame")
    }
    let descriptor = body[4]
    let isSingleSegment = descriptor & 0x20 != 0
    if !isSingleSegment {
      let windowLog = 10 + Int(body[5] >> 3)
      guard windowLog <= zstdWindowLogMax else {
        throw FrameError(
          .badCompression, "a zstd window of 2^\(windowLog) bytes, at most 2^\(zstdWindowLogMax) is allowed")
      }
    }
    let content = ZSTD_getFrameContentSize(body.baseAddress, body.count)
    guard content == UInt64(announcedBytes) else {
      // Unknown and unreadable sizes are the two highest numbers, so they fail here too.
      throw FrameError(.badCompression, "a zstd frame that does not state the announced \(announcedBytes) bytes")
    }
    let frameBytes = ZSTD_findFrameCompressedSize(body.baseAddress, body.count)
    guard ZSTD_isError(frameBytes) == 0, frameBytes == body.count else {
      throw FrameError(.badCompression, "a zstd body that is not exactly one frame")
    }
  }
}

/// Whether the next body is worth a try. After a body that did not shrink the next ones go uncompressed: 1, 2, 4 ...
/// up to 64 of them. So incompressible data costs a sixty-fourth of the processor time, and data that turns
/// compressible is noticed soon. Pure; one per stream and kind of data.
package struct CompressionChooser: Hashable, Sendable {
  package static let bodyBytesMin = 256
  package static let skipMax = 64
  /// What is sent in bulk over a fast link must shrink by a quarter: else both processors work for too little.
  package static let bulkSavedPartMin = 4
  package let method: Compression
  package let savedPartMin: Int
  private var skipsLeft = 0
  private var nextSkip = 1

  package init(method: Compression, savedPartMin: Int = BodyCompressor.savedPartMin) {
    self.method = method
    self.savedPartMin = savedPartMin
  }

  /// For the files and live records of a sync. Fixed for the whole of it, so that its bytes can be told beforehand.
  /// - Parameter bytesAreScarce: a rate limit, or a link that was measured to be slow.
  package static func bulk(negotiated: Capabilities, bytesAreScarce: Bool) -> CompressionChooser {
    let best = CompressionChooser(negotiated: negotiated, preferRatio: bytesAreScarce)
    return bytesAreScarce ? best : CompressionChooser(method: best.method, savedPartMin: bulkSavedPartMin)
  }

  /// The best method both sides know; zstd for the slow link of a sync, lz4 where latency counts.
  package init(negotiated: Capabilities, preferRatio: Bool) {
    if negotiated.contains(.zstd), preferRatio || !negotiated.contains(.lz4) {
      self.init(method: .zstd)
    } else {
      self.init(method: negotiated.contains(.lz4) ? .lz4 : .none)
    }
  }

  /// The method to try on a body, `none` to send it as it is. Call `tried` after a try.
  package mutating func methodForNext(bodyBytes: Int) -> Compression {
    guard method != .none, bodyBytes >= Self.bodyBytesMin else { return .none }
    guard skipsLeft == 0 else {
      skipsLeft -= 1
      return .none
    }
    return method
  }

  package mutating func tried(paid: Bool) {
    if paid {
      nextSkip = 1
    } else {
      skipsLeft = nextSkip
      nextSkip = min(nextSkip * 2, Self.skipMax)
    }
  }
}
