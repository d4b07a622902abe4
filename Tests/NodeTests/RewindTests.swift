import Core
import LogStore
import Node
import Simulator
import Testing

/// Cutting a log back to what another master's history shares with it.
@Suite struct RewindTests {
  // MARK: Where the cut is

  /// Every LSN of a log with all kinds of segments: sealed and named, filled, active.
  @Test(arguments: UInt64(1)...6)
  func theLogEndsWithTheLastUnitUpToTheCut(seed: UInt64) throws {
    let origin = RewindNode(seed: seed)
    try origin.begin()
    try origin.fill(units: 60, sealedShare: 0.5)
    let last = Int(origin.history.count)
    let segments = origin.firstLSNs
    #expect(segments.count > 5, "several segments, of which some are sealed and some are not")
    var kinds: Set<String> = []
    for at in 0...last {
      let isEdge = segments.contains(UInt64(at + 1)) || segments.contains(UInt64(at)) || at == 0 || at >= last - 1
      guard isEdge || (UInt64(at) &+ seed) % 7 == 0 else { continue }
      let node = try origin.copy()
      let sealedEnd = node.store.sealedSegments.last?.lastLSN ?? .none
      kinds.insert(at == 0 ? "nothing" : LSN(UInt64(at)) < sealedEnd ? "sealed" : "unsealed")
      let point = node.unitEnd(at)
      let report = try node.rewind(to: LSN(UInt64(at)))
      #expect(report.lastLSN == LSN(UInt64(point)), "seed \(seed), cut at \(at)")
      try node.check("seed \(seed), cut at \(at)", point: point, lost: report.lost)
      // The new history, in part with the same LSNs, survives a start.
      try node.goOn(term: 9)
      try node.check("seed \(seed), went on after \(at)")
      node.files.crash()
      try node.start()
      try node.check("seed \(seed), went on after \(at) and started")
    }
    #expect(kinds == ["nothing", "sealed", "unsealed"])
  }

  @Test func nothingToCutLeavesTheStoreAsItIs() throws {
    let node = RewindNode(seed: 3)
    try node.begin()
    try node.fill(units: 10, sealedShare: 0)
    let before = node.files.paths
    let old = node.store!
    let report = try node.rewind(to: LSN(UInt64(node.history.count)))
    #expect(node.store === old && report.lost == LostRecords() && node.files.paths == before)
    #expect(old.writeRefusal == nil)
  }

  @Test func cutTwiceAndGoneOnInBetween() throws {
    let node = RewindNode(seed: 5)
    try node.begin()
    try node.fill(units: 30, sealedShare: 0.5)
    for term in UInt32(5)..<9 {
      let report = try node.rewind(to: LSN(UInt64(node.history.count * 2 / 3)))
      try node.check("before term \(term)", point: Int(report.lastLSN.value), lost: report.lost)
      try node.goOn(term: term)
      try node.fill(units: 5, sealedShare: 0.5)
      if term % 2 == 0 {
        node.files.crash()
        try node.start()
      }
      try node.check("in term \(term)")
    }
    #expect(node.lostFiles.count == 4)
  }

  /// A cut goes back to the beginning of a unit, and what is sent then begins with records of the reign that was cut.
  @Test(arguments: UInt64(1)...6)
  func theLogGoesOnWithTheVeryRecordsThatWereCut(seed: UInt64) throws {
    let node = RewindNode(seed: seed)
    try node.begin()
    try node.fill(units: 30, sealedShare: 0.3)
    let last = try #require(node.store.terms.last)
    let report = try node.rewind(to: LSN(UInt64(node.history.count - 1)))
    try node.check("seed \(seed), cut", point: Int(report.lastLSN.value), lost: report.lost)
    #expect(node.store.terms.last?.reign == last.reign, "seed \(seed): it is cut inside the reign")
    // Durable, and no generation was written since.
    for i in 0..<5 { node.step(.put(db: 0, key: "again\(i)", value: "x")) }
    #expect(node.store.commit(flush: true).durable == LSN(UInt64(node.history.count)))
    node.files.crash()
    try node.start()
    try node.check("seed \(seed), started after it went on")
    #expect(node.directory.current.cut == nil)
  }

  // MARK: Compaction

