import Core
import Testing

@testable import Replication

@Suite struct ExpiryClockTests {
  private let noon: UInt64 = 1_700_000_000_000
  private let day: UInt64 = 86_400_000
  private func clock() -> ExpiryClock { ExpiryClock(wall: wall(noon), now: at(1000)) }

  @Test func itMovesWithTheMonotonicClockBetweenTwoLooks() {
    var clock = clock()
    #expect(clock.read(now: at(1000)) == wall(noon))
    #expect(clock.read(now: at(4500)) == wall(noon + 3500))
    clock.look(wall(noon + 5001), now: at(6000))
    #expect(clock.read(now: at(6000)) == wall(noon + 5000), "whole milliseconds are no step")
  }

  @Test func aWallClockSetForwardIsFollowedAtOnce() {
    var clock = clock()
    clock.look(wall(noon + day), now: at(1100))
    #expect(clock.read(now: at(1100)) == wall(noon + day))
    #expect(clock.waitsForDeletion(now: at(1100)) == nil)
  }

  @Test func aWallClockSetBackIsFollowedWhenWhatHasExpiredIsDeleted() throws {
    var clock = clock()
    clock.look(wall(noon - 60_000), now: at(1100))
    let stood = clock.read(now: at(1100))
    #expect(stood == wall(noon + 100), "what was called expired stays so")
    // It never repeats itself for long, and gains next to nothing.
    #expect(clock.read(now: at(1200)) > stood)
    #expect(clock.read(now: at(2100)) <= wall(noon + 100 + 20))
    let waits = try #require(clock.waitsForDeletion(now: at(1200)))
    #expect(waits > clock.read(now: at(1200)))
    clock.look(wall(noon - 59_000), now: at(2100))
    #expect(clock.read(now: at(2100)) >= stood)
    clock.reclaimed(upTo: waits, wall: wall(noon - 59_000), now: at(2100))
    #expect(clock.read(now: at(2100)) == wall(noon - 59_000))
    #expect(clock.read(now: at(3100)) == wall(noon - 58_000))
    #expect(clock.waitsForDeletion(now: at(3100)) == nil)
  }

  @Test func whatTookTooLongToDeleteIsLookedAtAgain() throws {
    var clock = clock()
    clock.look(wall(noon - 60_000), now: at(1000))
    let first = try #require(clock.waitsForDeletion(now: at(1000)))
    clock.reclaimed(upTo: first, wall: wall(noon - 50_000), now: at(11_000))
    #expect(clock.read(now: at(11_000)) > first, "more has expired meanwhile")
    let second = try #require(clock.waitsForDeletion(now: at(11_000)))
    clock.reclaimed(upTo: second, wall: wall(noon - 50_000), now: at(11_100))
    #expect(clock.read(now: at(11_100)) == wall(noon - 50_000))
  }

  @Test func aWallClockThatCatchesUpEndsTheWait() {
    var clock = clock()
    clock.look(wall(noon - 300), now: at(1000))
    clock.look(wall(noon + 700), now: at(2000))
    #expect(clock.waitsForDeletion(now: at(2000)) == nil)
    #expect(clock.read(now: at(2500)) == wall(noon + 1200))
  }

  @Test func aSlaveFollowsTheFramesAndNotItsOwnClock() {
    var clock = clock()
    clock.follow(wall(noon + day), now: at(2000))
    #expect(clock.read(now: at(2000)) == wall(noon + day))
    #expect(clock.read(now: at(3000)) == wall(noon + day + 1000))
    #expect(clock.masterIsAhead(of: wall(noon + 1000), now: at(2000)) == Int64(day - 1000))
    // The master's clock was set back.
    clock.follow(wall(noon), now: at(3100))
    #expect(clock.read(now: at(3200)) == wall(noon + 100))
  }

  @Test func aFrameThatWasLongUnderWayDoesNotSetTheClockBack() {
    var clock = clock()
    clock.follow(wall(noon), now: at(10_000))
    for i in 1...50 as ClosedRange<UInt64> { clock.follow(wall(noon + i * 100), now: at(10_000 + i * 100)) }
    // The link stood still for ten seconds; what had piled up comes at once.
    for i in 51...150 as ClosedRange<UInt64> { clock.follow(wall(noon + i * 100), now: at(25_000 + i)) }
    #expect(clock.read(now: at(25_150)) >= wall(noon + 15_000))
    // One that lags for good is followed in the end.
    for i in 151...400 as ClosedRange<UInt64> { clock.follow(wall(noon + i * 100), now: at(10_700 + i * 100)) }
    #expect(clock.read(now: at(50_700)) <= wall(noon + 40_020))
  }

