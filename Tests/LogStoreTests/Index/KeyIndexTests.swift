import Core
import LogStore
import Simulator
import Testing

@Suite struct KeyIndexTests {
  private func large() -> TestDisk { TestDisk(segmentBytes: 16 << 20, opsBufferBytes: 64 << 20) }
  private func key(_ i: Int) -> [UInt8] { withUnsafeBytes(of: UInt64(i).littleEndian) { [UInt8]($0) } }

  @Test func hundredsOfThousandsOfKeysAreFoundWhileTheIndexGrows() throws {
    let store = try large().create()
    let count = TestScale.factor > 1 ? 500_000 : 100_000
    for i in 0..<count {
      store.put(key(i), key(i &* 31))
      if i % 1000 == 0 { store.epochs.collect() }
    }
    #expect(store.keyCount(0) == count)
    for i in stride(from: 0, to: count, by: 7) { #expect(store.get(key(i)) == .value(key(i &* 31), expiry: 0)) }
    for i in count..<count + 1000 { #expect(store.get(key(i)) == .missing) }
    #expect(store.figures().indexBytes < count * 20 + 1024 * 1024)
    for i in stride(from: 0, to: count, by: 2) { store.remove(key(i)) }
    #expect(store.keyCount(0) == count / 2)
    for i in stride(from: 0, to: count, by: 5) {
      #expect(store.get(key(i)) == (i % 2 == 0 ? .missing : .value(key(i &* 31), expiry: 0)))
    }
  }

  @Test func manyEmptyDatabasesTakeLittleMemory() throws {
    let store = try TestDisk(databases: 1000).create()
    #expect(store.figures().indexBytes < 64 << 20)
    for database in [0, 999] {
      #expect(store.get("a", db: database) == .missing)
      store.put("a", "1", db: database)
      #expect(store.get("a", db: database) == .text("1") && store.get("a", db: 1) == .missing)
      store.remove("a", db: database)
      #expect(store.get("a", db: database) == .missing && store.keyCount(database) == 0)
    }
  }

  @Test func aScanMeetsEveryKeyThatStaysExactlyOnceWhileOthersComeAndGo() throws {
    let store = try large().create()
    for i in 0..<20_000 { store.put(key(i), []) }
    var random = SplitMix64(seed: 3)
    var seen: [[UInt8]: Int] = [:]
    var cursor: UInt64 = 0
    var fresh = 1_000_000
    repeat {
      cursor = store.scan(store.table(0), cursor: cursor, count: 50) { seen[[UInt8]($0.key), default: 0] += 1 }
      // Growth, deletes and overwrites between the calls; keys below 10,000 stay.
      for _ in 0..<150 {
        store.put(key(fresh), [])
        fresh += 1
      }
      for _ in 0..<20 { store.remove(key(10_000 + random.below(10_000))) }
      for _ in 0..<10 { store.put(key(random.below(10_000)), [1]) }
    } while cursor != 0
    for i in 0..<10_000 { #expect(seen[key(i)] == 1) }
    #expect(seen.values.allSatisfy { $0 == 1 })
  }

  @Test func aScanReturnsAboutAsManyKeysAsAskedFor() throws {
    let store = try large().create()
    for i in 0..<50_000 { store.put(key(i), []) }
    for asked in [1, 10, 100, 1000] {
      var got = 0
      _ = store.scan(store.table(0), cursor: 12_345 << 10, count: asked) { _ in got += 1 }
      #expect(got >= asked && got < asked * 3 + 40, "asked for \(asked)")
    }
  }

  @Test func scanTakesAnyCursor() throws {
    let store = try large().create()
    for i in 0..<100 { store.put(key(i), []) }
    var random = SplitMix64(seed: 8)
    let odd: [UInt64] = [.max, 1 << 34, (1 << 34) - 1, 1 << 63]
    for cursor in odd + (0..<200).map({ _ -> UInt64 in random.next() }) {
      _ = store.scan(store.table(0), cursor: cursor, count: 10) { _ in }
    }
  }

  @Test func anyRecordFindsOneAndNothingInAnEmptyDatabase() throws {
    let store = try large().create()
    var random = SplitMix64(seed: 8)
    #expect(store.anyRecord(store.table(0)) { random.next() % $0 } == nil)
    store.put("only", "1")
    for _ in 0..<20 { #expect(store.anyRecord(store.table(0)) { random.next() % $0 } != nil) }
    for i in 0..<1000 { store.put(key(i), []) }
    var different: Set<[UInt8]> = []
    for _ in 0..<300 {
      different.insert([UInt8](try #require(store.anyRecord(store.table(0)) { random.next() % $0 }).key))
    }
    #expect(different.count > 100)
  }

  @Test func freedMemoryWaitsForReadersInAnEpoch() throws {
    let epochs = EpochDomain()
    let reader = try #require(epochs.join())
    let freed = Counter()
    epochs.enter(reader)
    epochs.retire { freed.add() }
    epochs.collect()
    #expect(freed.value == 0 && epochs.retiredCount == 1)
    epochs.leave(reader)
    epochs.enter(reader)
    epochs.collect()
    #expect(freed.value == 1 && epochs.retiredCount == 0)
    epochs.resign(reader)
    let all = (0..<EpochDomain.participantsMax).compactMap { _ in epochs.join() }
    #expect(all.count == EpochDomain.participantsMax && epochs.join() == nil)
  }
}
