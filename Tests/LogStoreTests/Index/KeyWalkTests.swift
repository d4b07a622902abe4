import Core
import LogStore
import Simulator
import Testing

/// A walk over keys beside a writer shows one moment.
@Suite struct KeyWalkTests {
  private func names(_ walk: KeyWalk) -> [String] {
    walk.records.map { String(decoding: $0.key, as: UTF8.self) }.sorted()
  }
  private func inEpoch<Result>(_ store: LogStore, _ body: () throws -> Result) throws -> Result {
    let place = try #require(store.epochs.join())
    store.epochs.enter(place)
    defer {
      store.epochs.leave(place)
      store.epochs.resign(place)
    }
    return try body()
  }

  @Test(arguments: 1...8) func whatChangesDuringTheWalkIsThatOfItsMoment(seed: UInt64) throws {
    let store = try TestDisk(seed: seed, segmentBytes: 1 << 16).create()
    for key in 0..<400 { store.put("key-\(key)", "v") }
    var state = seed &* 0x9E37_79B9_7F4A_7C15
    func draw(_ bound: UInt64) -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) % bound
    }
    var keys = Set((0..<400).map { "key-\($0)" })
    let begin = store.positions.applied
    /// What was there when so much of the log was applied.
    var moments = [begin: keys]
    var steps = 0
    let walk = try inEpoch(store) {
      store.keys(of: 0, from: 0, count: nil) { _ in
        // Others write between any two keys that the walk looks at, and between any two of those it corrects, when its
        // moment is over.
        steps += 1
        guard steps < 500 else { return true }
        for _ in 0..<draw(4) {
          let key = "key-\(draw(600))"
          if draw(2) == 0 {
            store.remove(key)
            keys.remove(key)
          } else {
            store.put(key, "new")
            keys.insert(key)
          }
          moments[store.positions.applied] = keys
        }
        return true
      }
    }
    #expect(walk.next == 0)
    #expect(walk.moment.value > begin.value + 100, "it saw writes")
    let expected = try #require(moments[walk.moment])
    #expect(names(walk) == expected.sorted())
  }

  @Test func whatIsNotWantedStaysOutHoweverItChanges() throws {
    let store = try TestDisk().create()
    for key in 0..<50 { store.put("key-\(key)", "v") }
    var isFirst = true
    let walk = try inEpoch(store) {
      store.keys(of: 0, from: 0, count: nil) { record in
        if isFirst {
          isFirst = false
          for key in 0..<50 where key % 2 == 0 { store.remove("key-\(key)") }
          store.put("other", "v")
          store.put("key-100", "v")
        }
        return record.key[0] == UInt8(ascii: "k")
      }
    }
    #expect(names(walk) == ((0..<50).filter { $0 % 2 == 1 }.map { "key-\($0)" } + ["key-100"]).sorted())
  }

  @Test func aDatabaseThatIsFlushedMeanwhileIsEmpty() throws {
    let store = try TestDisk().create()
    for key in 0..<50 { store.put("key-\(key)", "v") }
    var isFirst = true
    let walk = try inEpoch(store) {
      store.keys(of: 0, from: 0, count: nil) { _ in
        if isFirst {
          isFirst = false
          store.withWriteLock { access in _ = store.flushDatabase(0, access) }
          store.put("after", "v")
        }
        return true
      }
    }
    #expect(names(walk) == ["after"])
  }

  @Test func logThatIsGoneOrCompactedIsNotNeeded() throws {
    let disk = TestDisk(segmentBytes: 4096, opsBufferBytes: 0)
    let store = try disk.create()
    for key in 0..<100 { store.put("key-\(key)", String(repeating: "v", count: 50)) }
    try disk.settle(store)
    var steps = 0
    let walk = try inEpoch(store) {
      store.keys(of: 0, from: 0, count: nil) { _ in
        steps += 1
        if steps % 20 == 0, steps < 200 {
          for key in 0..<60 { store.put("key-\(key)", String(repeating: "w", count: 50)) }
          store.remove("key-\(steps / 20)")
          try? disk.settle(store)
          _ = try? store.compactAll(disk)
        }
        return true
      }
    }
    #expect(names(walk) == store.scanAll().map { String(decoding: $0, as: UTF8.self) }.sorted())
  }

  @Test func aStretchOfTheKeysGoesOnWhereItEnded() throws {
    let store = try TestDisk(segmentBytes: 1 << 16).create()
    for key in 0..<1000 { store.put("key-\(key)", "v") }
    var found: [String] = []
    var cursor: UInt64 = 0
    var calls = 0
    repeat {
      let walk = try inEpoch(store) {
        store.keys(of: 0, from: cursor, count: 10) { _ in
          if calls % 3 == 0 { store.put("extra-\(calls)", "v") }
          return true
        }
      }
      found += names(walk)
      cursor = walk.next
      calls += 1
    } while cursor != 0
    #expect(calls > 20)
    #expect(Set(found).count == found.count, "each key once")
    #expect(Set(found).isSuperset(of: (0..<1000).map { "key-\($0)" }))
  }
}
