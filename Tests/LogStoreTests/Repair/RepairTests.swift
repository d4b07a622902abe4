import Core
import LogStore
import Simulator
import Testing

/// Damaged records are found by a check, fetched from a copy, and put back: the state and its digest are what they were.
@Suite struct RepairTests {
  private func disk(compacted: Bool) throws -> (TestDisk, Model) {
    let disk = TestDisk(opsBufferBytes: 0, databases: 2)
    var work = RandomWorkload(seed: 31, databases: 2)
    work.keys = 12
    work.valueBytesMax = 300
    work.oversizePercent = 0
    let store = try disk.create()
    for step in 0..<70 {
      _ = work.step(store)
      try disk.settle(store)
      if compacted, step == 30 { try store.compactAll(disk) }
    }
    _ = store.commit(flush: true)
    disk.files.killProcess()
    return (disk, work.model)
  }

  private func check(_ store: LogStore, _ name: LogFileName) throws -> PieceReport {
    let check = try #require(PieceCheck(store: store, name: name))
    while !check.step(bytes: 1000) {}
    return check.report
  }
  private func ranges(_ report: PieceReport) -> [ClosedRange<LSN>] { report.damaged.map { $0.lsn...$0.lsn } }
  private func copies(_ report: PieceReport, from peer: LogStore) throws -> [LSN: [UInt8]] {
    var copies: [LSN: [UInt8]] = [:]
    for range in ranges(report) {
      let answer = try #require(peer.fetchRecords(from: range.lowerBound, to: range.upperBound, bytesMax: 1 << 20))
      #expect(answer.next == .none && answer.records.count <= 1)
      if let record = answer.records.first { copies[range.lowerBound] = record }
    }
    return copies
  }

  @Test(arguments: [false, true]) func everyFlippedByteOfASealedFileIsFoundAndPutBack(compacted: Bool) throws {
    let (disk, model) = try disk(compacted: compacted)
    let good = TestDisk(copying: disk, files: disk.files.copy())
    let peer = try good.open()
    let digests = peer.digests()
    var repaired = 0
    var withRecords = 0
    for sealed in try #require(disk.generations.last).segments {
      let path = disk.directory + "/" + sealed.name.records
      // Behind the header, whose damage a start refuses.
      for offset in stride(from: 64, to: Int(sealed.bytes), by: max(7, TestScale.flipStep)) {
        let copy = TestDisk(copying: disk, files: disk.files.copy())
        copy.files.flipBit(path, offset: offset, bit: offset % 8)
        guard let store = try? copy.open() else { continue }
        let report = try check(store, sealed.name)
        #expect(!report.isGood, "\(path) at \(offset)")
        #expect(report.damaged.count <= 1)
        let job = try #require(RepairJob(store: store, name: sealed.name))
        try job.build(copies: try copies(report, from: peer))
        try job.install()
        try copy.writeGeneration(store)
        model.check(store, at: model.last, "\(path) at \(offset), repaired")
        #expect(store.digests() == digests, "\(path) at \(offset)")
        for piece in store.sealedPieces { #expect(try check(store, piece.name).isGood) }
        repaired += 1
        withRecords += report.damaged.count
        _ = store.commit(flush: true)
        copy.files.killProcess()
        model.check(try copy.open(), at: model.last, "\(path) at \(offset), repaired and opened again")
      }
    }
    #expect(repaired > 20 && withRecords > 10)
  }

