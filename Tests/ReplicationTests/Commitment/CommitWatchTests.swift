import Core
import Testing

@testable import Replication

@Suite struct CommitWatchTests {
  static func config(_ policy: CommitTimeoutPolicy) -> CommitWatchConfig {
    var config = CommitWatchConfig()
    config.policy = policy
    config.timeoutMilliseconds = 1000
    return config
  }
  static func seen(
    _ durable: UInt64, held: UInt64, pending: (UInt64, UInt64)? = nil, streaming: Int = 1, needed: Int = 1
  ) -> CommitWatchEvent {
    .observed(
      CommitObservation(
        durableLSN: LSN(durable), heldLSN: LSN(held),
        pending: pending.map { .init(oldestLSN: LSN($0.0), since: at($0.1)) }, streamingSlaves: streaming,
        neededSlaves: needed))
  }

  @Test func underConsistencyItNeverDegrades() {
    var watch = CommitWatch(config: Self.config(.consistency))
    #expect(watch.step(Self.seen(10, held: 5, pending: (6, 0), streaming: 0), now: at(100_000)) == [])
    #expect(watch.state == .normal && watch.goodLSN == LSN(5))
  }

  @Test func underAvailabilityItDegradesAfterTheTimeoutAndSaysWhy() {
    var watch = CommitWatch(config: Self.config(.availability))
    #expect(watch.step(Self.seen(10, held: 5, pending: (6, 0), streaming: 0, needed: 2), now: at(999)) == [])
    #expect(watch.goodLSN == LSN(5))
    let actions = watch.step(.tick, now: at(1000))
    guard case .degraded(let reason)? = actions.first else {
      Issue.record("\(actions)")
      return
    }
    #expect(reason.contains("LSN 6 waited 1000 ms") && reason.contains("2 must have it") && watch.isDegraded)
    #expect(watch.goodLSN == LSN(10))
    #expect(watch.step(Self.seen(20, held: 5, streaming: 0), now: at(1001)) == [])
    #expect(watch.goodLSN == LSN(20))
  }

  @Test func withoutAWriteThatWaitsNothingHappens() {
    var watch = CommitWatch(config: Self.config(.availability))
    #expect(watch.step(Self.seen(10, held: 5, streaming: 0), now: at(100_000)) == [])
    // Nor with one that is good by now.
    #expect(watch.step(Self.seen(10, held: 8, pending: (8, 0)), now: at(200_000)) == [])
    #expect(watch.state == .normal)
  }

  static func degraded() -> CommitWatch {
    var watch = CommitWatch(config: config(.availability))
    _ = watch.step(seen(10, held: 5, pending: (6, 0), streaming: 0), now: at(1000))
    #expect(watch.state == .degraded(goal: LSN(10), since: at(1000)))
    return watch
  }

  @Test func itIsRestoredOnlyWhenTheSlavesHoldAllThatWasCalledGood() {
    var watch = Self.degraded()
    #expect(watch.step(Self.seen(30, held: 5, streaming: 0), now: at(5000)) == [])
    // They are back: the goal is what was durable when they were last missing.
    #expect(watch.step(Self.seen(40, held: 29), now: at(5100)) == [])
    #expect(watch.state == .degraded(goal: LSN(30), since: at(5000)) && watch.goodLSN == LSN(40))
    // They reached it: nothing new is called good until they hold LSN 50.
    #expect(watch.step(Self.seen(50, held: 30), now: at(5200)) == [])
    #expect(watch.state == .restoring(target: LSN(50), since: at(5200)))
    #expect(watch.step(Self.seen(60, held: 49), now: at(5300)) == [])
    #expect(watch.goodLSN == LSN(50))
    #expect(watch.step(Self.seen(60, held: 55), now: at(5400)) == [.restored(upTo: LSN(50))])
    #expect(watch.state == .normal && watch.goodLSN == LSN(55))
  }

  @Test func theyMayBeBackAndLevelAtOnce() {
    var watch = Self.degraded()
    #expect(watch.step(Self.seen(10, held: 10), now: at(1100)) == [.restored(upTo: LSN(10))])
  }

  @Test func slavesThatDoNotKeepUpWithinOneTimeoutGetANewGoal() {
    var watch = Self.degraded()
    #expect(watch.step(Self.seen(100, held: 9), now: at(2001)) == [])
    #expect(watch.state == .degraded(goal: LSN(100), since: at(2001)))
  }

