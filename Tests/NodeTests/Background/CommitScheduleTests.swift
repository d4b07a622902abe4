import Core
import Node
import Testing

/// When the log is written and synced.
struct CommitScheduleTests {
  private let unwritten = LogProgress(isUnwritten: true, isUnflushed: true)
  private let unsynced = LogProgress(isUnflushed: true)
  private func tick(_ milliseconds: UInt64) -> Tick { Tick(milliseconds: milliseconds) }

  @Test func `with fsync every commit syncs, and the next one waits for nothing`() {
    var schedule = CommitSchedule(.fsync, intervalMilliseconds: 0, now: tick(0))
    #expect(schedule.next(unwritten, isAsked: true, now: tick(1)) == .commit(flush: true))
    #expect(schedule.done(flush: true, isBlocked: false, now: tick(2)) == 0)
  }

  @Test func `a log that is quiet gets its mark once`() {
    var schedule = CommitSchedule(.fsync, intervalMilliseconds: 0, now: tick(0))
    #expect(schedule.next(LogProgress(), isAsked: false, now: tick(1)) == .nothing, "nothing was written yet")
    _ = schedule.next(unwritten, isAsked: true, now: tick(2))
    #expect(schedule.next(LogProgress(), isAsked: true, now: tick(3)) == .nothing, "somebody may be about to write")
    #expect(schedule.next(LogProgress(), isAsked: false, now: tick(1003)) == .mark)
    #expect(schedule.next(LogProgress(), isAsked: false, now: tick(2003)) == .nothing)
  }

  @Test func `with an interval the log is written at once and synced when the interval is over`() {
    var schedule = CommitSchedule(.interval, intervalMilliseconds: 1000, now: tick(0))
    #expect(schedule.next(unwritten, isAsked: true, now: tick(10)) == .commit(flush: false))
    #expect(schedule.done(flush: false, isBlocked: false, now: tick(10)) == 1, "what comes within 1 ms is one write")
    #expect(schedule.waitMilliseconds(unsynced) == 500)
    #expect(schedule.next(unsynced, isAsked: false, now: tick(900)) == .nothing)
    #expect(schedule.next(unsynced, isAsked: false, now: tick(1000)) == .commit(flush: true))
    _ = schedule.done(flush: true, isBlocked: false, now: tick(1000))
    #expect(schedule.next(unsynced, isAsked: false, now: tick(1900)) == .nothing)
    #expect(schedule.waitMilliseconds(LogProgress()) == 1000)
  }

  @Test func `a full disk is tried again though there is nothing new, and not at once`() {
    var schedule = CommitSchedule(.fsync, intervalMilliseconds: 0, now: tick(0))
    let full = LogProgress(isDiskFull: true)
    #expect(schedule.next(full, isAsked: false, now: tick(1)) == .commit(flush: true))
    #expect(schedule.done(flush: true, isBlocked: true, now: tick(1)) == 200)
  }
}
