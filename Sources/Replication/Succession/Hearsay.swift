import Core

/// When a node believes what others say of a reign that is not its master's.
///
/// MS_NEW_MASTER, MS_VOTE and the newest known term of a registration are hints: any client with the password can send them.
/// A hint makes a node ask, at the address under which it knows the node that is named. As long as this node's row works,
/// only what is heard there counts, and where a quorum commits, also that a majority of the voters voted in the new term. A
/// node that hears no master, or a master without its slaves, has nothing to lose and asks at the address that the hint
/// names, too.
package enum HearsayRule {
  /// What the hearer is, at the moment of the hint.
  package struct Hearer: Hashable, Sendable {
    package var id: NodeID
    package var lineage: NodeID?
    package var knownTerm: Term
    /// It hears its master; or it is one, and hears a majority of the voters, or its slaves.
    package var isRowHealthy: Bool
    /// Where a majority makes the master: those that vote. Empty elsewhere.
    package var voters: [NodeID]
    /// It has lost a part of the row to nobody yet: its own vote.
    package var vote: Vote?
    package init(
      id: NodeID, lineage: NodeID?, knownTerm: Term, isRowHealthy: Bool, voters: [NodeID] = [], vote: Vote? = nil
    ) {
      self.id = id
      self.lineage = lineage
      self.knownTerm = knownTerm
      self.isRowHealthy = isRowHealthy
      self.voters = voters
      self.vote = vote
    }
    package var needsVotes: Bool { isRowHealthy && voters.count > 1 }
  }

  /// Where to ask the node that a hint names; nil: nowhere, the hint says nothing.
  /// - Parameter known: where this node's row has it.
  package static func address(known: NodeAddress?, claimed: NodeAddress, isRowHealthy: Bool) -> NodeAddress? {
    known ?? (isRowHealthy ? nil : claimed)
  }

  /// Whether the answer bears out that this node reigns; nil: it does.
  /// - Parameter votes: the newest term in which each voter that answered voted, where votes are needed.
  package static func doubt(
    _ news: NewMaster, _ answer: NodeState, votes: [NodeID: Term], _ hearer: Hearer
  ) -> String? {
    guard answer.id == news.id else { return "another node, \(answer.id), answers there" }
    guard answer.role == .master else { return "\(news.id) says that it is no master" }
    guard hearer.lineage == nil || answer.lineage == hearer.lineage else { return "\(news.id) holds another data set" }
    guard answer.reign >= news.reign else { return "\(news.id) says that it reigns in \(answer.reign)" }
    if hearer.needsVotes {
      var voted = votes
      voted[answer.id] = max(voted[answer.id] ?? .none, answer.votedTerm)
      if let vote = hearer.vote { voted[hearer.id] = vote.term }
      let list = VoterList(hearer.voters, at: .none)
      let count = list.ids.count { voted[$0] ?? .none >= news.term }
      guard count >= list.majority else {
        return "\(count) of \(list.ids.count) voters voted in term \(news.term), \(list.majority) make a master"
      }
      return nil
    }
    guard hearer.knownTerm.isNear(answer.reign.term) else {
      return "term \(answer.reign.term) is too far beyond term \(hearer.knownTerm) to be believed"
    }
    return nil
  }

  /// Whether the candidate itself bears out that it stands; nil: it does.
  package static func doubt(_ request: VoteRequest, _ answer: NodeState) -> String? {
    guard answer.id == request.candidate else {
      return "another node, \(answer.id), answers at the candidate's address"
    }
    guard answer.lineage == request.lineage else { return "the candidate holds another data set" }
    // An older version does not say it.
    guard let term = answer.standsFor else { return nil }
    return term == request.term ? nil : "the candidate does not stand for term \(request.term)"
  }

  /// Whether a slave that said in its registration that it knows of a newer term bears that out; nil: it does.
  package static func doubt(
    _ reign: Reign, of id: NodeID, _ answer: NodeState, _ hearer: Hearer
  ) -> String? {
    guard answer.id == id else { return "another node, \(answer.id), answers at its address" }
    guard answer.lineage == hearer.lineage else { return "it holds another data set" }
    guard max(answer.term, answer.votedTerm) >= reign.term else { return "it knows of term \(answer.term) only" }
    guard hearer.knownTerm.isNear(reign.term) else { return "term \(reign.term) is too far to be believed" }
    return nil
  }
}
