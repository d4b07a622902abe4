import Core

/// Another node, as the last slave list or the log's voter list names it.
package struct KnownNode: Hashable, Sendable {
  package var id: NodeID
  package var address: NodeAddress
  package var isVoter: Bool
  /// The master that this node follows, or followed last.
  package var isMaster: Bool
  package init(id: NodeID, address: NodeAddress, isVoter: Bool = false, isMaster: Bool = false) {
    self.id = id
    self.address = address
    self.isVoter = isVoter
    self.isMaster = isMaster
  }
}

extension SlaveList {
  /// Whom to ask when the master is gone: the master first, then the slaves; never this node itself.
  package func known(without ownID: NodeID) -> [KnownNode] {
    let masters = master.map { [KnownNode(id: $0.id, address: $0.address, isVoter: $0.isVoter, isMaster: true)] } ?? []
    return masters.filter { $0.id != ownID }
      + slaves.filter { $0.id != ownID && $0.id != master?.id }
      .map { KnownNode(id: $0.id, address: $0.address, isVoter: $0.isVoter) }
  }
}

/// The commit level in use: a master may be made only of a node that holds what was good at it.
package enum CommitLevel: Hashable, Sendable {
  case async
  case fullsync(slaves: Int)
  /// With the voters that this node's log stands for: see `VoterList.ofLog`. Empty: its log is.
  case quorum(voters: [NodeID])
}

package struct PromotionConfig: Hashable, Sendable {
  /// How long the nodes' answers are waited for, at each step.
  package var askMillisecondsMax: UInt64 = 2000
  /// A master heard of by another node within this time is alive.
  package var aliveMillisecondsMax: UInt64 = 3000
  /// How often a forced promotion takes a newer term because the one before was taken.
  package var forcedRoundsMax = 5
  /// So many nodes that others named are asked, too.
  package var foundMax = 256
  package init() {}
}

package struct PromotionFacts: Hashable, Sendable {
  package var id: NodeID
  package var address: NodeAddress
  package var lineage: NodeID
  package var isMaster = false
  package var isVoter = true
  /// Durable, with everything from the old master in it: it is closed before the facts are read.
  package var last: Position
  /// The log of this node reached this far before damage was cut out of it, and does not yet again.
  package var refetchTo: Position?
  /// Of the log, the vote and every master heard of.
  package var knownTerm: Term
  /// The other nodes, the old master too.
  package var nodes: [KnownNode]
  package var level: CommitLevel
  /// Its log names the voters. If not, the master that this log is of may have acknowledged alone, and must answer.
  package var areVotersNamed = true
  /// The nodes above this one when it last had a master, nearest first.
  package var upstream: [NodeID] = []
  /// With `quorum`: on how many slaves every write of some databases or connections is as well.
  package var fullsyncSlaves: Int?
  package var isForced = false
  /// A former master goes on by itself, or one that holds more than it. Without a quorum every other node must answer and
  /// vote: nobody else can be master then. Who holds more is asked, too, and stands itself.
  package var isReturn = false
  /// The old master hands over and chose this term (`Applier` said `takeOver`): nobody is asked for his state.
  package var handoverTerm: Term?
  /// The old master itself gave the order, and its lease up.
  package var isOrdered = false
  /// The master whose log went another way by a mere start: an operator decides for this node by promoting it.
  package var dissentsFrom: NodeID?
  /// This node is not sure how it voted in terms up to this one, and stands in none of them.
  package var unsureUpTo = Term.none
  /// How many terms after the newest one are left to others; see `Succession`.
  package var termsLeftOut: UInt32 = 0
  /// Where the others of a quorum are lost, FORCE makes this node the only voter.
  package var makesOnlyVoter: Bool {
    guard isForced, handoverTerm == nil, case .quorum(let voters) = level else { return false }
    return voters.contains { $0 != id }
  }
  /// Until when this node has promised its old master not to vote for another, itself included; see `ReadLease`.
  package var promisedUntil = Tick(milliseconds: 0)

  package init(
    id: NodeID, address: NodeAddress, lineage: NodeID, last: Position, knownTerm: Term, nodes: [KnownNode],
    level: CommitLevel, isForced: Bool = false, handoverTerm: Term? = nil
  ) {
    self.id = id
    self.address = address
    self.lineage = lineage
    self.last = last
    self.knownTerm = knownTerm
    self.nodes = nodes
    self.level = level
    self.isForced = isForced
    self.handoverTerm = handoverTerm
  }
}

package enum PromotionState: Hashable, Sendable {
  case idle
  /// The nodes are asked what they hold.
  case asking(until: Tick)
  /// The own vote is on disk, the others' are asked for.
  case voting(Term, until: Tick)
  /// The first record of the term is being written.
  case beginning(Term)
  case promoted(Term)
  case refused(String)
}

package enum PromotionEvent: Hashable, Sendable {
  case start(PromotionFacts)
  case stateAnswered(from: NodeID, NodeState)
  case voteAnswered(from: NodeID, VoteReply)
  /// No answer: not reachable, or an error.
  case failed(from: NodeID, String)
  /// Answer to `becomeMaster`: the term's no-op has this LSN and is durable.
  case begun(firstLSN: LSN)
  /// This node gave its vote to another, or heard of a master, of this term.
  case termSeen(Term)
  /// Answer to `becomeMaster` or `persistVote`.
  case storeFailed(String)
  case tick
}

package enum PromotionAction: Hashable, Sendable {
  /// Send MS_STATE; answer with `stateAnswered` or `failed`.
  case ask(KnownNode)
  /// On disk before anything after it in the list is done. If the vote that is there is not of an older term, this node
  /// voted meanwhile: answer `storeFailed` and do nothing more of the list.
  case persistVote(Vote)
  /// Send MS_VOTE; answer with `voteAnswered` or `failed`.
  case requestVote(KnownNode, VoteRequest)
  /// By force, against a majority that does not answer: what may be lost. To be told, in the log, before the reign begins.
  case tellLoss(String)
  /// Leave the old master, begin this term with a no-op, take writes. Answer with `begun` or `storeFailed`. If
  /// `facts.makesOnlyVoter`, the record behind the no-op makes this node the only voter.
  case becomeMaster(Term)
  /// Send MS_NEW_MASTER; who is not reachable is told again by the shell now and then, while this node is master.
  case announce([KnownNode], NewMaster)
  /// The end of it: one line, why and what to do.
  case refuse(String)
}
