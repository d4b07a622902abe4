import Core
import Testing

@testable import Replication

@Suite struct CommitTrackerTests {
  static func tracker(
    _ voters: [UInt8] = [], start: UInt64 = 1, slaves: Int = 0, own: UInt8 = 1, votersAt: UInt64 = 0
  ) -> CommitTracker {
    CommitTracker(
      ownID: node(own), termStart: LSN(start), fullsyncSlaves: slaves,
      voters: VoterList(voters.map(node), at: LSN(votersAt)))
  }
  static func acks(_ acks: (UInt8, UInt64)...) -> [SlaveAck] {
    acks.map { SlaveAck(id: node($0.0), durableLSN: LSN($0.1)) }
  }
  static let three = acks((2, 5), (3, 9), (4, 7))

  struct Row: Sendable, CustomTestStringConvertible {
    var name: String
    var voters: [UInt8] = []
    var slaves = 0
    var start: UInt64 = 1
    var own: UInt64 = 10
    var acks = CommitTrackerTests.three
    var good: [UInt64]
    var testDescription: String { name }
  }
  static let rows = [
    Row(name: "nobody is asked", good: [10, 10, 10]),
    Row(name: "this node is the only voter", voters: [1], good: [10, 10, 10]),
    Row(name: "one slave", slaves: 1, good: [10, 9, 10]),
    Row(name: "two slaves", slaves: 2, good: [10, 7, 10]),
    Row(name: "all slaves", slaves: 3, good: [10, 5, 10]),
    Row(name: "more slaves than there are", slaves: 4, good: [10, 0, 10]),
    Row(name: "a negative number is none", slaves: -1, good: [10, 10, 10]),
    Row(name: "never beyond the own disk", voters: [1, 2, 3], slaves: 1, own: 6, good: [6, 6, 6]),
    Row(name: "two voters", voters: [1, 3], good: [10, 10, 9]),
    Row(name: "three voters", voters: [1, 2, 3], good: [10, 10, 9]),
    Row(name: "four voters", voters: [1, 2, 3, 4], good: [10, 10, 7]),
    Row(name: "acks of slaves that are no voters do not count", voters: [1, 2, 5], good: [10, 10, 5]),
    Row(name: "voters that are not there", voters: [1, 5, 6], good: [10, 10, 0]),
    Row(name: "this node is no voter", voters: [2, 3, 4], good: [10, 10, 7]),
    Row(name: "one other voter, this node is none", voters: [3], good: [10, 10, 9]),
    Row(
      name: "the own id among the acks counts once", voters: [1, 2, 5], acks: acks((1, 10), (2, 5)), good: [10, 10, 5]),
    Row(name: "term not reached by the majority", voters: [1, 2, 3], slaves: 2, start: 10, good: [10, 0, 0]),
    Row(name: "term just reached", voters: [1, 2, 3], slaves: 1, start: 9, good: [10, 9, 9]),
    Row(name: "term not reached, but nobody is asked", start: 11, good: [10, 10, 10]),
    Row(name: "no slave at all", voters: [1, 2, 3], slaves: 1, acks: [], good: [10, 0, 0]),
  ]
  @Test(arguments: rows) func whatIsGood(_ row: Row) {
    var tracker = Self.tracker(row.voters, start: row.start, slaves: row.slaves)
    let good = tracker.update(ownDurable: LSN(row.own), acks: row.acks)
    #expect([good.durable.value, good.fullsync.value, good.quorum.value] == row.good)
  }

