import Core

@testable import Replication

/// `ReignMachine` in scripts. The node of the script is n2 at 10.0.0.1:7402, of data set n9, with a log up to 2:100; `facts`
/// changes what it knows. What it asks a node is answered by `state` (or `silent`) from that node. A candidacy gets what the
/// node holds by itself; `begin` is answered by `begun` or `not-begun`. The last line says what the node is then.
struct ReignScenario {
  private var machine = ReignMachine()
  private var facts = Self.plainFacts
  private var rounds: [NodeAddress: UInt32] = [:]
  private var orders: UInt64 = 0

  private static var plainFacts: ReignFacts {
    var facts = ReignFacts(
      id: node(2), address: place(7402), lineage: node(9), last: position(2, 100), knownReign: reign(2))
    facts.reign = reign(2)
    facts.newestReign = reign(2)
    return facts
  }

  mutating func run(_ command: ScenarioCommand, _ verb: String, now: Tick) -> [String]? {
    switch verb {
    case "new":
      self = ReignScenario()
      return []
    case "facts":
      change(command)
      return []
    case "state", "silent": return answer(command, verb, now)
    case _:
      guard let event = event(command, verb) else { return nil }
      return step(event, now)
    }
  }

  private mutating func step(_ event: ReignEvent, _ now: Tick) -> [String] {
    var lines: [String] = []
    var queue = [event]
    while !queue.isEmpty {
      for action in machine.step(queue.removeFirst(), ReignMoment(facts, now: now, lot: 250)) {
        lines.append(Self.line(action))
        switch action {
        case .ask(let address, let round): rounds[address] = round
        case .stand(let standing): queue.append(.promotion(.start(promotionFacts(standing))))
        case _: break
        }
      }
    }
    return lines + ["= \(stateName)\(machine.deadline(now: now).map { ", looks again at \($0.milliseconds)" } ?? "")"]
  }

  // MARK: Facts and answers

  private mutating func change(_ command: ScenarioCommand) {
    facts.last = command.position("last", facts.last)
    facts.knownReign = command.reign("known-term", facts.knownReign)
    facts.reign = command.reign("reign", facts.reign)
    if command.has("refetch") {
      facts.refetchTo = command.text("refetch") == "none" ? nil : command.position("refetch")
    }
    if command.has("voters") { facts.voters = command.nodes("voters") }
    if command.has("nodes") { facts.nodes = known(command, "nodes") }
    if command.has("peers") { facts.peers = command.nodes("peers").map { place(7400 + Int($0.bytes[0])) } }
    if let candidate = command.nodes("vote").first {
      facts.vote = Vote(term: command.term("vote-term"), candidate: candidate)
    }
    if command.has("was-master") { facts.wasMaster = command.flag("was-master") }
    if command.has("hears-majority") { facts.hearsMajority = command.flag("hears-majority") }
    if command.has("heard") { facts.masterHeardAt = at(command.number("heard")) }
  }

  private func known(_ command: ScenarioCommand, _ key: String) -> [KnownNode] {
    command.nodes(key).map { KnownNode(id: $0, address: place(7400 + Int($0.bytes[0])), isVoter: true) }
  }

  private func state(_ command: ScenarioCommand) -> NodeState {
    let n = command.number(ofNode: "from")
    var state = NodeState(
      id: node(n), address: place(7400 + Int(n)),
      role: NodeState.Role(rawValue: command.text("role", "slave")) ?? .slave,
      lineage: command.nodes("data-set").first ?? node(9), reign: command.reign("term", reign(2)),
      votedTerm: command.term("voted", 2), last: command.position("last", position(2, 100)), isVoter: true)
    state.hasData = !command.has("empty")
    if state.hasData == false { state.lineage = nil }
    state.row = known(command, "row")
    if let master = command.nodes("master").first {
      (state.masterID, state.master) = (master, place(7400 + Int(master.bytes[0])))
      state.isStreaming = true
    }
    return state
  }

