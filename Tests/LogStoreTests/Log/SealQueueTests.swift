import Core
import Testing

@testable import LogStore

/// Writers wait while too much is written and not sealed: a count that drifted would hold them for ever, or never.
@Suite struct SealQueueTests {
  private func isCounted(_ store: LogStore) -> Bool {
    store.sealQueue.bytes == store.sealQueue.all.reduce(0) { $0 + $1.used }
  }

  @Test func whatAStartFindsUnsealedCountsUntilItIsSealed() throws {
    let disk = TestDisk(seed: 5, segmentBytes: 4096, opsBufferBytes: 1 << 20)
    var work = RandomWorkload(seed: 5, databases: 1)
    do {
      let store = try disk.create()
      for _ in 0..<400 { _ = work.step(store) }
      _ = store.commit(flush: true)
      #expect(isCounted(store) && store.sealQueue.bytes > 0)
    }
    let store = try disk.open()
    #expect(isCounted(store) && store.sealQueue.bytes > 0)
    #expect(store.maintain(neededFrom: LSN(1)).segmentsChanged)
    #expect(isCounted(store) && store.sealQueue.bytes == 0)
  }

  @Test func aDeltaSealsWhatTheOldLogEndedWith() throws {
    var unsealed = 0
    for seed in UInt64(1)...30 {
      var run = try DeltaRun(seed: seed &* 31_337)
      guard try run.receive() else { continue }
      unsealed += run.slave.sealQueue.bytes
      try run.install()
      #expect(isCounted(run.slave), "seed \(seed)")
    }
    #expect(unsealed > 0)
  }
}