  @Test func goodNeverGoesBack() {
    var tracker = Self.tracker([1, 2, 3], slaves: 1)
    tracker.update(ownDurable: LSN(10), acks: Self.acks((2, 8)))
    let before = tracker.good
    #expect(before == GoodLSNs(durable: LSN(10), fullsync: LSN(8), quorum: LSN(8)))
    #expect(tracker.update(ownDurable: LSN(10), acks: []) == before)
    tracker.fullsyncSlaves = 2
    tracker.votersAppended(VoterList([node(1), node(5)], at: LSN(11)))
    #expect(tracker.update(ownDurable: LSN(9), acks: Self.acks((2, 3))) == before)
    #expect(
      tracker.update(ownDurable: LSN(12), acks: Self.acks((2, 11), (5, 10)))
        == GoodLSNs(durable: LSN(12), fullsync: LSN(10), quorum: LSN(10)))
  }

  @Test func aNewListCountsFromItsAppendingOn() {
    var tracker = Self.tracker([1, 2], votersAt: 1)
    tracker.update(ownDurable: LSN(10), acks: Self.acks((2, 10), (3, 4)))
    #expect(tracker.good.quorum == LSN(10) && tracker.mayChangeVoters)
    tracker.votersAppended(VoterList([node(3), node(1), node(2), node(3)], at: LSN(11)))
    #expect(tracker.voters.ids == [node(1), node(2), node(3)] && !tracker.mayChangeVoters)
    tracker.update(ownDurable: LSN(12), acks: Self.acks((2, 10), (3, 12)))
    #expect(tracker.good.quorum == LSN(10) && !tracker.mayChangeVoters, "the list before has not agreed")
    tracker.update(ownDurable: LSN(12), acks: Self.acks((2, 11), (3, 12)))
    #expect(tracker.good.quorum == LSN(11) && tracker.mayChangeVoters)
    tracker.update(ownDurable: LSN(12), acks: Self.acks((2, 10), (3, 12)))
    #expect(tracker.good.quorum == LSN(12))
  }

  @Test func theListBeforeMustAgreeUntilTheNewOneIsCommittedUnlessItIsGivenUp() {
    var tracker = Self.tracker([1, 2], votersAt: 4)
    tracker.update(ownDurable: LSN(9), acks: Self.acks((2, 9)))
    tracker.votersAppended(VoterList([node(1)], at: LSN(10)))
    #expect(tracker.update(ownDurable: LSN(12), acks: []).quorum == LSN(9) && !tracker.mayChangeVoters)
    #expect(tracker.update(ownDurable: LSN(12), acks: Self.acks((2, 10))).quorum == LSN(10) && tracker.mayChangeVoters)
    #expect(tracker.update(ownDurable: LSN(13), acks: []).quorum == LSN(13))
    var forced = Self.tracker([1, 2, 3], votersAt: 4)
    forced.update(ownDurable: LSN(9), acks: [])
    forced.votersAppended(VoterList([node(1)], at: LSN(10)), isForced: true)
    #expect(forced.update(ownDurable: LSN(12), acks: []).quorum == LSN(12) && forced.mayChangeVoters)
  }

  /// Random disks, links and voter changes: nothing goes back, and what is called good really lies on that many disks.
  @Test(arguments: 0..<200 as Range<UInt64>) func whatIsGoodIsHeld(seed: UInt64) {
    var rng = Seeded(seed)
    let nodes = Array(1...7 as ClosedRange<UInt8>)
    var disks: [UInt8: UInt64] = [:]
    var last: UInt64 = UInt64.random(in: 1...20, using: &rng)
    let start = last
    for n in nodes { disks[n] = UInt64.random(in: 0..<start, using: &rng) }
    disks[1] = last
    var tracker = Self.tracker(start: start, slaves: Int.random(in: 0...3, using: &rng))
    var before = tracker.good
    for _ in 0..<200 {
      switch Int.random(in: 0..<4, using: &rng) {
      case 0: last += UInt64.random(in: 1...3, using: &rng)
      case 1: disks[1] = UInt64.random(in: disks[1]!...last, using: &rng)
      case 2:
        let n = nodes.randomElement(using: &rng)!
        if disks[n]! < disks[1]! { disks[n] = UInt64.random(in: disks[n]!...disks[1]!, using: &rng) }
      case _:
        guard tracker.mayChangeVoters else { break }
        let changed = node(nodes.randomElement(using: &rng)!)
        let list = Set(tracker.voters.ids).symmetricDifference([changed])
        guard !list.isEmpty else { break }
        last += 1
        tracker.votersAppended(VoterList(Array(list), at: LSN(last)))
      }
      let streaming = nodes.dropFirst().filter { _ in Int.random(in: 0..<4, using: &rng) > 0 }
      tracker.update(
        ownDurable: LSN(disks[1]!),
        acks: streaming.shuffled(using: &rng).map { SlaveAck(id: node($0), durableLSN: LSN(disks[$0]!)) })
      let good = tracker.good
      #expect(good.durable >= before.durable && good.fullsync >= before.fullsync && good.quorum >= before.quorum)
      #expect(good.durable.value == disks[1]! && good.fullsync <= good.durable && good.quorum <= good.durable)
      func holders(_ lsn: LSN, _ among: [UInt8]) -> Int { among.count { disks[$0]! >= lsn.value } }
      if good.fullsync > before.fullsync {
        #expect(holders(good.fullsync, Array(nodes.dropFirst())) >= tracker.fullsyncSlaves)
        #expect(tracker.fullsyncSlaves == 0 || good.fullsync.value >= start)
      }
      if good.quorum > before.quorum, !tracker.voters.ids.isEmpty {
        let voters = nodes.filter { tracker.voters.ids.contains(node($0)) }
        #expect(holders(good.quorum, voters) * 2 > voters.count)
        if let replaced = tracker.replaced {
          let before = nodes.filter { replaced.ids.contains(node($0)) }
          #expect(before.isEmpty || holders(good.quorum, before) * 2 > before.count)
        }
        #expect(good.quorum.value >= start)
      }
      before = good
    }
  }

  /// No record of the log names voters. The one that began the data set is the list, so that the lists of all nodes overlap.
  @Test func withoutAListTheOneThatBeganTheDataSetIsIt() {
    var history = TermHistory()
    #expect(VoterList.ofLog(named: [], at: .none, history: history) == .none)
    history.begin(reign(1, of: 1), at: LSN(1))
    history.begin(reign(2, of: 2), at: LSN(10))
    let list = VoterList.ofLog(named: [], at: .none, history: history)
    #expect(list == VoterList([node(1)], at: .none))
    #expect(list.asksOthers(than: node(2)) && !list.asksOthers(than: node(1)))
    #expect(VoterList.ofLog(named: [node(2)], at: LSN(12), history: history) == VoterList([node(2)], at: LSN(12)))
    // Node 2 took over: nothing is good that node 1 does not hold.
    var tracker = CommitTracker(ownID: node(2), termStart: LSN(10), voters: list)
    #expect(tracker.update(ownDurable: LSN(20), acks: [SlaveAck(id: node(3), durableLSN: LSN(20))]).quorum == .none)
    #expect(!tracker.mayChangeVoters)
    #expect(tracker.update(ownDurable: LSN(20), acks: [SlaveAck(id: node(1), durableLSN: LSN(12))]).quorum == LSN(12))
    #expect(tracker.mayChangeVoters)
  }
}
