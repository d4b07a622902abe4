import Core
import LogStore
import Simulator
import Synchronization
import Testing

/// Delta sync inside the store: what is read of the log, and how it is staged and installed.
@Suite struct DeltaTests {
  @Test func theRuleForEveryKindOfRecord() {
    typealias Newest = CompactionRules.Newest
    func sent(_ kind: RecordKind, _ lsn: UInt64, _ newest: Newest, catalog: UInt64 = 0) -> Bool {
      DeltaRules.isSent(kind: kind, lsn: LSN(lsn), newest: newest, newestCatalog: LSN(catalog), upTo: LSN(50))
    }
    #expect(sent(.put, 5, .record(LSN(5))))
    #expect(!sent(.put, 5, .record(LSN(50))))
    #expect(sent(.put, 5, .record(LSN(51))), "what replaced it is not in the delta")
    #expect(!sent(.put, 5, .absent(lastRemoval: LSN(50))))
    #expect(sent(.put, 5, .absent(lastRemoval: LSN(51))))
    #expect(!sent(.put, 5, .tableDropped(by: LSN(50))))
    #expect(sent(.put, 5, .tableDropped(by: LSN(51))))
    #expect(sent(.put, 5, .unknown))
    #expect(sent(.delete, 5, .absent(lastRemoval: LSN(5))))
    #expect(sent(.delete, 5, .absent(lastRemoval: LSN(70))))
    #expect(!sent(.delete, 5, .record(LSN(9))))
    #expect(sent(.delete, 5, .record(LSN(51))))
    #expect(!sent(.delete, 5, .tableDropped(by: LSN(9))))
    #expect(sent(.delete, 5, .tableDropped(by: LSN(51))))
    #expect(sent(.delete, 5, .unknown))
    #expect(sent(.catalog, 5, .unknown, catalog: 5))
    #expect(!sent(.catalog, 5, .unknown, catalog: 50))
    #expect(sent(.catalog, 5, .unknown, catalog: 51))
    #expect(!sent(.noop, 5, .unknown))
  }

  @Test func aDeltaAndThenTheLogGiveTheMastersState() throws {
    var totals = DeltaRun.Totals()
    for seed in 1...TestScale.crashSeeds {
      var run = try DeltaRun(seed: seed &* 31_337)
      guard try run.receive() else {
        totals.forgotten += 1
        continue
      }
      try run.install()
      try run.followToTheEnd()
      totals.add(run)
    }
    #expect(totals.installed > 10 && totals.compacted > 5, "\(totals)")
    #expect(totals.insideUnits > 0 && totals.unapplied > 0, "\(totals)")
    #expect(totals.skipped > totals.sent / 2, "dead records stay away: \(totals)")
  }

  /// Every call to the disk from the first staged record on is the last one that succeeds.
  @Test(arguments: [false, true])
  func aCrashLeavesTheOldMomentOrTheNewOne(powerCut: Bool) throws {
    var (old, new, number) = (0, 0, 1)
    for seed in UInt64(1)...6 * TestScale.factor {
      number = 1
      while true {
        var run = try DeltaRun(seed: seed &* 7_777_777, mayCompactBefore: false)
        run.slaveDisk.files.setFault(
          .init(number: number, errno: SimulatedFileSystem.Fault.inputOutput, stays: true))
        var failed = false
        do {
          _ = try run.receive()
          try run.install()
        } catch { failed = true }
        let fired = run.slaveDisk.files.faultFired
        run.slaveDisk.files.setFault(nil)
        powerCut ? run.slaveDisk.files.crash() : run.slaveDisk.files.killProcess()
        let moment = try run.reopen()
        if moment == run.barrier { new += 1 } else { old += 1 }
        let note = "seed \(seed), call \(number), at \(moment)"
        let isOld = moment <= run.after && moment >= run.durableBefore
        #expect(isOld || moment == run.barrier, "\(note): neither \(run.after) nor \(run.barrier)")
        #expect(failed || moment == run.barrier, "\(note): it was installed")
        run.work.model.check(run.slave, at: moment, note)
        // It goes on from there: by the log, or by another delta.
        if moment == run.barrier {
          try run.followToTheEnd()
        } else {
          try run.continueFromOldMoment(moment)
        }
        guard fired else { break }
        number += TestScale.faultStep
      }
      #expect(number > 20, "staging and installing make calls")
    }
    #expect(old > 20 && new > 5)
  }

  @Test func aDiskThatIsFullLeavesTheOldMomentAndASecondTryPasses() throws {
    for number in 1...40 {
      var run = try DeltaRun(seed: 4711, mayCompactBefore: false)
      run.slaveDisk.files.setFault(.init(number: number, errno: SimulatedFileSystem.Fault.noSpace))
      do {
        _ = try run.receive()
        try run.install()
      } catch {
        run.slaveDisk.files.setFault(nil)
        if case .failed = run.slave.writeRefusal { continue }  // a sync failed
        run.abandon()
        _ = run.slave.commit(flush: true)
        run.work.model.check(run.slave, at: run.slave.positions.applied, "call \(number)")
        #expect(try run.receive())
        try run.install()
      }
      run.slaveDisk.files.setFault(nil)
      try run.followToTheEnd()
    }
  }

