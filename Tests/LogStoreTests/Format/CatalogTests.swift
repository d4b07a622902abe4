import Core
import LogStore
import Simulator
import Testing

/// Commit levels of databases and voters: where they come from and what they survive.
@Suite struct CatalogTests {
  private func voters(_ count: Int) -> [NodeID] {
    (0..<count).map { NodeID(random: [UInt8](repeating: UInt8($0 + 1), count: NodeID.byteCount)) }
  }

  @Test func levelsBelongToTheNumberOfTheDatabase() throws {
    let store = try TestDisk(databases: 3).create()
    #expect((0..<3).allSatisfy { store.tableLevel($0) == nil })
    #expect(store.setTableLevel(1, .quorum) && store.setTableLevel(2, .async))
    #expect(store.flushDatabase(1) && store.flushAll() && store.swapDatabases(0, 1))
    #expect(store.tableLevel(0) == nil && store.tableLevel(1) == .quorum && store.tableLevel(2) == .async)
    #expect(store.setTableLevel(1, nil))
    #expect(store.tableLevel(1) == nil)
  }

  @Test func votersAreAListWithoutDoubles() throws {
    let store = try TestDisk().create()
    let nodes = voters(3)
    #expect(store.setVoters([nodes[2], nodes[0], nodes[2]]))
    #expect(store.voters == [nodes[0], nodes[2]] && store.votersInLog == store.voters)
    #expect(store.setVoters(voters(Catalog.votersMax)) && store.voters.count == 64)
    #expect(store.setVoters([]) && store.voters.isEmpty)
  }

  @Test func theySurviveAStartAndACompaction() throws {
    let disk = TestDisk(opsBufferBytes: 0)
    var store = try disk.create()
    store.put("a", "1", db: 1)
    #expect(store.setTableLevel(1, .fullsync) && store.setVoters(voters(2)))
    for i in 0..<40 { store.put("key\(i % 4)", String(repeating: "v", count: 500)) }
    func check(_ note: String) {
      #expect(store.tableLevel(0) == nil && store.tableLevel(1) == .fullsync, "\(note)")
      #expect(store.voters == voters(2) && store.votersInLog == voters(2), "\(note)")
    }
    try disk.settle(store)
    store = try disk.open()
    check("opened")
    #expect(try store.compactAll(disk).recordsDropped > 0)
    check("compacted")
    disk.files.crash()
    store = try disk.open()
    check("opened after the compaction")
    #expect(store.flushDatabase(1))
    try disk.settle(store)
    store = try disk.open()
    check("flushed")
  }

  @Test func onASlaveTheyCountWhenAppliedButVotersInTheLogAtOnce() throws {
    let master = try TestDisk().create()
    #expect(master.setTableLevel(2, .quorum) && master.setVoters(voters(3)))
    let slave = try TestDisk().create()
    let bytes = try master.records(from: LSN(1), to: LSN(.max)).flatMap(\.bytes)
    try slave.withWriteLock { access throws in
      try bytes.withUnsafeBytes { (raw) throws in try slave.appendReplicated(raw, access) }
      #expect(slave.tableLevel(2) == nil && slave.voters.isEmpty && slave.votersInLog == voters(3))
      try slave.apply(upTo: LSN(1), access)
      #expect(slave.tableLevel(2) == .quorum && slave.voters.isEmpty)
      try slave.apply(upTo: LSN(2), access)
      #expect(slave.voters == voters(3))
    }
  }

