import Core

/// The start of a node whose log is damaged behind its sealed segments. It may have acknowledged what it cannot read, as a
/// slave or as the master. So nothing is cut before another node answers that holds it all; the start is refused if none
/// does within six seconds. Pure.
package struct CopySearch: Hashable, Sendable {
  package enum Step: Hashable, Sendable {
    case wait
    case ask([NodeAddress])
    /// Another node has it: the log may be cut. The master, if one answers.
    case found(ReturnRule.Leader?)
    /// The reason, for the operator.
    case none(String)
  }
  private static let triesMilliseconds: UInt64 = 6000
  private static let pauseMilliseconds: UInt64 = 300

  /// The role that the node is started in.
  package let role: Role
  /// The log reached this far, as far as the damage lets tell.
  package let damageReached: Position
  package let addresses: [NodeAddress]
  package var round: AskRound?
  /// The master that the node follows when its log is cut.
  package var leader: ReturnRule.Leader?
  private let giveUpAt: Tick
  private var next: Tick

  package init(_ role: Role, reached: Position, _ facts: ReignFacts, now: Tick) {
    self.role = role
    damageReached = reached
    var addresses = facts.addressesAtStart
    if case .slave(let master) = role, !addresses.contains(master) { addresses.insert(master, at: 0) }
    self.addresses = addresses.filter { $0 != facts.address }
    giveUpAt = now.advanced(by: Self.triesMilliseconds)
    next = now
  }

  package var due: Tick { round?.until ?? next }

  package mutating func step(_ facts: ReignFacts, now: Tick) -> Step {
    guard !addresses.isEmpty else { return .none("no other node is known that could hold it") }
    guard let asked = round else { return now >= next ? .ask(addresses) : .wait }
    guard asked.isOver(at: now) else { return .wait }
    round = nil
    let reached = max(damageReached, facts.refetchTo ?? .none)
    let known = max(facts.knownReign, Reign(term: reached.term, owner: .unknown))
    if let leader = ReturnRule.leader(asked.states(facts), notBefore: known, own: facts.address) {
      return .found(leader)
    }
    if asked.holder(of: reached, facts) != nil { return .found(nil) }
    guard now < giveUpAt else { return .none("no node that answers holds it: \(asked.summary(facts))") }
    next = now.advanced(by: Self.pauseMilliseconds)
    return .wait
  }
}