  private mutating func answer(_ command: ScenarioCommand, _ verb: String, _ now: Tick) -> [String] {
    let from = command.number(ofNode: "from")
    let address = place(7400 + Int(from))
    let isCandidate = if case .asking? = machine.candidacy?.promotion.state { true } else { false }
    if isCandidate {
      let event: PromotionEvent =
        verb == "state" ? .stateAnswered(from: node(from), state(command)) : .failed(from: node(from), "silent")
      return step(.promotion(event), now)
    }
    let answer: Result<NodeState, AskFailure> =
      verb == "state" ? .success(state(command)) : .failure(.silent(command.text("why", "no-answer")))
    return step(.answered(round: rounds[address] ?? 0, from: address, answer), now)
  }

  private func promotionFacts(_ standing: Standing) -> PromotionFacts {
    var own = PromotionFacts(
      id: facts.id, address: facts.address, lineage: facts.lineage, last: facts.last, knownTerm: facts.knownTerm,
      nodes: facts.nodes, level: facts.voters.map { .quorum(voters: $0) } ?? .async, isForced: standing.isForced,
      handoverTerm: standing.term)
    own.isReturn = standing.isReturn
    own.isOrdered = standing.isOrdered
    own.isMaster = machine.isMaster && standing.occasion != .reclaimed
    return own
  }

  // MARK: Events

  private mutating func event(_ command: ScenarioCommand, _ verb: String) -> ReignEvent? {
    let from = command.number(ofNode: "from")
    let address = place(7400 + Int(from))
    switch verb {
    case "start":
      let role: Role =
        command.number(ofNode: "role") == 0 ? .master : .slave(of: place(7400 + Int(command.number(ofNode: "role"))))
      if command.has("damaged") { return .start(role, .damaged(reached: command.position("damaged"))) }
      return .start(role, command.flag("asks-peers") ? .asksPeers : .whole)
    case "tick": return .tick
    case "cut": return .damageCut
    case "begun":
      facts.reign = Reign(term: command.term("term", 3), owner: node(2))
      (facts.knownReign, facts.newestReign) = (facts.reign, facts.reign)
      return .begun(firstLSN: command.lsn("lsn", 101))
    case "not-begun": return .beginFailed(command.text("why", "disk"), waitsForRoom: command.flag("room"))
    case "promote": return .promote(nextOrder(), isForced: command.flag("force"))
    case "alone": return .alone(nextOrder())
    case "replica-of": return .replicaOf(place(7400 + Int(command.number(ofNode: "to"))))
    case "failover":
      let candidates = command.acks("slaves").map {
        HandoverCandidate(
          id: $0.id, address: place(7400 + Int($0.id.bytes[0])), isVoter: true, isStreaming: true,
          durableLSN: $0.durableLSN)
      }
      return .failOver(nextOrder(), HandoverFacts(id: node(2), term: facts.knownTerm, candidates: candidates))
    case "progress":
      return .handover(
        .progress(targetDurable: command.lsn("target"), ownLast: command.lsn("last"), good: command.lsn("last")))
    case "lost": return .handover(.targetLost("connection reset"))
    case "abort": return .abortFailOver(nextOrder())
    case "take-over":
      return .takeOver(
        HandoverOrder(term: command.term("term", 3), masterID: node(1), lastLSN: command.lsn("lsn", 100)))
    case "new-master":
      let news = NewMaster(
        term: command.term("term", 3), id: node(from), address: address, lineage: node(9), firstLSN: LSN(101))
      return .newMaster(news, at: address)
    case "vote":
      return .promotion(
        .voteAnswered(
          from: node(from),
          VoteReply(
            id: node(from), isGranted: !command.has("denied"), term: command.term("term", 3), last: position(2, 100),
            committedLSN: .none, reason: command.text("denied").replacing("-", with: " "))))
    case "voted":
      facts.vote = Vote(term: command.term("term", 3), candidate: node(from))
      facts.knownReign = Reign(term: command.term("term", 3), owner: .unknown)
      return .voted(command.term("term", 3), for: address)
    case "asked-with-less": return .askedWithLess
    case "newer-reign":
      return .newerReign(
        Reign(term: command.term("term", 3), owner: node(from)), at: address, yields: command.flag("yields"))
    case "without-majority": return .reignWithoutMajority(command.term("term", 3))
    case "longer-log": return .longerLog(at: address)
    case "older-master": return .olderMaster(KnownNode(id: node(from), address: address))
    case "told": return .told(node(from))
    case _: return nil
    }
  }