  @Test func aDeltaCarriesThem() throws {
    let (disk, slaveDisk) = (TestDisk(), TestDisk())
    let master = try disk.create()
    master.put("a", "1")
    let slave = try slaveDisk.create()
    slave.setReplica(true)
    try DeltaRun.append(master.records(from: LSN(1), to: LSN(1)).flatMap(\.bytes), to: slave, applyUpTo: LSN(1))
    _ = slave.commit(flush: true)
    #expect(master.setTableLevel(1, .quorum) && master.setVoters(voters(3)))
    for i in 0..<20 { master.put("key\(i % 2)", String(repeating: "v", count: 100)) }
    master.positions.set(committed: master.commit(flush: true).durable)
    let barrier = master.positions.committed
    let stage = DeltaStage(store: slave, after: LSN(1))
    let reader = DeltaReader(store: master, after: LSN(1))
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 64)
    defer { buffer.deallocate() }
    let run = try reader.read(upTo: barrier, into: buffer)
    #expect(run.reachedEnd && run.records == 3)
    try stage.append(
      UnsafeRawBufferPointer(rebasing: buffer[0..<run.bytes]), first: run.first, last: run.last, term: run.term)
    try stage.finish(barrier: barrier)
    try DeltaRun.install(stage, barrier, master.terms, slave) { (describe) throws(FileError) in
      describe(&slaveDisk.generations[0])
    }
    for store in [slave, try slaveDisk.open()] {
      #expect(store.tableLevel(1) == .quorum && store.tableLevel(0) == nil)
      #expect(store.voters == voters(3) && store.votersInLog == voters(3))
      #expect(
        store.pendingLevel == .async
          && store.committable(durable: barrier, fullsync: .none, quorum: .none) == barrier)
    }
  }

  // MARK: The number of databases

  @Test func theLogNamesTheNumberOfDatabases() throws {
    let disk = TestDisk(databases: 4)
    var store = try disk.create()
    #expect(store.nameDatabases(4) && store.lastAppended == 0, "a log that names none has this number")
    #expect(store.nameDatabases(7) && store.databases == 7 && store.lastAppended == 1)
    #expect(store.onlyNamesDatabases)
    #expect(store.nameDatabases(7) && store.lastAppended == 1)
    store.put("a", "1", db: 6)
    #expect(store.databasesUsed == 7)
    #expect(store.setTableLevel(0, .quorum) && !store.onlyNamesDatabases)
    try disk.settle(store)
    disk.configuration.databases = 2
    store = try disk.open()
    #expect(store.databases == 7)
    #expect(store.get("a", db: 6) == .text("1"))
    #expect(store.nameDatabases(9) && store.databases == 9)
    #expect(store.get("a", db: 6) == .text("1") && store.get("a", db: 8) == .missing)
    // None, and no fault.
    #expect(store.get("a", db: 9) == .missing && store.keyCount(60_000) == 0)
  }

  @Test func aReplicaHasTheNumberOfTheLogThatItFollows() throws {
    for (own, theirs) in [(8, 4), (3, 4), (1, 16)] {
      let master = try TestDisk(databases: 4).create()
      #expect(master.nameDatabases(own))
      master.put("a", "1", db: own - 1)
      let disk = TestDisk(databases: theirs)
      var replica = try disk.create()
      replica.setReplica(true)
      try DeltaRun.append(
        master.records(from: LSN(1), to: LSN(.max)).flatMap(\.bytes), to: replica, applyUpTo: LSN(.max))
      #expect(replica.databases == own)
      #expect(replica.digests() == master.digests() && replica.get("a", db: own - 1) == .text("1"))
      try disk.settle(replica)
      replica = try disk.open()
      #expect(replica.databases == own && replica.digests() == master.digests())
    }
  }

  @Test func aDeltaCarriesTheNumber() throws {
    let (disk, slaveDisk) = (TestDisk(), TestDisk())
    let master = try disk.create()
    master.put("a", "1")
    let slave = try slaveDisk.create()
    slave.setReplica(true)
    try DeltaRun.append(master.records(from: LSN(1), to: LSN(1)).flatMap(\.bytes), to: slave, applyUpTo: LSN(1))
    _ = slave.commit(flush: true)
    #expect(master.nameDatabases(12))
    for i in 0..<12 { master.put("key", "v", db: i) }
    master.positions.set(committed: master.commit(flush: true).durable)
    let barrier = master.positions.committed
    let stage = DeltaStage(store: slave, after: LSN(1))
    let reader = DeltaReader(store: master, after: LSN(1))
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 64)
    defer { buffer.deallocate() }
    let run = try reader.read(upTo: barrier, into: buffer)
    try stage.append(
      UnsafeRawBufferPointer(rebasing: buffer[0..<run.bytes]), first: run.first, last: run.last, term: run.term)
    try stage.finish(barrier: barrier)
    try DeltaRun.install(stage, barrier, master.terms, slave) { (describe) throws(FileError) in
      describe(&slaveDisk.generations[0])
    }
    for store in [slave, try slaveDisk.open()] {
      #expect(store.databases == 12 && store.digests() == master.digests())
    }
  }

  /// What older versions wrote: keys of more databases than the log names.
  @Test func aLogThatNamesNoneHasAsManyAsItHasTables() throws {
    let disk = TestDisk(databases: 20)
    var store = try disk.create()
    store.put("a", "1", db: 19)
    for i in 0..<40 { store.put("key\(i)", String(repeating: "v", count: 500)) }
    try disk.settle(store)
    disk.configuration.databases = 16
    store = try disk.open()
    #expect(store.databases == 20 && store.get("a", db: 19) == .text("1"))
    let replica = try TestDisk(databases: 16).create()
    replica.setReplica(true)
    try DeltaRun.append(
      store.records(from: LSN(1), to: LSN(.max)).flatMap(\.bytes), to: replica, applyUpTo: LSN(.max))
    #expect(replica.databases == 20 && replica.get("a", db: 19) == .text("1"))
  }
}
