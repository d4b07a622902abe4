import Core
import Testing

@testable import Replication

@Suite struct FrameTests {
  static let body = Array("some records".utf8)
  static let logFrame = FrameHeader(
    type: .log, term: Term(3), firstLSN: LSN(10), lastLSN: LSN(12), committedLSN: LSN(9), masterClock: wall(1234)
  ).frame(body: body)

  @Test func aFrameComesBackAsItWasWritten() {
    let (frames, error, left) = decodeAll(Self.logFrame)
    #expect(error == nil && left == 0 && frames.count == 1)
    let header = frames[0].0
    #expect(header.type == .log && header.term == Term(3) && header.firstLSN == LSN(10) && header.lastLSN == LSN(12))
    #expect(header.committedLSN == LSN(9) && header.masterClock == wall(1234) && !header.isContinued)
    #expect(frames[0].1 == Self.body)
  }

  /// The first version's bytes. If this fails, the format changed: raise its version instead.
  @Test func theBytesOfVersionOneStay() {
    let expected: [UInt8] = [
      0x50, 0x4C, 0x46, 0x31,
    ]
    #expect(Array(Self.logFrame[0..<4]) == expected)
    #expect(Array(Self.logFrame[8..<16]) == [5, 0, 0, 0, 12, 0, 0, 0])
    #expect(
      Array(Self.logFrame[24..<48]) == [3, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0])
    #expect(Self.logFrame.count == 64 + 12)
    #expect(FrameType.allCases.map(\.rawValue) == Array(1...18))
  }

  @Test(arguments: [1, 2, 3, 63, 64, 65, 100])
  func everySplitOfTheStreamGivesTheSameFrames(chunk: Int) {
    let heartbeat = FrameHeader(type: .heartbeat, lastLSN: LSN(7)).frame()
    let stream = heartbeat + Self.logFrame + heartbeat
    let (frames, error, left) = decodeAll(stream, chunk: chunk)
    #expect(error == nil && left == 0)
    #expect(frames.map(\.0.type) == [.heartbeat, .log, .heartbeat])
  }

  @Test func aCutFrameIsNoFrame() {
    for end in 0..<Self.logFrame.count {
      let (frames, error, _) = decodeAll(Array(Self.logFrame[0..<end]))
      #expect(frames.isEmpty && error == nil, "cut at \(end)")
    }
  }

  @Test func everyFlippedBitIsFound() {
    for bit in 0..<(Self.logFrame.count * 8) {
      var bytes = Self.logFrame
      bytes[bit / 8] ^= 1 << UInt8(bit % 8)
      let (frames, error, _) = decodeAll(bytes)
      #expect(frames.isEmpty && error != nil, "bit \(bit)")
    }
  }

  @Test func hostileHeadersHaveNamedErrors() {
    func code(_ frame: [UInt8], _ change: (inout [UInt8]) -> Void) -> FrameError.Code? {
      let (frames, error, _) = decodeAll(forged(frame, change))
      #expect(frames.isEmpty)
      return error?.code
    }
    let log = Self.logFrame
    #expect(code(log) { $0[0] = 0 } == .badMagic)
    #expect(code(log) { $0[8] = 0 } == .unknownType)
    #expect(code(log) { $0[8] = 19 } == .unknownType)
    #expect(code(log) { $0[9] = 3 } == .badFlags)
    #expect(code(log) { $0[9] = 8 } == .badFlags)
    #expect(code(log) { $0[9] = 4 } == .badFlags)  // a part, but of three records
    #expect(code(log) { $0[10] = 1 } == .reservedNotZero)
    #expect(code(log) { $0[11] = 1 } == .reservedNotZero)
    // Length 2^32 - 1, and one byte too many: refused from the header alone, nothing is waited for.
    #expect(code(log) { put32(.max, at: 12, &$0) } == .bodyTooLong)
    #expect(code(log) { put32(4 << 20 + 1, at: 12, &$0) } == .bodyTooLong)
    #expect(code(log) { put32(.max, at: 16, &$0) } == .uncompressedTooLong)
    #expect(code(log) { put32(13, at: 16, &$0) } == .badLength)
    #expect(
      code(log) {
        $0[9] = 1; put32(12 * 1000 + 1, at: 16, &$0)
      } == .expansionTooHigh)
    #expect(
      code(log) {
        put32(0, at: 12, &$0); put32(0, at: 16, &$0)
      } == .badLSNs)
    #expect(code(log) { put64(0, at: 32, &$0) } == .badLSNs)
    #expect(code(log) { put64(13, at: 32, &$0) } == .badLSNs)
    #expect(code(log) { put64(.max, at: 40, &$0) } == .badLSNs)
    #expect(code(log) { put32(0, at: 24, &$0) } == .badLSNs)
    #expect(code(log) { $0[64] ^= 1 } == .badBodyChecksum)
    let heartbeat = FrameHeader(type: .heartbeat).frame()
    #expect(
      code(heartbeat) {
        put32(1, at: 12, &$0); put32(1, at: 16, &$0)
      } == .badLength)
    #expect(code(heartbeat) { $0[9] = 2 } == .badFlags)
    let ack = FrameHeader(type: .ack).frame(body: Ack(durableLSN: LSN(2), appliedLSN: LSN(1)).encoded())
    #expect(
      code(ack) {
        put32(31, at: 12, &$0); put32(31, at: 16, &$0)
      } == .badLength)
    let chunk = FrameHeader.fileChunk(number: 1, offset: 5, bytes: 3).frame(body: [1, 2, 3])
    #expect(code(chunk) { put64(.max - 1, at: 40, &$0) } == .badLength)
    #expect(
      code(chunk) {
        put32(0, at: 12, &$0); put32(0, at: 16, &$0)
      } == .badLength)
    let failure = FrameHeader(type: .error).frame(body: ErrorBody(code: "X", message: "y").encoded())
    #expect(
      code(failure) {
        put32(65537, at: 12, &$0); put32(65537, at: 16, &$0)
      } == .badLength)
  }

  @Test func theFirstErrorStaysAndNamesItsPlace() {
    let good = FrameHeader(type: .heartbeat).frame()
    var decoder = FrameDecoder()
    _ = try? good.withUnsafeBytes { try decoder.next($0) }
    let bad = [UInt8](repeating: 7, count: 64)
    for bytes in [bad, good] {
      let error = #expect(throws: FrameError.self) { try bytes.withUnsafeBytes { try decoder.next($0) } }
      #expect(error?.offset == 64 && error?.code == .badMagic)
    }
  }

  @Test func aRecordLargerThanABodyGoesInParts() {
    let total = FrameLimits.bodyBytesMax * 2 + 5
    var header = FrameHeader(type: .log, bodyBytes: total, term: Term(1), firstLSN: LSN(4), lastLSN: LSN(4))
    header.uncompressedBytes = total
    let parts = header.parts()
    #expect(parts.map(\.range.count) == [FrameLimits.bodyBytesMax, FrameLimits.bodyBytesMax, 5])
    #expect(parts.map(\.header.isContinued) == [true, true, false])
    let last = decodeAll(parts[0].header.frame(body: [1, 2]))
    #expect(last.error == nil && last.frames[0].0.isContinued)
  }

  @Test func theDecoderSaysHowManyBytesItWants() {
    var decoder = FrameDecoder()
    #expect(decoder.wantedBytes == 64)
    let head = Array(Self.logFrame[0..<64])
    let frame = try? head.withUnsafeBytes { try decoder.next($0) }
    #expect(frame == .some(nil))
    #expect(decoder.wantedBytes == 76)
  }

  /// Anything, cut anywhere: an error or a wait, never a crash, and never a frame that was not sent.
  @Test(arguments: 0..<15 as Range<UInt64>) func fuzz(seed: UInt64) {
    var rng = Seeded(seed)
    let samples: [[UInt8]] = [
      Self.logFrame, FrameHeader(type: .heartbeat).frame(),
      FrameHeader(type: .fileManifest).frame(
        body: FileManifest(snapshot: SnapshotID(5), files: [.init(number: 1, kind: .data, bytes: 100)]).encoded()),
      FrameHeader(type: .syncBegin).frame(
        body: SyncBegin(mode: .full, startLSN: LSN(1), barrierLSN: LSN(9), lineage: node(1), history: terms((1, 1)))
          .encoded()),
      FrameHeader(type: .digest, firstLSN: LSN(3)).frame(
        body: Digest(lsn: LSN(3), ranges: [.init(id: .init(database: 0, table: 1), sum: 4, liveRecords: 5)]).encoded()),
      FrameHeader(type: .slaveList).frame(
        body: SlaveList(
          revision: 1,
          slaves: [.init(id: node(2), address: place(1), state: .streaming, durableLSN: LSN(1), appliedLSN: LSN(1))]
        ).encoded()),
      FrameHeader(type: .needPlan).frame(body: NeedPlan(logAvailableFrom: LSN(1), code: "A", reason: "b").encoded()),
      FrameHeader(type: .error).frame(body: ErrorBody(code: "A", message: "b").encoded()),
      FrameHeader(type: .syncEnd).frame(body: SyncEnd(snapshot: .none, barrierLSN: LSN(1)).encoded()),
      FrameHeader(type: .delta, term: Term(2), firstLSN: LSN(10), lastLSN: LSN(1 << 40), committedLSN: LSN(1 << 40))
        .frame(body: [1, 2, 3]),
      FrameHeader(type: .deltaEnd).frame(
        body: DeltaEnd(
          barrierLSN: LSN(20), term: Term(2), records: 1, bytes: 3, checksum: 4, history: terms((1, 1), (2, 15))
        ).encoded()),
      FrameHeader(type: .fileDone, firstLSN: LSN(1)).frame(body: FileDone(snapshot: .none, checksum: 3).encoded()),
    ]
    for _ in 0..<400 {
      var stream: [UInt8] = []
      for _ in 0..<Int.random(in: 1...3, using: &rng) { stream += samples.randomElement(using: &rng)! }
      for _ in 0..<Int.random(in: 1...4, using: &rng) {
        let index = Int.random(in: 0..<stream.count, using: &rng)
        switch Int.random(in: 0..<4, using: &rng) {
        case 0: stream[index] = .random(in: 0...255, using: &rng)
        case 1: stream.remove(at: index)
        case 2: stream.insert(.random(in: 0...255, using: &rng), at: index)
        case _: stream.removeLast(min(index, stream.count - 1))
        }
        if stream.isEmpty { break }
      }
      let whole = decodeAll(stream)
      let pieces = decodeAll(stream, chunk: Int.random(in: 1...50, using: &rng))
      #expect(whole.frames.map(\.0) == pieces.frames.map(\.0) && whole.error == pieces.error)
      // Checksums right, body wrong: the body decoders see arbitrary bytes.
      var body = samples.randomElement(using: &rng)!.dropFirst(64).map { $0 }
      for _ in 0..<3 where !body.isEmpty {
        body[Int.random(in: 0..<body.count, using: &rng)] = .random(in: 0...255, using: &rng)
      }
      if Bool.random(using: &rng), !body.isEmpty { body.removeLast(Int.random(in: 1...body.count, using: &rng)) }
      for type in FrameType.allCases { _ = try? FrameBody.decode(FrameHeader(type: type), body) }
    }
  }

  @Test func deltaFramesMayHaveGapsAndNothingElseThatALogMayNot() {
    func error(_ first: UInt64, _ last: UInt64, term: UInt32 = 1, body: [UInt8] = [1], more: Bool = false)
      -> FrameError.Code?
    {
      var header = FrameHeader(type: .delta, term: Term(term), firstLSN: LSN(first), lastLSN: LSN(last))
      header.isContinued = more
      return decodeAll(header.frame(body: body)).error?.code
    }
    #expect(error(1, LSN.limit.value) == nil)
    #expect(error(5, 5, more: true) == nil)
    #expect(error(5, 6, more: true) == .badFlags)
    #expect(error(0, 5) == .badLSNs)
    #expect(error(6, 5) == .badLSNs)
    #expect(error(1, .max) == .badLSNs)
    #expect(error(1, 5, term: 0) == .badLSNs)
    #expect(error(1, 5, body: []) == .badLSNs)
    var large = FrameHeader(
      type: .delta, bodyBytes: 9 << 20, term: Term(1), firstLSN: LSN(7), lastLSN: LSN(7))
    #expect(large.parts().map(\.range) == [0..<(4 << 20), (4 << 20)..<(8 << 20), (8 << 20)..<(9 << 20)])
    #expect(large.parts().map(\.header.isContinued) == [true, true, false])
    large.bodyBytes = 5
    #expect(large.parts().count == 1)
  }
}
