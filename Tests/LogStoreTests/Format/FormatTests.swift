import Core
import LogStore
import Simulator
import Testing

/// The bytes of every format as version 1 writes them. When one of these changes, raise the format's version and keep
/// the old fixture beside the new one.
@Suite struct FormatTests {
  private func unhex(_ text: String) -> [UInt8] {
    let digits = Array(text.utf8)
    return stride(from: 0, to: digits.count - 1, by: 2).compactMap {
      UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16)
    }
  }
  private func hex(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef")
    return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }

  private func store() throws -> (TestDisk, LogStore) {
    let disk = TestDisk(databases: 2)
    let store = try disk.create()
    _ = store.beginTerm(reign(3))
    store.put("key", "value")
    store.put("exp", "x", db: 1, expiry: 0x0102_0304_0506)
    store.remove("key")
    store.put("k", "in a unit")
    _ = store.swapDatabases(0, 1)
    return (disk, store)
  }

  @Test func aSegmentIsByteForByteTheFixture() throws {
    let (disk, store) = try store()
    _ = store.commit(flush: true)
    let bytes = try #require(disk.files.contents(disk.path(LSN(1), ".wal")))
    let used = Int(store.figures().dataBytes)
    #expect(hex(bytes.prefix(used + TailMark.bytes)) == Fixtures.segment)
    #expect(bytes.dropFirst(used + TailMark.bytes).allSatisfy { $0 == 0 })
    _ = store.commit(flush: true)
    let quiet = try #require(disk.files.contents(disk.path(LSN(1), ".wal")))
    #expect(TailMark.flushed(quiet.withUnsafeBytes { UnsafeRawBufferPointer($0) }, at: used) == used)
  }

  @Test func anIndexFileIsByteForByteTheFixture() throws {
    let (disk, store) = try store()
    store.put("next", String(repeating: "v", count: 4000))
    try disk.settle(store)
    let bytes = try #require(disk.files.contents(disk.path(LSN(1), ".idx")))
    #expect(hex(bytes) == Fixtures.index)
  }

  @Test func aVoteFileIsByteForByteTheFixture() throws {
    var file = VoteFile(
      node: NodeID(random: (0..<20).map { UInt8($0) }), lineage: NodeID(random: (20..<40).map { UInt8($0) }))
    file.vote = .init(term: Term(50), candidate: NodeID(random: (40..<60).map { UInt8($0) }))
    (file.sequence, file.generation, file.unsureUpTo) = (3, 7, Term(9))
    #expect(hex(file.encoded()) == Fixtures.vote)
    #expect(try VoteFile(decoding: file.encoded()) == file)
    let nobody = VoteFile(node: file.node, lineage: file.lineage)
    #expect(try VoteFile(decoding: nobody.encoded()) == nobody)
    for i in 0..<VoteFile.byteCount {
      var bytes = file.encoded()
      bytes[i] ^= 4
      #expect(throws: DirectoryFile.Unreadable.self) { try VoteFile(decoding: bytes) }
      #expect(throws: DirectoryFile.Unreadable.self) { try VoteFile(decoding: Array(bytes.prefix(i))) }
    }
  }

  @Test func aDirectoryFileIsByteForByteTheFixture() throws {
    let id = NodeID(random: (0..<20).map { UInt8($0) })
    var file = DirectoryFile(node: id, lineage: NodeID(random: (20..<40).map { UInt8($0) }))
    file.generation = 7
    file.storeNumber = 2
    file.vote = .init(term: Term(4), candidate: id)
    file.terms = try #require(
      TermHistory([.init(reign(1), firstLSN: LSN(1)), .init(reign(4), firstLSN: LSN(90))]))
    file.segments = [.init(name: LogFileName(firstLSN: LSN(1)), lastLSN: LSN(50), bytes: 4096, checksum: 0xDEAD_BEEF)]
    file.logStart = LSN(1)
    file.rewindFloor = LSN(40)
    file.cut = .init(afterLSN: LSN(89), reign: reign(3))
    file.registry = [1, 2, 3]
    file.refetchTo = Position(reign(4), lsn: LSN(120))
    file.voteCeiling = nil
    #expect(try DirectoryFile(decoding: unhex(Fixtures.directoryOfVersion6)) == file)
    file.voteCeiling = Term(20)
    file.startReigns = [StartMark(reign(1), mark: 5), StartMark(reign(4), mark: 6)]
    file.dataSet.isConfirmed = true
    file.dataSet.ordered = NodeID(random: (40..<60).map { UInt8($0) })
    file.dataSet.rival = .init(lineage: NodeID(random: (60..<80).map { UInt8($0) }), place: "a:7400")
    file.era = 3
    file.reach = LogReach(durable: Position(reign(4), lsn: LSN(120)), begun: LSN(100))
    file.catalogRecord = [5, 6, 7, 8]
    #expect(hex(file.encoded()) == Fixtures.directory)
    #expect(try DirectoryFile(decoding: file.encoded()) == file)
    #expect(DirectoryFile.name(7) == "00000000000000000007.dir")
    #expect(DirectoryFile.generation(inName: "00000000000000000007.dir") == 7)
    for bad in [
      "7.dir", "+0000000000000000007.dir", "0000000000000000000a.dir", "00000000000000000007.wal",
      "99999999999999999999.dir",
    ] {
      #expect(DirectoryFile.generation(inName: bad) == nil)
    }
  }

  @Test func aCatalogIsReadBackAndOddBytesAreNot() throws {
    let (_, store) = try store()
    #expect(store.setTableLevel(0, .async) && store.setTableLevel(1, .quorum))
    #expect(store.setVoters([2, 1].map { NodeID(random: [UInt8](repeating: $0, count: 20)) }))
    let catalog = store.catalog
    let bytes = catalog.encoded(.setVoters)
    #expect(
      hex(bytes) == "0502020003000000" + "0200000001000000" + "0103" + String(repeating: "01", count: 20)
        + String(repeating: "02", count: 20))
    #expect(Catalog(bytes) == catalog)
    for count in bytes.indices { #expect(Catalog(Array(bytes.prefix(count))) == nil) }
    #expect(Catalog(bytes + [0]) == nil)
    for (offset, value) in [(0, 0), (0, 9), (1, 1), (1, 65), (2, 3), (4, 2), (8, 0), (8, 1), (16, 4), (18, 3), (38, 0)]
    {
      var odd = bytes
      odd[offset] = UInt8(value)
      #expect(Catalog(odd) == nil, "byte \(offset) = \(value)")
    }
  }

  @Test func verifyNeverReadsBehindTheBytesItIsGiven() throws {
    let (_, store) = try store()
    let records = try store.records(from: LSN(1), to: LSN(.max)).map(\.bytes)
    for record in records {
      for count in 0...record.count {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 8)
        defer { memory.deallocate() }
        memory.copyBytes(from: record.prefix(count))
        guard let base = memory.baseAddress else { continue }
        let verdict = RecordView(UnsafeRawPointer(base)).verify(available: count)
        #expect((verdict == .good) == (count == record.count))
      }
      for bit in 0..<32 * 8 {
        var flipped = record
        flipped[bit / 8] ^= 1 << UInt8(bit % 8)
        flipped.withUnsafeBytes { #expect(RecordView($0.baseAddress!).verify(available: $0.count) != .good) }
      }
    }
  }
}
