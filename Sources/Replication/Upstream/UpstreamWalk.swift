import Core

/// Follows the row upwards, from the node that this one is to follow, by asking each for its state: is there a master at the
/// top? Nodes are told apart by their ids, however their addresses are written. Pure; the shell asks.
package struct UpstreamWalk: Hashable, Sendable {
  package enum Failure: Error, Hashable, Sendable {
    /// It answers, but not as a Paceline node does.
    case noNode(String)
    /// No answer, or a refusal that a node may give.
    case silent(String)

    package var text: String {
      switch self {
      case .noNode(let why), .silent(let why): why
      }
    }
  }
  package enum Outcome: Hashable, Sendable {
    case master(NodeID)
    /// The address to follow is this node's own.
    case itself
    /// This node and these: each follows the next, the last follows this node.
    case ring([NodeState])
    /// Nothing at the first address is a Paceline node.
    case noNode(String)
    /// Nobody answers at the first address.
    case silent(String)
    /// Further up: somebody does not answer, or follows nobody.
    case open(String)

    /// The other members of a ring that this node is in; none where it follows itself, as a node does that was killed before
    /// an order to follow itself was undone.
    package var ring: [NodeState]? {
      switch self {
      case .ring(let nodes): nodes
      case .itself: []
      case .master, .noNode, .silent, .open: nil
      }
    }
  }
  package enum Step: Hashable, Sendable {
    case ask(NodeAddress)
    case ended(Outcome)
  }
  static let hopsMax = 64
  private let own: NodeID
  private var passed: [NodeState] = []

  package init(own: NodeID) { self.own = own }

  package mutating func answered(_ answer: Result<NodeState, Failure>) -> Step {
    switch answer {
    case .failure(.noNode(let why)): return .ended(passed.isEmpty ? .noNode(why) : .open(why))
    case .failure(.silent(let why)): return .ended(passed.isEmpty ? .silent(why) : .open(why))
    case .success(let state):
      if state.id == own { return .ended(passed.isEmpty ? .itself : .ring(passed)) }
      if state.role == .master { return .ended(.master(state.id)) }
      // A ring further up is for its own members to break.
      guard !passed.contains(where: { $0.id == state.id }) else { return .ended(.open("a ring of other nodes")) }
      passed.append(state)
      guard let next = state.master, passed.count < Self.hopsMax else {
        return .ended(.open("\(state.address) follows nobody"))
      }
      return .ask(next)
    }
  }
}

/// What becomes of an operator's REPLICAOF until a master was found behind it. The order is carried out at once, so that
/// nothing is written any more; when the other side turns out to be this node, a ring, or no node at all, the old role comes
/// back.
package struct OrderWatch: Hashable, Sendable {
  package enum Verdict: Hashable, Sendable {
    case wait
    /// The order stands.
    case stands
    /// Back to the old role; why.
    case undone(String)
  }
  /// Nobody answers: so long the other side may be starting. A slave waits for ever, as before the order.
  package static let silentMilliseconds: UInt64 = 15_000
  /// Another kind of server may be a node's proxy that is starting.
  package static let otherServerMilliseconds: UInt64 = 2000
  /// What the node was before the order.
  package enum Former: Hashable, Sendable {
    case master, slave(of: NodeAddress)
    /// It had no master and looked for one, or was about to reign again.
    case seeking(Search)
  }
  package let target: NodeAddress
  package let former: Former
  private let since: Tick
  private var rings = 0
  private var otherSince: Tick?

  package init(target: NodeAddress, former: Former, now: Tick) {
    (self.target, self.former, since) = (target, former, now)
  }

  package mutating func saw(_ outcome: UpstreamWalk.Outcome, now: Tick) -> Verdict {
    if case .ring = outcome {} else { rings = 0 }
    if case .noNode = outcome {} else { otherSince = nil }
    switch outcome {
    case .master: return .stands
    case .itself: return .undone("\(target) is this node itself")
    case .ring(let nodes):
      rings += 1
      // A look in the middle of a change of roles may show one that is over a moment later.
      guard rings >= 2 else { return .wait }
      return .undone(
        "\(target) follows this node: a ring of \((nodes.map { "\($0.address)" }).joined(separator: ", ")) and this one"
      )
    case .noNode(let why):
      if otherSince == nil { otherSince = now }
      guard let otherSince, now.since(otherSince) >= Self.otherServerMilliseconds else { return .wait }
      return .undone("\(target) is no Paceline node: \(why)")
    case .silent(let why):
      guard former == .master, now.since(since) >= Self.silentMilliseconds else { return .wait }
      return .undone("no node answers at \(target): \(why)")
    case .open: return .wait
    }
  }
}

/// Breaks a ring that no order of this moment made: crossing orders, restarts into remembered roles, an older generation.
/// Every member sees the same ring and decides alike: the one with the newest log is the master, of equals the larger id.
package struct RingWatch: Hashable, Sendable {
  /// An order that made the ring is undone before.
  package static let seenMilliseconds: UInt64 = 1500
  private var members: Set<NodeID> = []
  private var since: Tick?

  package init() {}

  /// - Returns: whether this node is to become the ring's master now.
  package mutating func saw(
    _ outcome: UpstreamWalk.Outcome, own: NodeID, last: Position, isWhole: Bool, now: Tick
  ) -> Bool {
    guard let nodes = outcome.ring else {
      self = RingWatch()
      return false
    }
    let seen = Set(nodes.map(\.id))
    if seen != members { (members, since) = (seen, now) }
    guard let since, now.since(since) >= Self.seenMilliseconds else { return false }
    // Who lost records by damage is nobody's master before it has them again.
    let candidates =
      nodes.filter { $0.refetchTo == nil }.map { ($0.last, $0.id) } + (isWhole ? [(last, own)] : [])
    guard let winner = candidates.max(by: { $0 < $1 }) else { return false }
    return winner.1 == own
  }
}
