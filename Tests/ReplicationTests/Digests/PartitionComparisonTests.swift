import Core
import Testing

@testable import Replication

@Suite struct PartitionComparisonTests {
  private func record(_ key: UInt64, _ lsn: UInt64, content: UInt32? = nil) -> ListedRecord {
    ListedRecord(hash: key, lsn: LSN(lsn), contentHash: content ?? UInt32(lsn))
  }
  private func listing(_ lsn: UInt64, _ records: [ListedRecord], term: UInt32 = 3, owner: UInt8 = 1, table: UInt32 = 1)
    -> PartitionListing
  {
    PartitionListing(table: table, lsn: LSN(lsn), reign: reign(term, of: owner), records: records)
  }
  private func compare(
    _ own: PartitionListing, _ master: PartitionListing, lastRemoval: UInt64 = 0
  ) -> PartitionComparison? {
    PartitionComparison(own: own, lastRemoval: LSN(lastRemoval), master: master)
  }

  @Test func onlyPartitionsWithOtherSumsOrCountsDiffer() {
    let sums = (0..<5).map { PartitionSum(sum: UInt64($0), liveRecords: 2) }
    let master = PartitionSums(table: 1, partitions: sums)
    var own = master
    #expect(own.differing(from: master) == [])
    own.partitions[1].sum = 99
    own.partitions[4].liveRecords = 1
    #expect(own.differing(from: master) == [1, 4])
    own.table = 2
    #expect(own.differing(from: master) == nil)
  }

  @Test func equalListingsAreEqualInAnyOrder() {
    let records = (1...20).map { record($0 * 7, $0) }
    #expect(compare(listing(20, records.reversed()), listing(20, records))?.isEqual == true)
  }

  @Test func whatOneSideHasIsMissingOrExtra() throws {
    let found = try #require(
      compare(listing(20, [record(1, 5), record(2, 6)]), listing(20, [record(1, 5), record(3, 7)])))
    #expect(found.missing == [record(3, 7)])
    #expect(found.extra == [record(2, 6)])
    #expect(found.contentDiffers.isEmpty && found.undecided == 0)
  }

  @Test func anOlderRecordOfTheKeyIsReplaced() throws {
    // A removal in the partition does not matter: the key is there.
    let found = try #require(compare(listing(30, [record(1, 5)]), listing(20, [record(1, 9)]), lastRemoval: 25))
    #expect(found.missing == [record(1, 9)] && found.extra == [record(1, 5)] && found.undecided == 0)
  }

  @Test func whatChangedAfterTheMastersListingIsNoDifference() throws {
    // Key 1 was overwritten with LSN 22, key 4 is new.
    let found = try #require(
      compare(listing(25, [record(1, 22), record(4, 24), record(2, 6)]), listing(20, [record(1, 5), record(2, 6)])))
    #expect(found.isEqual)
  }

  @Test func aRemovalAfterTheMastersListingLeavesItOpen() throws {
    let master = listing(20, [record(1, 5), record(2, 6)])
    let open = try #require(compare(listing(25, [record(2, 6)]), master, lastRemoval: 23))
    #expect(open.missing.isEmpty && open.undecided == 1 && !open.isEqual)
    let certain = try #require(compare(listing(25, [record(2, 6)]), master, lastRemoval: 20))
    #expect(certain.missing == [record(1, 5)] && certain.undecided == 0)
  }

  @Test func anotherContentUnderTheSameLSNIsNamed() throws {
    let found = try #require(compare(listing(20, [record(1, 5, content: 8)]), listing(20, [record(1, 5)])))
    #expect(found.contentDiffers == [record(1, 5)] && found.missing.isEmpty && found.extra.isEmpty)
  }

  @Test func nothingIsSaidAcrossReignsTablesOrFromBehind() {
    let master = listing(20, [])
    #expect(compare(listing(20, [], term: 4), master) == nil)
    #expect(compare(listing(20, [], owner: 4), master) == nil)
    #expect(compare(listing(20, [], table: 2), master) == nil)
    #expect(compare(listing(19, []), master) == nil)
  }

  /// Two replicas of a random history: whatever a comparison says of one that has only gone on is nothing; of one whose
  /// index was damaged, every lost, stale or leftover entry that no later operation hides.
  @Test(arguments: 0..<50) func historiesAreComparedAtAnyTwoMoments(seed: UInt64) throws {
    var random = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    func next(_ bound: UInt64) -> UInt64 {
      random ^= random << 13
      random ^= random >> 7
      random ^= random << 17
      return random % bound
    }
    var live: [UInt64: UInt64] = [:]
    var removal: UInt64 = 0
    func step(_ lsn: UInt64) {
      let key = next(12)
      if next(4) == 0 {
        if live.removeValue(forKey: key) != nil { removal = lsn }
      } else {
        live[key] = lsn
      }
    }
    for lsn in 1...60 { step(UInt64(lsn)) }
    let master = listing(60, live.map { record($0.key, $0.value) })
    let atMaster = live
    for lsn in 61...61 + next(20) { step(UInt64(lsn)) }
    let end = 61 + 20
    let good = try #require(
      compare(listing(UInt64(end), live.map { record($0.key, $0.value) }), master, lastRemoval: removal))
    #expect(good.missing.isEmpty && good.extra.isEmpty && good.contentDiffers.isEmpty)

    // An entry that no later operation touched is lost.
    guard let victim = live.filter({ atMaster[$0.key] == $0.value }).keys.sorted().first else { return }
    let removed = live.removeValue(forKey: victim)
    let lsn = try #require(removed)
    let damaged = try #require(
      compare(listing(UInt64(end), live.map { record($0.key, $0.value) }), master, lastRemoval: removal))
    #expect(damaged.extra.isEmpty)
    if removal <= 60 {
      #expect(damaged.missing == [record(victim, lsn)])
    } else {
      #expect(damaged.missing.isEmpty && damaged.undecided > 0)
    }
  }

  @Test func bodiesAreReadAsTheyWereWrittenAndBadOnesRefused() throws {
    let sums = PartitionSums(table: 7, partitions: [PartitionSum(sum: .max, liveRecords: 3)])
    #expect(try PartitionSums(decoding: sums.encoded()) == sums)
    let list = listing(9, [record(1, 2), record(.max, 3, content: 0)])
    #expect(try PartitionListing(decoding: list.encoded()) == list)
    for count in 0..<list.encoded().count {
      #expect(throws: FrameError.self) { try PartitionListing(decoding: Array(list.encoded().prefix(count))) }
    }
    for count in 0..<sums.encoded().count {
      #expect(throws: FrameError.self) { try PartitionSums(decoding: Array(sums.encoded().prefix(count))) }
    }
    #expect(throws: FrameError.self) { try PartitionSums(decoding: sums.encoded() + [0]) }
    var huge = list.encoded()
    huge.replaceSubrange(37..<41, with: [255, 255, 255, 255])
    #expect(throws: FrameError.self) { try PartitionListing(decoding: huge) }
  }
}
