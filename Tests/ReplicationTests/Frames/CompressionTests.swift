import CZstd
import Core
import Testing

@testable import Replication

@Suite struct CompressionTests {
  static func sample(_ bytes: Int, distinct: UInt8, seed: UInt64 = 1) -> [UInt8] {
    var rng = Seeded(seed)
    return (0..<bytes).map { _ in UInt8.random(in: 0..<distinct, using: &rng) }
  }
  func compress(_ method: Compression, _ body: [UInt8]) -> [UInt8]? {
    var compressor = BodyCompressor()
    var out = [UInt8](repeating: 0, count: max(1, body.count))
    let written = body.withUnsafeBytes { source in
      out.withUnsafeMutableBytes { compressor.compress(method, source, into: $0) }
    }
    return written.map { Array(out[0..<$0]) }
  }
  func open(_ method: Compression, _ body: [UInt8], _ bytes: Int) -> [UInt8]? {
    var compressor = BodyCompressor()
    var out = [UInt8](repeating: 0, count: bytes)
    do {
      try body.withUnsafeBytes { source in
        try out.withUnsafeMutableBytes { try compressor.open(method, source, into: $0) }
      }
      return out
    } catch {
      #expect((error as? FrameError)?.code == .badCompression)
      return nil
    }
  }

  @Test(arguments: [Compression.lz4, .zstd], [300, 70_000, 1 << 20])
  func whatIsCompressedOpensToTheSame(method: Compression, bytes: Int) throws {
    let body = Self.sample(bytes / 2, distinct: 3) + [UInt8](repeating: 5, count: bytes - bytes / 2)
    let small = try #require(compress(method, body))
    #expect(small.count <= body.count - body.count / 8)
    #expect(open(method, small, body.count) == body)
  }

  @Test(arguments: [Compression.lz4, .zstd]) func whatSavesTooLittleGoesAsItIs(method: Compression) {
    #expect(compress(method, Self.sample(100_000, distinct: 255)) == nil)
    #expect(compress(method, []) == nil)
  }

  @Test func aBodyOfZerosIsNotSentAsABomb() {
    // zstd would shrink it more than a thousand times, which a slave refuses.
    #expect(compress(.zstd, [UInt8](repeating: 0, count: 16 << 20)) == nil)
  }

  @Test(arguments: [Compression.lz4, .zstd]) func aWrongSizeIsRefused(method: Compression) throws {
    let body = [UInt8](repeating: 5, count: 1000)
    let small = try #require(compress(method, body))
    #expect(open(method, small, 999) == nil)
    #expect(open(method, small, 1001) == nil)
    #expect(open(method, small + [0], 1000) == nil)
    #expect(open(method, Array(small.dropLast()), 1000) == nil)
  }

  @Test func zstdFramesWithAWideWindowOrNoSizeAreRefused() throws {
    let body = [UInt8](repeating: 5, count: 1000)
    let small = try #require(compress(.zstd, body))
    // Not a single segment, window descriptor 31 - 10 in the upper five bits.
    var wide: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x40, UInt8((31 - 10) << 3)]
    wide += [0xE8, 0x02] + small.dropFirst(7)
    #expect(open(.zstd, wide, 1000) == nil)
    // The same frame written without its content size.
    let context = ZSTD_createCCtx()
    defer { ZSTD_freeCCtx(context) }
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0)
    var noSize = [UInt8](repeating: 0, count: 2000)
    let count = noSize.withUnsafeMutableBytes { out in
      body.withUnsafeBytes { ZSTD_compress2(context, out.baseAddress, out.count, $0.baseAddress, $0.count) }
    }
    #expect(open(.zstd, Array(noSize[0..<count]), 1000) == nil)
    // Two frames in one body, and no frame.
    #expect(open(.zstd, small + small, 1000) == nil)
    #expect(open(.zstd, [1, 2, 3], 1000) == nil)
  }

  @Test(arguments: [Compression.lz4, .zstd]) func damagedBodiesGiveAnErrorOrOtherBytesButNeverMore(method: Compression)
    throws
  {
    var rng = Seeded(7)
    let body = Self.sample(5000, distinct: 4)
    let small = try #require(compress(method, body))
    for _ in 0..<500 {
      var bad = small
      bad[Int.random(in: 0..<bad.count, using: &rng)] = .random(in: 0...255, using: &rng)
      if let opened = open(method, bad, body.count) { #expect(opened.count == body.count) }
    }
  }

  @Test func theChooserTriesLessAndLessOftenAndRecovers() {
    var chooser = CompressionChooser(method: .lz4)
    #expect(chooser.methodForNext(bodyBytes: 100) == .none)  // too small to be worth it
    var tries: [Int] = []
    for index in 0..<200 where chooser.methodForNext(bodyBytes: 1000) == .lz4 {
      tries.append(index)
      chooser.tried(paid: false)
    }
    #expect(tries == [0, 2, 5, 10, 19, 36, 69, 134, 199])
    while chooser.methodForNext(bodyBytes: 1000) == .none {}
    chooser.tried(paid: true)
    #expect(chooser.methodForNext(bodyBytes: 1000) == .lz4)
  }

  @Test func bothSidesUseOnlyWhatBothKnow() {
    #expect(CompressionChooser(negotiated: [], preferRatio: true).method == .none)
    #expect(CompressionChooser(negotiated: [.lz4, .files], preferRatio: true).method == .lz4)
    #expect(CompressionChooser(negotiated: .all, preferRatio: true).method == .zstd)
    #expect(CompressionChooser(negotiated: .all, preferRatio: false).method == .lz4)
  }

  @Test func bulkIsDenseWhereBytesAreScarceAndElseOnlyWhatShrinksMuch() throws {
    #expect(CompressionChooser.bulk(negotiated: .all, bytesAreScarce: true).method == .zstd)
    let fast = CompressionChooser.bulk(negotiated: .all, bytesAreScarce: false)
    #expect(fast.method == .lz4)
    #expect(CompressionChooser.bulk(negotiated: [.files], bytesAreScarce: true).method == .none)
    // A fifth of it is zeros: that pays for a live stream, not for bulk.
    let body = Self.sample(80_000, distinct: 255) + [UInt8](repeating: 0, count: 20_000)
    var compressor = BodyCompressor()
    var out = [UInt8](repeating: 0, count: body.count)
    func written(_ chooser: CompressionChooser) -> Int? {
      body.withUnsafeBytes { source in
        out.withUnsafeMutableBytes {
          compressor.compress(chooser.method, source, into: $0, savedPartMin: chooser.savedPartMin)
        }
      }
    }
    #expect(written(fast) == nil)
    #expect(try #require(written(CompressionChooser(negotiated: .all, preferRatio: false))) < 87_500)
  }

  @Test(arguments: [Compression.none, .lz4, .zstd]) func aWholeFrameGoesThroughDecoderAndOpens(method: Compression)
    throws
  {
    let body = Self.sample(50_000, distinct: 3)
    var compressor = BodyCompressor()
    var chooser = CompressionChooser(method: method)
    var wire = [UInt8](repeating: 0, count: 64 + body.count)
    let header = FrameHeader(type: .log, term: Term(1), firstLSN: LSN(1), lastLSN: LSN(9))
    let count = body.withUnsafeBytes { source in
      wire.withUnsafeMutableBytes { compressor.writeFrame(header, body: source, chooser: &chooser, into: $0) }
    }
    let frame = try #require(decodeAll(Array(wire[0..<count])).frames.first)
    #expect(frame.0.compression == method && frame.0.uncompressedBytes == body.count)
    #expect(open(method, frame.1, body.count) == body)
  }
}
