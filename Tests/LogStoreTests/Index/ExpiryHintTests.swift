import Core
import LogStore
import Simulator
import Testing

/// When keys are deleted whose time is over, by a clock that may be set back.
@Suite struct ExpiryHintTests {
  private func expire(_ store: LogStore, _ now: UInt64) -> Int {
    return store.withWriteLock { access in store.expireDue(now: now, limit: 1000, access).deleted }
  }

  @Test(arguments: [60_000, 86_400_000, 400 * 86_400_000] as [UInt64]) func aClockThatWasSetBackDeletesInTime(
    step: UInt64
  ) throws {
    let store = try TestDisk().create()
    let noon: UInt64 = 50_000_000_000
    store.wallClock = noon
    store.put("early", "v", expiry: noon + 500)
    #expect(expire(store, noon + 1000) == 1)
    let back = noon - step
    store.wallClock = back
    for key in 0..<50 { store.put("key-\(key)", "v", expiry: back + 1500) }
    #expect(expire(store, back + 1000) == 0)
    #expect(expire(store, back + 2000) == 50)
    #expect(store.keyCount(0) == 0)
  }

  @Test func aClockThatWasSetForthAndBackDeletesInTime() throws {
    let store = try TestDisk().create()
    let noon: UInt64 = 50_000_000_000
    store.wallClock = noon
    for hours in [0, 1, 2, 30] as [UInt64] { store.put("in \(hours)", "v", expiry: noon + hours * 3_600_000 + 900) }
    #expect(expire(store, noon + 1000) == 1)
    #expect(expire(store, noon + 2 * 3_600_000 + 1000) == 2)
    #expect(expire(store, noon + 2000) == 0)
    store.wallClock = noon + 2000
    store.put("again", "v", expiry: noon + 2900)
    #expect(expire(store, noon + 3000) == 1)
    #expect(expire(store, noon + 31 * 3_600_000) == 1)
    #expect(store.keyCount(0) == 0)
  }

  @Test func withoutARestTheKeysOfThePresentSecondGoAsWell() throws {
    let store = try TestDisk().create()
    store.wallClock = 10_000
    store.put("a", "v", expiry: 10_300)
    store.put("b", "v", expiry: 10_700)
    #expect(expire(store, 10_500) == 0, "hints are kept by the second")
    let access = store.writeLock.lock()
    var early: [LogStore.EarlyExpiry] = []
    let done = store.expireAll(upTo: 10_500, limit: 1000, early: &early, access)
    store.lookAgain(at: early, access)
    store.writeLock.unlock(access)
    #expect(done == (1, 2) && early.count == 1)
    #expect(store.get("a") == .missing)
    #expect(expire(store, 11_000) == 1, "and the others are not forgotten")
  }

  @Test func aSlaveThatBecomesMasterDeletesWhatHasWaited() throws {
    let store = try TestDisk().create()
    store.wallClock = 10_000
    store.put("a", "v", expiry: 12_000)
    #expect(store.reviewExpiries(now: 12_000, limit: 1000) == 1)
    #expect(store.reviewExpiries(now: 12_100, limit: 1000) == 0, "it waits for the master's deletion")
    #expect(store.reviewExpiries(now: 72_000, limit: 1000) == 1, "and is looked at again")
    #expect(expire(store, 72_100) == 1, "not a minute later")
  }
}
