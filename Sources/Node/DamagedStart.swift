import Core
import LogStore
import Logging
import Replication

// The start of a node whose log is damaged behind its sealed segments. It may have acknowledged what it cannot read, as a
// slave or as the master. So nothing is cut before another node answers that holds it all, and until this node has got it
// again it is a slave, whatever it was: a former master has the node that holds most made the new one.
extension Succession {
  private static let roundMilliseconds: UInt64 = 1000
  private static let triesMilliseconds: UInt64 = 6000
  private static let pauseMilliseconds: UInt64 = 300

  func start(as role: Role, without damage: TailDamage, _ done: @escaping @Sendable ((any Error)?) -> Void) {
    loop.execute { [self] in
      var addresses = addressesAtStart
      if case .slave(let master) = role, !addresses.contains(master) { addresses.insert(master, at: 0) }
      addresses.removeAll { $0 == core.ownAddress }
      guard !addresses.isEmpty else { return done(refusal(damage, "no other node is known that could hold it")) }
      let deadline = host.monotonic.advanced(by: Self.triesMilliseconds)
      askForCopy(of: damage, role, addresses, until: deadline, done)
    }
  }

  private func askForCopy(
    of damage: TailDamage, _ role: Role, _ addresses: [NodeAddress], until deadline: Tick,
    _ done: @escaping @Sendable ((any Error)?) -> Void
  ) {
    askAll(addresses) { [self] round in
      guard !isStopped else { return }
      let reached = max(damage.reached, core.directory.current.refetchTo ?? .none)
      let leader = ReturnRule.leader(
        round.states, notBefore: max(core.knownReign, Reign(term: reached.term, owner: .unknown)), own: core.ownAddress)
      guard leader != nil || holder(of: reached, round.states) != nil else {
        guard host.monotonic >= deadline else {
          return loop.schedule(afterMilliseconds: Self.pauseMilliseconds) { [self] in
            askForCopy(of: damage, role, addresses, until: deadline, done)
          }
        }
        return done(refusal(damage, "no node that answers holds it: \(round.summary(addresses))"))
      }
      do { try core.cutDamage(damage) } catch { return done(error) }
      switch role {
      case .slave(let master): core.becomeSlave(of: master, .configured)
      case .master:
        if let leader {
          follow(leader.address, term: leader.term, candidate: leader.id)
        } else {
          beDetached()
        }
      }
      done(nil)
    }
  }

  /// A former master that starts once more before it is whole again.
  func startIncomplete(_ done: @escaping @Sendable ((any Error)?) -> Void) {
    loop.execute { [self] in
      beDetached()
      done(nil)
    }
  }

  private func beDetached() {
    core.stepDown(for: core.ownAddress)
    seekMaster()
  }

  /// Until there is a master, or the operator says whom to follow: the node that holds the most, and all that this one may
  /// have acknowledged, is asked to become it.
  private func seekMaster() {
    guard !core.isMaster, core.replication.upstream.view.master == nil, !isStopped else { return }
    guard let wanted = core.refetchTo else { return }
    let addresses = knownNodes.map(\.address)
    askAll(addresses) { [self] round in
      guard !core.isMaster, core.replication.upstream.view.master == nil, !isStopped else { return }
      if let leader = returnRule.leader(round.states) {
        follow(leader.address, term: leader.term, candidate: leader.id)
      } else if let holder = holder(of: wanted, round.states) {
        askToReign(holder)
      } else {
        logger.warning(
          "no node that answers holds all that this one held: PROMOTE one, or wait for another",
          metadata: ["log.reached": "\(wanted)", "replication.nodes": "\(round.summary(addresses))"])
      }
    }
    loop.schedule(afterMilliseconds: Self.callMilliseconds + Self.roundMilliseconds) { [self] in seekMaster() }
  }

  // MARK: Who holds what

  private func holder(of reached: Position, _ states: [NodeState]) -> NodeState? {
    states.filter { $0.refetchTo == nil && $0.last.reaches(reached) }.max {
      $0.last != $1.last ? $0.last < $1.last : $1.id < $0.id
    }
  }

  private func refusal(_ damage: TailDamage, _ why: String) -> OpenError {
    OpenError(
      """
      \(damage), and \(why). Nothing was changed. Start this node again when a node that holds the log up to \
      \(damage.reached) answers; or put the file back from a copy; or give up what no other node holds: PROMOTE another \
      node, which this one then follows, or start with an empty directory as a slave of a node that has the data. \
      `paceline inspect` on the file shows what is still readable
      """, isDamage: true, tail: damage)
  }

  // MARK: Asking

  /// Calls `done` once: when all have answered, or after a second.
  func askAll(_ addresses: [NodeAddress], _ done: @escaping @Sendable (AskRound) -> Void) {
    let round = AskRound(left: addresses.count)
    @Sendable func decide() {
      guard !round.isDecided else { return }
      round.isDecided = true
      done(round)
    }
    for address in addresses {
      ask(address) { [self] result in
        if case .success(let state) = result, state.lineage == core.directory.lineage, state.id != core.directory.node {
          round.states.append(state)
          round.answers[address] = state.refetchTo == nil ? "holds up to \(state.last)" : "has lost records, too"
        } else if case .success = result {
          round.answers[address] = "holds another data set"
        }
        round.left -= 1
        if round.left == 0 { decide() }
      }
    }
    loop.schedule(afterMilliseconds: Self.roundMilliseconds) { decide() }
  }
}

/// The answers of the other nodes to one question.
final class AskRound: @unchecked Sendable {
  // Safe to share: touched on the loop only.
  var left: Int
  var states: [NodeState] = []
  var answers: [NodeAddress: String] = [:]
  var isDecided = false
  init(left: Int) { self.left = left }

  func summary(_ addresses: [NodeAddress]) -> String {
    addresses.map { "\($0) \(answers[$0] ?? "does not answer")" }.joined(separator: ", ")
  }
}