  @Test func whatIsNoDeltaIsRefused() throws {
    let master = try TestDisk().create()
    _ = master.beginTerm(reign(3))
    for i in 0..<6 { master.put("key\(i)", "value") }
    let records = try master.records(from: LSN(1), to: LSN(.max)).map(\.bytes)
    let disk = TestDisk()
    let slave = try disk.create()
    func append(_ stage: DeltaStage, _ bytes: [UInt8], _ first: UInt64, _ last: UInt64, term: UInt32 = 3) throws {
      try bytes.withUnsafeBytes { (raw) throws in
        try stage.append(raw, first: LSN(first), last: LSN(last), term: Term(term))
      }
    }
    func refused(_ bytes: [UInt8], _ first: UInt64, _ last: UInt64, term: UInt32 = 3) -> Bool {
      let stage = DeltaStage(store: slave, after: .none)
      do {
        try append(stage, records[1], 2, 2)
        try append(stage, bytes, first, last, term: term)
        return false
      } catch { return true }
    }
    #expect(!refused(records[3] + records[5], 4, 6))
    #expect(refused(records[3] + records[5], 4, 7))
    #expect(refused(records[3] + records[5], 3, 6))
    #expect(refused(records[5] + records[3], 6, 4))
    #expect(refused(records[1], 2, 2))
    #expect(refused(records[0], 1, 1))
    #expect(refused(records[3], 4, 4, term: 4))
    #expect(refused(Array(records[3].dropLast(8)), 4, 4))
    for offset in 0..<40 {
      var flipped = records[3]
      flipped[offset] ^= 16
      #expect(refused(flipped, 4, 4), "bit in byte \(offset)")
    }
    let names = try disk.files.list(disk.directory)
    #expect(names.isEmpty, "what was refused leaves nothing behind: \(names)")
  }

  @Test func theFiguresForAPlanAreCloseToWhatIsSent() throws {
    for seed in UInt64(1)...6 {
      var random = SplitMix64(seed: seed)
      let disk = TestDisk(segmentBytes: 1 << 18, opsBufferBytes: 0)
      let master = try disk.create()
      for i in 0..<6_000 {
        master.put("key\(random.below(3000))", String(repeating: "v", count: random.below(400)))
        if i % 7 == 0 { master.remove("key\(random.below(3000))") }
        if i % 2000 == 0 { try disk.settle(master) }
      }
      if random.chance(50) { try master.compactAll(disk, neededFrom: LSN(4500)) }
      try disk.settle(master)
      let after = LSN(UInt64(random.below(Int(master.positions.applied.value))))
      let figures = master.withWriteLock { access in master.deltaFigures(after: after, access) }
      let (bytes, records) = try Self.walk(master, after: after)
      #expect(
        abs(figures.bytes - bytes) <= bytes / 10 + (128 << 10),
        "seed \(seed), after \(after): \(figures), \(bytes) sent")
      #expect(
        abs(figures.records - records) <= records / 5 + 1000,
        "seed \(seed), after \(after): \(figures), \(records) sent")
    }
  }

  static func walk(_ store: LogStore, after: LSN) throws -> (bytes: Int, records: Int) {
    let reader = DeltaReader(store: store, after: after)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { buffer.deallocate() }
    var (bytes, records) = (0, 0)
    while true {
      let run = try reader.read(upTo: store.positions.applied, into: buffer)
      bytes += run.bytes
      records += run.records
      if run.reachedEnd { return (bytes, records) }
    }
  }

  /// Threads write while the log is walked; what the walk gives, and then the log, is what they wrote.
  @Test func writersDuringTheWalk() throws {
    let disk = TestDisk(segmentBytes: 1 << 16, opsBufferBytes: 1 << 16)
    let master = try disk.create()
    for i in 0..<2000 { master.put("key\(i)", "old") }
    _ = master.commit(flush: true)
    let slaveDisk = TestDisk(segmentBytes: 1 << 16, opsBufferBytes: 0)
    let slave = try slaveDisk.create()
    try Self.append(try master.records(from: LSN(1), to: master.positions.applied).flatMap(\.bytes), to: slave)
    let after = slave.positions.appended
    _ = slave.commit(flush: true)
    let stop = Atomic<Bool>(false)
    let written = Counter()
    let threads = (0..<2).map { thread in
      TestThread {
        var random = SplitMix64(seed: UInt64(thread))
        // In a debug build the writers are faster than the walk, which would never end.
        while !stop.load(ordering: .relaxed), written.value < 40_000 {
          let key = "key\(random.below(3000))"
          if random.chance(30) { master.remove(key) } else { master.put(key, "\(random.next())") }
          written.add()
        }
      }
    }
    let reader = DeltaReader(store: master, after: after)
    let participant = try #require(master.epochs.join())
    let stage = DeltaStage(store: slave, after: after)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 64)
    defer { buffer.deallocate() }
    var barrier = LSN.none
    while true {
      let limit = master.positions.applied
      master.epochs.enter(participant)
      let run = try reader.read(upTo: limit, into: buffer)
      master.epochs.leave(participant)
      if run.records > 0 {
        try stage.append(
          UnsafeRawBufferPointer(rebasing: buffer[0..<run.bytes]), first: run.first, last: run.last, term: run.term)
      }
      _ = master.commit(flush: true)
      _ = master.maintain(neededFrom: after.next)
      if run.reachedEnd, stage.records > 1000, written.value > 20_000 {
        barrier = run.scannedTo
        break
      }
    }
    stop.store(true, ordering: .relaxed)
    for thread in threads { thread.join() }
    #expect(stage.records > 100 && stage.checksum == reader.checksum)
    try stage.finish(barrier: barrier)
    try DeltaRun.install(stage, barrier, master.terms, slave) { _ in }
    #expect(slave.positions.applied == barrier)
    try Self.append(try master.records(from: barrier.next, to: master.positions.applied).flatMap(\.bytes), to: slave)
    #expect(slave.digests() == master.digests() && slave.keyCount(0) == master.keyCount(0))
  }

  static func append(_ bytes: [UInt8], to store: LogStore) throws {
    try store.withWriteLock { access throws in
      try bytes.withUnsafeBytes { (raw) throws in try store.appendReplicated(raw, access) }
      try store.apply(upTo: LSN(.max), access)
    }
  }
}
