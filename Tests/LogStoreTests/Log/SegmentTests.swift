import Core
import LogStore
import Simulator
import Testing

@Suite struct SegmentTests {
  @Test func theLogReadsTheSameFromEveryLSNAndWithEveryBuffer() throws {
    let disk = TestDisk(opsBufferBytes: 8192)
    var work = RandomWorkload(seed: 5, databases: 4)
    let store = try disk.create()
    for _ in 0..<150 {
      _ = work.step(store)
      store.positions.set(committed: store.commit(flush: true).durable)
      _ = store.maintain(neededFrom: LSN(1))
    }
    let last = store.positions.appended
    let all = try store.records(from: LSN(1), to: last)
    #expect(all.map(\.lsn) == Array(1...last.value))
    for from in stride(from: UInt64(1), through: last.value + 1, by: 3) {
      let some = try store.records(from: LSN(from), to: last, buffer: 100 + Int(from) * 7)
      #expect(some.map(\.bytes) == all.dropFirst(Int(from) - 1).map(\.bytes))
      #expect(try store.records(from: LSN(from), to: LSN(from)).count == (from <= last.value ? 1 : 0))
    }
    let reopened = try disk.open()
    #expect(try reopened.records(from: LSN(1), to: last).map(\.bytes) == all.map(\.bytes))
    #expect(reopened.digests() == store.digests())
  }

  @Test func nothingIsReadBehindTheEndAlsoInUsedMemory() throws {
    let disk = TestDisk(opsBufferBytes: 0)
    let store = try disk.create()
    for i in 0..<100 {
      store.put("key", String(repeating: "x", count: 100 + i))
      try disk.settle(store)
      let last = store.positions.appended
      #expect(try store.records(from: last.next, to: LSN(.max)).isEmpty)
      #expect(try store.records(from: last, to: LSN(.max)).map(\.lsn) == [last.value])
    }
  }

