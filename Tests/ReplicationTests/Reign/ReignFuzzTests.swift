import Core
import Testing

@testable import Replication

/// `ReignMachine` under any order of events. The scripts `Scenarios/reign-*.txt` say what it does; this says what it never does.
@Suite struct ReignFuzzTests {
  /// Carries actions out as the shell does, with answers by lot, and looks at every list.
  private struct Shell {
    var machine = ReignMachine()
    var random: Seeded
    var now = at(0)
    var facts: ReignFacts
    var asked: [(address: NodeAddress, round: UInt32)] = []
    var orders: Set<OrderNumber> = []
    private var ordersTaken: UInt64 = 0
    private var isPaused = false

    init(seed: UInt64) {
      random = Seeded(seed)
      facts = ReignFacts(
        id: node(2), address: place(7402), lineage: node(9), last: position(2, 100), knownReign: reign(2))
      facts.reign = reign(2)
      facts.nodes = [1, 3].map { KnownNode(id: node($0), address: place(7400 + Int($0)), isVoter: true) }
      if chance(2) { facts.voters = [node(1), node(2), node(3)] }
      if chance(4) { facts.refetchTo = position(2, 120) }
      if chance(4) { facts.peers = [1, 2, 3].map { place(7400 + $0) } }
    }

    mutating func below(_ n: UInt64) -> UInt64 { random.next() % n }
    mutating func chance(_ n: UInt64) -> Bool { below(n) == 0 }
    mutating func order() -> OrderNumber {
      ordersTaken += 1
      orders.insert(OrderNumber(ordersTaken))
      return OrderNumber(ordersTaken)
    }

    mutating func step(_ event: ReignEvent) {
      var queue = [event]
      while !queue.isEmpty {
        let event = queue.removeFirst()
        let wasMaster = machine.isMaster
        let actions = machine.step(event, ReignMoment(facts, now: now, lot: random.next()))
        if case .begun = event {
        } else if case .beginFailed(_, true) = event {
        } else {
          #expect(wasMaster || !machine.isMaster, "a reign without its first record, after \(event)")
        }
        look(actions, ended: wasMaster && !machine.isMaster)
        for action in actions { if let answer = perform(action) { queue.insert(answer, at: 0) } }
      }
    }

