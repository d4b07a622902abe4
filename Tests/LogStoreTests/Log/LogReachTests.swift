import Core
import LogStore
import Simulator
import Testing

/// How far the log went: what is written down of it, and what a start makes of that.
@Suite struct LogReachTests {
  private let node = NodeID(random: [UInt8](repeating: 9, count: 20))
  private func reach(_ durable: UInt64, _ begun: UInt64) -> LogReach {
    LogReach(durable: Position(reign(3), lsn: LSN(durable)), begun: LSN(begun))
  }
  private func file(_ disk: SimulatedFileSystem, era: UInt64 = 0) throws -> ReachFile {
    try disk.makeDirectory("data")
    return ReachFile(
      fileSystem: disk, directory: "data", node: node, era: era, last: try ReachFile.read("data", disk).note)
  }
  private func read(_ disk: SimulatedFileSystem) throws -> LogReach? { try ReachFile.read("data", disk).note?.reach }

  @Test func theNewestNoteCountsAndOneDamagedSlotLeavesTheOther() throws {
    let disk = SimulatedFileSystem(seed: 1)
    let notes = try file(disk)
    try notes.note(reach(10, 1), era: 0)
    try notes.note(reach(20, 15), era: 0)
    #expect(try read(disk) == reach(20, 15))
    for at in [0, 4096] {
      for offset in 0..<80 {
        let copy = disk.copy()
        copy.flipBit("data/reach", offset: at + offset)
        let (note, damage) = try ReachFile.read("data", copy)
        #expect(note?.reach == reach(20, 15) || note?.reach == reach(10, 1), "byte \(at + offset)")
        #expect(damage != nil)
      }
    }
    disk.crash()
    #expect(try read(disk) == reach(20, 15))
  }

  @Test func moreIsClaimedAndNeverLessButByACut() throws {
    let disk = SimulatedFileSystem(seed: 2)
    let notes = try file(disk)
    try notes.note(reach(20, 15), era: 0)
    try notes.note(LogReach(durable: .none, begun: LSN(21)), era: 0)
    try notes.note(reach(5, 1), era: 0)
    #expect(try read(disk) == reach(20, 21))
    try notes.lower(to: reach(18, 15), era: 0)
    #expect(try read(disk) == reach(18, 15))
    // An older note may not come back.
    let copy = disk.copy()
    copy.flipBit("data/reach", offset: 10)
    #expect(try read(copy) == reach(18, 15))
    copy.flipBit("data/reach", offset: 4096 + 10)
    #expect(try ReachFile.read("data", copy).note == nil)
  }

  @Test func anotherEraBeginsWithoutClaims() throws {
    let disk = SimulatedFileSystem(seed: 3)
    let notes = try file(disk)
    try notes.note(reach(20, 15), era: 0)
    try notes.note(reach(3, 1), era: 1)
    #expect(try read(disk) == reach(3, 1))
    // The store of before.
    try notes.note(reach(30, 15), era: 0)
    #expect(try read(disk) == reach(3, 1))
    #expect(try file(disk, era: 1).reach(of: 1) == reach(3, 1))
    #expect(try file(disk, era: 2).reach(of: 2) == .none && notes.reach(of: 2) == .none)
  }

  @Test func aLogThatEndsBeforeTheClaimIsDamage() throws {
    let disk = TestDisk()
    let store = try disk.create()
    for i in 0..<40 { store.put("key\(i)", String(repeating: "v", count: 200)) }
    _ = store.commit(flush: true)
    let end = store.reach
    #expect(end.durable.lsn == LSN(40) && end.begun > LSN(1))
    func open(_ claim: LogReach, _ files: SimulatedFileSystem) throws -> LogStore {
      try LogStore.open(
        fileSystem: files, directory: disk.directory, lineage: disk.lineage, configuration: disk.configuration,
        generation: disk.generations[0], workers: 1, run: { _, body in body(0) }, reach: claim
      ).0
    }
    #expect(try open(end, disk.files.copy()).positions.durable == LSN(40))
    let more = LogReach(durable: Position(reign(1), lsn: LSN(41)), begun: end.begun)
    let short = #expect(throws: OpenError.self) { try open(more, disk.files.copy()) }
    #expect(short?.tail?.reached.lsn == LSN(41) && short?.tail?.cutTo == LSN(40))
    for count in [-1, 0, 40, 64] {
      let copy = disk.files.copy()
      let path = disk.path(end.begun, ".wal")
      if count < 0 { try copy.unlink(path) } else { copy.setContents(path, Array(copy.contents(path)!.prefix(count))) }
      let error = #expect(throws: OpenError.self, "\(count) bytes") { try open(end, copy) }
      #expect(error?.tail?.cutTo == end.begun.previous && error?.tail?.reached.lsn == LSN(40), "\(count) bytes")
      #expect("\(try #require(error))".contains(path))
    }
  }
}
