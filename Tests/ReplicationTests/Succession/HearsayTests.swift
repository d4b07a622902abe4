import Core
import Testing

@testable import Replication

@Suite struct HearsayTests {
  private static func id(_ byte: UInt8) -> NodeID { NodeID(random: [UInt8](repeating: byte, count: 20)) }
  private let own = id(1)
  private let second = id(2)
  private let third = id(3)
  private let stranger = id(9)
  private let lineage = id(7)
  private let address = NodeAddress(host: "h", port: 7402)!
  private let other = NodeAddress(host: "liar", port: 1)!

  private func news(_ term: UInt32, of id: NodeID) -> NewMaster {
    NewMaster(term: Term(term), id: id, address: address, lineage: lineage, firstLSN: LSN(9))
  }
  private func answer(
    _ id: NodeID, _ role: NodeState.Role = .master, term: UInt32, votedTerm: UInt32? = nil, lineage: NodeID? = nil
  ) -> NodeState {
    NodeState(
      id: id, address: address, role: role, lineage: lineage ?? self.lineage,
      reign: Reign(term: Term(term), owner: id), votedTerm: Term(votedTerm ?? term), last: .none)
  }
  private func hearer(healthy: Bool = true, voters: [NodeID] = [], vote: Vote? = nil) -> HearsayRule.Hearer {
    .init(id: own, lineage: lineage, knownTerm: Term(4), isRowHealthy: healthy, voters: voters, vote: vote)
  }

  @Test func aStrangerIsAskedOnlyByWhomHearsNoMaster() {
    #expect(HearsayRule.address(known: nil, claimed: other, isRowHealthy: true) == nil)
    #expect(HearsayRule.address(known: nil, claimed: other, isRowHealthy: false) == other)
    #expect(HearsayRule.address(known: address, claimed: other, isRowHealthy: true) == address)
    #expect(HearsayRule.address(known: address, claimed: other, isRowHealthy: false) == address)
  }

  @Test func withoutVotesTheNodeItselfBearsItOut() {
    let hearer = hearer()
    #expect(HearsayRule.doubt(news(5, of: second), answer(second, term: 5), votes: [:], hearer) == nil)
    #expect(HearsayRule.doubt(news(5, of: second), answer(third, term: 5), votes: [:], hearer) != nil)
    #expect(HearsayRule.doubt(news(5, of: second), answer(second, .slave, term: 5), votes: [:], hearer) != nil)
    #expect(HearsayRule.doubt(news(6, of: second), answer(second, term: 5), votes: [:], hearer) != nil)
    let foreign = answer(second, term: 5, lineage: third)
    #expect(HearsayRule.doubt(news(5, of: second), foreign, votes: [:], hearer) != nil)
    #expect(HearsayRule.doubt(news(5 << 20, of: second), answer(second, term: 5 << 20), votes: [:], hearer) != nil)
  }

  @Test func aMajorityOfTheVotersIsProofAtAnyDistance() {
    let voters = [own, second, third]
    let far: UInt32 = 3_000_000_000
    let hearer = hearer(voters: voters)
    #expect(HearsayRule.doubt(news(far, of: second), answer(second, term: far), votes: [:], hearer) != nil)
    #expect(
      HearsayRule.doubt(news(far, of: second), answer(second, term: far), votes: [third: Term(far)], hearer) == nil)
    #expect(HearsayRule.doubt(news(far, of: second), answer(second, term: far), votes: [third: Term(9)], hearer) != nil)
    let voted = self.hearer(voters: voters, vote: Vote(term: Term(far), candidate: second))
    #expect(HearsayRule.doubt(news(far, of: second), answer(second, term: far), votes: [:], voted) == nil)
    // Who votes for a stranger does not count either, and a stranger's own vote counts for nothing.
    #expect(
      HearsayRule.doubt(news(5, of: stranger), answer(stranger, term: 5), votes: [stranger: Term(5)], hearer) != nil)
  }

  @Test func whoHearsNoMasterNeedsNoVotes() {
    let hearer = hearer(healthy: false, voters: [own, second, third])
    #expect(HearsayRule.doubt(news(5, of: second), answer(second, term: 5), votes: [:], hearer) == nil)
  }

  @Test func aCandidateStandsForTheTermThatIsAskedFor() {
    let request = VoteRequest(term: Term(5), candidate: second, address: address, last: .none, lineage: lineage)
    var state = answer(second, .slave, term: 5)
    #expect(HearsayRule.doubt(request, state) == nil, "an older version does not say it")
    state.standsFor = Term(5)
    #expect(HearsayRule.doubt(request, state) == nil)
    state.standsFor = Term.none
    #expect(HearsayRule.doubt(request, state) != nil)
    state.standsFor = Term(6)
    #expect(HearsayRule.doubt(request, state) != nil)
    #expect(HearsayRule.doubt(request, answer(third, .slave, term: 5)) != nil)
  }

  @Test func aRegistrationsNewestTermIsBorneOutByTheSlave() {
    let reign = Reign(term: Term(6), owner: third)
    #expect(HearsayRule.doubt(reign, of: second, answer(second, .slave, term: 4, votedTerm: 6), hearer()) == nil)
    #expect(HearsayRule.doubt(reign, of: second, answer(second, .slave, term: 4), hearer()) != nil)
    #expect(HearsayRule.doubt(reign, of: second, answer(third, .slave, term: 6), hearer()) != nil)
    let far = Reign(term: Term(1 << 30), owner: third)
    #expect(HearsayRule.doubt(far, of: second, answer(second, .slave, term: 1 << 30), hearer()) != nil)
  }
}
