import Core
import LogStore
import Simulator
import Testing

/// Commit levels: in the records, and what follows from them for what is good.
@Suite struct LevelTests {
  // MARK: Runs

  /// Against a list with the level of every record.
  @Test(arguments: UInt64(1)...60)
  func runsSayTheSameAsAListOfRecords(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    let start = LSN(UInt64(random.below(50)))
    var pending = PendingLevels(good: start)
    var records: [RecordLevel] = []
    var last = start
    var good = start
    for _ in 0..<400 {
      switch random.below(5) {
      case 0, 1:
        for _ in 0..<random.below(4) { records.append(pending.level) }
        last = LSN(start.value + UInt64(records.count))
      case 2, 3: pending.change(to: RecordLevel.allCases[random.below(4)], after: last)
      default:
        func position() -> LSN { LSN(good.value + UInt64(random.below(Int(last.value - good.value) + 4))) }
        let (durable, fullsync) = (position(), position())
        let quorum = random.chance(30) ? LSN.none : position()
        for record in records[Int(good.value - start.value)...] {
          let next = good.next
          let limit =
            switch record {
            case .async: durable
            case .fullsync: min(durable, fullsync)
            case .quorum: min(durable, quorum)
            case .both: min(durable, min(fullsync, quorum))
            }
          guard limit >= next else { break }
          good = next
        }
        #expect(pending.committable(last: last, durable: durable, fullsync: fullsync, quorum: quorum) == good)
      }
      let open = records[Int(good.value - start.value)...]
      let durable = LSN(good.value + UInt64(random.below(Int(last.value - good.value) + 1)))
      let early = records[Int(durable.value - start.value)...].prefix { $0 != .async }.count
      #expect(pending.sendable(last: last, durable: durable) == LSN(durable.value + UInt64(early)), "seed \(seed)")
      #expect(pending.pending(last: last) == open.reduce(.async) { $0.joined($1) }, "seed \(seed)")
      #expect(pending.runs.count <= open.count)
      for (a, b) in zip(pending.runs, pending.runs.dropFirst()) { #expect(a.upTo < b.upTo && a.level != b.level) }
    }
  }

  @Test func levelsThatHoldTogetherAskForAllOfEach() {
    for a in RecordLevel.allCases {
      for b in RecordLevel.allCases {
        let both = a.joined(b)
        #expect(both == b.joined(a) && both.rawValue == a.rawValue | b.rawValue)
        #expect(both.asksQuorum == (a.asksQuorum || b.asksQuorum))
      }
    }
    #expect(RecordLevel.fullsync.joined(.quorum) == .both && RecordLevel.quorum.joined(nil) == .quorum)
  }

  @Test func changesWithoutRecordsBetweenThemLeaveNoRuns() {
    var pending = PendingLevels()
    for level in [RecordLevel.quorum, .async, .fullsync, .quorum] { pending.change(to: level, after: .none) }
    #expect(pending.runs.isEmpty && pending.pending(last: .none) == .async)
    pending.change(to: .async, after: LSN(3))
    pending.change(to: .fullsync, after: LSN(3))
    pending.change(to: .quorum, after: LSN(3))
    #expect(pending.runs.isEmpty, "the run of three records goes on")
    #expect(pending.pending(last: LSN(3)) == .quorum)
  }

  @Test func aLevelThatGoesUpAndDownKeepsNoMoreThanWhatIsPending() {
    var pending = PendingLevels()
    for lsn in UInt64(1)...20_000 {
      pending.change(to: lsn % 2 == 0 ? .quorum : .async, after: LSN(lsn - 1))
      let behind = LSN(lsn > 100 ? lsn - 100 : 0)
      #expect(pending.committable(last: LSN(lsn), durable: LSN(lsn), fullsync: .none, quorum: behind) >= behind)
      #expect(pending.runs.count <= 101)
    }
  }

  // MARK: Records

  @Test func everyRecordCarriesTheLevelThatWasSet() throws {
    let store = try TestDisk().create()
    #expect(store.beginTerm(reign(1), level: .quorum))
    store.put("a", "1")
    store.setLevel(.fullsync)
    store.put("b", "2", expiry: 99)
    store.remove("a")
    store.setLevel(.async)
    #expect(store.flushDatabase(1))
    store.beginUnit()
    store.put(Array("c".utf8), [1])
    store.setLevel(.quorum)
    store.put(Array("d".utf8), [1])
    store.endUnit()
    let levels = try store.records(from: LSN(1), to: LSN(.max)).map { record in
      record.bytes.withUnsafeBytes { raw in
        let view = RecordView(raw.baseAddress!)
        #expect(view.verify(available: raw.count) == .good)
        return view.level
      }
    }
    #expect(levels == [.quorum, .quorum, .fullsync, .fullsync, .async, .async, .quorum])
  }

  @Test func anUnknownLevelIsDamage() throws {
    let store = try TestDisk().create()
    store.put("a", "1")
    var bytes = try store.records(from: LSN(1), to: LSN(1))[0].bytes
    for level in RecordLevel.allCases {
      bytes[11] = level.flags
      bytes.withUnsafeMutableBytes { raw in
        raw.baseAddress!.put(RecordView(UnsafeRawPointer(raw.baseAddress!)).expectedChecksum, at: 0)
        #expect(RecordView(UnsafeRawPointer(raw.baseAddress!)).verify(available: raw.count) == .good)
      }
    }
    bytes[11] = 1 << 7
    bytes.withUnsafeMutableBytes { raw in
      raw.baseAddress!.put(RecordView(UnsafeRawPointer(raw.baseAddress!)).expectedChecksum, at: 0)
      #expect(RecordView(UnsafeRawPointer(raw.baseAddress!)).verify(available: raw.count) == .damaged)
    }
  }

  @Test func whatIsGoodFollowsTheRecordsOnMasterAndSlave() throws {
    let store = try TestDisk().create()
    store.put("a", "1")
    store.setLevel(.quorum)
    store.put("b", "2")
    store.setLevel(.async)
    store.put("c", "3")
    let slave = try TestDisk().create()
    let bytes = try store.records(from: LSN(1), to: LSN(.max)).flatMap(\.bytes)
    try slave.withWriteLock { access throws in
      try bytes.withUnsafeBytes { (raw) throws in try slave.appendReplicated(raw, access) }
    }
    for node in [store, slave] {
      #expect(node.pendingLevel == .quorum)
      #expect(node.committable(durable: .none, fullsync: .none, quorum: .none) == .none)
      #expect(node.committable(durable: LSN(3), fullsync: LSN(3), quorum: .none) == LSN(1))
      #expect(node.pendingLevel == .quorum)
      #expect(node.committable(durable: LSN(3), fullsync: .none, quorum: LSN(2)) == LSN(3))
      #expect(node.pendingLevel == .async)
    }
    #expect(try slave.records(from: LSN(1), to: LSN(.max)).flatMap(\.bytes) == bytes)
  }

  // MARK: A start

  @Test func aStartShowsWhatNobodyElseIsAskedFor() throws {
    let disk = TestDisk()
    let store = try disk.create()
    store.put("a", "1")
    _ = store.setTableLevel(1, .quorum)
    store.setLevel(.quorum)
    store.put("b", "2")
    _ = store.setVoters([disk.lineage])
    store.setLevel(.async)
    store.put("c", "3")
    _ = store.commit(flush: true)
    disk.files.crash()
    let again = try disk.open()
    #expect(again.positions.durable == LSN(5) && again.positions.appended == LSN(5))
    #expect(again.positions.committed == LSN(2) && again.positions.applied == LSN(2))
    #expect(again.get("a") == .text("1") && again.get("b") == .missing && again.get("c") == .missing)
    #expect(again.tableLevel(1) == .quorum)
    #expect(again.voters.isEmpty && again.votersInLog == [disk.lineage])
    #expect(again.pendingLevel == .quorum)
    #expect(again.committable(durable: LSN(5), fullsync: .none, quorum: LSN(3)) == LSN(3))
    #expect(again.committable(durable: LSN(5), fullsync: .none, quorum: LSN(4)) == LSN(5))
    #expect(try again.apply(upTo: LSN(5)) == LSN(5))
    #expect(again.get("b") == .text("2") && again.get("c") == .text("3") && again.voters == [disk.lineage])
  }

  @Test func aStartShowsNoHalfOfAUnitOfWhichAPartWaits() throws {
    let disk = TestDisk()
    let store = try disk.create()
    store.put("a", "1")
    store.beginUnit()
    store.put(Array("b".utf8), [1])
    store.setLevel(.fullsync)
    store.put(Array("c".utf8), [1])
    store.endUnit()
    _ = store.commit(flush: true)
    let again = try disk.open()
    #expect(again.positions.committed == LSN(2) && again.positions.applied == LSN(1))
    #expect(again.get("b") == .missing)
  }

  /// Random levels and positions: what a start shows is at least what was sealed, and after the rest is applied, all.
  @Test(arguments: UInt64(1)...20)
  func afterAStartTheWaitingTailIsAppliedAsBefore(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let disk = TestDisk(seed: seed, opsBufferBytes: [0, 1 << 20][random.below(2)], databases: 3)
    var work = RandomWorkload(seed: seed, databases: 3)
    let store = try disk.create()
    var good = LSN.none
    for _ in 0..<120 {
      store.setLevel(RecordLevel.allCases[random.below(3)])
      _ = work.step(store)
      guard random.chance(20) else { continue }
      let durable = store.commit(flush: true).durable
      let others = LSN(UInt64(random.below(Int(durable.value) + 1)))
      good = store.committable(durable: durable, fullsync: others, quorum: others)
      store.positions.set(committed: good)
      let maintained = store.maintain(neededFrom: LSN(1), sealUpTo: good)
      if maintained.segmentsChanged { try disk.writeGeneration(store) }
      for segment in store.sealedSegments { #expect(segment.lastLSN <= good) }
    }
    _ = store.commit(flush: true)
    let sealedUpTo = store.sealedSegments.last?.lastLSN ?? .none
    disk.files.crash()
    let again = try disk.open()
    let shown = again.positions.applied
    #expect(shown >= sealedUpTo && again.positions.committed >= sealedUpTo)
    #expect(again.positions.durable == work.model.last)
    if shown > .none, shown != sealedUpTo { #expect(work.model.history[Int(shown.value) - 1].endsUnit) }
    if shown == work.model.last || work.model.history.prefix(Int(shown.value)).last?.endsUnit ?? true {
      work.model.check(again, at: shown, "seed \(seed): at the start")
    }
    try again.apply(upTo: again.positions.appended)
    work.model.check(again, at: work.model.last, "seed \(seed): applied")
  }

  // MARK: Sealing and sizes

  @Test func onlyWhatIsCommittedIsSealed() throws {
    let disk = TestDisk(opsBufferBytes: 0)
    let store = try disk.create()
    store.setLevel(.quorum)
    for i in 0..<60 { store.put("key\(i)", String(repeating: "v", count: 300)) }
    let result = store.commit(flush: true)
    #expect(result.filledSegments)
    #expect(!store.maintain(neededFrom: LSN(1), sealUpTo: .none).segmentsChanged)
    #expect(store.sealedSegments.isEmpty)
    #expect(!store.commit(flush: true).filledSegments, "nothing new was filled")
    #expect(store.maintain(neededFrom: LSN(1), sealUpTo: LSN(30)).segmentsChanged)
    let sealed = store.sealedSegments
    #expect(!sealed.isEmpty && sealed.allSatisfy { $0.lastLSN <= LSN(30) })
    try disk.writeGeneration(store)
    disk.files.crash()
    let again = try disk.open()
    #expect(again.positions.applied == sealed.last?.lastLSN)
    #expect(again.positions.durable == LSN(60))
    try again.apply(upTo: LSN(60))
    for i in 0..<60 { #expect(again.get("key\(i)") == .text(String(repeating: "v", count: 300))) }
    #expect(again.maintain(neededFrom: LSN(1), sealUpTo: LSN(60)).segmentsChanged)
  }

  @Test func bytesBehindTheCommittedLSNAreKnown() throws {
    let store = try TestDisk(segmentBytes: 1 << 20).create()
    #expect(store.pendingBytes == 0)
    for i in 0..<3000 { store.put("key\(i)", String(repeating: "v", count: 968)) }
    let bytes = try store.records(from: LSN(1), to: LSN(.max)).map(\.bytes.count)
    for committed in stride(from: 0, through: 3000, by: 100) {
      store.positions.set(committed: LSN(UInt64(committed)))
      let exact = bytes[committed...].reduce(0, +)
      let told = store.pendingBytes
      #expect(told >= exact && told <= exact + (256 << 10) + 1100, "committed \(committed): \(told) of \(exact)")
      if committed == 3000 { #expect(told == 0) }
    }
  }

  @Test(arguments: UInt64(1)...8)
  func bytesThatWaitForTheDiskAreCountedExactly(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let disk = TestDisk(seed: seed, opsBufferBytes: 0)
    var work = RandomWorkload(seed: seed, databases: 4)
    var store = try disk.create()
    for _ in 0..<30 {
      func records() -> Int { store.figures().dataBytes - store.figures().segments * SegmentFormat.headerBytes }
      let written = records()
      for _ in 0..<random.below(30) {
        _ = work.step(store)
        #expect(store.unwrittenBytes == records() - written)
      }
      if random.chance(30) {
        store.withWriteLock { access in store.closeActiveSegment(access) }
      }
      _ = store.commit(flush: random.chance(50))
      #expect(store.unwrittenBytes == 0)
      if random.chance(40) { try disk.settle(store, neededFrom: random.chance(50) ? LSN(1) : LSN(.max)) }
      if random.chance(20) {
        disk.files.killProcess()
        store = try disk.open()
        #expect(store.unwrittenBytes == 0)
      }
    }
  }
}
