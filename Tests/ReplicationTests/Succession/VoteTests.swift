import Core
import Testing

@testable import Replication

@Suite struct VoteTests {
  /// At 2:100 of data set 9, knows of term 2, voted for node 1 in it, has no master.
  static func voter(_ change: (inout VoterState) -> Void = { _ in }) -> VoterState {
    var state = VoterState(
      id: node(3), lineage: node(9), vote: Vote(term: Term(2), candidate: node(1)), knownTerm: Term(2),
      last: position(2, 100), committedLSN: LSN(95))
    change(&state)
    return state
  }
  static func request(_ term: UInt32 = 3, _ change: (inout VoteRequest) -> Void = { _ in }) -> VoteRequest {
    var request = VoteRequest(
      term: Term(term), candidate: node(2), address: place(7402), last: position(2, 100), lineage: node(9))
    change(&request)
    return request
  }

  struct Row: Sendable, CustomTestStringConvertible {
    let name: String
    let denial: String?
    var term: UInt32 = 3
    var request: @Sendable (inout VoteRequest) -> Void = { _ in }
    var state: @Sendable (inout VoterState) -> Void = { _ in }
    var testDescription: String { name }
  }
  static let rows = [
    Row(name: "a newer term and an equal log", denial: nil),
    Row(name: "a longer log", denial: nil, request: { $0.last = position(2, 101) }),
    Row(name: "a shorter log of a newer term", denial: nil, request: { $0.last = position(3, 1) }),
    Row(name: "a shorter log", denial: "holds more of the log: up to 2:100", request: { $0.last = position(2, 99) }),
    Row(name: "a longer log of an older term", denial: "holds more", request: { $0.last = position(1, 500) }),
    Row(name: "an empty candidate", denial: "holds more", request: { $0.last = .none }),
    Row(name: "two empty nodes", denial: nil, request: { $0.last = .none }, state: { $0.last = .none }),
    Row(name: "an older term", denial: "not newer than term 2", term: 1),
    Row(name: "the same term for another", denial: "voted for \(node(1)) in term 2", term: 2),
    Row(name: "the same term, the same candidate again", denial: nil, term: 2, request: { $0.candidate = node(1) }),
    Row(
      name: "the same candidate again, but a newer term is known", denial: "not newer", term: 2,
      request: { $0.candidate = node(1) }, state: { $0.knownTerm = Term(3) }),
    Row(
      name: "a term that the log has, but never voted in", denial: "not newer than term 5", term: 5,
      state: { $0.knownTerm = Term(5) }),
    Row(name: "a vote of an older term binds no more", denial: nil, term: 9, state: { $0.knownTerm = Term(8) }),
    Row(name: "a term far beyond", denial: "too far beyond", term: .max),
    Row(name: "the farthest term", denial: nil, term: 2 + VoteRule.termJumpMax),
    Row(name: "another data set", denial: "another data set", request: { $0.lineage = node(8) }),
    Row(name: "a node without data", denial: "another data set", state: { $0.lineage = nil }),
    Row(name: "a node without a vote", denial: "no vote", state: { $0.isVoter = false }),
    Row(
      name: "the master is alive", denial: "the master is alive: it was heard of 3000 ms ago",
      state: { $0.leadership = .follows(heardMillisecondsAgo: 3000) }),
    Row(name: "the master is silent", denial: nil, state: { $0.leadership = .follows(heardMillisecondsAgo: 3001) }),
    Row(name: "the master is alive, but it is forced", denial: nil, request: { $0.isForced = true }) {
      $0.leadership = .follows(heardMillisecondsAgo: 0)
    },
    Row(name: "this node is the master", denial: "is the master of term 2", state: { $0.leadership = .isMaster }),
    Row(name: "this node is the master and hands over", denial: nil, request: { $0.isForced = true }) {
      $0.leadership = .isMaster
    },
    Row(
      name: "forced, with a shorter log", denial: "holds more",
      request: {
        $0.isForced = true
        $0.last = position(2, 99)
      }),
    Row(name: "never voted before", denial: nil, state: { $0.vote = nil }),
    Row(
      name: "a term in which it may have voted", denial: "cannot be sure how it voted in terms up to 7", term: 7,
      state: { $0.unsureUpTo = Term(7) }),
    Row(name: "a term after those", denial: nil, term: 8, state: { $0.unsureUpTo = Term(7) }),
    Row(
      name: "the same candidate again, but it is not sure", denial: "cannot be sure", term: 2,
      request: { $0.candidate = node(1) }, state: { $0.unsureUpTo = Term(2) }),
    Row(
      name: "a shorter log of who wrote the rest", denial: "holds more",
      request: {
        $0.candidate = node(1)
        $0.last = position(2, 99)
      }),
    Row(
      name: "a shorter log of another than who wrote the rest in that term", denial: "holds more",
      request: {
        $0.candidate = node(1)
        $0.last = position(2, 99)
      }, state: { $0.last = position(2, 100, of: 4) }),
    Row(
      name: "a longer log of a smaller master of the same term", denial: "holds more",
      request: { $0.last = position(2, 500) }, state: { $0.last = position(2, 100, of: 4) }),
    Row(
      name: "a shorter log of a larger master of the same term", denial: nil,
      request: { $0.last = position(2, 50, of: 4) }),
    Row(
      name: "the same, and it was voted for in a term that never began", denial: "holds more", term: 5,
      request: {
        $0.candidate = node(1)
        $0.last = position(2, 99)
      },
      state: {
        $0.vote = Vote(term: Term(4), candidate: node(1))
        $0.knownTerm = Term(4)
      }),
    Row(
      name: "a shorter log of who was voted for before the rest was written", denial: "holds more", term: 5,
      request: {
        $0.candidate = node(1)
        $0.last = position(2, 99)
      }, state: { $0.last = position(3, 100) }),
  ]

