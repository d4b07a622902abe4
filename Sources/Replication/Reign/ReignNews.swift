import Core

// What operators order and what other nodes say, and how that changes who this node follows.
extension ReignMachine {
  /// REPLICAOF host port: carried out at once, and undone if there is no master behind it.
  mutating func ordered(_ master: NodeAddress, _ at: ReignMoment) -> [ReignAction] {
    let order = OrderWatch(target: master, former: formerRole, now: at.now)
    var row = RowWatch(master, order: order, now: at.now)
    let first = row.tick(at.facts, isStanding: candidacy != nil, now: at.now)
    let after = become(.following(row), named: master, at)
    let why = "an operator ordered it to follow another node"
    return [
      .stepDown, .forgetOrder, .liftHold(why), .attach(master, .ordered), .remember(.slave(of: master)),
    ] + after + carryOut(first, at)
  }

  /// What an order that leads nowhere is undone to. If the order before did not stand yet, it is the role before both.
  private var formerRole: OrderWatch.Former {
    switch state {
    case .following(let row): row.order?.former ?? .slave(of: row.master)
    case .seeking(let search): .seeking(search)
    case .new, .asking, .damaged, .joining, .reigning:
      switch view.role {
      case .master: .master
      case .slave(let master): .slave(of: master)
      }
    }
  }

  /// This node gave its vote to another one: nothing of an older term is taken or acknowledged any more. Whom to follow, the
  /// winner tells, unless it is gone before; then it is looked for.
  mutating func voted(_ term: Term, _ candidate: NodeAddress, _ at: ReignMoment) -> [ReignAction] {
    let reign = Reign(term: term, owner: .unknown)
    var actions: [ReignAction] = []
    if isMaster, !isHandingOver {
      let next = at.now.advanced(by: Self.againMilliseconds)
      actions = seek(Search(.successor(reign), named: candidate, at: next), at)
    }
    return actions + [.linkVoted(reign)] + promotion(.termSeen(term), at)
  }

  mutating func newerReign(_ reign: Reign, _ address: NodeAddress, _ yields: Bool, _ at: ReignMoment) -> [ReignAction] {
    guard isMaster else {
      guard isFollowing, reign >= at.facts.knownReign else { return [] }
      return [.passOn(reign, yields: yields)]
    }
    guard at.facts.reign < reign else { return [] }
    if yields, isHandingOver { return handOver(.targetYields, at) }
    if yields { return [.note(.goesAbove(reign.term))] + goAbove(reign.term, at) }
    // A majority follows this node still: whoever stood for that term did not get it.
    if at.facts.voters != nil, at.facts.hearsMajority { return goAbove(reign.term, at) }
    return [.heard(reign), .note(.deposed(reign.term, by: address))]
      + seek(Search(.successor(reign), named: address, at: at.now, teller: address), at)
  }

  /// This master goes on, in a term above `term`.
  mutating func goAbove(_ term: Term, _ at: ReignMoment) -> [ReignAction] {
    // A handover that is under way has its own course: where its target failed and came back, this node takes the reign back
    // in a term of its own. And the voters may be about to elect that target.
    guard !isHandingOver else { return [] }
    let known = max(term, at.facts.knownTerm)
    guard at.facts.voters != nil else {
      return begin(Beginning(occasion: .outdone, term: at.facts.nextTerm(above: known, isMaster: true)))
    }
    return seek(Search(.votes(known.advanced()), named: at.facts.address, at: at.now), at)
  }

  // MARK: The row above a slave

  mutating func carryOut(_ step: RowWatch.Step?, _ at: ReignMoment) -> [ReignAction] {
    guard let step, case .following(var row) = state else { return [] }
    switch step {
    case .ask(let address):
      questions &+= 1
      row.walkNumber = questions
      state = .following(row)
      return [.ask(address, round: questions)]
    case .undo(let order, let why):
      let note = [ReignAction.note(.orderUndone(order.target, why))]
      switch order.former {
      case .master: return note + reign(.orderUndone, [], at)
      case .slave(let master):
        let after = become(.following(RowWatch(master, now: at.now)), named: master, at)
        return note + [.attach(master, .configured), .remember(.slave(of: master))] + after
      case .seeking(var search):
        search.round = nil
        return note + [.detach, .remember(.master)] + seek(search, at)
      }
    case .breakRing(let nodes):
      let note = [ReignAction.note(.ring(nodes.map(\.address)))]
      let others = at.facts.nodes.filter { node in !nodes.contains { $0.id == node.id } }.map(\.address)
      guard !others.isEmpty else { return note + reign(.ringBroken, nodes, at) }
      let (round, asks) = ask(others, at)
      row.breaking = RingBreak(nodes: nodes, round: round)
      state = .following(row)
      return note + asks
    }
  }

  /// A master outside the ring goes before.
  mutating func ringAsked(_ at: ReignMoment) -> [ReignAction] {
    guard case .following(var row) = state, let ring = row.breaking, ring.round.isOver(at: at.now) else { return [] }
    row.breaking = nil
    state = .following(row)
    guard candidacy == nil else { return [] }
    if let leader = at.facts.returnRule.leader(ring.round.states(at.facts)) { return follow(leader, at) }
    return reign(.ringBroken, ring.nodes, at)
  }

  /// A slave is the master again, in a new term. Where a quorum commits, with the votes of a majority.
  private mutating func reign(_ occasion: ReignOccasion, _ told: [NodeState], _ at: ReignMoment) -> [ReignAction] {
    guard at.facts.voters != nil else {
      let term = at.facts.nextTerm(above: at.facts.knownTerm, isMaster: false)
      return begin(
        Beginning(occasion: occasion, term: term, tells: told.map { KnownNode(id: $0.id, address: $0.address) }))
    }
    let search = Search(.votes(at.facts.knownTerm.advanced()), named: at.facts.address, at: at.now)
    return [.detach, .remember(.master)] + seek(search, at)
  }
}
