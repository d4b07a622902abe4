import Core
import Testing

@testable import Replication

@Suite struct DigestComparisonTests {
  func digest(_ lsn: UInt64, _ ranges: (UInt32, UInt32, UInt64, UInt64)...) -> Digest {
    Digest(
      lsn: LSN(lsn),
      ranges: ranges.map { .init(id: .init(database: $0.0, table: $0.1), sum: $0.2, liveRecords: $0.3) })
  }
  @Test func equalDifferentAndNotComparable() {
    let one = digest(5, (0, 1, 7, 2), (1, 2, 8, 3))
    #expect(DigestComparison.compare(own: one, master: digest(5, (1, 2, 8, 3), (0, 1, 7, 2))) == .equal)
    #expect(
      DigestComparison.compare(own: one, master: digest(6, (0, 1, 7, 2))) == .notComparable(own: LSN(5), master: LSN(6))
    )
    let sums = DigestComparison.compare(own: one, master: digest(5, (0, 1, 7, 2), (1, 2, 9, 3)))
    #expect(sums == .different([.init(database: 1, table: 2)]) && sums.databases == [1])
    let counts = DigestComparison.compare(own: one, master: digest(5, (0, 1, 7, 1), (1, 2, 8, 3)))
    #expect(counts.databases == [0])
    let missing = DigestComparison.compare(own: one, master: digest(5, (0, 3, 1, 1), (1, 2, 8, 3), (4, 1, 1, 1)))
    #expect(
      missing == .different([.init(database: 0, table: 1), .init(database: 0, table: 3), .init(database: 4, table: 1)]))
    #expect(missing.databases == [0, 4])
    #expect(DigestComparison.compare(own: one, master: digest(5, (0, 1, 7, 2), (1, 2, 8, 3), (2, 1, 0, 0))) == .equal)
    #expect(DigestComparison.compare(own: digest(0), master: digest(0)) == .equal)
  }
}

@Suite struct RecordStreamCheckTests {
  func refusal(_ first: UInt64, _ last: UInt64, _ term: UInt32) -> ReplicationError.Code? {
    var check = RecordStreamCheck(nextLSN: LSN(10), term: Term(3))
    do {
      try check.take(firstLSN: LSN(first), lastLSN: LSN(last), term: Term(term))
      #expect(check == RecordStreamCheck(nextLSN: LSN(last + 1), term: Term(term)))
      return nil
    } catch {
      #expect(check == RecordStreamCheck(nextLSN: LSN(10), term: Term(3)))
      return error.code
    }
  }
  @Test func onlyWhatContinuesIsTaken() {
    #expect(refusal(10, 10, 3) == nil)
    #expect(refusal(10, 20, 4) == nil)
    #expect(refusal(11, 20, 3) == .logGap)
    #expect(refusal(9, 20, 3) == .logOverlap)
    #expect(refusal(10, 9, 3) == .logGap)
    #expect(refusal(10, .max, 3) == .logGap)
    #expect(refusal(.max, .max, 3) == .logGap)
    #expect(refusal(10, 12, 2) == .termBackwards)
    #expect(refusal(10, 12, 0) == .termBackwards)
  }
}

@Suite struct TokenBucketTests {
  func expectWait(_ bucket: inout TokenBucket, _ now: Tick, _ expected: UInt64) {
    let wait = bucket.waitMilliseconds(now: now)
    #expect(wait == expected)
  }
  @Test func theLongRunRateHolds() {
    var bucket = TokenBucket(bytesPerSecond: 1_000_000, now: at(0))
    var sent = 0
    for ms in stride(from: UInt64(0), to: 10_000, by: 7) where bucket.waitMilliseconds(now: at(ms)) == 0 {
      bucket.take(bytes: 64 << 10, now: at(ms))
      sent += 64 << 10
    }
    #expect(sent > 9_800_000 && sent < 10_300_000)
  }
  @Test func itSaysHowLongToWait() {
    var bucket = TokenBucket(bytesPerSecond: 1000, now: at(0))
    bucket.take(bytes: 1100, now: at(0))
    expectWait(&bucket, at(0), 1001)
    expectWait(&bucket, at(1000), 1)
    expectWait(&bucket, at(1001), 0)
  }
  @Test func noRateIsNoLimitAndHugeNumbersDoNotTrap() {
    var open = TokenBucket(bytesPerSecond: 0, now: at(0))
    open.take(bytes: .max, now: at(5))
    expectWait(&open, at(5), 0)
    var huge = TokenBucket(bytesPerSecond: .max, now: at(0))
    huge.take(bytes: 1 << 40, now: at(5))
    _ = huge.waitMilliseconds(now: at(.max))
    expectWait(&huge, at(.max), 0)
  }
}

