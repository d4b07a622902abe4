import Core

// How a reign begins and ends: candidacies, the one action that begins a reign and what comes of it, the handover of one, the
// news of it.
extension ReignMachine {
  // MARK: A candidacy

  static let underWay = "a promotion is under way already"

  mutating func stand(_ standing: Standing, orders: [OrderNumber] = []) -> [ReignAction] {
    candidacy = Candidacy(standing: standing, orders: orders)
    return [.stand(standing)]
  }

  /// A node that asks by itself again and again to be master lets the operator's order in.
  mutating func promote(_ order: OrderNumber, _ isForced: Bool, _ at: ReignMoment) -> [ReignAction] {
    if let candidacy {
      guard candidacy.standing.isReturn else { return [.answer(order, Self.underWay)] }
      waiting.append(
        WaitingOrder(number: order, isForced: isForced, until: at.now.advanced(by: Self.promoteMilliseconds)))
      return []
    }
    return stand(Standing(occasion: isForced ? .forced : .promoted, isForced: isForced), orders: [order])
  }

  mutating func promotion(_ event: PromotionEvent, _ at: ReignMoment) -> [ReignAction] {
    guard let actions = candidacy?.promotion.step(event, now: at.now) else { return [] }
    return actions.flatMap { action -> [ReignAction] in
      switch action {
      case .ask, .persistVote, .requestVote, .tellLoss: return [.promotion(action)]
      case .becomeMaster(let term):
        guard let candidacy else { return [] }
        let isOnlyVoter = candidacy.promotion.facts?.makesOnlyVoter ?? false
        return begin(Beginning(occasion: candidacy.standing.occasion, term: term, isOnlyVoter: isOnlyVoter))
      case .announce(let nodes, let news): return announce(nodes, news, at)
      case .refuse(let why): return [.promotion(action)] + endCandidacy(why, at)
      }
    }
  }

  private mutating func endCandidacy(_ failure: String?, _ at: ReignMoment) -> [ReignAction] {
    guard let ended = candidacy else { return [] }
    candidacy = nil
    var actions = ended.orders.map { ReignAction.answer($0, failure) }
    if ended.standing.occasion == .reclaimed {
      actions += handOver(failure.map { .reignRefused($0) } ?? .reigns, at)
    }
    guard candidacy == nil, !waiting.isEmpty else { return actions }
    let next = waiting.removeFirst()
    return actions + promote(next.number, next.isForced, at)
  }

  // MARK: A reign begins

  mutating func begin(_ reign: Beginning) -> [ReignAction] {
    var reign = reign
    reign.isFirstOfStart = isStartedAsMaster
    beginning = reign
    return [.begin(reign)]
  }

  mutating func begun(_ first: LSN, _ at: ReignMoment) -> [ReignAction] {
    guard let begun = beginning else { return [] }
    beginning = nil
    isStartedAsMaster = false
    // A master that begins another reign goes on with what it was at, but tells of the new one.
    var reign = Reigning()
    if case .reigning(let present) = state { reign = present }
    var actions: [ReignAction] = reign.waitsForRoom == nil ? [] : [.stopWaitingForRoom]
    (reign.waitsForRoom, reign.telling) = (nil, nil)
    if !begun.silent.isEmpty {
      (reign.silent, reign.silentDue) = (begun.silent, at.now.advanced(by: Self.againMilliseconds))
    }
    state = .reigning(reign)
    if let why = begun.occasion.liftsHold { actions.append(.liftHold(why)) }
    switch begun.occasion {
    case .start, .restart: actions.append(.open)
    case .alone: actions += [.forgetOrder] + answer(begun.order, nil)
    case .ringBroken: actions += tell(begun.tells, at)
    case .promoted, .forced, .handedOver, .returned, .reclaimed:
      actions += promotion(.begun(firstLSN: first), at) + endCandidacy(nil, at)
    case .room, .rowBegun, .outdone, .orderUndone: break
    }
    return actions
  }

  mutating func beginFailed(_ why: String, _ waitsForRoom: Bool, _ at: ReignMoment) -> [ReignAction] {
    guard let failed = beginning else { return [] }
    beginning = nil
    let again = at.now.advanced(by: Self.againMilliseconds)
    switch failed.occasion {
    case .start, .restart:
      guard waitsForRoom else { return [.failStart(why)] }
      var reign = Reigning()
      (reign.waitsForRoom, reign.roomDue) = (failed.term, again)
      (reign.silent, reign.silentDue) = (failed.silent, again)
      state = .reigning(reign)
      return [.note(.noRoom(why)), .open]
    case .room:
      if case .reigning(var reign) = state {
        reign.roomDue = again
        state = .reigning(reign)
      }
      return []
    case .rowBegun:
      questions &+= 1
      let peers = Joining.Facts(id: at.facts.id, address: at.facts.address, peers: at.facts.peers)
      state = .joining(Join(machine: Joining(peers), named: at.facts.address, number: questions, due: again))
      return [.note(.notBegun(why)), .stepDown]
    case .alone: return resume() + answer(failed.order, why)
    case .promoted, .forced, .handedOver, .returned, .reclaimed:
      let orders = candidacy?.orders ?? []
      candidacy?.orders = []
      return [.note(.notBegun(why))] + resume() + orders.map { .answer($0, why) } + promotion(.storeFailed(why), at)
    case .outdone, .orderUndone, .ringBroken: return [.note(.notBegun(why))] + resume()
    }
  }