  @Test func theOpsBufferKeepsTheNewestSegmentsInMemoryAndTheRestIsMapped() throws {
    let disk = TestDisk(opsBufferBytes: 10_000)
    let store = try disk.create()
    for i in 0..<200 { store.put("key\(i)", String(repeating: "v", count: 200)) }
    try disk.settle(store)
    let figures = store.figures()
    #expect(figures.segments > 8)
    #expect(figures.residentBytes <= 10_000 + 4096)
    for i in 0..<200 { #expect(store.get("key\(i)") == .text(String(repeating: "v", count: 200))) }
    #expect(figures.liveBytes == figures.dataBytes - figures.segments * SegmentFormat.headerBytes)
  }

  @Test func segmentsWithNothingAliveAreDroppedAndTheirSlotsUsedAgain() throws {
    let disk = TestDisk(opsBufferBytes: 0)
    let store = try disk.create()
    for round in 0..<400 {
      for i in 0..<5 { store.put("key\(i)", "\(round)" + String(repeating: "v", count: 500)) }
      try disk.settle(store)
    }
    #expect(store.figures().segments <= 4)
    #expect(store.firstRetainedLSN > LSN(1900))
    #expect(disk.files.paths.count <= 20)
    #expect(throws: LogReadError.self) { try store.records(from: LSN(1), to: LSN(10)) }
    for i in 0..<5 { #expect(store.get("key\(i)") == .text("399" + String(repeating: "v", count: 500))) }
    #expect(store.epochs.retiredCount <= 8)
    let again = try disk.open()
    #expect(again.positions.applied == store.positions.applied && again.digests() == store.digests())
  }

  @Test func aTombstoneStaysWhileAnOlderSegmentDoes() throws {
    let disk = TestDisk()
    let store = try disk.create()
    store.put("gone", String(repeating: "v", count: 3000))
    store.put("stays", String(repeating: "v", count: 600))
    store.remove("gone")
    for _ in 0..<10 { store.put("filler", String(repeating: "f", count: 3000)) }
    for _ in 0..<4 { try disk.settle(store) }
    let again = try disk.open()
    #expect(again.get("gone") == .missing)
    #expect(again.get("stays") == .text(String(repeating: "v", count: 600)))
    again.remove("stays")
    for _ in 0..<3 { again.put("filler", String(repeating: "f", count: 3000)) }
    for _ in 0..<4 { try disk.settle(again) }
    #expect(again.firstRetainedLSN > LSN(3), "the tombstones went with what they covered")
    #expect(try disk.open().get("gone") == .missing)
  }

  @Test func whatReplacedARecordMustBeDurableAndCommittedBeforeItsSegmentGoes() throws {
    let disk = TestDisk()
    let store = try disk.create()
    store.put("key", String(repeating: "1", count: 4000))
    store.put("other", String(repeating: "1", count: 4000))
    try disk.settle(store)
    store.put("key", String(repeating: "2", count: 4000))
    store.put("third", "x")
    _ = store.maintain(neededFrom: LSN(.max))
    #expect(store.firstRetainedLSN == LSN(1), "the new value is not on disk")
    _ = store.commit(flush: true)
    _ = store.maintain(neededFrom: LSN(.max))
    #expect(store.firstRetainedLSN == LSN(1), "the new value is not committed")
    store.positions.set(committed: store.positions.durable)
    _ = store.maintain(neededFrom: LSN(1))
    #expect(store.firstRetainedLSN == LSN(1), "a slave needs it")
    _ = store.maintain(neededFrom: LSN(.max))
    #expect(store.firstRetainedLSN == LSN(2))
  }

  @Test func aDroppedSegmentsFileStaysWhileAKeptGenerationNeedsIt() throws {
    let disk = TestDisk()
    let store = try disk.create()
    for i in 0..<12 { store.put("key", "\(i)" + String(repeating: "1", count: 3500)) }
    store.positions.set(committed: store.commit(flush: true).durable)
    _ = store.maintain(neededFrom: LSN(1))
    try disk.writeGeneration(store)
    let old = try #require(disk.generations.last)
    try disk.settle(store)
    #expect(store.firstRetainedLSN > LSN(5))
    let (fallback, _) = try disk.openWithReport(generation: old)
    #expect(fallback.digests() == store.digests())
    for _ in 0..<3 { try disk.writeGeneration(store) }
    #expect(!disk.files.exists(disk.path(LSN(1), ".wal")))
    #expect(try disk.open().digests() == store.digests())
  }

  @Test func lsnsGoOnWhenEverythingIsDropped() throws {
    let disk = TestDisk()
    let store = try disk.create()
    for i in 0..<20 {
      store.put("key", String(repeating: "1", count: 3000 + i))
      try disk.settle(store)
    }
    store.remove("key")
    try disk.settle(store)
    // The active segment's file is lost with a power cut before it was ever flushed: only what is sealed is left.
    for path in disk.files.paths where !disk.files.exists(path.dropLast(4) + ".idx") { try disk.files.unlink(path) }
    var again = try disk.open()
    for _ in 0..<3 {
      let last = again.positions.appended
      #expect(last > LSN(18))
      try disk.settle(again)
      again = try disk.open()
      #expect(again.positions.appended == last)
    }
  }

  @Test func pinnedSegmentsStay() throws {
    let disk = TestDisk()
    let store = try disk.create()
    for i in 0..<6 { store.put("key", "\(i)" + String(repeating: "1", count: 3500)) }
    store.positions.set(committed: store.commit(flush: true).durable)
    _ = store.maintain(neededFrom: LSN(1))
    let (pinned, logFrom) = store.pinSealedSegments()
    _ = store.maintain(neededFrom: LSN(.max))
    #expect(store.firstRetainedLSN == LSN(1) && pinned.count == 5 && logFrom == LSN(6))
    store.unpin(pinned)
    _ = store.maintain(neededFrom: LSN(.max))
    #expect(store.firstRetainedLSN == LSN(6))
    // All that was sealed was replaced: a full sync has no files and begins where the log does.
    let (none, first) = store.pinSealedSegments()
    #expect(none.isEmpty && first == LSN(6))
  }

  /// A power cut may bring back a file that was removed when its directory could not be flushed. By then the log has gone
  /// past it.
  @Test func aSegmentThatCouldNotBeMadeDoesNotComeBack() throws {
    for seed in UInt64(1)...20 {
      let disk = TestDisk(seed: seed)
      let store = try disk.create()
      store.put("a", "1")
      #expect(store.commit(flush: true).durable == LSN(1))
      store.withWriteLock { access in store.closeActiveSegment(access) }
      store.put("b", "2")
      disk.files.setFault(.init(call: .flushDirectory, number: 1, errno: SimulatedFileSystem.Fault.inputOutput))
      _ = store.commit(flush: true)
      #expect(disk.files.faultFired && store.isClosedForGood)
      disk.files.setFault(nil)
      disk.files.killProcess()
      let again = try disk.open()
      #expect(again.positions.appended == LSN(1))
      again.put("c", "3")
      again.put("d", "4")
      #expect(again.commit(flush: true).durable == LSN(3))
      disk.files.crash()
      #expect(try disk.open().positions.appended == LSN(3), "seed \(seed)")
    }
  }

  @Test func commitPositionsRiseInOrder() throws {
    let disk = TestDisk()
    let store = try disk.create()
    #expect(store.commit(flush: true).durable == .none)
    store.put("a", "1")
    #expect(store.positions.appended == LSN(1) && store.positions.written == .none)
    let written = store.commit(flush: false)
    #expect(written.written == LSN(1) && written.durable == .none && written.bytes > 0)
    let flushed = store.commit(flush: true)
    #expect(flushed.durable == LSN(1) && flushed.bytes == 0)
    store.put("a", "2")
    #expect(store.unwrittenBytes > 0)
    #expect(store.commit(flush: true).durable == LSN(2))
    #expect(store.unwrittenBytes == 0)
  }

  /// A record that does not fit into the empty active segment takes its place, name and file.
  @Test(arguments: [false, true], [false, true])
  func aRecordLargerThanASegmentBehindAnEmptyOneIsKept(emptyIsWritten: Bool, isSynced: Bool) throws {
    let disk = TestDisk(opsBufferBytes: 0)
    let store = try disk.create()
    store.put("a", "1")
    store.withWriteLock { access in store.closeActiveSegment(access) }
    if emptyIsWritten { _ = store.commit(flush: isSynced) }
    let large = String(repeating: "v", count: 9000)
    store.put("large", large)
    store.put("b", "2")
    for _ in 0..<3 { try disk.settle(store, neededFrom: LSN(1)) }
    #expect(store.figures().segments == 3)
    disk.files.crash()
    let again = try disk.open()
    #expect(again.get("a") == .text("1") && again.get("large") == .text(large) && again.get("b") == .text("2"))
  }
}