  @Test(arguments: UInt64(1)...8)
  func afterACompactionTheFloorSaysHowFarBackACutCanGo(seed: UInt64) throws {
    let origin = RewindNode(seed: seed)
    try origin.begin()
    try origin.fill(units: 40, sealedShare: 1)
    // What other nodes hold ends somewhere.
    let held = UInt64(origin.history.count * 3 / 4)
    #expect(try origin.compact(neededFrom: LSN(held + 1)))
    try origin.fill(units: 15, sealedShare: 0.3)
    let floor = origin.store.rewindFloor
    #expect(floor > .none && floor.value <= UInt64(origin.history.count))
    #expect(origin.store.sealedSegments.contains { $0.name.isData && $0.lastLSN <= floor })
    #expect(origin.history[Int(floor.value) - 1].endsUnit, "the floor is the end of a unit")
    var possible = 0
    for at in 0...origin.history.count where at % 3 == 0 || LSN(UInt64(at)) == floor {
      let node = try origin.copy()
      guard LSN(UInt64(at)) >= floor else {
        let before = node.files.paths
        #expect(throws: OpenError.self) { try node.rewind(to: LSN(UInt64(at))) }
        #expect(!node.store.isClosedForGood && node.files.paths == before)
        continue
      }
      possible += 1
      let point = node.unitEnd(at)
      let report = try node.rewind(to: LSN(UInt64(at)))
      try node.check("seed \(seed), floor \(floor), cut at \(at)", point: point, lost: report.lost)
      try node.goOn(term: 9)
      #expect(node.store.rewindFloor == floor)
      node.files.crash()
      try node.start()
      try node.check("seed \(seed), floor \(floor), started after the cut at \(at)")
      #expect(node.store.rewindFloor == floor)
      // What was dead only because of a cut record is not taken for cleaned up.
      _ = try node.compact(neededFrom: LSN(.max))
      try node.check("seed \(seed), floor \(floor), compacted after the cut at \(at)")
      node.files.crash()
      try node.start()
      try node.check("seed \(seed), floor \(floor), started after that")
    }
    #expect(possible > 3)
  }