  @Test func withoutACopyNothingChangesAndAWrongCopyIsNotTaken() throws {
    let (disk, _) = try disk(compacted: false)
    let good = TestDisk(copying: disk, files: disk.files.copy())
    let peer = try good.open()
    let sealed = try #require(disk.generations.last?.segments.last)
    let path = disk.directory + "/" + sealed.name.records
    disk.files.flipBit(path, offset: Int(sealed.bytes) - 12)
    let store = try disk.open()
    let report = try check(store, sealed.name)
    let lsn = try #require(report.damaged.first).lsn
    let before = disk.files.paths
    var right = try #require(try copies(report, from: peer)[lsn])
    let other = try #require(
      peer.fetchRecords(from: lsn.previous, to: lsn.previous, bytesMax: 1 << 20)?.records.first)
    right[right.count - 9] ^= 1
    for given in [[:], [lsn: other], [lsn: right], [lsn: []], [lsn: Array(right.prefix(31))]] as [[LSN: [UInt8]]] {
      do {
        let job = try #require(RepairJob(store: store, name: sealed.name))
        #expect(throws: RepairFailure.self) { try job.build(copies: given) }
      }
      #expect(disk.files.paths == before)
    }
    #expect(try check(store, sealed.name).damaged == report.damaged)
  }

  @Test func filesThatOlderGenerationsNameAreACopy() throws {
    let disk = TestDisk(opsBufferBytes: 0, databases: 2)
    let store = try disk.create()
    for n in 0..<200 {
      store.put("key-\(n % 80)", "value \(n) " + String(repeating: "y", count: 50))
      try disk.settle(store)
    }
    let compacted = try store.compactOnce(forcedBelow: 1 << 20)
    try #require(compacted != nil)
    try disk.writeGeneration(store)
    let name = try #require(store.sealedPieces.first { $0.name.isData }).name
    let path = disk.directory + "/" + name.records
    disk.files.killProcess()
    disk.files.flipBit(path, offset: 64 + 40)
    let again = try disk.open()
    let report = try check(again, name)
    #expect(report.damaged.count == 1)
    let job = try #require(RepairJob(store: again, name: name))
    try job.build(copies: again.recordsInReplacedFiles(ranges(report)))
    try job.install()
    for n in 120..<200 { #expect(again.get("key-\(n % 80)") == store.get("key-\(n % 80)")) }
    #expect(again.digests() == store.digests())
  }

  @Test func aDamagedIndexFileIsMadeAnewByTheCheck() throws {
    let (disk, _) = try disk(compacted: false)
    let store = try disk.open()
    let name = try #require(store.sealedPieces.first).name
    let path = disk.directory + "/" + name.index
    disk.files.flipBit(path, offset: 70)
    let report = try check(store, name)
    #expect(report.isIndexRebuilt && report.isGood)
    #expect(try !check(store, name).isIndexRebuilt)
  }

  @Test func anAnswerIsBoundedAndGoesOn() throws {
    let (disk, model) = try disk(compacted: false)
    let store = try disk.open()
    var lsns: [UInt64] = []
    var from = LSN(1)
    var calls = 0
    while from != .none {
      let answer = try #require(store.fetchRecords(from: from, to: model.last, bytesMax: 500))
      for record in answer.records {
        lsns.append(record.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 16, as: UInt64.self) })
      }
      #expect(answer.next == .none || answer.next > from)
      from = answer.next
      calls += 1
    }
    #expect(lsns.count > 30 && lsns.last == model.last.value)
    #expect(lsns == Array(lsns[0]...model.last.value))
    #expect(calls > 10)
  }

  // MARK: What is left out

  /// Turns a bit of a raw record over, before a start. Gives the piece that it stands in.
  private func damage(_ lsn: LSN, on disk: TestDisk, _ store: LogStore) throws -> LogFileName {
    let sealed = try #require(disk.generations.last?.segments.first { $0.firstLSN <= lsn && $0.lastLSN >= lsn })
    try #require(!sealed.name.isData)
    let before = try store.records(from: sealed.firstLSN, to: lsn.previous)
    let at = 64 + before.reduce(0) { $0 + $1.bytes.count }
    disk.files.killProcess()
    disk.files.flipBit(disk.directory + "/" + sealed.name.records, offset: at + 33)
    return sealed.name
  }

  private func repair(
    _ store: LogStore, _ name: LogFileName, settled: LSN, neededFrom: LSN = LSN(.max)
  ) throws {
    let job = try #require(RepairJob(store: store, name: name))
    try job.build(copies: [:], bounds: CompactionBounds(settled: settled, neededFrom: neededFrom))
    try job.install()
  }

  private func isMissing(_ lsn: LSN, _ body: () throws -> Void) -> Bool {
    do { try body() } catch RepairFailure.missing(let lsns) { return lsns == [lsn] } catch { return false }
    return false
  }

  @Test func aReplacedRecordOfWhichNobodyHasACopyIsLeftOutWhenWhatReplacedItIsSettled() throws {
    let disk = TestDisk(opsBufferBytes: 0)
    let store = try disk.create()
    store.put("key", "old")
    for n in 0..<80 { store.put("other-\(n)", String(repeating: "y", count: 80)) }
    store.put("key", "new")
    let replaced = store.positions.appended
    for n in 0..<80 { store.put("more-\(n)", String(repeating: "y", count: 80)) }
    try disk.settle(store)
    let digests = store.digests()
    let name = try damage(LSN(1), on: disk, store)
    let again = try disk.open()
    #expect(try check(again, name).damaged.map(\.lsn) == [LSN(1)])
    #expect(isMissing(LSN(1)) { try repair(again, name, settled: replaced.previous) })
    try repair(again, name, settled: replaced)
    #expect(again.rewindFloor == replaced, "cut back further, the log would need it")
    try disk.writeGeneration(again)
    disk.files.killProcess()
    for opened in [again, try disk.open()] {
      #expect(opened.get("key") == .text("new") && opened.digests() == digests)
      for piece in opened.sealedPieces { #expect(try check(opened, piece.name).isGood) }
    }
  }

  @Test func aLostDeletionIsLeftOutWhenNothingNeedsItAnyMore() throws {
    let disk = TestDisk(opsBufferBytes: 0)
    let store = try disk.create()
    store.put("gone", String(repeating: "x", count: 200))
    for n in 0..<60 { store.put("a\(n)", String(repeating: "x", count: 100)) }
    store.remove("gone")
    let deleted = store.positions.appended
    for n in 0..<60 { store.put("b\(n)", String(repeating: "x", count: 100)) }
    try disk.settle(store)
    let last = store.positions.appended

    let uncompacted = TestDisk(copying: disk, files: disk.files.copy())
    let withPut = try uncompacted.open()
    let raw = try damage(deleted, on: uncompacted, withPut)
    let still = try uncompacted.open()
    #expect(isMissing(deleted) { try repair(still, raw, settled: last) }, "an older record of its key is on disk")

    // What is older goes, and the put with it; the piece of the deletion is still needed by a slave.
    _ = try store.compactAll(disk, neededFrom: deleted.next)
    let digests = store.digests()
    let name = try damage(deleted, on: disk, store)
    let again = try disk.open()
    #expect(isMissing(deleted) { try repair(again, name, settled: deleted.previous) })
    #expect(isMissing(deleted) { try repair(again, name, settled: last, neededFrom: deleted) }, "a slave needs it")
    #expect(again.tombstonesFrom <= deleted)
    try repair(again, name, settled: last)
    #expect(again.tombstonesFrom == deleted.next)
    try disk.writeGeneration(again)
    disk.files.killProcess()
    for opened in [again, try disk.open()] {
      #expect(opened.get("gone") == .missing && opened.digests() == digests)
      #expect(opened.tombstonesFrom == deleted.next)
    }
  }

  /// A start takes everything up to the rewind floor for good.
  @Test(arguments: [false, true]) func aRepairCallsNothingGoodThatWaitsForOtherNodes(endsThere: Bool) throws {
    let (disk, _) = try disk(compacted: false)
    if endsThere {
      // What was settled ends with the damaged record: where its unit ends, nobody can read.
      let store = try disk.open()
      store.withWriteLock { access in store.closeActiveSegment(access) }
      try disk.settle(store)
      disk.files.killProcess()
    }
    let peer = try TestDisk(copying: disk, files: disk.files.copy()).open()
    let sealed = try #require(disk.generations.last?.segments.last)
    disk.files.flipBit(disk.directory + "/" + sealed.name.records, offset: Int(sealed.bytes) - 12)
    let store = try disk.open()
    let committed = store.positions.committed
    #expect((committed == sealed.lastLSN) == endsThere)
    store.setLevel(.quorum)
    for n in 0..<5 { store.put("late-\(n)", "not yet") }
    let last = store.commit(flush: true).durable
    #expect(last.value == committed.value + 5 && store.positions.applied == last)
    let job = try #require(RepairJob(store: store, name: sealed.name))
    try job.build(
      copies: try copies(try check(store, sealed.name), from: peer),
      bounds: store.compactionBounds(neededFrom: LSN(.max)))
    try job.install()
    #expect(store.rewindFloor >= sealed.lastLSN && store.rewindFloor <= committed)
    try disk.writeGeneration(store)
    disk.files.killProcess()
    let again = try disk.open()
    #expect(again.positions.durable == last)
    #expect(again.positions.committed == committed && again.positions.applied == committed)
    for n in 0..<5 { #expect(again.get("late-\(n)") == .missing) }
  }

  // MARK: Pure parts

  private func name(_ lsn: UInt64) -> LogFileName { LogFileName(firstLSN: LSN(lsn)) }

  @Test func everyFileIsDueOnceAnInterval() {
    var plan = ScrubPlan(intervalMilliseconds: 1000)
    let files = (1...4).map { (name: name($0), bytes: 100) }
    func at(_ milliseconds: UInt64) -> Tick { Tick(milliseconds: milliseconds) }
    let atOnce = plan.next(files, now: at(0))
    #expect(atOnce == nil, "a start does not begin with reading everything")
    var seen: [LogFileName] = []
    for now in stride(from: UInt64(0), through: 1000, by: 10) {
      let due = plan.next(files, now: at(now))
      if let due {
        seen.append(due)
        plan.checked(due, now: at(now))
      }
    }
    #expect(seen == files.map(\.name))
    var due = plan.next(files, now: at(1240))
    #expect(due == nil)
    due = plan.next(files, now: at(1250))
    #expect(due == name(1))
    // A shorter interval counts at once, and 0 is never.
    plan.intervalMilliseconds = 100
    _ = plan.next(files, now: at(1260))
    due = plan.next(files, now: at(1360))
    #expect(due != nil)
    plan.intervalMilliseconds = 0
    due = plan.next(files, now: at(99_999))
    #expect(due == nil)
  }

  @Test func theRateFollowsTheIntervalWithinItsBounds() {
    #expect(ScrubPlan(intervalMilliseconds: 604_800_000).bytesPerSecond(totalBytes: 1 << 30) == 1 << 20)
    #expect(ScrubPlan(intervalMilliseconds: 400_000).bytesPerSecond(totalBytes: 1 << 30) == (1 << 30) / 100)
    #expect(ScrubPlan(intervalMilliseconds: 1000).bytesPerSecond(totalBytes: 1 << 40) == 64 << 20)
  }

  @Test func theRegistrySaysWhatIsNewOnceAndKnowsTheRanges() throws {
    let (disk, _) = try disk(compacted: false)
    let sealed = try #require(disk.generations.last?.segments.last)
    disk.files.flipBit(disk.directory + "/" + sealed.name.records, offset: Int(sealed.bytes) - 12)
    let store = try disk.open()
    let report = try check(store, sealed.name)
    var registry = DamageRegistry()
    let first = registry.note(report, now: WallClock(milliseconds: 5000))
    let item = try #require(first)
    let second = registry.note(report, now: WallClock(milliseconds: 9000))
    #expect(second == nil)
    #expect(item.ranges == ranges(report))
    #expect(item.line.contains(sealed.name.records) && item.line.contains("lsn=\(report.damaged[0].lsn)"))
    #expect(item.line.contains("since=5,"))
    registry.set("waiting", of: sealed.name)
    #expect(registry.items.map(\.state) == ["waiting"])
    registry.repaired(sealed.name, records: 1)
    #expect(registry.items.isEmpty && registry.recordsRepaired == 1)
  }
}
