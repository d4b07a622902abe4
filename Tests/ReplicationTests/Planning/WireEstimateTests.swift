import Core
import Testing

@testable import Replication

@Suite struct WireEstimateTests {
  private func cost(_ mode: SyncMode, _ change: (inout PlannerInput) -> Void) -> UInt64 {
    let report = SyncPlanner.plan(PlannerTests.input(change))
    return report.alternatives.first { $0.mode == mode }?.cost?.bytes ?? 0
  }

  @Test func anEmptyPartialSyncIsItsTwoFrames() {
    let begin = SyncBegin(
      mode: .partial, startLSN: LSN(1001), barrierLSN: LSN(1000), lineage: node(9), history: terms((1, 1), (2, 500)))
    let end = SyncEnd(snapshot: .none, barrierLSN: LSN(1000))
    #expect(
      cost(.partial) { $0.logBytesAfterCommon = 0 } == UInt64(128 + begin.encoded().count + end.encoded().count))
  }

  @Test func framesAndCompressionAreCounted() {
    let empty = cost(.partial) { $0.logBytesAfterCommon = 0 }
    let body = UInt64(RelayConfig().readBytesMax)
    #expect(cost(.partial) { $0.logBytesAfterCommon = body } - empty == body + 64)
    #expect(cost(.partial) { $0.logBytesAfterCommon = body + 1 } - empty == body + 1 + 128)
    #expect(
      cost(.partial) {
        $0.logBytesAfterCommon = 4 * body
        $0.ratios = LinkRatios(log: 0.25, delta: 1, files: 1)
      } - empty == body + 4 * 64)
  }

  @Test func eachPlanGoesByItsOwnRatio() {
    let ratios = LinkRatios(log: 0.5, delta: 0.25, files: 0.75)
    let full = cost(.full) { $0.ratios = ratios }
    #expect(full > 75_500_000 && full < 75_600_000)  // 100 MB of files, 1 MB of log
    let delta = cost(.delta) {
      $0.ratios = ratios
      $0.delta = .init(liveBytes: 40_000_000, liveRecords: 10, tombstonesFrom: LSN(1))
    }
    #expect(delta > 10_000_000 && delta < 10_030_000)
  }

  /// The barrier of partial and full is planned: what is written meanwhile comes behind it, but for the rest of a read.
  @Test func writesMeanwhileAreNotPartOfASyncWhoseBarrierIsFixed() {
    let idle = cost(.partial) { $0.logBytesAfterCommon = 50_000_000 }
    let busy = cost(.partial) {
      $0.logBytesAfterCommon = 50_000_000
      $0.expectedBytesPerSecond = 40_000_000
    }
    #expect(busy - idle <= 1 << 20)
    func delta(_ rate: UInt64) -> UInt64 {
      cost(.delta) {
        $0.delta = .init(liveBytes: 50_000_000, liveRecords: 10, tombstonesFrom: LSN(1))
        $0.expectedBytesPerSecond = rate
      }
    }
    // 0.58 s at 100 MB/s, 0.97 s with 40 MB/s on top.
    let more = delta(40_000_000) - delta(0)
    #expect(more > 38_000_000 && more < 39_500_000)
  }

  @Test func ratiosAreMeasuredByKindAndOnlyOfEnough() {
    var count = WireCount()
    count.sent(wireBytes: 100)
    count.sentBulk(.log, rawBytes: 100, bodyBytes: 20)
    #expect(count.wireBytes == 100 && count.ratios == LinkRatios())
    for _ in 0..<4 {
      count.sentBulk(.log, rawBytes: 100_000, bodyBytes: 25_000)
      count.sentBulk(.fileChunk, rawBytes: 100_000, bodyBytes: 100_000)
      count.sentBulk(.delta, rawBytes: 100_000, bodyBytes: 50_000)
      count.sentBulk(.heartbeat, rawBytes: 1_000_000, bodyBytes: 0)
    }
    #expect(abs((count.ratios.log ?? 0) - 0.25) < 0.001)
    #expect(count.ratios.files == 1 && count.ratios.delta == 0.5)
    #expect(LinkRatios(log: 0.5).completed(by: count.ratios) == LinkRatios(log: 0.5, delta: 0.5, files: 1))
  }
}

