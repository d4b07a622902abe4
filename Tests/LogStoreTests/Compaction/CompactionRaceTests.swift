import Core
import LogStore
import Simulator
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

@Suite struct CompactionRaceTests {
  /// What the threads of one round share.
  private final class Round: @unchecked Sendable {
    // Safe to share: `job` is written by one thread and read when that has been joined.
    let store: LogStore
    var job: CompactionJob?
    init(_ store: LogStore) { self.store = store }
  }

  /// The run is chosen off the write lock. A piece of it that is dropped as a whole meanwhile must not come back, and its
  /// neighbours keep their places.
  @Test func aRunOfWhichAPieceIsDroppedWhileItIsChosenIsNotCompacted() throws {
    let disk = TestDisk(segmentBytes: 4096, opsBufferBytes: 0)
    let store = try disk.create()
    let filler = String(repeating: "x", count: 300)
    store.put("first", "stays")
    for round in 0..<100 * TestScale.factor {
      // Many pieces, each with one record of its own that stays until the next round.
      for n in 0..<300 { store.put("key-\(n)", "\(round) \(filler)") }
      _ = store.commit(flush: true)
      // Sealed, but nothing dead is dropped: a slave needs all of it.
      try disk.settle(store, neededFrom: LSN(1))
      store.positions.set(committed: store.positions.durable)
      let bounds = store.compactionBounds(neededFrom: LSN(.max))
      let shared = Round(store)
      let access = store.writeLock.lock()
      let compactor = TestThread {
        shared.job = shared.store.nextCompaction(bounds, garbageRatio: 0.1, waitsToSettle: true, forcedBelow: .max)
      }
      let maintainer = TestThread { _ = shared.store.maintain(neededFrom: LSN(.max)) }
      // Not a wait for something: each round the two meet at another moment.
      usleep(UInt32(round % 5) * 100)
      store.writeLock.unlock(access)
      compactor.join()
      maintainer.join()
      if let job = shared.job {
        while try !job.step(bytes: 1 << 20) {}
        #expect(try job.close() <= store.positions.durable)
        _ = try job.install()
      }
      shared.job = nil
      let names = store.sealedPieces.map(\.name)
      #expect(names == names.sorted() && Set(names).count == names.count, "round \(round)")
      try disk.writeGeneration(store)
      if round % 20 == 19 {
        let digests = store.digests()
        #expect(store.get("first") == .text("stays"))
        for n in 0..<300 { #expect(store.get("key-\(n)") == .text("\(round) \(filler)")) }
        let copy = TestDisk(copying: disk, files: disk.files.copy())
        #expect(try copy.open().digests() == digests, "round \(round), opened again")
      }
    }
  }
}
