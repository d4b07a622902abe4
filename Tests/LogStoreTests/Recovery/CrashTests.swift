import Core
import LogStore
import Simulator
import Testing

/// Kills and power cuts at random moments of random workloads, each seed on its own small disk.
@Suite struct CrashTests {
  enum End: CaseIterable, Sendable { case kill, powerCut }

  @Test(arguments: End.allCases)
  func nothingAcknowledgedIsLostAndUnitsAreWholeOrAbsent(_ end: End) throws {
    var cuts = 0
    var replays = 0
    var compactions = 0
    for seed in UInt64(1)...TestScale.crashSeeds {
      var run = CrashRun(seed: seed &* 7919 &+ (end == .kill ? 0 : 1 << 40), end: end)
      try run.run()
      cuts += run.cuts
      replays += run.replayed
      compactions += run.compactions
    }
    #expect(replays > 0 && compactions > 100)
    if end == .powerCut { #expect(cuts > 0, "some power cut tears a tail") }
  }

  struct CrashRun {
    let seed: UInt64
    let end: End
    var cuts = 0
    var replayed = 0
    var compactions = 0

    init(seed: UInt64, end: End) {
      self.seed = seed
      self.end = end
    }

    mutating func run() throws {
      var random = SplitMix64(seed: seed)
      let disk = TestDisk(
        seed: seed, opsBufferBytes: [0, 8192, 1 << 20][random.below(3)], databases: 2 + random.below(2))
      var work = RandomWorkload(seed: seed ^ 0xABCD, databases: disk.configuration.databases)
      work.keys = 3 + random.below(60)
      work.valueBytesMax = [30, 200, 1500][random.below(3)]
      var store = try disk.create()
      for life in 0..<1 + random.below(4) {
        var good = store.positions.applied
        for _ in 0..<random.below(150) {
          let taken = work.step(store)
          #expect(taken)
          #expect(store.positions.applied == work.model.last)
          switch random.below(10) {
          case 0, 1: good = max(good, store.commit(flush: true).durable)
          case 2:
            let result = store.commit(flush: false)
            if end == .kill { good = max(good, result.written) }
          case 3:
            store.positions.set(committed: store.positions.durable)
            let maintained = store.maintain(neededFrom: random.chance(70) ? LSN(.max) : LSN(UInt64(random.below(200))))
            #expect(maintained.error == nil)
            // A crash may come before the generation is written.
            if maintained.segmentsChanged, random.chance(70) { try disk.writeGeneration(store) }
          case 4:
            good = max(good, store.commit(flush: true).durable)
            store.positions.set(committed: store.positions.durable)
            let compacted = try store.compactOnce(
              neededFrom: random.chance(70) ? LSN(.max) : LSN(UInt64(random.below(400))),
              garbageRatio: [0, 0.2, 0.5, 2][random.below(4)], forcedBelow: random.chance(30) ? .max : nil,
              stepBytes: 1 + random.below(9000))
            if compacted != nil {
              compactions += 1
              work.model.check(store, at: work.model.last, "seed \(seed), after a compaction")
              if random.chance(70) { try disk.writeGeneration(store) }
            }
          default: break
          }
        }
        switch end {
        case .kill: disk.files.killProcess()
        case .powerCut: disk.files.crash()
        }
        let note = "seed \(seed), life \(life)"
        let lastBefore = work.model.last
        let generation = random.chance(80) ? disk.generations.last! : disk.generations.first!
        // A node that was killed in the middle of a compaction leaves a part of a file.
        if random.chance(20) {
          disk.files.setContents(disk.directory + "/00000000000000000001-000099.dat.tmp", [1, 2])
        }
        let (opened, report): (LogStore, RecoveryReport)
        do { (opened, report) = try disk.openWithReport(generation: generation, workers: 1 + random.below(5)) } catch {
          Issue.record("\(note): \(error); durable \(good), appended \(lastBefore)")
          return
        }
        store = opened
        let last = store.positions.applied
        #expect(last >= good && last <= lastBefore, "\(note): \(last) is not in \(good)...\(lastBefore)")
        if last > .none, last <= lastBefore {
          #expect(work.model.history[Int(last.value) - 1].endsUnit, "\(note): cut inside a unit")
        }
        #expect(store.positions.durable == last && store.positions.appended == last)
        work.model.cut(to: last)
        work.model.check(store, at: last, note)
        for record in try store.records(from: store.firstRetainedLSN, to: last, buffer: 3000) {
          #expect(record.lsn <= last.value)
        }
        if report.cutBytes > 0 { cuts += 1 }
        replayed += report.replayedRecords
      }
    }
  }

  @Test func aTransactionOverSeveralSegmentsIsCutAsAWhole() throws {
    for keep in 0..<12 {
      let disk = TestDisk()
      let store = try disk.create()
      store.put("before", "1")
      _ = store.commit(flush: true)
      store.withWriteLock { access in
        store.beginUnit(access)
        for i in 0..<12 { store.put(Array("k\(i)".utf8), [UInt8](repeating: 1, count: 900), access) }
        store.endUnit(access)
      }
      _ = store.commit(flush: true)
      // The machine had come as far as record `keep` of the unit: later segments are not there, this one is torn.
      let files = disk.files.copy()
      let copy = TestDisk(copying: disk, files: files)
      let at = LSN(UInt64(keep + 2))
      let names = try files.list(disk.directory)
      for name in names.reversed() {
        let path = disk.directory + "/" + name
        let first = try #require(SegmentFormat.firstLSN(inName: name, suffix: ".wal"))
        if first > at {
          try files.unlink(path)
        } else {
          var bytes = try #require(files.contents(path))
          var offset = SegmentFormat.headerBytes
          for _ in first.value..<at.value {
            offset += bytes.withUnsafeBytes { RecordView($0.baseAddress! + offset).recordBytes }
          }
          bytes.removeSubrange((offset + 40)...)
          files.setContents(path, bytes)
          break
        }
      }
      let (again, report) = try copy.openWithReport()
      #expect(again.positions.applied == LSN(1), "torn at record \(keep)")
      #expect(report.cutBytes > 0)
      #expect(again.get("k0") == .missing && again.get("before") == .text("1"))
      again.put("next", "2")
      _ = again.commit(flush: true)
      #expect(try copy.open().get("next") == .text("2"))
    }
  }

  @Test func damageInSyncedBytesIsRefusedAndNamed() throws {
    let disk = TestDisk()
    let store = try disk.create()
    for i in 0..<10 {
      store.put("key\(i)", "value")
      _ = store.commit(flush: true)
    }
    let path = disk.path(LSN(1), ".wal")
    disk.files.flipBit(path, offset: SegmentFormat.headerBytes + 48 * 3 + 36)
    let error = #expect(throws: OpenError.self) { try disk.open() }
    #expect("\(try #require(error))".contains("at offset \(SegmentFormat.headerBytes + 48 * 3), after LSN 3"))
  }

  @Test func aQuietCommitMakesDamageOfTheLastRecordKnownAsDamage() throws {
    let disk = TestDisk()
    let store = try disk.create()
    store.put("key", "value")
    _ = store.commit(flush: true)
    let torn = TestDisk(copying: disk, files: disk.files.copy())
    torn.files.flipBit(disk.path(LSN(1), ".wal"), offset: SegmentFormat.headerBytes + 36)
    #expect(try torn.open().positions.applied == .none, "not known to be flushed: a torn tail")
    _ = store.commit(flush: true)
    disk.files.flipBit(disk.path(LSN(1), ".wal"), offset: SegmentFormat.headerBytes + 36)
    #expect(throws: OpenError.self) { try disk.open() }
  }

  @Test func aMissingSegmentIsRefused() throws {
    for listed in [true, false] {
      let disk = TestDisk()
      let store = try disk.create()
      for i in 0..<60 { store.put("key\(i)", String(repeating: "v", count: 300)) }
      store.positions.set(committed: store.commit(flush: true).durable)
      _ = store.maintain(neededFrom: LSN(1))
      if listed { try disk.writeGeneration(store) }
      let segments = store.sealedSegments
      #expect(segments.count > 3)
      for segment in segments {
        let copy = TestDisk(copying: disk, files: disk.files.copy())
        try copy.files.unlink(disk.path(segment.firstLSN, ".wal"))
        #expect(throws: OpenError.self, "segment \(segment.firstLSN), listed \(listed)") { try copy.open() }
      }
    }
  }

  @Test func segmentsOfAnotherDataSetAreRefused() throws {
    let disk = TestDisk()
    let store = try disk.create()
    store.put("a", "1")
    _ = store.commit(flush: true)
    let other = TestDisk(copying: disk, files: disk.files)
    let stranger = NodeID(random: [UInt8](repeating: 9, count: 20))
    #expect(throws: OpenError.self) {
      try LogStore.open(
        fileSystem: other.files, directory: disk.directory, lineage: stranger, configuration: disk.configuration,
        generation: DirectoryFile(node: stranger, lineage: stranger), workers: 1, run: { _, body in body(0) })
    }
  }

  @Test func aFullDiskIsNoReasonNotToOpen() throws {
    let disk = TestDisk()
    let store = try disk.create()
    store.put("a", "1")
    _ = store.commit(flush: true)
    disk.files.killProcess()
    disk.files.limitCapacity(disk.files.usedBytes - 2000)
    let again = try disk.open()
    #expect(again.get("a") == .text("1"))
    guard case .noSpace = again.writeRefusal else {
      Issue.record("writes are taken: \(String(describing: again.writeRefusal))")
      return
    }
    disk.files.limitCapacity(.max)
    #expect(!again.commit(flush: true).blocked)
    #expect(again.put("b", "2") && again.commit(flush: true).durable == LSN(2))
  }
}
