import Core

/// What a node is and knows when something happens to its role; the shell reads it at one moment, for each step.
package struct ReignFacts: Hashable, Sendable {
  package var id: NodeID
  package var address: NodeAddress
  package var lineage: NodeID
  /// The last record that is on this node's disk; while records are missing that damage took, the last one that it held
  /// before.
  package var last: Position
  /// Up to where the log must reach again before the node is whole; nil: it is.
  package var refetchTo: Position?
  /// Its own as a master, else that of what it has applied last.
  package var reign = Reign.none
  /// The newest that it has a record of, voted in or heard of.
  package var knownReign: Reign
  /// The reign of its log's last record, and the LSN with which it began.
  package var newestReign: Reign?
  package var newestFirstLSN = LSN.none
  /// In terms up to this one it may have voted, and does not know how.
  package var forgotten = Term.none
  package var vote: Vote?
  /// The voters whose majority makes the master; nil where this node needs no other's vote.
  package var voters: [NodeID]?
  /// The other nodes of the row, as this node was told of them last.
  package var nodes: [KnownNode] = []
  /// `--peers`.
  package var peers: [NodeAddress] = []
  /// Where nobody votes, the terms after the newest one are shared out: see `termsLeftOut`.
  package var sharesOutTerms = true
  /// The role that it wrote down last is the master's.
  package var wasMaster = false
  /// As a master: so many voters follow it that it can commit.
  package var hearsMajority = true
  /// As a slave: when its master was heard of last.
  package var masterHeardAt = Tick(milliseconds: 0)
  /// As a slave: its own disk keeps the link to its master closed.
  package var isLinkHeld = false

  package init(id: NodeID, address: NodeAddress, lineage: NodeID, last: Position, knownReign: Reign) {
    self.id = id
    self.address = address
    self.lineage = lineage
    self.last = last
    self.knownReign = knownReign
  }

  package var knownTerm: Term { knownReign.term }
  package var addresses: [NodeAddress] { nodes.map(\.address) }

  /// Whom a start asks: the nodes that this one knew, and those that the row is named by.
  package var addressesAtStart: [NodeAddress] {
    let known = addresses
    return known + peers.filter { !known.contains($0) && $0 != address }
  }

  package var returnRule: ReturnRule {
    ReturnRule(id: id, address: address, last: last, knownReign: knownReign, voters: voters)
  }

  private static let termsPerNode: UInt32 = 10

  /// Where no majority votes, two nodes that cannot hear each other may both begin a reign, and of one term they would write
  /// two logs. So the terms that follow the newest one are shared out: the first are for its own master, which may be started
  /// again and again, cut off from all others; then every node of the row has ten, in the order of the ids.
  package var termsLeftOut: UInt32 {
    guard sharesOutTerms else { return 0 }
    return Self.termsPerNode * UInt32(nodes.count { $0.id < id } + 1) - 1
  }

  /// For a reign that begins without votes. A slave's vote for itself says too little: it may be one that it passes on.
  package func nextTerm(above known: Term, isMaster: Bool) -> Term {
    let known = max(known, forgotten)
    let isOwn = known == .none || (isMaster && vote?.term == known && vote?.candidate == id)
    return known.advanced(by: isOwn ? 0 : termsLeftOut).advanced()
  }

  /// As a master, this node voted for another one, or gave its reign to it, and did not follow before it ended. Another
  /// reign of its own would stand beside that one's.
  package var madeWay: Bool {
    guard wasMaster, let vote else { return false }
    return vote.candidate != id && vote.term > newestReign?.term ?? .none
  }
}