  @Test(arguments: rows) func theRule(_ row: Row) {
    var state = Self.voter()
    row.state(&state)
    let request = Self.request(row.term, row.request)
    let answer = VoteRule.answer(request, state)
    #expect(answer.reply.isGranted == (row.denial == nil), "\(answer.reply.reason)")
    #expect(answer.reply.reason.contains(row.denial ?? "voted"), "\(answer.reply.reason)")
    #expect(answer.reply.id == node(3) && answer.reply.last == state.last && answer.reply.committedLSN == LSN(95))
    #expect(answer.reply.term == (row.denial == nil ? max(request.term, state.knownTerm) : state.knownTerm))
    let vote = Vote(term: request.term, candidate: request.candidate)
    #expect(answer.voteToPersist == (row.denial == nil && vote != state.vote ? vote : nil))
    // A pre-vote says the same of a newer term, and writes nothing.
    guard request.term > state.knownTerm else { return }
    var pre = request
    pre.isPreVote = true
    let preAnswer = VoteRule.answer(pre, state)
    #expect(preAnswer.reply.isGranted == answer.reply.isGranted && preAnswer.voteToPersist == nil)
    #expect(preAnswer.reply.term == state.knownTerm)
  }

  /// Candidates of random terms and logs ask everyone, answers get lost, nodes know their vote and nothing else: of no
  /// term are there two winners, and every winner holds what a majority holds.
  @Test(arguments: 0..<100 as Range<UInt64>) func ofNoTermAreThereTwoMasters(seed: UInt64) {
    var rng = Seeded(seed)
    let count = Int.random(in: 1...5, using: &rng)
    var voters = (0..<count).map { n in
      Self.voter {
        $0.id = node(UInt8(n + 1))
        $0.vote = nil
        $0.knownTerm = Term(2)
        $0.last = position(2, UInt64.random(in: 90...110, using: &rng))
      }
    }
    let held = voters.map(\.last).sorted(by: >)[count / 2]
    var winners: [Term: NodeID] = [:]
    for _ in 0..<100 {
      let candidate = voters.randomElement(using: &rng)!
      let request = VoteRequest(
        term: Term(UInt32.random(in: 1...12, using: &rng)), candidate: candidate.id, address: place(7400),
        last: candidate.last, lineage: node(9), isForced: Bool.random(using: &rng))
      var granted = 0
      for index in voters.indices where Int.random(in: 0..<3, using: &rng) > 0 {
        let before = voters[index]
        let answer = VoteRule.answer(request, before)
        if let vote = answer.voteToPersist {
          #expect(vote.term > before.knownTerm)
          voters[index].vote = vote
          voters[index].knownTerm = vote.term
        }
        granted += answer.reply.isGranted ? 1 : 0
      }
      guard granted * 2 > count else { continue }
      #expect(winners[request.term] ?? candidate.id == candidate.id, "term \(request.term)")
      winners[request.term] = candidate.id
      #expect(candidate.last >= held)
    }
  }

