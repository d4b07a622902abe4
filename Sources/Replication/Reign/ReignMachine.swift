import Core

/// Who reigns, seen by one node: from the start of the process through every change of its role. One for a node, on the loop
/// of the link to its master. The shell (`Node/Succession`) carries its actions out, in their order, and tells it what came of
/// them.
///
/// Example: a master is started again. `start` asks the nodes that it knew. One answers that it reigns in a newer term: this
/// node attaches to it and is open. If nobody answers, `begin` begins a reign with the occasion `restart`.
///
/// Invariant: a reign begins by the action `begin` only, and the node is `reigning` only after the answer to it.
///
/// `Promotion` and `Handover` are machines inside this one: the first is a candidacy's, the second a reign's.
package struct ReignMachine: Sendable {
  package internal(set) var state = ReignState.new
  package internal(set) var candidacy: Candidacy?
  var beginning: Beginning?
  /// When this node stands because it holds more than a former master that asked for its vote.
  var standsAt: Tick?
  /// PROMOTE commands that came while this node stood by itself.
  var waiting: [WaitingOrder] = []
  var isStartedAsMaster = false
  var questions: UInt32 = 0

  struct WaitingOrder {
    let number: OrderNumber
    let isForced: Bool
    let until: Tick
  }
  static let promoteMilliseconds: UInt64 = 10_000
  static let tickMilliseconds: UInt64 = 20
  static let joinTickMilliseconds: UInt64 = 100
  static let againMilliseconds: UInt64 = 1000
  static let longerLogSpreadMilliseconds: UInt64 = 500
  static let standMilliseconds: UInt64 = 10
  static let standSpreadMilliseconds: UInt64 = 400

  package init() {}

  package mutating func step(_ event: ReignEvent, _ at: ReignMoment) -> [ReignAction] {
    switch event {
    case .start(let role, let start): return take(role, start, at)
    case .answered(let round, let address, let answer): return answered(round, address, answer, at)
    case .damageCut: return damageCut(at)
    case .begun(let first): return begun(first, at)
    case .beginFailed(let why, let waitsForRoom): return beginFailed(why, waitsForRoom, at)
    case .told(let id): return told(id)
    case .tick: return tick(at)
    case .replicaOf(let master): return ordered(master, at)
    case .alone(let order):
      guard !isMaster else { return [.answer(order, nil)] }
      let term = at.facts.nextTerm(above: at.facts.knownTerm, isMaster: false)
      return begin(Beginning(occasion: .alone, term: term, isOnlyVoter: true, order: order))
    case .promote(let order, let isForced): return promote(order, isForced, at)
    case .failOver(let order, let facts): return failOver(order, facts, at)
    case .abortFailOver(let order):
      guard isHandingOver else { return [.answer(order, "No failover in progress.")] }
      return handOver(.abort, at) + [.answer(order, nil)]
    case .takeOver(let order):
      guard candidacy == nil else { return [] }
      return [.note(.handedOver(order.term))]
        + stand(Standing(occasion: .handedOver, term: order.term, isForced: order.isForced, isOrdered: true))
    case .newMaster(let news, let address):
      guard !isHandingOver else { return handOver(.newMaster(news), at) }
      return follow(address, news.term, news.id, at)
    case .voted(let term, let candidate): return voted(term, candidate, at)
    case .askedWithLess:
      if !isMaster, standsAt == nil {
        standsAt = at.now.advanced(by: Self.standMilliseconds + at.lot % Self.standSpreadMilliseconds)
      }
      return []
    case .newerReign(let reign, let address, let yields): return newerReign(reign, address, yields, at)
    case .reignWithoutMajority(let term): return isMaster ? goAbove(term, at) : []
    case .longerLog(let address):
      guard isMaster, at.facts.voters == nil, !isHandingOver else { return [] }
      return [.note(.slaveHoldsMore(address))]
        + seek(Search(.longerLog, named: address, at: at.now, longerSlave: address), at)
    case .olderMaster(let node): return tell([node], at)
    case .promotion(let event): return promotion(event, at)
    case .handover(let event): return handOver(event, at)
    }
  }

  // MARK: What others see

  package var isMaster: Bool { if case .reigning = state { true } else { false } }
  package var isFollowing: Bool { if case .following = state { true } else { false } }
  package var isJoining: Bool { if case .joining = state { true } else { false } }
  package var isHandingOver: Bool { if case .reigning(let reign) = state { reign.isHandingOver } else { false } }
  package var handover: HandoverState {
    if case .reigning(let reign) = state { reign.handover?.machine.state ?? .idle } else { .idle }
  }

  /// The order to take over is out and was not followed so far: this node is nobody's master, and asks to be one again.
  package var seeksReign: Bool {
    switch handover {
    case .asking, .reclaiming: true
    case .idle, .waiting, .sent, .followed, .aborted: false
    }
  }

  /// The term in which votes are asked for; 0 for none.
  package var standsFor: Term {
    switch candidacy?.promotion.state {
    case .voting(let term, _)?, .beginning(let term)?: term
    case .idle?, .asking?, .promoted?, .refused?, nil: .none
    }
  }

  package var view: ReignView {
    var view: ReignView
    switch state {
    // Nobody is let in; what the node was started as counts.
    case .new, .asking: view = ReignView(role: .master)
    case .damaged(let search): view = ReignView(role: search.role)
    case .joining(let join):
      view = ReignView(role: .slave(of: join.named))
      view.waitsForPeers = join.machine.waiting
    case .following(let row):
      view = ReignView(role: .slave(of: row.master))
      view.isOrderOpen = row.order != nil
    case .seeking(let search): view = ReignView(role: .slave(of: search.named))
    case .reigning: view = ReignView(role: .master)
    }
    switch handover {
    case .waiting: view.failover = .waiting
    case .sent, .asking, .reclaiming: view.failover = .underWay
    case .idle, .followed, .aborted: break
    }
    return view
  }

  /// When `tick` is wanted next; nil: something else happens first.
  package func deadline(now: Tick) -> Tick? {
    var due = [standsAt] + waiting.map(\.until)
    if candidacy != nil || isHandingOver { due.append(now.advanced(by: Self.tickMilliseconds)) }
    switch state {
    case .new: break
    case .asking(let round): due.append(round.until)
    case .damaged(let search): due.append(search.due)
    case .joining(let join): due.append(join.due)
    case .following(let row): due.append(row.due)
    case .seeking(let search): due.append(search.due)
    case .reigning(let reign):
      if let telling = reign.telling { due.append(telling.due) }
      if let round = reign.silentRound {
        due.append(round.until)
      } else if !reign.silent.isEmpty {
        due.append(reign.silentDue)
      }
      if reign.waitsForRoom != nil { due.append(reign.roomDue) }
    }
    return due.compactMap { $0 }.min().flatMap { $0.milliseconds == .max ? nil : $0 }
  }

  // MARK: Changes of state

  /// Returns what is to be done when no write is taken any more.
  mutating func become(_ next: ReignState, named: NodeAddress?, _ at: ReignMoment) -> [ReignAction] {
    var after: [ReignAction] = []
    if case .reigning(let reign) = state {
      if let handover = reign.handover, handover.machine.isUnderWay {
        after += [.handover(.resumeWrites), .answer(handover.order, "this node is no master any more")]
      }
      if reign.waitsForRoom != nil { after.append(.stopWaitingForRoom) }
    }
    if named != at.facts.address { isStartedAsMaster = false }
    state = next
    return after
  }

  mutating func follow(_ address: NodeAddress, _ term: Term, _ id: NodeID?, _ at: ReignMoment) -> [ReignAction] {
    let noted = [ReignAction.noteTerm(term, of: id)]
    if case .following(let row) = state, row.master == address, !at.facts.isLinkHeld { return noted }
    let after = become(.following(RowWatch(address, now: at.now)), named: address, at)
    return noted + [
      .note(.newMaster(address, term)), .forgetOrder, .attach(address, .configured), .remember(.slave(of: address)),
    ] + after
  }

  mutating func follow(_ leader: ReturnRule.Leader, _ at: ReignMoment) -> [ReignAction] {
    follow(leader.address, leader.term, leader.id, at)
  }

  mutating func seek(_ search: Search, _ at: ReignMoment) -> [ReignAction] {
    let after = become(.seeking(search), named: search.named, at)
    return [.stepDown] + after + self.search(at)
  }

  mutating func ask(_ addresses: [NodeAddress], _ at: ReignMoment) -> (AskRound, [ReignAction]) {
    questions &+= 1
    let round = AskRound(number: questions, addresses, now: at.now)
    return (round, round.asked.map { .ask($0, round: round.number) })
  }

  // MARK: Answers and time

  mutating func answered(
    _ number: UInt32, _ address: NodeAddress, _ answer: Result<NodeState, AskFailure>, _ at: ReignMoment
  ) -> [ReignAction] {
    switch state {
    case .new: return []
    case .asking(var round):
      guard round.number == number else { return [] }
      round.answered(address, answer)
      state = .asking(round)
      return round.isOver(at: at.now) ? startAnswered(round, at) : []
    case .damaged(var search):
      guard search.round?.number == number else { return [] }
      search.round?.answered(address, answer)
      state = .damaged(search)
      return lookForCopy(at)
    case .joining(let join):
      guard join.number == number else { return [] }
      switch answer {
      case .success(let node): return self.join(.answered(from: address, node), at)
      case .failure(let why): return self.join(.failed(from: address, why.text), at)
      }
    case .seeking(var search):
      if search.round?.number == number { search.round?.answered(address, answer) }
      let heard = (try? answer.get()).map { search.heard($0, at: address, at.facts) } ?? []
      state = .seeking(search)
      return carryOut(heard, at) + self.search(at)
    case .following(var row):
      if row.breaking?.round.number == number {
        row.breaking?.round.answered(address, answer)
        state = .following(row)
        return ringAsked(at)
      }
      guard row.walkNumber == number else { return [] }
      let step = row.answered(answer, at.facts, isStanding: candidacy != nil, now: at.now)
      state = .following(row)
      return carryOut(step, at)
    case .reigning(var reign):
      if let handover = reign.handover, handover.question == number {
        switch answer {
        case .success(let node): return handOver(.stateAnswered(node), at)
        case .failure(let why): return handOver(.askFailed(why.text), at)
        }
      }
      guard reign.silentRound?.number == number else { return [] }
      reign.silentRound?.answered(address, answer)
      state = .reigning(reign)
      return silentAnswered(address, answer, at)
    }
  }

  mutating func tick(_ at: ReignMoment) -> [ReignAction] {
    var actions: [ReignAction] = []
    for order in waiting where at.now >= order.until { actions.append(.answer(order.number, Self.underWay)) }
    waiting.removeAll { at.now >= $0.until }
    if let due = standsAt, at.now >= due {
      standsAt = nil
      if !isMaster, candidacy == nil { actions += stand(Standing(occasion: .returned, isReturn: true)) }
    }
    actions += promotion(.tick, at)
    // Nothing else is decided before it is known whether the reign began.
    guard beginning == nil else { return actions }
    switch state {
    case .new: break
    case .asking(let round): if round.isOver(at: at.now) { actions += startAnswered(round, at) }
    case .damaged: actions += lookForCopy(at)
    case .joining(let join): if at.now >= join.due { actions += self.join(join.isBegun ? .tick : .start, at) }
    case .following(var row):
      if row.breaking != nil { return actions + ringAsked(at) }
      let step = row.tick(at.facts, isStanding: candidacy != nil || isHandingOver, now: at.now)
      state = .following(row)
      actions += carryOut(step, at)
    case .seeking: actions += search(at)
    case .reigning: actions += reignTick(at)
    }
    return actions
  }

  mutating func search(_ at: ReignMoment) -> [ReignAction] {
    guard case .seeking(var search) = state else { return [] }
    let steps = search.step(at.facts, isStanding: candidacy != nil, now: at.now, lot: at.lot)
    state = .seeking(search)
    return carryOut(steps, at)
  }

  mutating func carryOut(_ steps: [Search.Step], _ at: ReignMoment) -> [ReignAction] {
    var actions: [ReignAction] = []
    for step in steps {
      guard case .seeking(var search) = state else { break }
      switch step {
      case .ask(let addresses):
        let (round, asks) = ask(addresses, at)
        search.round = round
        state = .seeking(search)
        actions += asks
      case .askFurther(let address): actions.append(.ask(address, round: search.round?.number ?? 0))
      case .follow(let leader): actions += follow(leader, at)
      case .stand(let term):
        if candidacy == nil { actions += stand(Standing(occasion: .returned, term: term, isReturn: true)) }
      case .yield(let holder): actions.append(yield(to: holder, at))
      case .nudge(let holder): actions.append(.nudge(holder))
      case .askToReign(let holder): actions.append(.askToReign(holder))
      case .note(let note): actions.append(.note(note))
      }
    }
    return actions
  }
}
