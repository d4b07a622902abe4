import Core
import Testing

@testable import Replication

@Suite struct ReadLeaseTests {
  private func voters(_ ids: UInt8...) -> VoterList { VoterList(ids.map { node($0) }, at: LSN(1)) }

  @Test func aMajorityWithThisNodeCountsFromWhatItHasHeard() {
    let three = voters(1, 2, 3)
    #expect(ReadLease.end([:], voters: three, own: node(1)) == at(0))
    #expect(ReadLease.end([node(2): at(5000)], voters: three, own: node(1)) == at(6500))
    #expect(ReadLease.end([node(2): at(5000), node(3): at(7000)], voters: three, own: node(1)) == at(8500))
    let five = voters(1, 2, 3, 4, 5)
    #expect(
      ReadLease.end([node(2): at(9000), node(3): at(7000), node(4): at(8000)], voters: five, own: node(1)) == at(9500))
  }

  @Test func whoIsNoVoterCountsForNothing() {
    let others = voters(2, 3)
    #expect(ReadLease.end([node(2): at(5000), node(3): at(4000)], voters: others, own: node(1)) == at(5500))
    #expect(ReadLease.end([node(2): at(5000), node(9): at(5000)], voters: others, own: node(1)) == at(0))
  }

  @Test func aloneItIsTheMajority() {
    #expect(ReadLease.end([:], voters: .none, own: node(1)) == nil)
    #expect(ReadLease.end([:], voters: voters(1), own: node(1)) == nil)
  }

  @Test func thePromiseOutlivesTheLease() {
    #expect(ReadLease.promiseLeft(since: at(1000), now: at(1000)) == ReadLease.promiseMilliseconds)
    #expect(ReadLease.promiseLeft(since: at(1000), now: at(1000 + ReadLease.milliseconds)) > 0)
    #expect(ReadLease.promiseLeft(since: at(1000), now: at(1000 + ReadLease.promiseMilliseconds)) == 0)
    // Heard by now, as a clock of another thread says.
    #expect(ReadLease.promiseLeft(since: at(1001), now: at(1000)) == ReadLease.promiseMilliseconds)
  }

  @Test func aClockNamesTheMomentFromWhichFramesCarriedIt() {
    var sent = SentClocks()
    #expect(sent.earliest(wall(100)) == nil)
    for i in 0..<100 as Range<UInt64> { sent.note(wall(10_000 + i * 10), now: at(i * 10)) }
    #expect(sent.earliest(wall(9_999)) == nil)
    for i in 0..<100 as Range<UInt64> {
      let moment = sent.earliest(wall(10_000 + i * 10))!
      #expect(moment <= at(i * 10) && at(i * 10).since(moment) <= 20)
    }
  }

  @Test func aClockThatWasSetBackNamesTheFirstOfBothMoments() {
    var sent = SentClocks()
    for i in 0..<50 as Range<UInt64> { sent.note(wall(10_000 + i * 100), now: at(i * 100)) }
    for i in 50..<100 as Range<UInt64> { sent.note(wall(8_000 + i * 100), now: at(i * 100)) }
    // The clock was 13,000 at 3000 and, set back, once more at 5000.
    #expect(sent.earliest(wall(13_000)) == at(3000))
    #expect(sent.earliest(wall(14_900)) == at(4900))
    // What is long forgotten answers no more.
    for i in 100..<300 as Range<UInt64> { sent.note(wall(8_000 + i * 100), now: at(i * 100)) }
    #expect(sent.earliest(wall(13_000)) == nil)
  }

  // MARK: promotions

  @Test func aCandidateKeepsItsOwnPromiseBeforeItVotesForItself() {
    var promotion = Promotion()
    var facts = PromotionTests.facts(PromotionTests.quorum)
    facts.promisedUntil = at(1000)
    _ = promotion.step(.start(facts), now: at(0))
    _ = promotion.step(PromotionTests.dead, now: at(1))
    for known in facts.nodes.dropFirst() { _ = promotion.step(PromotionTests.state(known), now: at(2)) }
    #expect(promotion.step(.tick, now: at(999)) == [])
    #expect(promotion.step(.tick, now: at(1000)).first == .persistVote(Vote(term: Term(3), candidate: node(2))))
  }

  @Test func aVoterWithAPromiseIsAskedAgainWhenItIsOver() throws {
    var promotion = Promotion()
    let facts = PromotionTests.facts(PromotionTests.quorum)
    _ = promotion.step(.start(facts), now: at(0))
    _ = promotion.step(PromotionTests.dead, now: at(1))
    for known in facts.nodes.dropFirst() { _ = promotion.step(PromotionTests.state(known), now: at(2)) }
    guard case .voting = promotion.state else {
      Issue.record("\(promotion.state)")
      return
    }
    func promised(_ known: KnownNode) -> PromotionEvent {
      let reply = VoteReply(
        id: known.id, isGranted: false, term: Term(2), last: position(2, 100), committedLSN: .none, reason: "promised",
        retryMilliseconds: 1500)
      return .voteAnswered(from: known.id, reply)
    }
    _ = promotion.step(.failed(from: node(1), "connection refused"), now: at(3))
    #expect(promotion.step(promised(PromotionTests.second), now: at(3)) == [])
    #expect(promotion.step(promised(PromotionTests.third), now: at(4)) == [])
    #expect(promotion.step(.tick, now: at(1502)) == [])
    #expect(promotion.step(.tick, now: at(1503)) == [.requestVote(PromotionTests.second, PromotionTests.request)])
    #expect(promotion.step(PromotionTests.vote(PromotionTests.second), now: at(1503)) == [])
    #expect(promotion.step(.tick, now: at(1504)) == [.requestVote(PromotionTests.third, PromotionTests.request)])
    #expect(promotion.step(PromotionTests.vote(PromotionTests.third), now: at(1505)) == [.becomeMaster(Term(3))])
  }

  // MARK: votes

  private func request(passesPromise: Bool = false) -> VoteRequest {
    VoteRequest(
      term: Term(6), candidate: node(2), address: place(7402), last: position(5, 10), lineage: node(9),
      passesPromise: passesPromise)
  }

  @Test func aVoterKeepsItsPromiseAndSaysForHowLong() {
    var voter = VoterState(id: node(3), lineage: node(9), knownTerm: Term(5), last: position(5, 10))
    voter.promiseMilliseconds = 700
    let denied = VoteRule.answer(request(), voter)
    #expect(!denied.reply.isGranted && denied.reply.retryMilliseconds == 700 && denied.voteToPersist == nil)
    #expect(VoteRule.answer(request(passesPromise: true), voter).reply.isGranted)
    voter.promiseMilliseconds = 0
    let granted = VoteRule.answer(request(), voter)
    #expect(granted.reply.isGranted && granted.reply.retryMilliseconds == 0)
    // What was voted is voted.
    voter.vote = Vote(term: Term(6), candidate: node(2))
    voter.knownTerm = Term(6)
    voter.promiseMilliseconds = 700
    #expect(VoteRule.answer(request(), voter).reply.isGranted)
  }
}
