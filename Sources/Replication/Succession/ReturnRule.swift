import Core

/// What a node that was the master does when it is started again, or has made way for one that does not come: by what the
/// other nodes of its data set answer. Pure.
///
/// Its directory may be an older one (a backup, a snapshot of a volume), or it lost the unsynced end of its log in a crash. Who
/// holds more of the log is to be the master then, and this node follows it: nothing is cut off the others.
package struct ReturnRule: Hashable, Sendable {
  package var id: NodeID
  package var address: NodeAddress
  package var last: Position
  package var knownReign: Reign
  /// The voters whose majority makes a master; nil where no others are asked for their votes.
  package var voters: [NodeID]?

  package init(id: NodeID, address: NodeAddress, last: Position, knownReign: Reign, voters: [NodeID]?) {
    self.id = id
    self.address = address
    self.last = last
    self.knownReign = knownReign
    self.voters = voters
  }

  package struct Leader: Hashable, Sendable {
    package var address: NodeAddress
    package var term: Term
    package var id: NodeID?
  }

  package enum Decision: Hashable, Sendable {
    /// There is a master, in a reign that is not older than what this node knows of.
    case follow(Leader)
    /// This one holds more of the log: it is asked to become the master.
    case yield(to: NodeState)
    /// Nobody who answers holds more.
    case goOn
  }

  package func decide(_ states: [NodeState]) -> Decision {
    if let leader = leader(states) { return .follow(leader) }
    guard let holder = longest(states) else { return .goOn }
    return passedOver(states).map { .follow($0) } ?? .yield(to: holder)
  }

  /// Where votes decide: a master that holds more than this node, of a reign older than what this node knows of. It knows a
  /// newer one only by a vote for somebody who never reigned. The master hears of that when this node registers, and goes
  /// above it if a majority follows.
  private func passedOver(_ states: [NodeState]) -> Leader? {
    guard voters != nil else { return nil }
    let masters = states.filter { $0.role == .master && $0.reign < knownReign && $0.last > last }
    return masters.max { $0.reign < $1.reign }.map { Leader(address: $0.address, term: $0.term, id: $0.id) }
  }

  /// The one that holds the most, and more than this node. Where votes decide, a voter: what is good is on a majority of them.
  ///
  /// A log that names no voters yet does not say who they are, the logs of those that hold more may: a voter by its own
  /// log goes before one that holds more and would get no votes.
  package func longest(_ states: [NodeState]) -> NodeState? {
    states.filter { state in
      state.id != id && state.refetchTo == nil && state.last > last && (voters?.contains(state.id) ?? true)
    }.max { one, other in
      if one.mayReign != other.mayReign { return other.mayReign }
      return one.last != other.last ? one.last < other.last : other.id < one.id
    }
  }

  /// The master of the newest reign, if that is not older than what this node knows of.
  package func leader(_ states: [NodeState]) -> Leader? {
    Self.leader(states, notBefore: knownReign, own: address)
  }

  package static func leader(_ states: [NodeState], notBefore known: Reign, own: NodeAddress) -> Leader? {
    let masters = states.filter { $0.role == .master && $0.reign >= known }
    if let newest = masters.max(by: { $0.reign < $1.reign }) {
      return Leader(address: newest.address, term: newest.term, id: newest.id)
    }
    // Not one that streams from a node that is no master any more: it may follow this very node.
    let led = states.first { state in
      state.reign > known && state.isStreaming && state.master != nil && state.master != own
        && !states.contains { $0.id == state.masterID && $0.role != .master }
    }
    return led.flatMap { state in state.master.map { Leader(address: $0, term: state.term, id: state.masterID) } }
  }
}