  @Test func theWayBackHoldsWritesUpForOneTimeoutAtMost() {
    var watch = Self.degraded()
    _ = watch.step(Self.seen(50, held: 10), now: at(1500))
    #expect(watch.state == .restoring(target: LSN(50), since: at(1500)))
    #expect(watch.step(Self.seen(70, held: 20), now: at(2499)) == [] && watch.goodLSN == LSN(50))
    #expect(watch.step(.tick, now: at(2500)) == [])
    #expect(watch.state == .degraded(goal: LSN(70), since: at(2500)) && watch.goodLSN == LSN(70))
    // A slave that leaves ends it at once.
    _ = watch.step(Self.seen(70, held: 70), now: at(2600))
    #expect(watch.state == .normal)
    var other = Self.degraded()
    _ = other.step(Self.seen(50, held: 10), now: at(1500))
    _ = other.step(Self.seen(51, held: 10, streaming: 0), now: at(1501))
    #expect(other.goodLSN == LSN(51) && other.isDegraded)
  }

  @Test func achangeToConsistencyHoldsWritesUpUntilTheSlavesAreLevel() {
    var watch = Self.degraded()
    #expect(watch.step(.configured(Self.config(.consistency)), now: at(1500)) == [])
    #expect(watch.step(Self.seen(90, held: 5, streaming: 0), now: at(100_000)) == [])
    #expect(watch.goodLSN == LSN(10) && watch.state == .restoring(target: LSN(10), since: at(1500)))
    #expect(watch.step(Self.seen(90, held: 11), now: at(100_001)) == [.restored(upTo: LSN(10))])
    #expect(watch.goodLSN == LSN(11))
  }

  /// Whatever happens: good never goes back, and in the normal state all of it is held by the slaves.
  @Test(arguments: 0..<50 as Range<UInt64>) func nothingIsCalledGoodSilently(seed: UInt64) {
    var rng = Seeded(seed)
    var watch = CommitWatch(config: Self.config(.availability))
    var now = at(0)
    var durable: UInt64 = 0
    var held: UInt64 = 0
    var oldest: UInt64?
    var isLoud = false
    for _ in 0..<500 {
      now = now.advanced(by: UInt64.random(in: 0...600, using: &rng))
      let before = watch.goodLSN
      durable += UInt64.random(in: 0...3, using: &rng)
      let streaming = Int.random(in: 0...1, using: &rng)
      if streaming == 1 { held = UInt64.random(in: held...durable, using: &rng) }
      if held < durable { oldest = oldest ?? now.milliseconds } else { oldest = nil }
      let actions = watch.step(
        Self.seen(durable, held: held, pending: oldest.map { (held + 1, $0) }, streaming: streaming), now: now)
      for action in actions {
        switch action {
        case .degraded:
          #expect(!isLoud)
          isLoud = true
        case .restored(let lsn):
          #expect(isLoud && lsn.value <= held)
          isLoud = false
        }
      }
      #expect(isLoud == watch.isDegraded && watch.goodLSN >= before && watch.goodLSN.value <= durable)
      if watch.state == .normal { #expect(watch.goodLSN.value <= held) }
    }
  }

  @Test func theQueueOfWritesThatWaitIsBounded() {
    var config = Self.config(.consistency)
    config.pendingRecordsMax = 10
    config.pendingBytesMax = 100
    let watch = CommitWatch(config: config)
    #expect(watch.mayWrite(pendingRecords: 9, pendingBytes: 99))
    #expect(!watch.mayWrite(pendingRecords: 10, pendingBytes: 0))
    #expect(!watch.mayWrite(pendingRecords: 0, pendingBytes: 100))
  }

  @Test func enoughSlavesMustKeepUp() {
    let check = MinSlaves(slaves: 2, lagMillisecondsMax: 100)
    #expect(check.isMet(lagMilliseconds: [100, 0, 101]))
    #expect(!check.isMet(lagMilliseconds: [100, 101]))
    #expect(!check.isMet(lagMilliseconds: [0, nil]))
    #expect(!check.isMet(lagMilliseconds: []))
    #expect(MinSlaves().isMet(lagMilliseconds: []))
  }
}
