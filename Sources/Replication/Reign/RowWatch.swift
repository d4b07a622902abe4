import Core

/// A ring is about to be broken by this node: a master outside of it goes before.
package struct RingBreak: Hashable, Sendable {
  package var nodes: [NodeState]
  package var round: AskRound
}

/// A slave that does not hear its master, or was just ordered to follow it, looks at the row above it: is there a master at
/// the top? It undoes an order that led nowhere (`OrderWatch`) and breaks a ring (`RingWatch`). Pure.
package struct RowWatch: Hashable, Sendable {
  package enum Step: Hashable, Sendable {
    case ask(NodeAddress)
    /// Back to the role before the order; why.
    case undo(OrderWatch, String)
    /// These nodes and this one follow each other in a ring, and this one is to be its master: unless one of the other nodes
    /// that it knows leads to a master.
    case breakRing([NodeState])
  }
  private static let intervalMilliseconds: UInt64 = 500
  /// A master that was heard of within this time is there.
  private static let quietMilliseconds: UInt64 = 1000

  package let master: NodeAddress
  package var order: OrderWatch?
  /// The walk up the row that is under way; the number is that of the question.
  package private(set) var walk: UpstreamWalk?
  package var walkNumber: UInt32 = 0
  package var breaking: RingBreak?
  private var ring = RingWatch()
  private let since: Tick
  private var next: Tick

  package init(_ master: NodeAddress, order: OrderWatch? = nil, now: Tick) {
    self.master = master
    self.order = order
    since = now
    next = order == nil ? now.advanced(by: Self.intervalMilliseconds) : now
  }

  package var due: Tick { breaking?.round.until ?? next }

  package mutating func tick(_ facts: ReignFacts, isStanding: Bool, now: Tick) -> Step? {
    guard now >= next else { return nil }
    next = now.advanced(by: Self.intervalMilliseconds)
    let isQuiet = now.since(max(facts.masterHeardAt, since)) >= Self.quietMilliseconds
    guard order != nil || isQuiet, walk == nil, breaking == nil, !isStanding else {
      if !isQuiet { ring = RingWatch() }
      return nil
    }
    walk = UpstreamWalk(own: facts.id)
    return .ask(master)
  }

  package mutating func answered(
    _ answer: Result<NodeState, AskFailure>, _ facts: ReignFacts, isStanding: Bool, now: Tick
  ) -> Step? {
    guard var walk else { return nil }
    let outcome: UpstreamWalk.Outcome
    switch walk.answered(answer) {
    case .ask(let next):
      self.walk = walk
      return .ask(next)
    case .ended(let found):
      self.walk = nil
      outcome = found
    }
    guard !isStanding else { return nil }
    if var order = order {
      switch order.saw(outcome, now: now) {
      case .wait:
        self.order = order
        // The order that made a ring is undone before the ring is broken.
        return nil
      case .stands: self.order = nil
      case .undone(let why):
        self.order = nil
        return .undo(order, why)
      }
    }
    let isOwn = ring.saw(outcome, own: facts.id, last: facts.last, isWhole: facts.refetchTo == nil, now: now)
    guard isOwn, let nodes = outcome.ring else { return nil }
    ring = RingWatch()
    return .breakRing(nodes)
  }
}