@Suite struct WindowAndClockTests {
  @Test func theWindowCountsBytesByAckedLSN() {
    var window = SendWindow()
    for lsn in 1...100 { window.sent(upTo: LSN(UInt64(lsn)), bytes: 40_000) }
    #expect(window.inFlightBytes == 4_000_000)
    window.acked(upTo: LSN(50))
    #expect(window.inFlightBytes == 2_000_000)
    window.acked(upTo: LSN(40))
    window.acked(upTo: LSN(100))
    #expect(window.inFlightBytes == 0)
    window.sent(upTo: LSN(101), bytes: 1)
    #expect(window.inFlightBytes == 1)
  }
  @Test func theAppliedClockIsNeverNewerThanWhatIsApplied() {
    var clocks = AppliedClock()
    for lsn in UInt64(1)...5000 { clocks.received(upTo: LSN(lsn), clock: wall(lsn * 20)) }
    clocks.heard(wall(100_000), committed: LSN(5000), applied: .none)
    clocks.applied(upTo: LSN(10))
    #expect(clocks.applied == wall(200) && clocks.newest == wall(100_000))
    clocks.applied(upTo: LSN(4999))
    #expect(clocks.applied <= wall(4999 * 20))
    clocks.applied(upTo: LSN(5000))
    #expect(clocks.applied > wall(20_000))
  }
  @Test func ratesAndTimesLeft() {
    var meter = RateMeter(now: at(0), bytesDone: 0)
    #expect(meter.etaMilliseconds(bytesLeft: 5) == nil)
    let isEarly = meter.measure(bytesDone: 10, now: at(999))
    #expect(!isEarly)
    let isNews = meter.measure(bytesDone: 2000, now: at(1000))
    #expect(isNews)
    #expect(meter.bytesPerSecond == 2000 && meter.etaMilliseconds(bytesLeft: 4000) == 2000)
    #expect(meter.etaMilliseconds(bytesLeft: .max) != nil)
  }
  @Test func numbersAsPeopleReadThem() {
    #expect(
      Readable.bytes(999) == "999 B" && Readable.bytes(1_550_000) == "1.5 MB" && Readable.bytes(.max) == "18.4 EB")
    #expect(Readable.seconds(0.04) == "0.0 s" && Readable.seconds(90) == "90.0 s" && Readable.seconds(600) == "10 min")
    #expect(Readable.seconds(.infinity) == "no end in sight" && Readable.wholeSeconds(.nan) == 0)
  }
}

@Suite struct ReceivedSnapshotTests {
  @Test func aForgottenFileTakesTheLogBehindItAlong() {
    var received = ReceivedSnapshot(
      ResumeState(
        snapshot: SnapshotID(1), stagedLSN: LSN(9), files: [.init(number: 4, bytes: 10), .init(number: 2, bytes: 5)]))
    received.markVerified(4)
    #expect(received.heldBytes == 15 && received.bytes(of: 4) == 10)
    received.forget(4)
    #expect(received.heldBytes == 5 && received.stagedLSN == .none && received.verified.isEmpty)
    #expect(received.resume?.files == [.init(number: 4, bytes: 0), .init(number: 2, bytes: 5)])
  }
}
