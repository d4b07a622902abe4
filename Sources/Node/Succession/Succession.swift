import Core
import LogStore
import Logging
import Replication
import Synchronization

/// Who is master: carries out what `ReignMachine` decides, and tells everybody else of the role.
///
/// Lives on the loop of the link to the master, where blocking is allowed: what comes from the old master and the change
/// to a new one never overlap.
package final class Succession: @unchecked Sendable {
  // Safe to share: everything but `viewBox` is touched on `loop` only.
  unowned let core: NodeCore
  let loop: any WorkLoop
  private(set) var machine = ReignMachine()
  private let viewBox = Mutex(ReignView(role: .master))
  private var queue: [ReignEvent] = []
  private var isStepping = false
  /// The tick that the loop was asked for.
  private var armed: Tick?
  private(set) var isStopped = false
  /// Commands that are answered later.
  private var orders: [OrderNumber: @Sendable (String?) -> Void] = [:]
  private var ordersTaken: UInt64 = 0
  private var started: (@Sendable ((any Error)?) -> Void)?
  private var startError: (any Error)?
  /// Hints about other masters that are looked into.
  var hintsUnderWay = 0

  /// What everybody may read of the role; any thread.
  package var view: ReignView { viewBox.withLock { $0 } }
  var host: any NodeHost { core.host }
  var logger: Logger { core.logger }

  init(core: NodeCore) {
    self.core = core
    loop = core.host.upstreamLoop
  }

  func stop() {
    loop.execute { [self] in isStopped = true }
  }

  // MARK: Steps

  /// On the loop.
  func step(_ event: ReignEvent) {
    queue.append(event)
    guard !isStepping else { return }
    isStepping = true
    while !queue.isEmpty, !isStopped { carryOut(queue.removeFirst()) }
    isStepping = false
    queue = []
    arm()
  }

  private func carryOut(_ event: ReignEvent) {
    let actions = machine.step(event, ReignMoment(readFacts(), now: host.monotonic, lot: host.drawLot()))
    // A reign that is over is told of when no write is taken any more: by `stepDown`.
    if machine.view.role == .master || view.role != .master { publish() }
    if case .begun = event { core.reviewLease() }
    var answers: [ReignEvent] = []
    for action in actions {
      guard let answer = perform(action) else { continue }
      answers.append(answer)
      if Self.endsList(answer) { break }
    }
    queue.insert(contentsOf: answers, at: 0)
    publish()
  }

  private static func endsList(_ answer: ReignEvent) -> Bool {
    switch answer {
    case .beginFailed, .promotion(.storeFailed): true
    case _: false
    }
  }

  /// One timer, for what the machine wants next.
  private func arm() {
    let now = host.monotonic
    guard !isStopped, let due = machine.deadline(now: now), armed.map({ due < $0 }) ?? true else { return }
    armed = due
    loop.schedule(afterMilliseconds: due.since(now)) { [weak self] in
      guard let self, armed == due else { return }
      armed = nil
      step(.tick)
      if machine.isHandingOver { handOverOn() }
    }
  }

  /// The one place where others learn of the role. Who reads `master` finds writes taken, and who is refused a write reads
  /// that this node is a slave.
  private func publish() {
    let next = machine.view
    let before = view
    guard next != before else { return }
    if next.role == .master, before.role != .master { host.takesWrites(true) }
    viewBox.withLock { $0 = next }
    if next.role != .master, before.role == .master { host.takesWrites(false) }
    if next.role != before.role || next.failover != before.failover { core.reviewLease() }
    host.stateChanged()
  }

  // MARK: Commands

  private func take(_ done: @escaping @Sendable (String?) -> Void) -> OrderNumber {
    ordersTaken += 1
    let order = OrderNumber(ordersTaken)
    orders[order] = done
    return order
  }

  /// Takes the role that the node is started in; `done` is called when clients may come in.
  func start(_ role: Role, _ done: @escaping @Sendable ((any Error)?) -> Void) {
    loop.execute { [self] in
      started = done
      if case .slave = role { core.startedAsSlave.store(true, ordering: .releasing) }
      core.noteHidden()
      if let damage = core.damageAtStart { return step(.start(role, .damaged(reached: damage.reached))) }
      if let limit = core.configuration.forgetTermsAbove {
        do { try core.forgetTerms(above: limit) } catch { return opened(error) }
      }
      if core.configuration.beginsDataSet { core.confirmDataSet() }
      let asksPeers = !core.configuration.beginsDataSet && core.asksPeers
      step(.start(role, asksPeers ? .asksPeers : .whole))
    }
  }

  private func opened(_ error: (any Error)?) {
    started?(error)
    started = nil
  }

  /// PROMOTE. Calls `done` with nil when this node is master, else with the reason.
  package func promote(force: Bool, done: @escaping @Sendable (String?) -> Void) {
    loop.execute { [self] in step(.promote(take(done), isForced: force)) }
  }

  /// REPLICAOF host port. Calls `done` when writes are refused.
  func follow(ordered master: NodeAddress, _ done: @escaping @Sendable () -> Void) {
    loop.execute { [self] in
      core.replicaOfError.withLock { $0 = "" }
      step(.replicaOf(master))
      done()
    }
  }

  /// REPLICAOF NO ONE. Calls `done` with nil when this node is master, else with the reason.
  func reignAlone(_ done: @escaping @Sendable (String?) -> Void) {
    leaveVoters { [self] refusal in
      if let refusal { return done(refusal) }
      step(.alone(take(done)))
    }
  }

  package func failOver(
    to target: NodeAddress?, timeoutMilliseconds: UInt64?, force: Bool, done: @escaping @Sendable (String?) -> Void
  ) {
    loop.execute { [self] in
      resolve(target) { [self] target in
        let facts = handoverFacts(to: target, timeoutMilliseconds: timeoutMilliseconds, isForced: force)
        step(.failOver(take(done), facts))
        if machine.isHandingOver { handOverOn() }
      }
    }
  }

  package func abortFailOver(done: @escaping @Sendable (String?) -> Void) {
    loop.execute { [self] in step(.abortFailOver(take(done))) }
  }

  // MARK: Actions

  private func perform(_ action: ReignAction) -> ReignEvent? {
    switch action {
    case .open: opened(nil)
    case .refuseStart(let why): opened(core.damageAtStart?.refusal(why) ?? OpenError(why))
    case .failStart(let why): opened(startError ?? OpenError(why))
    case .ask(let address, let round):
      ask(address) { [self] result in step(.answered(round: round, from: address, result.mapError(AskFailure.init))) }
    case .cutDamage: return cutDamage()
    case .stepDown:
      core.fenceLog()
      publish()
    case .attach(let master, let reason):
      core.fenceLog()
      publish()
      core.replication.upstream.attach(master, reason)
      logger.notice("this node is a slave now", metadata: ["replication.master": "\(master)"])
      host.stateChanged()
    case .resume(let master): core.replication.upstream.attach(master, .resumed)
    case .detach:
      core.replication.upstream.detachNow()
      core.upstreamChanged()
    case .remember(let role): core.remember(role)
    case .noteTerm(let term, let id): note(term, of: id)
    case .linkVoted(let reign): core.replication.upstream.voted(reign)
    case .heard(let reign): core.heard(of: reign)
    case .forgot(let term): forgot(votesUpTo: term)
    case .passOn(let reign, let yields): passOn(reign, yields: yields)
    case .forgetOrder: core.forgetOrder()
    case .hold(let lineage, let place): core.hold(against: DataSetState.Rival(lineage: lineage, place: "\(place)"))
    case .liftHold(let why): core.liftRival(why)
    case .begin(let reign): return begin(reign)
    case .stopWaitingForRoom: core.store.stopWaitingForRoom()
    case .stand(let standing):
      let facts = readPromotionFacts(standing)
      log(facts)
      return .promotion(.start(facts))
    case .nudge(let holder): nudge(holder)
    case .askToReign(let holder): askToReign(holder)
    case .tell(let node, let news): tell(node, news)
    case .promotion(let action): return perform(action)
    case .handover(let action): return perform(action)
    case .answer(let order, let failure): orders.removeValue(forKey: order)?(failure)
    case .note(let note): log(note)
    }
    return nil
  }

  /// The one place where a reign begins.
  private func begin(_ reign: Beginning) -> ReignEvent {
    let wasMaster = core.isMaster
    if !wasMaster { core.replication.upstream.detachNow() }
    do {
      let first = try core.beginReign(reign)
      if !wasMaster { core.replication.upstreamChanged([]) }
      log(reign, first)
      return .begun(firstLSN: first)
    } catch {
      startError = error
      let isStart = reign.occasion == .start || reign.occasion == .restart
      return .beginFailed("\(error)", waitsForRoom: isStart && core.waitsForRoom(after: error))
    }
  }

  private func cutDamage() -> ReignEvent? {
    guard let damage = core.damageAtStart else { return nil }
    do {
      try core.cutDamage(damage)
      return .damageCut
    } catch {
      opened(error)
      return nil
    }
  }

  private func perform(_ action: PromotionAction) -> ReignEvent? {
    switch action {
    case .ask(let node):
      ask(node.address) { [self] result in
        switch result {
        case .success(let state): step(.promotion(.stateAnswered(from: node.id, state)))
        case .failure(let error): step(.promotion(.failed(from: node.id, error.message)))
        }
      }
    case .persistVote(let vote):
      if let failure = persist(vote) { return .promotion(.storeFailed(failure)) }
    case .requestVote(let node, let request):
      requestVote(of: node, request) { [self] result in
        switch result {
        case .success(let reply): step(.promotion(.voteAnswered(from: node.id, reply)))
        case .failure(let error): step(.promotion(.failed(from: node.id, error.message)))
        }
      }
    case .tellLoss(let what):
      logger.error("PROMOTED BY FORCE: acknowledged records can be lost", metadata: ["replication.reason": "\(what)"])
    case .refuse(let why): logger.warning("promotion refused", metadata: ["replication.reason": "\(why)"])
    // The machine of the reign does these itself.
    case .becomeMaster, .announce: break
    }
    return nil
  }

  // MARK: FAILOVER

  /// After an ack of the target.
  func acked() {
    guard view.failover != .none else { return }
    loop.execute { [self] in if machine.isHandingOver { handOverOn() } }
  }

  private func handOverOn() {
    guard case .waiting(let target, _) = machine.handover else { return step(.handover(.tick)) }
    guard let slave = core.replication.slaves.first(where: { $0.id == target.id }), slave.countsForCommit else {
      return step(.handover(.targetLost("it does not follow the stream any more")))
    }
    // A batch that was let in before the pause has the write lock; behind it the log stands still.
    let store = core.store
    let last = store.withWriteLock { _ in LSN(store.lastAppended) }
    step(
      .handover(
        .progress(targetDurable: slave.ack.durableLSN, ownLast: last, good: store.positions.committed)))
  }

  private func perform(_ action: HandoverAction) -> ReignEvent? {
    switch action {
    case .pauseWrites: host.pauseWrites(true)
    case .resumeWrites: host.pauseWrites(false)
    case .sendHandover(let target, let order):
      logger.notice(
        "handing over", metadata: ["replication.target": "\(target.address)", "replication.term": "\(order.term)"])
      // On disk before the order leaves: started again, cut off from all others, this node does not take that term itself.
      if let failure = persist(Vote(term: order.term, candidate: target.id)) {
        return .handover(.targetLost("the term cannot be written down: \(failure)"))
      }
      guard core.replication.send(order, to: target.id) else {
        return .handover(.targetLost("its connection is gone"))
      }
    // The machine of the reign does these itself.
    case .ask, .follow, .beginReign, .finished: break
    }
    return nil
  }
}
