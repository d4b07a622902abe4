import Core

// The start of a node: which role it takes, and what it asks first.
extension ReignMachine {
  mutating func take(_ role: Role, _ start: ReignStart, _ at: ReignMoment) -> [ReignAction] {
    guard case .new = state else { return [] }
    isStartedAsMaster = role == .master
    let facts = at.facts
    switch (start, role) {
    case (.damaged(let reached), _):
      state = .damaged(CopySearch(role, reached: reached, facts, now: at.now))
      return lookForCopy(at)
    case (.asksPeers, _):
      questions &+= 1
      var peers = Joining.Facts(id: facts.id, address: facts.address, peers: facts.peers)
      if case .slave(let master) = role { peers.master = master }
      state = .joining(Join(machine: Joining(peers), named: facts.address, number: questions, due: at.now))
      return [.stepDown] + join(.start, at) + [.open]
    case (.whole, .slave(let master)):
      state = .following(RowWatch(master, now: at.now))
      return [.attach(master, .configured), .open]
    // A former master that starts once more before it is whole again.
    case (.whole, .master) where facts.refetchTo != nil:
      return seek(Search(.lostRecords, named: facts.address, at: at.now), at) + [.open]
    case (.whole, .master):
      let addresses = facts.addressesAtStart
      // Where the log names other voters, nobody to ask is no majority.
      guard !addresses.isEmpty || facts.voters != nil else {
        return begin(Beginning(occasion: .start, term: max(facts.knownTerm, facts.forgotten).advanced()))
      }
      let (round, asks) = ask(addresses, at)
      state = .asking(round)
      return asks + (round.isOver(at: at.now) ? startAnswered(round, at) : [])
    }
  }

  /// A master that starts again may not be one any more. Where a quorum commits, a majority must vote for it before it takes
  /// writes. Who holds more of the log than it is to be the master (`ReturnRule`).
  mutating func startAnswered(_ round: AskRound, _ at: ReignMoment) -> [ReignAction] {
    let facts = at.facts
    let states = round.states(facts)
    let rival = round.answering.first { address, state in
      facts.peers.contains(address) && state.role == .master && state.hasData
        && state.lineage.map { $0 != facts.lineage } ?? false
    }
    var actions: [ReignAction] = rival.map { [.hold(against: $0.state.lineage ?? .unknown, at: $0.address)] } ?? []
    let highest = states.map { max($0.term, $0.votedTerm) }.max() ?? .none
    let known = max(highest, facts.knownTerm)
    switch facts.returnRule.decide(states) {
    case .follow(let leader):
      actions += [.note(.masterFound(leader.address))] + follow(leader, at)
    case .yield(let holder):
      // Its directory is an older one, or it lost the end of its log. Votes that were given after that copy was made are not
      // in it.
      let next = at.now.advanced(by: Self.againMilliseconds + at.lot % Self.longerLogSpreadMilliseconds)
      actions += [.note(.longerNode(holder)), .forgot(votesUpTo: highest)]
      actions += seek(Search(.longerLog, named: facts.address, at: next), at) + [yield(to: holder, at)]
    case .goOn where facts.voters != nil:
      actions += [.note(.majorityAsked)]
      actions += seek(
        Search(.votes(max(known, facts.forgotten).advanced()), named: facts.address, at: at.now), at)
    case .goOn where facts.madeWay:
      actions += [.note(.madeWay(facts.knownReign))]
      actions += seek(Search(.successor(facts.knownReign), named: facts.address, at: at.now), at)
    case .goOn:
      let there = round.answering.filter { $0.state.lineage == facts.lineage }.flatMap {
        [$0.address, $0.state.address]
      }
      return actions
        + begin(
          Beginning(
            occasion: .restart, term: facts.nextTerm(above: known, isMaster: true),
            silent: round.asked.filter { !there.contains($0) }))
    }
    return actions + [.open]
  }

  func yield(to holder: NodeState, _ at: ReignMoment) -> ReignAction {
    at.facts.voters != nil ? .nudge(holder) : .askToReign(holder)
  }

  mutating func lookForCopy(_ at: ReignMoment) -> [ReignAction] {
    guard case .damaged(var search) = state else { return [] }
    let step = search.step(at.facts, now: at.now)
    state = .damaged(search)
    switch step {
    case .wait: return []
    case .ask(let addresses):
      let (round, asks) = ask(addresses, at)
      search.round = round
      state = .damaged(search)
      return asks
    case .found(let leader):
      search.leader = leader
      state = .damaged(search)
      return [.cutDamage]
    case .none(let why):
      // Nothing is asked, and nothing cut, while the process ends.
      state = .new
      return [.refuseStart(why)]
    }
  }

  /// Until this node has got again what was cut it is a slave, whatever it was.
  mutating func damageCut(_ at: ReignMoment) -> [ReignAction] {
    guard case .damaged(let search) = state else { return [] }
    switch (search.role, search.leader) {
    case (.slave(let master), _):
      state = .following(RowWatch(master, now: at.now))
      return [.attach(master, .configured), .open]
    case (.master, let leader?): return follow(leader, at) + [.open]
    case (.master, nil): return seek(Search(.lostRecords, named: at.facts.address, at: at.now), at) + [.open]
    }
  }

  mutating func join(_ event: Joining.Event, _ at: ReignMoment) -> [ReignAction] {
    guard case .joining(var join) = state else { return [] }
    let actions = join.machine.step(event, now: at.now)
    join.isBegun = true
    join.due = at.now.advanced(by: Self.joinTickMilliseconds)
    state = .joining(join)
    return actions.flatMap { action -> [ReignAction] in
      switch action {
      case .ask(let address): return [.ask(address, round: join.number)]
      case .say(let text): return [.note(.joinWaits(text))]
      case .begin: return begin(Beginning(occasion: .rowBegun, term: at.facts.knownTerm.advanced()))
      case .follow(let address):
        let after = become(.following(RowWatch(address, now: at.now)), named: address, at)
        return [.note(.rowHasMaster(address)), .attach(address, .configured), .remember(.slave(of: address))] + after
      }
    }
  }
}