  /// It goes on as the slave that it was.
  private func resume() -> [ReignAction] {
    if case .following(let row) = state { [.resume(row.master)] } else { [] }
  }

  private func answer(_ order: OrderNumber?, _ failure: String?) -> [ReignAction] {
    order.map { [.answer($0, failure)] } ?? []
  }

  // MARK: Telling of it

  private mutating func announce(_ nodes: [KnownNode], _ news: NewMaster, _ at: ReignMoment) -> [ReignAction] {
    guard case .reigning(var reign) = state else { return [] }
    reign.telling = Reigning.Telling(news: news, untold: nodes, due: at.now.advanced(by: Self.againMilliseconds))
    state = .reigning(reign)
    return nodes.map { .tell($0, news) }
  }

  mutating func tell(_ nodes: [KnownNode], _ at: ReignMoment) -> [ReignAction] {
    guard case .reigning(let reign) = state else { return [] }
    let untold = reign.telling?.untold ?? []
    let new = nodes.filter { node in !untold.contains { $0.id == node.id } }
    guard !new.isEmpty else { return [] }
    let news =
      reign.telling?.news
      ?? NewMaster(
        term: at.facts.reign.term, id: at.facts.id, address: at.facts.address, lineage: at.facts.lineage,
        firstLSN: at.facts.newestFirstLSN)
    return announce(untold + new, news, at)
  }

  mutating func told(_ id: NodeID) -> [ReignAction] {
    guard case .reigning(var reign) = state, var telling = reign.telling else { return [] }
    telling.untold.removeAll { $0.id == id }
    reign.telling = telling.untold.isEmpty ? nil : telling
    state = .reigning(reign)
    return []
  }

  // MARK: What a master does beside

  mutating func reignTick(_ at: ReignMoment) -> [ReignAction] {
    guard case .reigning(let reign) = state else { return [] }
    var actions: [ReignAction] = []
    if let telling = reign.telling, at.now >= telling.due { actions += announce(telling.untold, telling.news, at) }
    if let term = reign.waitsForRoom, at.now >= reign.roomDue {
      actions += begin(Beginning(occasion: .room, term: max(term, at.facts.knownTerm.advanced())))
    }
    if let round = reign.silentRound {
      if round.isOver(at: at.now) { endSilentRound(at) }
    } else if !reign.silent.isEmpty, at.now >= reign.silentDue {
      let (round, asks) = ask(reign.silent, at)
      if case .reigning(var reign) = state {
        reign.silentRound = round
        state = .reigning(reign)
      }
      actions += asks
    }
    return actions
  }

  private mutating func endSilentRound(_ at: ReignMoment) {
    guard case .reigning(var reign) = state else { return }
    (reign.silentRound, reign.silentDue) = (nil, at.now.advanced(by: Self.againMilliseconds))
    state = .reigning(reign)
  }

  mutating func silentAnswered(
    _ address: NodeAddress, _ answer: Result<NodeState, AskFailure>, _ at: ReignMoment
  ) -> [ReignAction] {
    guard case .reigning(var reign) = state, let round = reign.silentRound else { return [] }
    var actions: [ReignAction] = []
    if case .success(let node) = answer, node.lineage == at.facts.lineage {
      reign.silent.removeAll { $0 == address }
      state = .reigning(reign)
      if !reign.isHandingOver, node.role == .master, node.reign > at.facts.knownReign {
        actions = [.note(.deposed(node.term, by: address))] + follow(node.address, node.term, node.id, at)
      }
    }
    if round.isOver(at: at.now) { endSilentRound(at) }
    return actions
  }

  // MARK: FAILOVER

  mutating func failOver(_ order: OrderNumber, _ facts: HandoverFacts, _ at: ReignMoment) -> [ReignAction] {
    guard case .reigning(var reign) = state else { return [.answer(order, "this node is not the master")] }
    guard !reign.isHandingOver else {
      return [.answer(order, "a handover is under way already: FAILOVER ABORT ends it")]
    }
    reign.handover = Reigning.HandoverRun(order: order)
    state = .reigning(reign)
    return handOver(.start(facts), at)
  }

  mutating func handOver(_ event: HandoverEvent, _ at: ReignMoment) -> [ReignAction] {
    guard case .reigning(var reign) = state, var run = reign.handover else { return [] }
    let actions = run.machine.step(event, now: at.now)
    reign.handover = run
    state = .reigning(reign)
    return actions.flatMap { action -> [ReignAction] in
      switch action {
      case .pauseWrites, .resumeWrites, .sendHandover: return [.handover(action)]
      case .ask(let target):
        questions &+= 1
        run.question = questions
        if case .reigning(var reign) = state {
          reign.handover?.question = questions
          state = .reigning(reign)
        }
        return [.ask(target.address, round: questions)]
      case .follow(let address, let term): return follow(address, term, nil, at)
      case .beginReign(let term):
        // The target may hold more by now, the first record of its own term, and is to stand then: it alone gets the votes.
        guard candidacy == nil else { return handOver(.reignRefused(Self.underWay), at) }
        return stand(Standing(occasion: .reclaimed, term: term, isReturn: at.facts.voters != nil))
      case .finished(let failure):
        return (failure.map { [.note(.handoverEnded($0))] } ?? []) + [.answer(run.order, failure)]
      }
    }
  }
}
