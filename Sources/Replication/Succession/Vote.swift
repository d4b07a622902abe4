import Core

/// A vote as it is kept on disk: in this term, for this node.
package struct Vote: Hashable, Sendable {
  package var term: Term
  package var candidate: NodeID
  package init(term: Term, candidate: NodeID) {
    self.term = term
    self.candidate = candidate
  }
}

/// What a node looks at when it is asked for its vote; read at one moment.
package struct VoterState: Hashable, Sendable {
  /// What this node knows of its master.
  package enum Leadership: Hashable, Sendable {
    /// This node is the master, and a quorum (if one is asked) answered it within the bound.
    case isMaster
    /// It streams from its master now, and heard of it so long ago.
    case follows(heardMillisecondsAgo: UInt64)
    /// It has none, or does not hear it.
    case none
  }
  package var id: NodeID
  package var lineage: NodeID?
  package var isVoter: Bool
  /// nil: it never voted.
  package var vote: Vote?
  /// The newest term: of its vote, its log or its reign.
  package var knownTerm: Term
  /// It is not sure how it voted in terms up to this one.
  package var unsureUpTo = Term.none
  package var last: Position
  package var committedLSN: LSN
  package var leadership: Leadership
  /// How long it has still promised its master not to vote for another; see `ReadLease`.
  package var promiseMilliseconds: UInt64 = 0
  /// A master heard of within this time is alive.
  package var aliveMillisecondsMax: UInt64 = 3000

  package init(
    id: NodeID, lineage: NodeID?, isVoter: Bool = true, vote: Vote? = nil, knownTerm: Term, last: Position,
    committedLSN: LSN = .none, leadership: Leadership = .none
  ) {
    self.id = id
    self.lineage = lineage
    self.isVoter = isVoter
    self.vote = vote
    self.knownTerm = knownTerm
    self.last = last
    self.committedLSN = committedLSN
    self.leadership = leadership
  }
}

package struct VoteAnswer: Hashable, Sendable {
  package var reply: VoteReply
  /// To be on disk before the reply leaves. Then, in this order: a master steps down (but not while
  /// its own `Handover` is under way), the applier gets `.voted`, and a promotion of this node's own gets `.termSeen`.
  package var voteToPersist: Vote?
}

/// Who gets a vote: Raft's rules (sections 5.2, 5.4.1 and 9.6 of the thesis).
///
/// Invariants: of one term a node votes for one candidate; it never votes in a term older than one it knows of; and never
/// for a candidate whose log ends before its own, whoever asks: also not for the one that wrote what it holds more, and lost
/// it. The one that holds more is to be the master then. So of each term there is at most one master with a majority, and
/// it holds every record that a majority holds.
package enum VoteRule {
  /// A term this far beyond the known one is no election's: it would use the terms up.
  package static let termJumpMax: UInt32 = 1 << 20

  package static func answer(_ request: VoteRequest, _ state: VoterState) -> VoteAnswer {
    if let denial = denial(request, state) { return answer(state, isGranted: false, denial, persist: nil) }
    let vote = Vote(term: request.term, candidate: request.candidate)
    let isNew = vote != state.vote
    if isNew, !request.passesPromise, state.promiseMilliseconds > 0 {
      let reason = "the master was heard of a moment ago and may still answer reads"
      return answer(state, isGranted: false, reason, persist: nil, retry: state.promiseMilliseconds)
    }
    if request.isPreVote { return answer(state, isGranted: true, "the vote would be given", persist: nil) }
    return answer(
      state, isGranted: true, isNew ? "voted" : "voted before", persist: isNew ? vote : nil, term: request.term)
  }

  private static func answer(
    _ state: VoterState, isGranted: Bool, _ reason: String, persist: Vote?, term: Term = .none, retry: UInt64 = 0
  ) -> VoteAnswer {
    VoteAnswer(
      reply: VoteReply(
        id: state.id, isGranted: isGranted, term: max(state.knownTerm, term), last: state.last,
        committedLSN: state.committedLSN, reason: reason,
        retryMilliseconds: retry),
      voteToPersist: persist)
  }

  private static func denial(_ request: VoteRequest, _ state: VoterState) -> String? {
    guard state.isVoter else { return "this node has no vote" }
    guard let lineage = state.lineage, lineage == request.lineage else { return "this node holds another data set" }
    guard request.term > state.unsureUpTo else {
      return "this node lost its vote and cannot be sure how it voted in terms up to \(state.unsureUpTo)"
    }
    let isRepeated = state.vote?.term == request.term && state.vote?.candidate == request.candidate
    // Also when it was voted for before: a candidate that began the term and lost what it wrote asks for it once more.
    guard request.last >= state.last || request.term < state.knownTerm else {
      return "this node holds more of the log: up to \(state.last), the candidate up to \(request.last)"
    }
    if isRepeated, state.knownTerm == request.term, !request.isPreVote { return nil }
    guard request.term > state.knownTerm else {
      if state.vote?.term == request.term, !isRepeated {
        return "this node voted for \(name(state.vote)) in term \(request.term)"
      }
      return "term \(request.term) is not newer than term \(state.knownTerm), which this node knows of"
    }
    guard request.term.value - state.knownTerm.value <= termJumpMax else {
      return "term \(request.term) is too far beyond term \(state.knownTerm)"
    }
    guard !request.isForced else { return nil }
    switch state.leadership {
    case .isMaster: return "this node is the master of term \(state.knownTerm)"
    case .follows(let milliseconds):
      guard milliseconds > state.aliveMillisecondsMax else {
        return "the master is alive: it was heard of \(milliseconds) ms ago"
      }
      return nil
    case .none: return nil
    }
  }

  private static func name(_ vote: Vote?) -> String { vote?.candidate.description ?? "nobody" }
}

/// What a node does when another says that it is master now.
package enum NewMasterRule {
  package enum Answer: Hashable, Sendable {
    /// Raise the known term, step down if this node is master, follow that address.
    case follow(NodeAddress)
    /// It is followed already.
    case known
    case refuse(ReplicationError)
  }

  /// - Parameters:
  ///   - knownReign: the newest that this node has a record or heard of; of a newer term that it voted in, the owner is
  ///     unknown.
  ///   - masterID: whom this node follows now; its own id if it is master; nil if neither.
  package static func answer(
    _ news: NewMaster, ownID: NodeID, lineage: NodeID?, knownReign: Reign, masterID: NodeID?
  ) -> Answer {
    guard news.id != ownID else { return .known }
    guard lineage == nil || news.lineage == lineage else {
      return .refuse(ReplicationError(.otherLineage, "this node holds another data set than \(news.id)"))
    }
    // Of the newest term that it knows too, if it only voted in it: then it knows no owner.
    guard news.reign >= knownReign else {
      return .refuse(
        ReplicationError(
          .staleTerm, "\(news.id) is master of term \(news.term), this node knows of \(knownReign)"))
    }
    return news.term == knownReign.term && masterID == news.id ? .known : .follow(news.address)
  }
}