  private mutating func nextOrder() -> OrderNumber {
    orders += 1
    return OrderNumber(orders)
  }

  // MARK: Text

  private var stateName: String {
    let name =
      switch machine.state {
      case .new: "new"
      case .asking: "asking at the start"
      case .damaged: "damaged"
      case .joining(let join): "joining, waits \(join.machine.waiting)"
      case .following(let row): "following \(row.master)"
      case .seeking(let search):
        switch search.cause {
        case .successor(let reign): "seeking the master of \(reign)"
        case .votes(let term): "seeking votes from term \(term) on"
        case .longerLog: "seeking who holds more"
        case .lostRecords: "seeking who holds what it lost"
        }
      case .reigning(let reign):
        reign.isHandingOver ? "reigning, hands over" : reign.waitsForRoom == nil ? "reigning" : "reigning, without room"
      }
    return name + (machine.candidacy == nil ? "" : ", stands")
  }

  private static func line(_ action: ReignAction) -> String {
    switch action {
    case .open: "OPEN"
    case .refuseStart(let why): "refuse the start: \(why)"
    case .failStart(let why): "fail the start: \(why)"
    case .ask(let address, _): "ask \(address)"
    case .cutDamage: "cut the damage"
    case .stepDown: "step down"
    case .attach(let master, let reason): "attach to \(master), \(reason)"
    case .resume(let master): "resume the link to \(master)"
    case .detach: "detach"
    case .remember(let role): "remember: \(role.persisted)"
    case .noteTerm(let term, let id): "note term \(term) of \(id.map(\.description) ?? "somebody")"
    case .linkVoted(let reign): "take nothing older than \(reign)"
    case .heard(let reign): "heard of \(reign)"
    case .forgot(let term): "votes up to term \(term) may be forgotten"
    case .passOn(let reign, let yields): "pass on \(reign)\(yields ? ", yields" : "")"
    case .forgetOrder: "forget the order for another data set"
    case .hold(let lineage, let place): "HOLD WRITES: data set \(lineage) at \(place)"
    case .liftHold(let why): "lift a hold: \(why)"
    case .begin(let reign):
      "BEGIN term \(reign.term): \(reign.occasion)\(reign.isOnlyVoter ? ", only voter" : "")\(reign.isFirstOfStart ? ", first of the start" : "")"
    case .stopWaitingForRoom: "wait for room no more"
    case .stand(let standing):
      "stand: \(standing.occasion)\(standing.term.map { ", term \($0)" } ?? "")\(standing.isForced ? ", forced" : "")\(standing.isReturn ? ", by itself" : "")"
    case .nudge(let node): "nudge \(node.id)"
    case .askToReign(let node): "ask \(node.id) to reign"
    case .tell(let node, let news): "tell \(node.id) of term \(news.term)"
    case .promotion(let action): ScenarioText.line(action)
    case .handover(let action): ScenarioText.line(action)
    case .answer(let order, let failure): "answer command \(order.value): \(failure ?? "OK")"
    case .note(let note): "note: \(text(note))"
    }
  }

  private static func text(_ note: ReignNote) -> String {
    switch note {
    case .longerNode(let node): "\(node.id) holds more"
    case .deposed(let term, let by): "deposed by term \(term), told by \(by)"
    case .newMaster(let address, let term): "new master \(address) in term \(term)"
    case .nobodyHolds(let wanted, let summary): "nobody holds \(wanted): \(summary)"
    case .orderUndone(let target, let why): "the order to follow \(target) is undone: \(why)"
    case .ring(let nodes): "a ring of \(nodes.map(\.description).joined(separator: ", "))"
    case .madeWay(let reign): "made way for \(reign)"
    case .masterFound, .rowHasMaster, .joinWaits, .majorityAsked, .longerNodeSilent, .goesAbove, .slaveHoldsMore,
      .noRoom,
      .handedOver, .handoverEnded, .notBegun:
      "\(note)"
    }
  }
}
