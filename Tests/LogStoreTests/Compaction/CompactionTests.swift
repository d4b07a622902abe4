import Core
import LogStore
import Simulator
import Testing

@Suite struct CompactionTests {
  private func bytesOnDisk(_ disk: TestDisk) -> Int {
    let names = (try? disk.files.list(disk.directory)) ?? []
    return names.reduce(0) { $0 + (disk.files.contents("\(disk.directory)/\($1)")?.count ?? 0) }
  }
  private func lsn(_ value: UInt64) -> LSN { LSN(value) }

  @Test func whatHalfAUnitReplacesStaysUntilTheOtherHalfIsGood() throws {
    let store = try TestDisk().create()
    store.put("a", "1")
    store.put("b", "1")
    store.withWriteLock { access in store.beginUnit(access) }
    for key in ["a", "b", "c"] { store.put(key, "2") }
    store.withWriteLock { access in store.endUnit(access) }
    store.put("d", "3")
    _ = store.commit(flush: true)
    for (committed, settled) in [(1, 1), (2, 2), (3, 2), (4, 2), (5, 5), (6, 6)] as [(UInt64, UInt64)] {
      store.positions.set(committed: LSN(committed))
      #expect(store.compactionBounds(neededFrom: LSN(.max)).settled == LSN(settled), "committed up to \(committed)")
    }
  }

  @Test func theRuleForEveryKindOfRecord() {
    typealias Newest = CompactionRules.Newest
    func fate(
      _ kind: RecordKind, _ lsn: UInt64, _ newest: Newest, settled: UInt64 = 100, neededFrom: UInt64 = .max,
      catalog: UInt64 = 0, older: UInt64 = .max
    ) -> CompactionRules.Fate {
      CompactionRules.fate(
        kind: kind, lsn: LSN(lsn), newest: newest, newestCatalog: LSN(catalog),
        bounds: CompactionBounds(settled: LSN(settled), neededFrom: LSN(neededFrom)), olderCleanUpTo: LSN(older))
    }
    #expect(fate(.put, 5, .record(lsn(5))) == .keep)
    #expect(fate(.put, 5, .record(lsn(100))) == .drop)
    #expect(fate(.put, 5, .record(lsn(101))) == .keepUntilSettled)
    #expect(fate(.put, 5, .absent(lastRemoval: lsn(100))) == .drop)
    #expect(fate(.put, 5, .absent(lastRemoval: lsn(101))) == .keepUntilSettled)
    #expect(fate(.put, 5, .tableDropped(by: lsn(7))) == .drop)
    #expect(fate(.put, 5, .tableDropped(by: lsn(107))) == .keepUntilSettled)
    #expect(fate(.put, 5, .unknown) == .keep)
    // A tombstone: replaced, needed by older files, needed by a slave, free to go.
    #expect(fate(.delete, 5, .record(lsn(9))) == .drop)
    #expect(fate(.delete, 5, .record(lsn(109))) == .keepUntilSettled)
    #expect(fate(.delete, 5, .absent(lastRemoval: lsn(9)), older: 4) == .keep)
    #expect(fate(.delete, 5, .absent(lastRemoval: lsn(9)), neededFrom: 5) == .keep)
    #expect(fate(.delete, 5, .absent(lastRemoval: lsn(9)), neededFrom: 6, older: 5) == .dropTombstone)
    #expect(fate(.delete, 5, .absent(lastRemoval: lsn(101)), older: 5) == .keepUntilSettled)
    #expect(fate(.delete, 5, .unknown) == .keep)
    #expect(fate(.delete, 5, .tableDropped(by: lsn(50))) == .drop)
    #expect(fate(.catalog, 5, .unknown, catalog: 5) == .keep)
    #expect(fate(.catalog, 5, .unknown, catalog: 9) == .drop)
    #expect(fate(.catalog, 5, .unknown, catalog: 109) == .keepUntilSettled)
    #expect(fate(.noop, 5, .unknown) == .drop)
  }

