import Core
import LogStore
import Simulator
import Testing

@Suite struct ReplicaTests {
  @Test(arguments: UInt64(1)...8)
  func aReplicaWithOtherSegmentSizesHasTheSameStateAndLog(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let disk = TestDisk(opsBufferBytes: 8192, databases: 3)
    let copy = TestDisk(segmentBytes: 4096 + 8 * random.below(3000), opsBufferBytes: 0, databases: 3)
    var work = RandomWorkload(seed: seed, databases: 3)
    let master = try disk.create()
    var replica = try copy.create()
    for round in 0..<12 {
      for _ in 0..<20 { _ = work.step(master) }
      try disk.settle(master, neededFrom: LSN(1))
      let run = try master.records(from: replica.positions.appended.next, to: master.positions.durable)
      var sent = 0
      while sent < run.count {
        let piece = run[sent..<min(run.count, sent + 1 + random.below(9))]
        sent += piece.count
        let bytes = piece.flatMap(\.bytes)
        try bytes.withUnsafeBytes { (raw) throws in try replica.appendReplicated(raw) }
        let limit = LSN(UInt64(random.below(Int(replica.positions.appended.value) + 1)))
        let applied = try replica.apply(upTo: limit)
        if applied > .none { #expect(work.model.history[Int(applied.value) - 1].endsUnit, "half a unit is visible") }
        #expect(applied <= max(limit, replica.positions.applied))
        if random.chance(30) { try copy.settle(replica) }
      }
      try replica.apply(upTo: LSN(.max))
      #expect(replica.positions.applied == master.positions.durable)
      #expect(replica.digests() == master.digests() && replica.terms == master.terms)
      work.model.check(replica, at: work.model.last, "seed \(seed), round \(round)")
      if round % 4 == 3 {
        try copy.settle(replica)
        random.chance(50) ? copy.files.crash() : copy.files.killProcess()
        replica = try copy.open()
        #expect(replica.digests() == master.digests() && replica.terms == master.terms)
      }
    }
    let from = replica.firstRetainedLSN
    #expect(
      try replica.records(from: from, to: LSN(.max)).map(\.bytes)
        == master.records(from: from, to: LSN(.max)).map(\.bytes))
  }

  @Test func unappliedRecordsAreNeverDroppedAsDead() throws {
    let disk = TestDisk()
    let copy = TestDisk(opsBufferBytes: 0)
    let master = try disk.create()
    for i in 0..<40 { master.put("key\(i)", String(repeating: "v", count: 500)) }
    let replica = try copy.create()
    let bytes = try master.records(from: LSN(1), to: LSN(.max)).flatMap(\.bytes)
    try replica.withWriteLock { access throws in
      try bytes.withUnsafeBytes { (raw) throws in try replica.appendReplicated(raw, access) }
    }
    try copy.settle(replica)
    try copy.settle(replica)
    try replica.apply(upTo: LSN(.max))
    #expect(replica.digests() == master.digests())
  }

  @Test func anEmptyLogBehindFilesThatWereCleanedKeepsTheFloor() throws {
    var generation = DirectoryFile(node: TestDisk().lineage, lineage: TestDisk().lineage)
    generation.rewindFloor = LSN(44)
    let (cleaned, _) = try TestDisk().openWithReport(generation: generation)
    cleaned.startEmpty(at: LSN(6))
    #expect(cleaned.rewindFloor == LSN(44), "up to there the master's files were cleaned, though none of them is left")
    let new = try TestDisk().open()
    new.startEmpty(at: LSN(6))
    #expect(new.rewindFloor == LSN(5))
  }

  @Test func whatDoesNotFollowTheLogIsRefusedByName() throws {
    let master = try TestDisk().create()
    _ = master.beginTerm(reign(2))
    for i in 0..<5 { master.put("key\(i)", "value") }
    let records = try master.records(from: LSN(1), to: LSN(.max)).map(\.bytes)
    let replica = try TestDisk().create()
    func append(_ bytes: [UInt8]) throws {
      try bytes.withUnsafeBytes { (raw) throws in try replica.appendReplicated(raw) }
    }
    #expect(throws: ReplicaRefusal.gap(expected: LSN(1), got: LSN(2))) { try append(records[1]) }
    try append(records[0] + records[1])
    for offset in records[2].indices where offset < 32 + 9 {
      var flipped = records[2]
      flipped[offset] ^= 4
      #expect(throws: ReplicaRefusal.damagedRecord(after: LSN(2))) { try append(flipped) }
    }
    for count in 1..<records[2].count {
      #expect(throws: ReplicaRefusal.damagedRecord(after: LSN(2))) { try append(Array(records[2].prefix(count))) }
    }
    let old = try TestDisk().create()
    _ = old.beginTerm(reign(1))
    for i in 0..<5 { old.put("key\(i)", "value") }
    #expect(throws: ReplicaRefusal.termWentBack(from: Term(2), to: Term(1))) {
      try append(old.records(from: LSN(3), to: LSN(3))[0].bytes)
    }
    try append(records[2])
    let later = try TestDisk().create()
    _ = later.beginTerm(reign(3))
    for i in 0..<5 { later.put("key\(i)", "value") }
    #expect(throws: ReplicaRefusal.termWithoutOwner(Term(3), at: LSN(4))) {
      try append(later.records(from: LSN(4), to: LSN(4))[0].bytes)
    }
    #expect(replica.terms.entries == [.init(reign(2), firstLSN: LSN(1))])
    #expect(replica.positions.appended == LSN(3) && replica.positions.applied == .none)
  }
}
