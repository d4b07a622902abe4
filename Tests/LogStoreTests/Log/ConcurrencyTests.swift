import Core
import LogStore
import Simulator
import Synchronization
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

final class Counter: Sendable {
  private let count = Atomic<Int>(0)
  func add() { count.wrappingAdd(1, ordering: .relaxed) }
  var value: Int { count.load(ordering: .relaxed) }
}

/// A thread that can be joined; the tests' threads must not share a pool with anything that waits.
final class TestThread {
  #if canImport(Darwin)
    private var handle: pthread_t?
  #else
    private var handle = pthread_t()
  #endif
  private final class Body {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
  }
  init(_ body: @escaping @Sendable () -> Void) {
    let box = Unmanaged.passRetained(Body(body)).toOpaque()
    #if canImport(Darwin)
      let code = pthread_create(
        &handle, nil,
        { raw in
          Unmanaged<Body>.fromOpaque(raw).takeRetainedValue().run()
          return nil
        }, box)
    #else
      let code = pthread_create(
        &handle, nil,
        { raw in
          Unmanaged<Body>.fromOpaque(raw!).takeRetainedValue().run()  // the box given below
          return nil
        }, box)
    #endif
    precondition(code == 0, "pthread_create failed with \(code)")
  }
  func join() {
    #if canImport(Darwin)
      if let handle { pthread_join(handle, nil) }
    #else
      pthread_join(handle, nil)
    #endif
  }
}

/// Polls until the condition holds, at most a minute: what then fails is the check that follows.
func waitUntil(_ condition: () -> Bool) {
  for _ in 0..<60_000 where !condition() { usleep(1000) }
}

@Suite struct ConcurrencyTests {
  /// key = number, value = number, then a version, then as many bytes as these two say.
  private static func value(_ key: Int, _ version: UInt64) -> [UInt8] {
    var out = ByteWriter()
    out.u64(UInt64(key))
    out.u64(version)
    let fill = UInt8(truncatingIfNeeded: UInt64(key) &* 31 &+ version)
    out.raw(repeatElement(fill, count: Int((UInt64(key) &+ version) % 300)))
    return out.bytes
  }
  private static func isWhole(_ bytes: UnsafeRawBufferPointer, key: Int) -> Bool {
    guard bytes.count >= 16, let base = bytes.baseAddress, base.u64(0) == UInt64(key) else { return false }
    let version = base.u64(8)
    guard bytes.count == 16 + Int((UInt64(key) &+ version) % 300) else { return false }
    let fill = UInt8(truncatingIfNeeded: UInt64(key) &* 31 &+ version)
    return bytes.dropFirst(16).allSatisfy { $0 == fill }
  }

  @Test func readersSeeWholeValuesDuringGrowthRollingMappingAndDropping() throws {
    let disk = TestDisk(segmentBytes: 16_384, opsBufferBytes: 65_536)
    let store = try disk.create()
    let keys = 3000
    for key in 0..<keys { store.put(Array("\(key)".utf8), Self.value(key, 0)) }
    let (bad, reads, sweeps) = (Counter(), Counter(), Counter())
    let steps = TestScale.isContinuousIntegration ? 8_000 : 15_000

    let flag = SharedFlag(store)
    var threads: [TestThread] = []
    for reader in 0..<3 {
      threads.append(
        TestThread {
          guard let participant = store.epochs.join() else { return bad.add() }
          var random = SplitMix64(seed: UInt64(reader))
          while !flag.isSet {
            store.epochs.enter(participant)
            for _ in 0..<20 {
              let key = random.below(keys)
              Array("\(key)".utf8).withUnsafeBytes { raw in
                // Keys below half of them are never deleted.
                switch store.find(store.table(0), store.hash(raw), raw) {
                case .found(let record): if !Self.isWhole(record.value, key: key) { bad.add() }
                case .missing: if key < keys / 2 { bad.add() }
                case .damaged: bad.add()
                }
              }
              reads.add()
            }
            store.epochs.leave(participant)
          }
          store.epochs.resign(participant)
        })
    }
    threads.append(
      TestThread {
        guard let participant = store.epochs.join() else { return bad.add() }
        var cursor = LogCursor(startingAt: LSN(1))
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 8192, alignment: 8)
        defer { buffer.deallocate() }
        while !flag.isSet {
          store.epochs.enter(participant)
          var needed = 0
          let before = cursor.next
          do throws(LogReadError) {
            if let run = try store.read(&cursor, upTo: store.positions.written, into: buffer, bytesNeeded: &needed) {
              if run.first < before || cursor.next != run.last.next { bad.add() }
            }
          } catch {
            if case .dropped = error { cursor = LogCursor(startingAt: store.firstRetainedLSN) } else { bad.add() }
          }
          store.epochs.leave(participant)
        }
      })
    threads.append(
      TestThread {
        while !flag.isSet {
          let result = store.commit(flush: true)
          store.positions.set(committed: result.durable)
        }
      })
    threads.append(
      TestThread {
        while !flag.isSet {
          if store.maintain(neededFrom: LSN(.max)).error != nil { bad.add() }
          sweeps.add()
        }
      })
    var random = SplitMix64(seed: 77)
    for step in 0..<steps {
      // Every so often this thread lets go of the store until the others have moved on: a lock is not fair, and on a
      // busy machine they may otherwise hardly run before the steps are done.
      if step % (steps / 10) == 0 {
        let (readsNow, sweepsNow) = (reads.value, sweeps.value)
        waitUntil { bad.value > 0 || (reads.value > readsNow + 100 && sweeps.value > sweepsNow) }
      }
      let key = random.chance(90) ? random.below(keys / 10) : random.below(keys)
      if key >= keys / 2, random.chance(30) {
        store.remove(Array("\(key)".utf8))
      } else {
        store.put(Array("\(key)".utf8), Self.value(key, UInt64(step)))
      }
      // New keys all the time: partitions grow.
      store.put(Array("new\(step)".utf8), [])
    }
    flag.set()
    for thread in threads { thread.join() }
    #expect(bad.value == 0 && reads.value >= 1000 && sweeps.value >= 10)
    #expect(store.writeRefusal == nil)
    try disk.settle(store)
    let again = try disk.open()
    #expect(again.digests() == store.digests())
  }
}

/// Tells threads to end; keeps what they use alive.
final class SharedFlag: Sendable {
  private let flag = Atomic<Bool>(false)
  private let store: LogStore
  init(_ store: LogStore) { self.store = store }
  func set() { flag.store(true, ordering: .releasing) }
  var isSet: Bool { flag.load(ordering: .acquiring) }
}
