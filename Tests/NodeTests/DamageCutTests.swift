import Core
import LogStore
import Node
import Simulator
import Testing

/// The cut before damage, on a data directory: what a node must remember of it, whatever happens.
@Suite struct DamageCutTests {
  /// Damages the record with this LSN; the process is gone.
  private func damage(_ node: RewindNode, at lsn: Int) throws {
    _ = node.store.commit(flush: true)
    _ = node.store.commit(flush: true)
    node.files.killProcess()
    for path in node.files.paths where path.hasSuffix(SegmentFormat.fileSuffix) {
      let found = try #require(node.files.contents(path)).withUnsafeBytes { raw -> Int? in
        var at = SegmentFormat.headerBytes
        while at < raw.count {
          let record = RecordView(raw.baseAddress! + at)
          guard record.verify(available: raw.count - at) == .good else { return nil }
          if record.lsn == lsn { return at }
          at += record.recordBytes
        }
        return nil
      }
      if let found { return node.files.flipBit(path, offset: found + 30) }
    }
    Issue.record("no record \(lsn)")
  }

  private func openAtStart(_ node: RewindNode) throws -> TailDamage? {
    node.directory = try DataDirectoryTests.open(node.files).directory
    let opened = try node.directory.openStoreAtStart(
      configuration: node.configuration, workers: 2, run: DataDirectoryTests.inTurn)
    #expect((opened.damage != nil) == opened.store.isClosedForGood)
    node.store = opened.store
    if opened.damage == nil {
      let store = opened.store
      _ = try store.withWriteLock { access throws in try store.apply(upTo: store.positions.appended, access) }
    }
    return opened.damage
  }

  @discardableResult
  private func cut(_ node: RewindNode, _ damage: TailDamage) throws -> [String] {
    let cut = try node.directory.cutDamage(
      damage, configuration: node.configuration, workers: 2, run: DataDirectoryTests.inTurn)
    node.store = cut.store
    return cut.copies
  }

  private func node(seed: UInt64, sealedShare: Double = 0.4) throws -> RewindNode {
    let node = RewindNode(seed: seed)
    try node.begin()
    try node.fill(units: 40, sealedShare: sealedShare)
    return node
  }

  private func sealedEnd(_ node: RewindNode) -> Int { Int(node.store.sealedSegments.last?.lastLSN.value ?? 0) }

  @Test(arguments: UInt64(1)...4)
  func nothingIsChangedBeforeTheCutAndTheLogGoesOnBehindIt(seed: UInt64) throws {
    let origin = try node(seed: seed)
    let last = origin.history.count
    for lsn in sealedEnd(origin) + 1..<last where lsn % 5 == 0 {
      let node = try origin.copy()
      let vote = DirectoryFile.Vote(term: Term(70), candidate: node.directory.node)
      try node.directory.change { $0.vote = vote }
      let reign = try #require(node.store.terms.last?.reign)
      try damage(node, at: lsn)
      let before = Dictionary(uniqueKeysWithValues: node.files.paths.map { ($0, node.files.contents($0)!) })
      let damage = try #require(try openAtStart(node))
      #expect(damage.reached == Position(reign, lsn: LSN(UInt64(last))))
      #expect(node.directory.current.refetchTo == nil)
      #expect(Dictionary(uniqueKeysWithValues: node.files.paths.map { ($0, node.files.contents($0)!) }) == before)
      let point = node.unitEnd(lsn - 1)
      #expect(damage.needsNewStore == (point < sealedEnd(origin)))
      if damage.needsNewStore { continue }
      let copies = try cut(node, damage)
      #expect(damage.cutTo == LSN(UInt64(point)) && !copies.isEmpty)
      let all = node.history
      node.history.removeSubrange(point...)
      try node.check("seed \(seed), damage at \(lsn)")
      #expect(node.directory.current.refetchTo == damage.reached && node.directory.current.vote == vote)
      #expect(node.directory.keptGenerations.count == 1, "no start falls back to what does not know of the cut")
      // What comes back from another node.
      node.replay(Array(all[point...]))
      try node.settle(sealUpTo: LSN(.max))
      try node.check("seed \(seed), damage at \(lsn), fetched again")
      #expect(node.directory.current.refetchTo == damage.reached, "a generation of the store does not forget it")
      node.files.crash()
      #expect(try openAtStart(node) == nil)
      try node.check("seed \(seed), damage at \(lsn), started again")
      #expect(node.directory.current.refetchTo == damage.reached)
      for copy in copies { #expect(node.files.contents(copy) != nil) }
    }
  }

  @Test func belowTheRewindFloorAnEmptyStoreTakesItsPlace() throws {
    let node = RewindNode(seed: 3)
    try node.begin()
    let text = String(repeating: "v", count: 300)
    for i in 0..<40 { node.step(.put(db: 0, key: "key\(i % 20)", value: text)) }
    try node.settle(sealUpTo: LSN(.max))
    // The new values are in the unsealed part, the old ones are dropped because of them.
    for i in 0..<20 { node.step(.put(db: 0, key: "key\(i)", value: "new")) }
    try node.settle(sealUpTo: .none)
    let bounds = node.store.compactionBounds(neededFrom: LSN(.max))
    let job = try #require(
      node.store.nextCompaction(bounds, garbageRatio: 0.1, waitsToSettle: true, forcedBelow: .max))
    while try !job.step(bytes: 3000) {}
    _ = try job.close()
    _ = try job.install()
    try node.directory.change { node.store.describe(&$0) }
    let floor = node.directory.current.rewindFloor
    let start = node.directory.current.logStart
    #expect(floor.value > start.value + 10)
    try damage(node, at: Int(start.value) + 5)
    let damage = try #require(try openAtStart(node))
    #expect(damage.needsNewStore && damage.reached.lsn == LSN(61))
    try cut(node, damage)
    #expect(node.store.positions.appended == .none && node.store.isWritable)
    #expect(node.directory.current.storeNumber == 2 && node.directory.current.refetchTo == damage.reached)
    #expect(node.directory.current.segments.isEmpty)
    node.files.crash()
    #expect(try openAtStart(node) == nil)
    #expect(node.store.positions.appended == .none && node.directory.current.refetchTo == damage.reached)
    #expect(node.files.paths.contains { $0.hasPrefix("data/damaged-") })
  }

  // MARK: Crashes

  @Test(arguments: UInt64(1)...2, [true, false])
  func aStopAtAnyCallLeavesTheDamageOrTheCutAndWhatWasHeld(seed: UInt64, losesPower: Bool) throws {
    let origin = try node(seed: seed)
    let last = origin.history.count
    let sealed = sealedEnd(origin)
    let lsn = sealed + 1 + (last - sealed - 1) * Int(seed) / 3
    let point = origin.unitEnd(lsn - 1)
    try damage(origin, at: lsn)
    var outcomes: Set<String> = []
    var number = 1
    while true {
      let node = RewindNode(seed: seed, files: origin.files.copy(seed: seed &* 1000 &+ UInt64(number)))
      node.history = origin.history
      let found = try #require(try openAtStart(node))
      node.files.setFault(.init(number: number, errno: SimulatedFileSystem.Fault.inputOutput, stays: true))
      var isDone = true
      do { try cut(node, found) } catch { isDone = false }
      let fired = node.files.faultFired
      node.files.setFault(nil)
      losesPower ? node.files.crash() : node.files.killProcess()
      let note = "seed \(seed), call \(number)"
      var again = try openAtStart(node)
      if let damage = again {
        #expect(!isDone, "\(note)")
        outcomes.insert(node.directory.current.refetchTo == nil ? "nothing" : "written down")
        #expect(max(node.directory.current.refetchTo ?? .none, damage.reached) == found.reached, "\(note)")
        try cut(node, damage)
        again = nil
      } else {
        outcomes.insert("cut")
      }
      #expect(node.directory.current.refetchTo == found.reached, "\(note): what was held is known")
      #expect(Int(node.store.positions.durable.value) == point, "\(note)")
      #expect(node.files.paths.contains { $0.hasPrefix("data/damaged-") }, "\(note)")
      let all = node.history
      node.history.removeSubrange(point...)
      try node.check(note)
      node.replay(Array(all[point...]))
      try node.settle(sealUpTo: LSN(.max))
      node.files.crash()
      #expect(try openAtStart(node) == nil, "\(note)")
      try node.check("\(note), fetched again")
      if !fired { break }
      number += 1
    }
    #expect(outcomes == ["nothing", "written down", "cut"] && number > 10, "\(outcomes), \(number)")
  }

  @Test func aDamagedGenerationIsNotReplacedByOneThatDoesNotKnowOfTheCut() throws {
    let node = try node(seed: 2)
    try damage(node, at: node.history.count - 3)
    try cut(node, try #require(try openAtStart(node)))
    let newest = DataDirectoryTests.file(node.directory.current.generation)
    try DataDirectoryTests.damageBothCopies(newest, in: node.files)
    #expect(throws: OpenError.self) { try DataDirectoryTests.open(node.files) }
  }
}
