import Core

/// A node without a master looks for one: it asks the nodes that it knows, round after round, until it follows one, reigns
/// itself, or an operator decides. Pure.
package struct Search: Hashable, Sendable {
  package enum Cause: Hashable, Sendable {
    /// This node was the master and made way for a newer reign: whoever reigns in it, or later, is followed. If nobody does
    /// in six rounds (the other one failed before it began), this node goes on itself: in a term above that one's, which a
    /// majority must vote for, or, without a quorum, every node that it knows.
    case successor(Reign)
    /// A majority of the voters is asked, in this term or later, until it votes for this node.
    case votes(Term)
    /// Another node holds more of the log than this one: it is asked to be the master.
    case longerLog
    /// Damage took records that this node may have acknowledged: the node that holds the most, and all of these, is asked to
    /// be the master.
    case lostRecords
  }
  package enum Step: Hashable, Sendable {
    case ask([NodeAddress])
    /// One more, in the round that is under way.
    case askFurther(NodeAddress)
    case follow(ReturnRule.Leader)
    /// Asks for votes itself; nil: in the next term.
    case stand(Term?)
    /// A node that holds more is to be the master: where votes decide it is nudged, elsewhere it is told to.
    case yield(NodeState)
    case nudge(NodeState)
    case askToReign(NodeState)
    case note(ReignNote)
  }

  private static let roundMilliseconds: UInt64 = 1000
  private static let votesSpreadMilliseconds: UInt64 = 1500
  private static let longerLogSpreadMilliseconds: UInt64 = 500
  private static let lostRecordsMilliseconds: UInt64 = 3000
  private static let roundsBeforeReturn = 6
  /// A longer row of slaves below slaves is looked at from further up.
  private static let hopsMax = 4

  package let cause: Cause
  /// Whom clients are told of.
  package let named: NodeAddress
  package var round: AskRound?
  private var next: Tick
  private var rounds = 0
  /// Who told of the reign that is looked for; asked beside the known nodes.
  private let teller: NodeAddress?
  /// In the first round: a node that holds more than this one is nudged.
  private var nudgesLonger: Bool
  /// In the first round: this slave alone, which holds committed records that this node does not.
  private var longerSlave: NodeAddress?
  /// The newest term that a node knew of that answered: where votes are asked for, the next one is above it.
  private var seen = Term.none
  /// Who held more of the log and did not answer, as it was said last.
  private var silentNodes = ""
  /// Nodes that others stream from, and how many steps further up may be asked still.
  private var hops: [NodeAddress: Int] = [:]
  /// Nodes of the row that this node did not know and others named. The master may be among them: example, a node that was
  /// detached long ago and is named as master to a slave of today's row.
  private var found: [NodeAddress] = []
  private static let foundMax = 256

  package init(
    _ cause: Cause, named: NodeAddress, at next: Tick, teller: NodeAddress? = nil, longerSlave: NodeAddress? = nil
  ) {
    self.cause = cause
    self.named = named
    self.next = next
    self.teller = teller
    self.longerSlave = longerSlave
    nudgesLonger = teller != nil
  }

  package var due: Tick { round.map { min($0.until, next) } ?? next }

  /// - Parameters:
  ///   - isStanding: this node asks for votes now; the two do not disturb each other.
  ///   - lot: drawn anew. Two nodes that ask in step would take each other's terms for ever.
  package mutating func step(_ facts: ReignFacts, isStanding: Bool, now: Tick, lot: UInt64) -> [Step] {
    var steps: [Step] = []
    if let round, round.isOver(at: now) {
      self.round = nil
      steps = ended(round, facts, isStanding)
    }
    guard steps.isEmpty, now >= next else { return steps }
    return begin(facts, isStanding, now, lot)
  }

  private mutating func begin(_ facts: ReignFacts, _ isStanding: Bool, _ now: Tick, _ lot: UInt64) -> [Step] {
    rounds += 1
    hops = [:]
    let known = (teller.map { [$0] } ?? []) + facts.addresses + found
    switch cause {
    case .successor:
      next = now.advanced(by: Self.roundMilliseconds)
      guard !isStanding else { return [] }
      return rounds.isMultiple(of: Self.roundsBeforeReturn) ? [.stand(nil)] : [.ask(known)]
    case .votes(let term):
      next = now.advanced(by: Self.roundMilliseconds + lot % Self.votesSpreadMilliseconds)
      let wanted = max(term, max(facts.knownTerm, facts.forgotten, seen).advanced())
      return (isStanding ? [] : [.stand(wanted)]) + [.ask(known)]
    case .longerLog:
      next = now.advanced(by: Self.roundMilliseconds + lot % Self.longerLogSpreadMilliseconds)
      return [.ask(longerSlave.map { [$0] } ?? known)]
    case .lostRecords:
      guard facts.refetchTo != nil else {
        next = Tick(milliseconds: .max)
        return []
      }
      next = now.advanced(by: Self.lostRecordsMilliseconds)
      return [.ask(known)]
    }
  }

  /// Said when it changes, not at every round.
  private mutating func saySilent(_ nodes: String) -> [Step] {
    guard nodes != silentNodes else { return [] }
    silentNodes = nodes
    return [.note(.longerNodeSilent(nodes))]
  }

  // MARK: Answers

  /// Where a master is looked for, the first that answers is followed.
  package mutating func heard(_ state: NodeState, at address: NodeAddress, _ facts: ReignFacts) -> [Step] {
    guard state.lineage == facts.lineage, state.id != facts.id else { return [] }
    note(state.row, facts)
    let wanted: Reign
    switch cause {
    case .successor(let reign): wanted = reign
    case .votes(let term): wanted = Reign(term: term, owner: .unknown)
    case .longerLog, .lostRecords: return []
    }
    if state.role == .master {
      // Whom somebody streams from is a master, whatever its reign.
      guard hops[address] != nil || state.reign >= wanted else { return [] }
      return [.follow(ReturnRule.Leader(address: state.address, term: state.term, id: state.id))]
    }
    // It may be a slave of this very node, and two nodes that follow each other would wait for ever.
    let left = hops[address] ?? Self.hopsMax
    guard let master = state.master, master != facts.address, state.isStreaming, left > 0, hops[master] == nil
    else { return [] }
    hops[master] = left - 1
    return [.askFurther(master)]
  }

  /// They are asked from the next round on.
  private mutating func note(_ row: [KnownNode], _ facts: ReignFacts) {
    for node in row where found.count < Self.foundMax {
      let isKnown =
        node.id == facts.id || node.address == facts.address || facts.addresses.contains(node.address)
        || found.contains(node.address)
      if !isKnown { found.append(node.address) }
    }
  }

  private mutating func ended(_ round: AskRound, _ facts: ReignFacts, _ isStanding: Bool) -> [Step] {
    let states = round.states(facts)
    switch cause {
    case .votes:
      seen = states.reduce(seen) { max($0, $1.term, $1.votedTerm) }
      return []
    case .successor:
      guard nudgesLonger, !isStanding else { return [] }
      nudgesLonger = false
      switch facts.returnRule.decide(states) {
      case .follow(let leader): return [.follow(leader)]
      case .yield(let holder): return [.nudge(holder)]
      case .goOn: return []
      }
    case .longerLog:
      if longerSlave != nil {
        longerSlave = nil
        return states.first.map { [.yield($0)] } ?? []
      }
      guard !isStanding else { return [] }
      switch facts.returnRule.decide(states) {
      case .follow(let leader): return [.follow(leader)]
      case .yield(let holder): return [.yield(holder)]
      case .goOn:
        // With votes nothing can go wrong. Without, the one that held more may be silent now: this node waits until all nodes
        // answer, and needs the votes of all.
        guard facts.voters != nil else {
          return round.haveAnswered(facts.addresses) ? [.stand(nil)] : saySilent(round.summary(facts))
        }
        let highest = states.map { max($0.term, $0.votedTerm) }.max() ?? .none
        return [.stand(max(highest, facts.knownTerm, facts.forgotten).advanced())]
      }
    case .lostRecords:
      guard let wanted = facts.refetchTo else { return [] }
      if let leader = facts.returnRule.leader(states) { return [.follow(leader)] }
      if let holder = round.holder(of: wanted, facts) { return [.askToReign(holder)] }
      return [.note(.nobodyHolds(wanted, round.summary(facts)))]
    }
  }
}