  @Test func messagesComeBackAsTheyWereWritten() throws {
    let request = Self.request(7) { $0.isForced = true }
    #expect(try VoteRequest(parsing: request.arguments) == request)
    let reply = VoteRule.answer(request, Self.voter()).reply
    #expect(try VoteReply(parsing: reply.elements) == reply)
    var state = NodeState(
      id: node(3), address: place(7403), role: .slave, lineage: node(9), reign: reign(4), votedTerm: Term(3),
      last: position(2, 100), committedLSN: LSN(90), appliedLSN: LSN(80), isVoter: true, masterID: node(1),
      master: place(7401), isStreaming: true, heardMilliseconds: 12)
    #expect(try NodeState(parsing: state.elements) == state)
    // An older node does not know of damage, and what it holds counts as data.
    #expect(try NodeState(parsing: Array(state.elements.dropLast(8))) == state)
    state.refetchTo = position(2, 100)
    state.row = [
      KnownNode(id: node(4), address: place(7404), isVoter: true), KnownNode(id: node(5), address: place(7405)),
    ]
    #expect(try NodeState(parsing: state.elements) == state)
    state = NodeState(id: node(3), address: place(7403), role: .detached, lineage: nil, reign: .none, last: .none)
    #expect(try NodeState(parsing: state.elements) == state)
    let news = NewMaster(term: Term(5), id: node(2), address: place(7402), lineage: node(9), firstLSN: LSN(101))
    #expect(try NewMaster(parsing: news.arguments) == news)
    // What a newer node adds is ignored.
    #expect(try NewMaster(parsing: news.arguments + ["colour", "green"]) == news)
  }

  @Test func badMessagesGiveAnErrorOrAMessage() {
    var rng = Seeded(5)
    let state = NodeState(
      id: node(3), address: place(7403), role: .slave, lineage: node(9), reign: reign(4), last: position(2, 100),
      master: place(7401), heardMilliseconds: 12)
    let news = NewMaster(term: Term(5), id: node(2), address: place(7402), lineage: node(9), firstLSN: LSN(101))
    let samples = [
      Self.request().arguments, VoteRule.answer(Self.request(), Self.voter()).reply.elements, state.elements,
      news.arguments,
    ]
    let odd = ["", "-1", "none", "/", ":", "18446744073709551616", "yes", "master", "a/b/c", "\u{0}", "é"]
    var refused = 0
    for _ in 0..<2000 {
      var texts = samples.randomElement(using: &rng)!
      texts[Int.random(in: 0..<texts.count, using: &rng)] = odd.randomElement(using: &rng)!
      do { _ = try VoteRequest(parsing: texts) } catch { refused += 1 }
      _ = try? VoteReply(parsing: texts)
      _ = try? NodeState(parsing: texts)
      _ = try? NewMaster(parsing: texts)
    }
    #expect(refused > 1500)
    for (key, value) in [("term", "0"), ("first", "0"), ("port", "0"), ("lineage", "none"), ("term", "4294967296")] {
      var bad = news.arguments
      bad[bad.firstIndex(of: key)! + 1] = value
      #expect(throws: ReplicationError.self, "\(key)") { try NewMaster(parsing: bad) }
    }
  }

  @Test func whoIsMasterNowIsBelievedIfItsTermIsNotOlder() {
    func answer(_ term: UInt32, known: Reign = unowned(3), master: UInt8? = 1, lineage: NodeID? = node(9))
      -> NewMasterRule.Answer
    {
      NewMasterRule.answer(
        NewMaster(term: Term(term), id: node(2), address: place(7402), lineage: node(9), firstLSN: LSN(5)),
        ownID: node(3), lineage: lineage, knownReign: known, masterID: master.map(node))
    }
    func code(_ answer: NewMasterRule.Answer) -> ReplicationError.Code? {
      if case .refuse(let error) = answer { error.code } else { nil }
    }
    #expect(answer(4) == .follow(place(7402)))
    #expect(answer(3) == .follow(place(7402)))  // the term it voted in
    #expect(answer(3, master: nil) == .follow(place(7402)))
    #expect(answer(3, master: 2) == .known)
    #expect(answer(4, master: 2) == .follow(place(7402)))
    #expect(code(answer(2)) == .staleTerm)
    // Two masters of one term: the larger id counts, whichever of them looks.
    #expect(answer(3, known: reign(3, of: 1), master: 3) == .follow(place(7402)))
    #expect(code(answer(3, known: reign(3, of: 3), master: 3)) == .staleTerm)
    #expect(code(answer(3, known: reign(3, of: 7), master: 1)) == .staleTerm)
    #expect(answer(3, known: reign(3, of: 2), master: 1) == .follow(place(7402)))
    #expect(answer(4, master: 3) == .follow(place(7402)))
    #expect(code(answer(9, lineage: node(8))) == .otherLineage)
    #expect(answer(1, known: .none, master: nil, lineage: nil) == .follow(place(7402)))
  }
}
