import Core
import LogStore
import Logging
import Replication

/// Looks up the row while no master is heard, carries out what `OrderWatch` and `RingWatch` decide: undoes an order that led
/// nowhere, breaks a ring.
///
/// Owned by `Succession`; lives on its loop.
final class UpstreamWatch: @unchecked Sendable {
  // Safe to share: touched on the loop only.
  private unowned let succession: Succession
  private var order: OrderWatch? {
    didSet { core.isOrderOpen.store(order != nil, ordering: .releasing) }
  }
  private var ring = RingWatch()
  private var isWalking = false
  private var ticking: (any Cancellable)?
  /// Raised by whatever makes the answers of a walk old.
  private var turn = 0
  private var attachedAt = Tick(milliseconds: 0)
  private static let intervalMilliseconds: UInt64 = 500
  /// A master that was heard of within this time is there.
  private static let quietMilliseconds: UInt64 = 1000

  init(succession: Succession) { self.succession = succession }

  private var core: NodeCore { succession.core }
  private var now: Tick { core.host.monotonic }

  func stop() {
    ticking?.cancel()
    ticking = nil
    turn += 1
  }

  /// This node is to follow another one from now on.
  func attached() {
    guard !succession.isStopped else { return }
    turn += 1
    isWalking = false
    ring = RingWatch()
    attachedAt = now
    if ticking == nil {
      ticking = succession.loop.every(milliseconds: Self.intervalMilliseconds) { [weak self] in self?.tick() }
    }
  }

  /// An operator's order was carried out. If the one before did not stand yet, the role before both is the old one.
  func ordered(_ target: NodeAddress, former: Role) {
    let old: OrderWatch.FormerRole =
      switch former {
      case .master: .master
      case .slave(let master): .slave(of: master)
      }
    order = OrderWatch(target: target, former: order?.former ?? old, now: now)
    tick()
  }

  private func tick() {
    let view = core.replication.upstream.view
    guard !core.isMaster, let master = view.master, !succession.isStopped else {
      if core.isMaster { order = nil }
      return stop()
    }
    let quietSince = max(view.lastHeard, attachedAt)
    let isQuiet = now.since(quietSince) >= Self.quietMilliseconds
    guard order != nil || isQuiet, !isWalking, !succession.isPromoting, !succession.handover.isUnderWay else {
      if !isQuiet { ring = RingWatch() }
      return
    }
    isWalking = true
    walk(UpstreamWalk(own: core.directory.node), master, turn)
  }

  private func walk(_ state: UpstreamWalk, _ address: NodeAddress, _ turn: Int) {
    succession.ask(address) { [self] result in
      guard turn == self.turn else { return }
      var state = state
      switch state.answered(result.mapError(Self.failure)) {
      case .ask(let next): walk(state, next, turn)
      case .ended(let outcome):
        isWalking = false
        ended(outcome)
      }
    }
  }

  /// A node may refuse (a password, a start that is not over); it does not fail to know MS_STATE, or to speak RESP.
  private static func failure(_ error: ReplicationError) -> UpstreamWalk.Failure {
    switch error.code {
    case .syntax: .noNode("it answers \(error.message)")
    case .peerRefused where error.message.lowercased().hasPrefix("err unknown command"):
      .noNode("it answers \(error.message)")
    default: .silent(error.message)
    }
  }

  private func ended(_ outcome: UpstreamWalk.Outcome) {
    guard !core.isMaster, core.replication.upstream.view.master != nil, !succession.isPromoting else { return }
    if let order = order {
      var order = order
      switch order.saw(outcome, now: now) {
      case .wait: self.order = order
      case .stands: self.order = nil
      case .undone(let why):
        self.order = nil
        return undo(order, why)
      }
    }
    let store = core.store
    store.writeLock.lock()
    let last = store.terms.position(at: store.positions.durable)
    store.writeLock.unlock()
    if order == nil,
      ring.saw(outcome, own: core.directory.node, last: last, isWhole: core.refetchTo == nil, now: now),
      case .ring(let nodes) = outcome
    {
      ring = RingWatch()
      breakRing(nodes)
    }
  }

  // MARK: An order that led nowhere

  private func undo(_ order: OrderWatch, _ why: String) {
    core.replicaOfError.withLock { $0 = why }
    core.logger.error(
      "REPLICAOF LED NOWHERE: the old role comes back",
      metadata: ["replication.master": "\(order.target)", "replication.reason": "\(why)"])
    switch order.former {
    case .slave(let master):
      core.becomeSlave(of: master, .configured)
      core.remember(.slave(of: master))
    case .master: reign()
    }
  }

  /// As master, in a new term. Where a quorum commits, with the votes of a majority.
  private func reign() {
    turn += 1
    core.replication.upstream.detachNow()
    core.upstreamChanged()
    if succession.isQuorum {
      core.stepDown(for: core.ownAddress)
      core.remember(.master)
      return succession.askVoters(core.knownTerm.advanced())
    }
    do {
      try core.beginReign(succession.nextTerm(above: core.knownTerm))
      core.remember(.master)
      core.replication.upstreamChanged([])
      core.logger.notice("this node is a master now", metadata: ["term": "\(core.term)"])
    } catch {
      core.logger.error("the new term could not be begun", metadata: ["error": "\(error)"])
    }
    core.host.stateChanged()
  }

  // MARK: A ring

  private func breakRing(_ nodes: [NodeState]) {
    let names = nodes.map { "\($0.address)" }.joined(separator: ", ")
    core.logger.error(
      "A RING WITHOUT A MASTER: each of these nodes follows the next, the last this one. It holds the newest log and breaks it",
      metadata: ["replication.nodes": "\(names)"])
    let turn = turn
    // A master outside the ring goes before.
    succession.lookForMaster(besides: nodes.map(\.id)) { [self] found in
      guard turn == self.turn, !core.isMaster, !succession.isPromoting else { return }
      if found { return }
      reign()
      if core.isMaster { for node in nodes { succession.tell(KnownNode(id: node.id, address: node.address)) } }
    }
  }
}

extension Succession {
  /// Follows the master that one of the known nodes is or names, if there is one. Calls `done` once.
  func lookForMaster(besides ids: [NodeID], _ done: @escaping @Sendable (Bool) -> Void) {
    let addresses = knownNodes.filter { !ids.contains($0.id) }.map(\.address)
    guard !addresses.isEmpty else { return done(false) }
    askAll(addresses) { [self] round in
      guard let leader = returnRule.leader(round.states), !core.isMaster else { return done(false) }
      follow(leader.address, term: leader.term, candidate: leader.id)
      done(true)
    }
  }
}

extension NodeCore {
  /// REPLICAOF host port, as an operator orders it: carried out at once, and undone if there is no master behind it.
  package func replicaOf(_ master: NodeAddress) {
    let former = role
    replicaOfError.withLock { $0 = "" }
    isOrderOpen.store(true, ordering: .releasing)
    becomeSlave(of: master, .ordered)
    remember(.slave(of: master))
    succession.loop.execute { [self] in succession.watch.ordered(master, former: former) }
  }
}