  @Test func thePlannerTakesWhatFreesMostAndLeavesWhatIsDense() {
    typealias Piece = CompactionPlanner.Piece
    let policy = CompactionPlanner.Policy(garbageRatio: 0.5, fileBytesMax: 1000)
    func choose(_ pieces: [Piece], forced: Bool = false) -> Range<Int>? {
      var policy = policy
      policy.forced = forced
      return CompactionPlanner.choose(pieces, policy)
    }
    let dense = Piece(bytes: 1000, liveBytes: 950)
    let half = Piece(bytes: 1000, liveBytes: 500)
    let empty = Piece(bytes: 1000, liveBytes: 0)
    let busy = Piece(bytes: 1000, liveBytes: 0, isEligible: false)
    #expect(choose([]) == nil)
    #expect(choose([dense, dense]) == nil)
    #expect(choose([dense, dense, half]) == nil, "still under the ratio")
    #expect(choose([dense, half, half]) == 1..<3, "two halves make one file")
    #expect(choose([dense, half, dense], forced: true) == 0..<1, "by force from the oldest on")
    #expect(choose([half, empty, dense, busy]) == 0..<2)
    #expect(choose([busy, busy]) == nil)
    var crowded = policy
    crowded.indexBytes = 600
    #expect(CompactionPlanner.choose([dense, dense, half], crowded) == 2..<3, "index files count")
    crowded.indexBytes = 1 << 40
    #expect(CompactionPlanner.choose([dense, dense], crowded) == nil, "but little garbage is left alone")
    crowded.indexBytes = 0
    crowded.reservedBytes = 1 << 40
    #expect(CompactionPlanner.choose([dense, dense, half], crowded) == nil, "reserved space is no reason")
    #expect(CompactionPlanner.choose([dense, half, half], crowded) == 1..<3, "but work begins earlier")
    #expect(
      CompactionPlanner.choose([dense, dense, Piece(bytes: 900, liveBytes: 700), busy, busy, busy], policy) == nil,
      "what is held by others is no reason")
    // Small neighbours are merged, whatever the ratio.
    let small = Piece(bytes: 100, liveBytes: 100)
    #expect(choose([dense, small, small, small, small, dense]) == 1..<5)
    #expect(choose([dense, small, small, small, dense]) == nil)
    let medium = Piece(bytes: 450, liveBytes: 450)
    #expect(choose([dense, medium, small, small, small, dense]) == nil, "not a large one for the sake of small ones")
    // Tombstones that wait for older pieces: the oldest piece with something dead comes first.
    let slightly = Piece(bytes: 1000, liveBytes: 970, lastLSN: LSN(10))
    let tombstones = Piece(bytes: 1000, liveBytes: 0, keptBytes: 990, lastLSN: LSN(20))
    #expect(choose([slightly, tombstones]) == 0..<1)
    var clean = slightly
    clean.cleanUpTo = LSN(20)
    #expect(choose([clean, tombstones]) == 1..<2)
    clean.cleanUpTo = LSN(19)
    #expect(choose([clean, tombstones]) == 0..<1)
    var held = tombstones
    held.isEligible = false
    #expect(choose([slightly, held]) == nil, "nothing is cleaned for tombstones that stay anyway")
    var locked = slightly
    locked.isEligible = false
    #expect(choose([locked, tombstones]) == nil, "nor for tombstones whose older pieces cannot be cleaned")
    var far = policy
    far.cleansForTombstones = false
    #expect(CompactionPlanner.choose([slightly, tombstones], far) == nil, "nor while a slave is far behind")
    let few = Piece(bytes: 1000, liveBytes: 900, keptBytes: 60, lastLSN: LSN(20))
    #expect(choose([slightly, slightly, slightly, few]) == nil, "nor for few of them")
  }

  @Test func deadRecordsLeaveTheDiskAndTheRestIsThere() throws {
    let disk = TestDisk(opsBufferBytes: 0)
    let store = try disk.create()
    var expected: [String: String] = [:]
    for round in 0..<20 {
      for key in 0..<40 {
        let value = "\(round)-" + String(repeating: "v", count: 60)
        store.put("key\(key)", value, expiry: key % 7 == 0 ? 9_000_000 : 0)
        expected["key\(key)"] = value
      }
    }
    for key in 0..<10 {
      store.remove("key\(key)")
      expected["key\(key)"] = nil
    }
    let digests = store.digests()
    try disk.settle(store)
    let before = bytesOnDisk(disk)
    let result = try store.compactAll(disk)
    #expect(result.recordsDropped > 10)
    // Two more generations, and the old files may go.
    for _ in 0..<3 { try disk.writeGeneration(store) }
    let figures = store.figures()
    #expect(figures.deadBytes <= figures.segments * 64 + 64, "\(figures)")
    #expect(bytesOnDisk(disk) < before / 5, "\(bytesOnDisk(disk)) of \(before)")
    #expect(store.digests() == digests)
    let again = try disk.open()
    for store in [store, again] {
      for key in 0..<40 {
        let value = expected["key\(key)"].map { Found.value(Array($0.utf8), expiry: key % 7 == 0 ? 9_000_000 : 0) }
        #expect(store.get("key\(key)") == value ?? .missing)
      }
    }
    #expect(again.digests() == digests)
    #expect(again.figures().liveBytes == figures.liveBytes)
    // What expires is found at its new place.
    again.expireAll(now: 10_000_000)
    #expect(again.get("key14") == .missing && again.get("key15") != .missing)
  }

  @Test func aTombstoneStaysWhileAnOlderRecordOfItsKeyIsOnDisk() throws {
    let disk = TestDisk(segmentBytes: 4096, opsBufferBytes: 0)
    let store = try disk.create()
    store.put("gone", String(repeating: "x", count: 200))
    for i in 0..<60 { store.put("a\(i)", String(repeating: "x", count: 100)) }
    store.remove("gone")
    let deleted = store.positions.appended
    for i in 0..<60 { store.put("b\(i)", String(repeating: "x", count: 100)) }
    for i in 0..<60 { store.put("b\(i)", String(repeating: "y", count: 100)) }
    try disk.settle(store)
    // A slave needs the log from the tombstone on: what is older may be compacted, the tombstone stays.
    _ = try store.compactAll(disk, neededFrom: deleted)
    #expect(store.tombstonesFrom == LSN(1))
    #expect(try disk.open().get("gone") == .missing)
    _ = try store.compactAll(disk)
    #expect(store.tombstonesFrom > deleted, "the last copy is gone, so is the tombstone")
    #expect(try disk.open().get("gone") == .missing)
    #expect(try disk.open().tombstonesFrom == store.tombstonesFrom)
  }

  @Test func nothingIsDroppedThatACrashOrAnotherNodeCouldNeed() throws {
    let disk = TestDisk(segmentBytes: 4096, opsBufferBytes: 0)
    let store = try disk.create()
    for round in 0..<4 { for i in 0..<30 { store.put("k\(i)", "\(round)" + String(repeating: "x", count: 90)) } }
    _ = store.commit(flush: true)
    _ = store.maintain(neededFrom: LSN(.max))
    #expect(try store.compactOnce(forcedBelow: .max) == nil, "nothing is committed yet")
    store.positions.set(committed: store.positions.durable)
    #expect(try store.compactOnce(neededFrom: LSN(1), forcedBelow: .max) == nil, "a slave needs everything")
    // The replacing records are written but not flushed: the job has to wait for them, and is given up.
    for i in 0..<30 { store.put("k\(i)", "new") }
    var job = store.nextCompaction(
      store.compactionBounds(neededFrom: LSN(.max)), garbageRatio: 0.1, waitsToSettle: true)
    while try job?.step(bytes: 100) == false {}
    #expect(try #require(try job?.close()) > store.positions.durable)
    job = nil
    for name in try disk.files.list(disk.directory) { #expect(!name.hasSuffix(".dat") && !name.hasSuffix(".tmp")) }
    for i in 0..<30 { #expect(store.get("k\(i)") == .text("new")) }
  }

  @Test func aDamagedRecordIsNotCompactedAway() throws {
    let disk = TestDisk(segmentBytes: 4096, opsBufferBytes: 0)
    let store = try disk.create()
    for i in 0..<90 { store.put("k\(i < 60 ? i : i - 50)", "\(i)" + String(repeating: "x", count: 90)) }
    try disk.settle(store)
    disk.files.flipBit(disk.path(LSN(1), ".wal"), offset: 64 + 40)
    let again = try disk.open()
    var failures = 0
    for _ in 0..<20 {
      do { if try again.compactOnce(forcedBelow: .max) == nil { break } } catch { failures += 1 }
    }
    #expect(failures == 1, "the damaged piece is tried once and left alone")
    #expect(disk.files.exists(disk.path(LSN(1), ".wal")))
    for i in 0..<60 { #expect(again.get("k\(i)") != .missing) }
  }

  /// Every call to the disk during compactions fails once: nothing is lost, and the next start is good.
  @Test func aFailingDiskDuringCompactionLosesNothing() throws {
    var n = 1
    while true {
      let disk = TestDisk(segmentBytes: 4096, opsBufferBytes: 0)
      let store = try disk.create()
      for round in 0..<3 { for i in 0..<40 { store.put("k\(i)", "\(round)" + String(repeating: "x", count: 90)) } }
      store.remove("k3")
      try disk.settle(store)
      disk.files.setFault(
        .init(
          number: n,
          errno: n % 2 == 0 ? SimulatedFileSystem.Fault.inputOutput : SimulatedFileSystem.Fault.noSpace))
      var failed = false
      do {
        while try store.compactOnce(garbageRatio: 0, forcedBelow: 50) != nil { try disk.writeGeneration(store) }
      } catch {
        failed = true
      }
      let fired = disk.files.faultFired
      disk.files.setFault(nil)
      for store in [store, try disk.open()] {
        #expect(store.get("k3") == .missing)
        for i in 0..<40 where i != 3 { #expect(store.get("k\(i)") != .missing, "call \(n)") }
      }
      if !fired { break }
      #expect(failed)
      n += TestScale.faultStep
    }
    #expect(n > 5)
  }
}

@Suite struct CompactionCompressionTests {
  private func text(_ i: Int) -> String {
    "{\"user\":\"name-\(i)\",\"mail\":\"name-\(i)@example.org\",\"roles\":[\"reader\",\"writer\"],\"visits\":\(i * 37)}"
  }

  @Test func compactionCompressesWithADictionaryOfTheFileAndEveryValueIsRead() throws {
    let disk = TestDisk(segmentBytes: 1 << 20, opsBufferBytes: 0)
    let store = try disk.create()
    store.compression = .zstd
    for i in 0..<20_000 { store.put("key\(i)", text(i)) }
    for i in stride(from: 0, to: 20_000, by: 5) { store.remove("key\(i)") }
    let digests = store.digests()
    let before = store.figures().liveBytes
    _ = try store.compactAll(disk)
    #expect(store.figures().liveBytes * 100 < before * 65, "\(store.figures().liveBytes) of \(before)")
    #expect(store.digests() == digests)
    // Once more: the values leave one file's dictionary for another's.
    for i in stride(from: 1, to: 20_000, by: 5) { store.remove("key\(i)") }
    _ = try store.compactAll(disk)
    for opened in [store, try disk.open()] {
      #expect(opened.digests() == store.digests() && opened.figures().liveBytes == store.figures().liveBytes)
      let expander = ValueExpander()
      let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)
      defer { room.deallocate() }
      for i in stride(from: 0, to: 20_000, by: 7) {
        let key = Array("key\(i)".utf8)
        try key.withUnsafeBytes { key in
          let (table, hash) = (opened.table(0), opened.hash(key))
          guard case .found(var record) = opened.find(table, hash, key) else {
            #expect(i % 5 < 2, "key \(i)")
            return
          }
          if record.isCompressed {
            let slot = try #require(opened.slot(of: record, table, hash))
            record = try expander.expand(
              record, dictionary: opened.dictionary(forSlot: slot, table: record.table), into: room)
          }
          #expect([UInt8](record.value) == Array(text(i).utf8))
        }
      }
    }
  }
}