    /// A reign that ends is fenced before writes that were held back go on.
    private func look(_ actions: [ReignAction], ended: Bool) {
      #expect(actions.count { if case .begin = $0 { true } else { false } } <= 1)
      guard ended else { return }
      let fence = actions.firstIndex { action in
        switch action {
        case .stepDown, .attach: true
        case _: false
        }
      }
      #expect(fence != nil, "\(actions)")
      if let resumed = actions.firstIndex(of: .handover(.resumeWrites)), let fence { #expect(fence < resumed) }
    }

    private mutating func perform(_ action: ReignAction) -> ReignEvent? {
      switch action {
      case .ask(let address, let round): asked.append((address, round))
      case .stand(let standing):
        var own = PromotionFacts(
          id: facts.id, address: facts.address, lineage: facts.lineage, last: facts.last, knownTerm: facts.knownTerm,
          nodes: facts.nodes, level: facts.voters.map { .quorum(voters: $0) } ?? .async, isForced: standing.isForced,
          handoverTerm: standing.term)
        (own.isReturn, own.isOrdered) = (standing.isReturn, standing.isOrdered)
        own.isMaster = machine.isMaster && standing.occasion != .reclaimed
        return .promotion(.start(own))
      case .begin(let reign):
        if chance(4) || reign.term <= facts.knownReign.term {
          return .beginFailed("disk", waitsForRoom: reign.occasion == .restart || reign.occasion == .start)
        }
        facts.reign = Reign(term: reign.term, owner: node(2))
        facts.knownReign = max(facts.knownReign, facts.reign)
        return .begun(firstLSN: LSN(101))
      case .cutDamage: return .damageCut
      case .handover(.pauseWrites):
        #expect(!isPaused)
        isPaused = true
      case .handover(.resumeWrites):
        #expect(isPaused)
        isPaused = false
      case .answer(let order, _): #expect(orders.remove(order) != nil, "\(order.value) is answered twice")
      case .noteTerm(let term, _): facts.knownReign = max(facts.knownReign, Reign(term: term, owner: .unknown))
      case .heard(let reign): facts.knownReign = max(facts.knownReign, reign)
      case _: break
      }
      return nil
    }

    mutating func anyState(_ n: UInt8) -> NodeState {
      let role: NodeState.Role = chance(3) ? .master : chance(2) ? .slave : .detached
      let term = UInt32(below(4)) + facts.knownReign.term.value - 1
      var state = NodeState(
        id: node(n), address: place(7400 + Int(n)), role: role, lineage: chance(8) ? node(8) : node(9),
        reign: reign(term, of: n), votedTerm: Term(term), last: position(2, 90 + below(40)), isVoter: true)
      state.hasData = true
      if role == .slave {
        (state.masterID, state.master, state.isStreaming) = (node(2), place(7402), true)
      }
      return state
    }

    mutating func anyEvent() -> ReignEvent {
      let n: UInt8 = chance(2) ? 1 : 3
      let address = place(7400 + Int(n))
      let term = facts.knownReign.term.advanced()
      switch below(20) {
      case 0: return .promote(order(), isForced: chance(2))
      case 1: return .alone(order())
      case 2: return .replicaOf(address)
      case 3:
        let slave = HandoverCandidate(
          id: node(n), address: address, isVoter: true, isStreaming: true, durableLSN: LSN(100))
        return .failOver(order(), HandoverFacts(id: node(2), term: facts.knownReign.term, candidates: [slave]))
      case 4: return .handover(.progress(targetDurable: LSN(100), ownLast: LSN(100), good: LSN(100)))
      case 5: return chance(2) ? .abortFailOver(order()) : .handover(.targetLost("gone"))
      case 6: return .takeOver(HandoverOrder(term: term, masterID: node(n), lastLSN: LSN(100)))
      case 7:
        return .newMaster(
          NewMaster(term: term, id: node(n), address: address, lineage: node(9), firstLSN: LSN(101)), at: address)
      case 8:
        facts.knownReign = Reign(term: term, owner: .unknown)
        return .voted(term, for: address)
      case 9: return .newerReign(Reign(term: term, owner: node(n)), at: address, yields: chance(2))
      case 10: return chance(2) ? .longerLog(at: address) : .askedWithLess
      case 11: return chance(2) ? .reignWithoutMajority(term) : .olderMaster(KnownNode(id: node(n), address: address))
      case 12: return .promotion(.stateAnswered(from: node(n), anyState(n)))
      case 13, 14:
        return .promotion(
          .voteAnswered(
            from: node(n),
            VoteReply(
              id: node(n), isGranted: !chance(3), term: term, last: facts.last, committedLSN: .none, reason: "")))
      case _:
        guard let question = asked.popLast() else { return .told(node(n)) }
        let known = UInt8(clamping: Int(question.address.port) - 7400)
        return .answered(
          round: question.round, from: question.address,
          chance(4) ? .failure(.silent("no answer")) : .success(anyState(known)))
      }
    }
  }

  @Test(arguments: 0..<8) func aReignBeginsByItsActionAndEndsBehindAFence(part: UInt64) {
    for seed in (part * 100)..<(part * 100 + 100) {
      var shell = Shell(seed: seed)
      let role: Role = shell.chance(3) ? .slave(of: place(7401)) : .master
      let damage = ReignStart.damaged(reached: position(2, 100))
      shell.step(.start(role, shell.chance(5) ? damage : shell.chance(5) ? .asksPeers : .whole))
      for _ in 0..<200 {
        if shell.chance(2) {
          shell.now = shell.now.advanced(by: shell.below(700))
          shell.step(.tick)
        } else {
          shell.step(shell.anyEvent())
        }
        // The machine never asks for a tick that it does nothing with.
        for _ in 0..<6 {
          guard let due = shell.machine.deadline(now: shell.now), due <= shell.now else { break }
          shell.step(.tick)
        }
        if let due = shell.machine.deadline(now: shell.now) { #expect(due > shell.now, "seed \(seed)") }
      }
      // In the end every command is answered, but a FAILOVER whose order is out and whose target nobody hears of.
      for _ in 0..<100 {
        shell.now = shell.now.advanced(by: 1000)
        shell.step(.tick)
        shell.step(.handover(.tick))
      }
      #expect(shell.orders.count <= (shell.machine.isHandingOver ? 1 : 0), "seed \(seed)")
    }
  }
}