@Suite struct WriteRateMeterTests {
  private func totals(_ bytes: UInt64) -> WriteRateMeter.Totals { .init(records: bytes / 100, bytes: bytes) }

  @Test func aSteadyRateIsSeen() {
    var meter = WriteRateMeter()
    #expect(meter.rate(totals(5), now: at(0)).bytesPerSecond == 0)
    for ms in stride(from: UInt64(0), through: 5000, by: 100) where meter.wantsSample(now: at(ms)) {
      meter.sample(totals(ms * 1000), now: at(ms))
    }
    let rate = meter.rate(totals(5_050_000), now: at(5050))
    #expect(rate.bytesPerSecond == 1_000_000 && rate.recordsPerSecond == 10_000)
  }

  @Test func aBurstIsForgottenWithinASecondAfterItsEnd() {
    var meter = WriteRateMeter()
    for ms in stride(from: UInt64(0), through: 10_000, by: 200) { meter.sample(totals(ms * 50_000), now: at(ms)) }
    let end: UInt64 = 500_000_000
    #expect(meter.rate(totals(end), now: at(10_100)).bytesPerSecond > 30_000_000)
    for ms in stride(from: UInt64(10_200), through: 10_600, by: 200) { meter.sample(totals(end), now: at(ms)) }
    #expect(meter.rate(totals(end), now: at(10_700)).bytesPerSecond == 0)
    // Also if the thread that samples was held up meanwhile.
    var late = WriteRateMeter()
    late.sample(totals(0), now: at(0))
    late.sample(totals(end), now: at(1000))
    #expect(late.rate(totals(end), now: at(1200)).bytesPerSecond == 0)
  }

  @Test func aSingleBatchIsNoRate() {
    var meter = WriteRateMeter()
    for ms in stride(from: UInt64(0), through: 2000, by: 200) { meter.sample(totals(0), now: at(ms)) }
    #expect(meter.rate(totals(1_000_000), now: at(2050)).bytesPerSecond < 1_000_000)
  }

  @Test func anotherStoreBeginsAnew() {
    var meter = WriteRateMeter()
    meter.sample(totals(1_000_000), now: at(0))
    meter.sample(totals(10), now: at(1000))
    #expect(meter.rate(totals(10), now: at(1000)).bytesPerSecond == 0)
    #expect(meter.rate(totals(1010), now: at(2000)).bytesPerSecond == 1000)
    #expect(meter.rate(totals(.max), now: at(2000)).bytesPerSecond > 0)
  }

  @Test func samplesCountByTheBytesThatTheyStandFor() {
    var ratio = SampledRatio()
    #expect(ratio.value == nil)
    ratio.add(totalBytes: 900, sampleBytes: 10, compressedBytes: 2)
    ratio.add(totalBytes: 100, sampleBytes: 1000, compressedBytes: 1000)
    #expect(abs((ratio.value ?? 0) - 0.28) < 1e-9)
    ratio.add(totalBytes: 1000, sampleBytes: 0, compressedBytes: 0)
    #expect(abs((ratio.value ?? 0) - 0.64) < 1e-9)
  }

  @Test func samplesAreSpreadAndInside() {
    #expect(SampledRatio.offsets(total: 0, bytes: 10, count: 4) == [])
    #expect(SampledRatio.offsets(total: 7, bytes: 10, count: 4) == [0])
    #expect(SampledRatio.offsets(total: 15, bytes: 10, count: 4) == [2])
    #expect(SampledRatio.offsets(total: 25, bytes: 10, count: 4) == [0, 15])
    #expect(SampledRatio.offsets(total: 310, bytes: 10, count: 4) == [0, 100, 200, 300])
    #expect(SampledRatio.offsets(total: .max, bytes: 10, count: 4).allSatisfy { $0 <= .max - 10 })
  }
}