  @Test func aSlaveThatBecomesMasterWaitsLikeOneThatWasSetBack() throws {
    var clock = clock()
    clock.follow(wall(noon + day), now: at(2000))
    clock.look(wall(noon + 2000), now: at(3000))
    #expect(clock.masterIsAhead(of: wall(noon), now: at(3000)) == nil)
    let waits = try #require(clock.waitsForDeletion(now: at(3000)))
    #expect(waits >= wall(noon + day + 1000))
    clock.reclaimed(upTo: waits, wall: wall(noon + 2100), now: at(3100))
    #expect(clock.read(now: at(3100)) == wall(noon + 2100))
  }

  @Test func twoClocksThatPartAreToldOnce() {
    var comparison = ClockComparison()
    var now: UInt64 = 0
    func note(_ milliseconds: Int64?, for seconds: UInt64) -> [ClockComparison.Change] {
      (0..<seconds * 10).compactMap { _ in
        now += 100
        return comparison.note(milliseconds, now: at(now))
      }
    }
    #expect(note(nil, for: 5) == [])
    #expect(note(900, for: 5) == [])
    #expect(note(1500, for: 2) == [] && note(0, for: 1) == [], "something was under way for long")
    #expect(note(-1500, for: 10) == [.parted])
    #expect(note(-900, for: 5) == [])
    #expect(note(1200, for: 5) == [])
    #expect(note(100, for: 5) == [.met])
    #expect(note(1001, for: 5) == [.parted])
  }

  // MARK: What frames carry

  @Test func aClockInFramesThatWentBackCountsWhenTheDeletionsAreHere() {
    var clocks = AppliedClock()
    clocks.heard(wall(5000), committed: LSN(10), applied: LSN(10))
    clocks.heard(wall(2000), committed: LSN(14), applied: LSN(10))
    #expect(clocks.newest == wall(5000))
    clocks.heard(wall(2100), committed: LSN(20), applied: LSN(10))
    #expect(clocks.newest == wall(5000))
    clocks.reached(LSN(13))
    #expect(clocks.newest == wall(5000))
    clocks.reached(LSN(14))
    #expect(clocks.newest == wall(2100))
    clocks.heard(wall(2200), committed: LSN(21), applied: LSN(14))
    #expect(clocks.newest == wall(2200))
    clocks.heard(wall(1000), committed: LSN(14), applied: LSN(14))
    #expect(clocks.newest == wall(1000), "everything is here")
  }

  @Test func theLagIsMeasuredByTheClockAfterTheStep() {
    var clocks = AppliedClock()
    for lsn in 1...10 as ClosedRange<UInt64> { clocks.received(upTo: LSN(lsn), clock: wall(90_000 + lsn * 100)) }
    for lsn in 11...20 as ClosedRange<UInt64> { clocks.received(upTo: LSN(lsn), clock: wall(30_000 + lsn * 100)) }
    clocks.applied(upTo: LSN(10))
    #expect(clocks.applied == wall(91_000))
    clocks.applied(upTo: LSN(15))
    #expect(clocks.applied == wall(31_500))
  }

  @Test func twoStepsOfADayDoNotHideWhenFramesWereSent() throws {
    var sent = SentClocks()
    func answer(_ clock: UInt64, sentAt: UInt64) throws {
      let found = sent.earliest(wall(clock))
      let moment = try #require(found, "clock \(clock)")
      #expect(moment <= at(sentAt) && at(sentAt).since(moment) <= 20, "clock \(clock), sent at \(sentAt), \(moment)")
    }
    var now: UInt64 = 0
    for offset in [noon, noon + day, noon, noon - day, noon] {
      for _ in 0..<100 {
        now += 10
        sent.note(wall(offset + now), now: at(now))
        // An ack every 250 ms: it may skip a short step altogether.
        if now % 250 == 0 { try answer(offset + now, sentAt: now) }
      }
    }
    // Steps that last shorter than the pause between two acks.
    for offset in [noon + day, noon, noon + 2 * day, noon] {
      for _ in 0..<5 {
        now += 10
        sent.note(wall(offset + now), now: at(now))
      }
    }
    try answer(noon + now, sentAt: now)
  }
}