  /// A piece without dead records counts as clean up to what was settled then. Behind the cut the same LSNs come again.
  @Test func whatWasCleanBeforeTheCutIsNotTakenForCleanOfNewRecords() throws {
    let node = RewindNode(seed: 12)
    try node.start()
    let text = String(repeating: "v", count: 300)
    node.step(.put(db: 0, key: "small", value: "x"))
    for i in 0..<12 { node.step(.put(db: 0, key: "old\(i)", value: text)) }
    let point = node.history.count
    node.term(1)
    for i in 0..<60 { node.step(.put(db: 0, key: "cut\(i)", value: text)) }
    try node.settle(sealUpTo: LSN(.max))
    #expect(
      node.store.nextCompaction(
        node.store.compactionBounds(neededFrom: LSN(.max)), garbageRatio: 0.5, waitsToSettle: true) == nil)
    try node.directory.change { node.store.describe(&$0) }
    let first = try #require(node.directory.current.segments.first)
    #expect(first.cleanUpTo == LSN(UInt64(node.history.count)) && first.lastLSN <= LSN(UInt64(point)))
    let report = try node.rewind(to: LSN(UInt64(point)))
    try node.check("cut", point: point, lost: report.lost)
    node.term(5)
    node.step(.delete(db: 0, key: "small"))
    for _ in 0..<40 { node.step(.put(db: 0, key: "new", value: text)) }
    try node.settle(sealUpTo: LSN(.max))
    var compactions = 0
    while let job = node.store.nextCompaction(
      node.store.compactionBounds(neededFrom: LSN(.max)), garbageRatio: 0.5, waitsToSettle: false)
    {
      while try !job.step(bytes: 1 << 20) {}
      _ = try job.close()
      _ = try job.install()
      try node.directory.change { node.store.describe(&$0) }
      compactions += 1
    }
    #expect(compactions > 0)
    node.files.crash()
    try node.start()
    try node.check("compacted and started")
  }

  /// A start leaves the new master's records alone, also where both masters are of one term.
  @Test(arguments: UInt64(1)...4) func whatAnotherMasterOfTheSameTermWroteIsNotCutAgain(seed: UInt64) throws {
    let node = RewindNode(seed: seed)
    try node.begin()
    try node.fill(units: 20, sealedShare: 0.3)
    let point = node.history.count
    try node.goOn(term: 7, of: 1)
    let report = try node.rewind(to: LSN(UInt64(point)))
    try node.check("cut", point: point, lost: report.lost)
    node.term(7, of: 2)
    for i in 0..<12 { node.step(.put(db: 0, key: "new\(i)", value: "of the other")) }
    let terms = node.store.terms
    _ = node.store.commit(flush: true)
    for _ in 0..<2 {
      node.files.crash()
      try node.start()
      try node.check("started after the cut")
      #expect(node.store.terms == terms && terms.last?.reign == reign(7, of: 2))
    }
  }

  // MARK: Generations

  @Test func afterTheCutNoOlderGenerationIsLeftToStartFrom() throws {
    let node = RewindNode(seed: 13)
    try node.begin()
    try node.fill(units: 40, sealedShare: 0.5)
    #expect(DataDirectoryTests.generations(node.files).count > 1)
    let last = node.history.count
    _ = try node.rewind(to: LSN(UInt64(last / 2)))
    for _ in 0..<2 {
      #expect(DataDirectoryTests.generations(node.files) == [node.directory.current.generation])
      #expect(node.directory.current.cut == nil && node.directory.keptGenerations.count == 1)
      node.files.crash()
    }
    try node.start()
    // The generation right after the cut does no harm to what came since.
    node.history.removeSubrange(node.unitEnd(last / 2)...)
    try node.goOn(term: 9)
    try node.directory.change { node.store.describe(&$0) }
    #expect(node.directory.current.cut == nil)
    let newest = DataDirectoryTests.file(node.directory.current.generation)
    node.files.crash()
    // A generation is in its file twice: one copy alone costs nothing.
    let bytes = try #require(node.files.contents(newest))
    node.files.flipBit(newest, offset: 40)
    try node.start()
    #expect(node.directory.current.cut == nil)
    node.files.setContents(newest, [UInt8](repeating: 0, count: bytes.count))
    try node.start()
    #expect(node.directory.current.cut == nil)
    try node.check("from the generation right after the cut")
  }

  // MARK: Levels

  @Test func whatWaitedAndIsCutIsNeverShown() throws {
    let node = RewindNode(seed: 8)
    try node.begin()
    node.step(.put(db: 0, key: "a", value: "1"))
    node.store.withWriteLock { access in node.store.setLevel(.quorum, access) }
    node.step(.put(db: 0, key: "a", value: "2"))
    let report = try node.rewind(to: LSN(2))
    #expect(report.lost.records == 1 && report.lost.commands == 1)
    #expect(node.store.positions.committed == LSN(2) && node.store.pendingLevel == .async)
    try node.check("cut", point: 2, lost: report.lost)
  }

  // MARK: The file

  @Test func theLostRecordsAreWrittenAsCommands() throws {
    let node = RewindNode(seed: 9)
    try node.begin()
    node.step(.put(db: 1, key: "stays", value: "x"))
    node.step(.swap(0, 1))
    node.unit([.put(db: 0, key: "a", value: "1", expiry: 77), .delete(db: 0, key: "stays")])
    node.term(4)
    node.step(.put(db: 2, key: "b\r\n", value: ""))
    node.step(.flush(2))
    node.step(.swap(1, 2))
    let isDone = node.store.withWriteLock { access in node.store.setTableLevel(0, .quorum, access) }
    #expect(isDone)
    node.history.append((.noop, true))
    node.step(.flushAll)
    node.step(.put(db: 2, key: "c", value: "3"))
    let report = try node.rewind(to: LSN(3))
    #expect(report.lost.file == "data/lost-1-4.resp")
    let commands = try node.lostCommands(report.lost.file).map { $0.map { String(decoding: $0, as: UTF8.self) } }
    #expect(
      commands == [
        ["MULTI"], ["SELECT", "0"], ["SET", "a", "1", "PXAT", "77"], ["DEL", "stays"], ["EXEC"], ["SELECT", "2"],
        ["SET", "b\r\n", ""], ["FLUSHDB"], ["SWAPDB", "1", "2"], ["FLUSHALL"], ["SET", "c", "3"],
      ])
    #expect(report.lost.settings == 1 && report.lost.skipped == 0 && report.lost.records == 9)
    #expect(report.lost.commands == 7 && report.lost.first == LSN(4) && report.lost.last == LSN(12))
  }

  @Test func anotherFileOfThatNameIsLeftAloneAndTheSameOneIsUsed() throws {
    let origin = RewindNode(seed: 10)
    try origin.begin()
    try origin.fill(units: 6, sealedShare: 0)
    let node = try origin.copy()
    let name = try node.rewind(to: LSN(3)).lost.file
    let content = try #require(node.files.contents(name))
    for (there, expected) in [(content, name), ([1, 2], name.dropLast(5) + "-2.resp")] {
      let node = try origin.copy()
      node.files.setContents(name, there)
      let report = try node.rewind(to: LSN(3))
      #expect(report.lost.file == expected)
      #expect(node.files.contents(name) == there && node.files.contents(expected) == content)
    }
  }

  @Test func aDamagedRecordIsCountedAndTheRestIsKept() throws {
    let node = RewindNode(seed: 11)
    try node.begin()
    for i in 0..<40 { node.step(.put(db: 0, key: "key\(i)", value: String(repeating: "v", count: 300))) }
    try node.settle(sealUpTo: LSN(.max))
    let damaged = try #require(node.store.sealedSegments.dropFirst().first)
    // In the value of its second record.
    node.files.flipBit("data/store-1/\(damaged.name.records)", offset: 64 + 344 + 100)
    let copy = try node.copy()
    let report = try copy.rewind(to: LSN(2))
    #expect(report.lost.skipped == 1 && report.lost.records == 39 && report.lost.commands == 38)
    let keys = try copy.lostCommands(report.lost.file).filter { $0.count == 3 }.count
    #expect(keys == 38)
    #expect(copy.store.positions.applied == LSN(2))
  }

  // MARK: Crashes

  /// The power goes at every call: the old log whole, or exactly what the cut leaves.
  @Test(arguments: UInt64(1)...4)
  func aPowerCutAtAnyCallLeavesTheOldLogOrTheCutOne(seed: UInt64) throws {
    try everyCall(seed: seed) { $0.crash() }
  }

  @Test(arguments: UInt64(1)...4)
  func aKillAtAnyCallLeavesTheOldLogOrTheCutOne(seed: UInt64) throws {
    try everyCall(seed: seed &+ 100) { $0.killProcess() }
  }

  private func everyCall(seed: UInt64, end: (SimulatedFileSystem) -> Void) throws {
    let origin = RewindNode(seed: seed)
    try origin.begin()
    try origin.fill(units: 40, sealedShare: 0.7)
    if seed % 2 == 0 { _ = try origin.compact(neededFrom: LSN(UInt64(origin.history.count / 3))) }
    // In a sealed segment, in a filled one, in the active one.
    let floor = Int(origin.store.rewindFloor.value)
    let share = [0.3, 0.6, 0.95, 0.0][Int(seed % 4)]
    let at = floor + Int(Double(origin.history.count - floor) * share)
    let point = origin.unitEnd(at)
    var outcomes: Set<String> = []
    var number = 1
    while true {
      let node = try origin.copy(seed: seed &* 1000 &+ UInt64(number))
      node.files.setFault(.init(number: number, errno: SimulatedFileSystem.Fault.inputOutput, stays: true))
      var report: RewindReport?
      do { report = try node.rewind(to: LSN(UInt64(at))) } catch {}
      let fired = node.files.faultFired
      node.files.setFault(nil)
      end(node.files)
      let note = "seed \(seed), call \(number)"
      try node.start()
      let last = Int(node.store.positions.durable.value)
      #expect(last == point || last == origin.history.count, "\(note): the log ends at \(last)")
      if report != nil { #expect(last == point, "\(note): the cut was done") }
      outcomes.insert(last == point ? "cut" : "old")
      if last == point {
        let file = try #require(node.lostFiles.first, "\(note): the lost file is there before the cut")
        try node.checkLost(file, from: point, note)
        node.history.removeSubrange(point...)
      }
      try node.check(note)
      // It goes on from there, with what a crash left lying about.
      try node.goOn(term: 9)
      end(node.files)
      try node.start()
      try node.check("\(note), went on")
      if !fired { break }
      number += 1
    }
    #expect(outcomes == ["cut", "old"] && number > 15)
  }
}
