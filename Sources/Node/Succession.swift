import Core
import LogStore
import Logging
import Replication
import Synchronization

/// Who is master after this one: PROMOTE, FAILOVER, votes, and the news of a new master. Carries out what the machines
/// `Promotion` and `Handover` decide and what the rules for votes answer.
///
/// Lives on the loop of the link to the master, where blocking is allowed: what comes from the old master and the change
/// to a new one never overlap.
package final class Succession: @unchecked Sendable {
  // Safe to share: everything but `viewBox` is touched on `loop` only.
  unowned let core: NodeCore
  let loop: any WorkLoop
  var promotion = Promotion()
  var handover = Handover()
  private var promotionDone: [@Sendable (String?) -> Void] = []
  private var handoverDone: [@Sendable (String?) -> Void] = []
  private var ticking: (any Cancellable)?
  /// Nodes that are to hear of this reign and have not answered yet.
  private var untold: [KnownNode] = []
  private var news: NewMaster?
  private var toldAt = Tick(milliseconds: 0)
  private(set) var isStopped = false
  /// Hints about other masters that are looked into.
  var hintsUnderWay = 0
  /// Who held more of the log and did not answer, as it was said last.
  var silentNodes = ""
  private(set) lazy var watch = UpstreamWatch(succession: self)
  /// This node was started without data and asks its peers whom to follow.
  var join: JoinRunner?
  private let viewBox = Mutex("no-failover")
  /// The order to take over is out, or is about to leave.
  private let givenUp = Atomic<Bool>(false)
  var isReignGivenUp: Bool { givenUp.load(ordering: .acquiring) }

  /// As INFO names it.
  package var failoverState: String { viewBox.withLock { $0 } }
  var host: any NodeHost { core.host }
  var logger: Logger { core.logger }
  static let callMilliseconds: UInt64 = 2000
  private static let termsPerNode: UInt32 = 10

  init(core: NodeCore) {
    self.core = core
    loop = core.host.upstreamLoop
  }

  func stop() {
    loop.execute { [self] in
      isStopped = true
      ticking?.cancel()
      watch.stop()
    }
  }

  func startTicking() {
    guard ticking == nil, !isStopped else { return }
    ticking = loop.every(milliseconds: 20) { [weak self] in self?.tick() }
  }

  private func tick() {
    step(promotion: .tick)
    if handover.isUnderWay { handoverProgress() }
    tellAgain()
    let isIdle = promotionDone.isEmpty && !handover.isUnderWay && untold.isEmpty && !isPromoting
    if isIdle {
      ticking?.cancel()
      ticking = nil
    }
  }

  /// The term in which votes are asked for; 0 for none.
  var standsFor: Term {
    switch promotion.state {
    case .voting(let term, _), .beginning(let term): term
    case .idle, .asking, .promoted, .refused: .none
    }
  }

  var isPromoting: Bool {
    switch promotion.state {
    case .asking, .voting, .beginning: true
    case .idle, .promoted, .refused: false
    }
  }

  // MARK: PROMOTE

  /// Calls `done` with nil when this node is master, else with the reason.
  package func promote(force: Bool, done: @escaping @Sendable (String?) -> Void) {
    loop.execute { [self] in promoteNow(force: force, triesLeft: Self.promoteTriesMax, done: done) }
  }

  /// A node that asks by itself again and again to be master lets the operator's order in.
  private func promoteNow(force: Bool, triesLeft: Int, done: @escaping @Sendable (String?) -> Void) {
    if isPromoting {
      guard promotion.facts?.isReturn == true, triesLeft > 0, !isStopped else {
        return done("a promotion is under way already")
      }
      return loop.schedule(afterMilliseconds: Self.promoteAgainMilliseconds) { [self] in
        promoteNow(force: force, triesLeft: triesLeft - 1, done: done)
      }
    }
    promotionDone.append { [self] failure in
      if failure == nil { core.liftRival("an operator promoted this node") }
      done(failure)
    }
    begin(promotionFacts(force: force, handover: nil))
  }
  private static let promoteAgainMilliseconds: UInt64 = 20
  private static let promoteTriesMax = 500

  /// The master gives its reign to this node. On the loop.
  func takeOver(_ order: HandoverOrder) {
    guard !isPromoting else { return }
    logger.notice("the master hands over", metadata: ["replication.term": "\(order.term)"])
    var facts = promotionFacts(force: order.isForced, handover: order.term)
    facts.isOrdered = true
    begin(facts)
  }

  func begin(_ facts: PromotionFacts) {
    logger.info(
      "asking to be master",
      metadata: [
        "replication.last": "\(facts.last)", "replication.term.known": "\(facts.knownTerm)",
        "commit.level": "\(facts.level)", "replication.forced": "\(facts.isForced)",
        "replication.nodes":
          "\(facts.nodes.map { $0.isMaster ? "\($0.address) (master)" : "\($0.address)" }.joined(separator: ", "))",
      ])
    startTicking()
    step(promotion: .start(facts))
  }

  /// The other nodes of the row, as this node was told of them last.
  var knownNodes: [KnownNode] {
    let own = core.directory.node
    let below = core.replication.slaveList.known(without: own)
    guard !core.isMaster, let list = core.replication.upstream.view.slaves ?? core.replication.lastRow else {
      return below
    }
    let row = list.known(without: own)
    return row + below.filter { node in !row.contains { $0.id == node.id } }
  }

  func promotionFacts(force: Bool, handover term: Term?) -> PromotionFacts {
    core.commitNow()
    let refetchTo = core.refetchTo
    let store = core.store
    let settings = core.configuration
    store.writeLock.lock()
    let durable = store.positions.durable
    let last = store.terms.position(at: durable)
    let voters = core.votersOfLog(store)
    let areVotersNamed = !store.votersInLog.isEmpty
    let asked = settings.commit.level.joined(store.tableLevels).joined(store.pendingLevel)
    store.writeLock.unlock()
    let level: CommitLevel =
      switch asked {
      case .quorum, .both: .quorum(voters: voters.ids)
      case .fullsync: .fullsync(slaves: settings.commit.slaves)
      case .async: .async
      }
    var facts = PromotionFacts(
      id: core.directory.node, address: core.ownAddress, lineage: core.directory.lineage, last: last,
      knownTerm: core.knownTerm, nodes: knownNodes, level: level, isForced: force, handoverTerm: term)
    facts.areVotersNamed = areVotersNamed
    facts.dissentsFrom = core.replication.upstream.view.dissentsFrom
    facts.unsureUpTo = core.directory.unsureUpTo
    facts.upstream = core.replication.upstream.view.upstream
    if asked == .both { facts.fullsyncSlaves = settings.commit.slaves }
    facts.isMaster = core.isMaster
    facts.isVoter = settings.isVoter
    let now = host.monotonic
    facts.promisedUntil = now.advanced(by: core.promiseLeft(now: now))
    facts.refetchTo = refetchTo
    // Without other voters nobody's votes keep two nodes from one term.
    if term == nil, !asked.asksQuorum || !voters.asksOthers(than: facts.id) { facts.termsLeftOut = termsLeftOut }
    return facts
  }

  /// Where no majority votes, two nodes that cannot hear each other may both begin a reign, and of one term they would
  /// write two logs. So the terms that follow the newest one are shared out: the first are for its own master, which may
  /// be started again and again, cut off from all others; then every node of the row has some, in the order of the ids.
  private var termsLeftOut: UInt32 {
    guard core.configuration.sharesOutTerms else { return 0 }
    let own = core.directory.node
    let before = knownNodes.count { $0.id < own }
    return Self.termsPerNode * UInt32(before + 1) - 1
  }

  /// For a reign that begins without votes. A slave's vote for itself says too little: it may be one that it passes on.
  func nextTerm(above known: Term) -> Term {
    let known = max(known, core.termForgotten)
    let vote = core.directory.current.vote
    let isOwn = known == .none || (core.isMaster && vote.term == known && vote.candidate == core.directory.node)
    return known.advanced(by: isOwn ? 0 : termsLeftOut).advanced()
  }

  func step(promotion event: PromotionEvent) {
    var queue = [event]
    while !queue.isEmpty {
      for action in promotion.step(queue.removeFirst(), now: host.monotonic) {
        guard let answer = perform(action) else { continue }
        queue.append(answer)
        if case .storeFailed = answer { break }
      }
    }
  }

  /// A failure ends the list of actions that it is in.
  private func perform(_ action: PromotionAction) -> PromotionEvent? {
    switch action {
    case .ask(let node):
      ask(node.address) { [self] result in
        switch result {
        case .success(let state): step(promotion: .stateAnswered(from: node.id, state))
        case .failure(let error): step(promotion: .failed(from: node.id, error.message))
        }
      }
    case .persistVote(let vote):
      if let failure = persist(vote) { return .storeFailed(failure) }
    case .requestVote(let node, let request):
      call(["MS_VOTE"] + request.arguments, node.address) { [self] result in
        do throws(ReplicationError) {
          step(promotion: .voteAnswered(from: node.id, try VoteReply(parsing: try Self.elements(result))))
        } catch {
          step(promotion: .failed(from: node.id, error.message))
        }
      }
    case .tellLoss(let what):
      logger.error("PROMOTED BY FORCE: acknowledged records can be lost", metadata: ["replication.reason": "\(what)"])
    case .becomeMaster(let term): return becomeMaster(term)
    case .announce(let nodes, let news): announce(nodes, news)
    case .refuse(let why):
      logger.warning("promotion refused", metadata: ["replication.reason": "\(why)"])
      finishPromotion(why)
    }
    return nil
  }

  private func becomeMaster(_ term: Term) -> PromotionEvent {
    let master = core.replication.upstream.view.master
    core.replication.upstream.detachNow()
    do {
      let first = try core.beginReign(term, asOnlyVoter: promotion.facts?.makesOnlyVoter ?? false)
      core.remember(.master)
      core.replication.upstreamChanged([])
      logger.notice(
        "this node is the master now", metadata: ["replication.term": "\(term)", "replication.first.lsn": "\(first)"])
      finishPromotion(nil)
      host.stateChanged()
      return .begun(firstLSN: first)
    } catch {
      logger.error("the new term could not be begun", metadata: ["error": "\(error)"])
      // It goes on as the slave that it was.
      if !core.isMaster, let master { core.replication.upstream.attach(master, .resumed) }
      finishPromotion("\(error)")
      return .storeFailed("\(error)")
    }
  }

  private func finishPromotion(_ failure: String?) {
    for done in promotionDone { done(failure) }
    promotionDone = []
    host.stateChanged()
  }

  // MARK: Telling

  private func announce(_ nodes: [KnownNode], _ news: NewMaster) {
    self.news = news
    untold = nodes
    startTicking()
    tellAgain()
  }

  /// A master of an older reign said that it is the master: it is to hear of this one.
  func tell(_ node: KnownNode) {
    guard core.isMaster, !untold.contains(where: { $0.id == node.id }) else { return }
    let store = core.store
    store.writeLock.lock()
    let first = store.terms.last?.firstLSN ?? .none
    store.writeLock.unlock()
    announce(
      untold + [node],
      NewMaster(
        term: core.term, id: core.directory.node, address: core.ownAddress, lineage: core.directory.lineage,
        firstLSN: first))
  }

  /// Who could not be told is told again every second, as long as this node is the master.
  private func tellAgain() {
    guard let news, !untold.isEmpty else { return }
    guard core.isMaster, core.term == news.term else {
      untold = []
      return
    }
    let now = host.monotonic
    guard toldAt == Tick(milliseconds: 0) || now.since(toldAt) >= 1000 else { return }
    toldAt = now
    for node in untold {
      call(["MS_NEW_MASTER"] + news.arguments, node.address) { [self] result in
        // A refusal is an answer, too: that node knows of a newer master, which will tell this one.
        switch result {
        case .success: break
        case .failure(let error):
          // One that does not believe it yet is told again.
          let isDoubted = error.message.hasPrefix(ReplicationError.Code.unproven.rawValue)
          guard error.code == .peerRefused, !isDoubted else { return }
          logger.warning(
            "a node does not follow",
            metadata: ["replication.node": "\(node.address)", "replication.reason": "\(error.message)"])
        }
        untold.removeAll { $0.id == node.id }
        if untold.isEmpty { toldAt = Tick(milliseconds: 0) }
      }
    }
  }

  // MARK: FAILOVER

  package func failOver(
    to target: NodeAddress?, timeoutMilliseconds: UInt64?, force: Bool, done: @escaping @Sendable (String?) -> Void
  ) {
    loop.execute { [self] in
      failOver(toKnown: target, timeoutMilliseconds, force, done)
    }
  }

  /// A target is found by its address, or by the node that answers there, however the address is written.
  private func failOver(
    toKnown target: NodeAddress?, _ timeoutMilliseconds: UInt64?, _ force: Bool,
    _ done: @escaping @Sendable (String?) -> Void
  ) {
    let slaves = core.replication.slaves
    if let target, core.isMaster, !slaves.contains(where: { $0.address == target }) {
      return ask(target) { [self] result in
        let answering = try? result.get().id
        let known = slaves.first { $0.id == answering }?.address
        handOver(to: known ?? target, timeoutMilliseconds, force, done)
      }
    }
    handOver(to: target, timeoutMilliseconds, force, done)
  }

  private func handOver(
    to target: NodeAddress?, _ timeoutMilliseconds: UInt64?, _ force: Bool,
    _ done: @escaping @Sendable (String?) -> Void
  ) {
    let slaves = core.replication.slaves
    let voters = core.commitment.voters.ids
    var facts = HandoverFacts(
      id: core.directory.node, term: core.knownTerm,
      candidates: slaves.filter { $0.state.link != nil }.map {
        HandoverCandidate(
          id: $0.id, address: $0.address, isVoter: voters.isEmpty ? $0.isVoter : voters.contains($0.id),
          isStreaming: $0.countsForCommit,
          durableLSN: $0.ack.durableLSN)
      },
      target: target, timeoutMilliseconds: timeoutMilliseconds, isForced: force)
    facts.isMaster = core.isMaster
    facts.diverged = core.replication.divergedSlaves
    if handover.isUnderWay { return done("a handover is under way already: FAILOVER ABORT ends it") }
    handoverDone.append(done)
    startTicking()
    step(handover: .start(facts))
    if handover.isUnderWay { handoverProgress() }
  }

  package func abortFailOver(done: @escaping @Sendable (String?) -> Void) {
    loop.execute { [self] in
      guard handover.isUnderWay else { return done("No failover in progress.") }
      step(handover: .abort)
      done(nil)
    }
  }

  /// After an ack of the target, and at every tick.
  func acked() {
    guard failoverState != "no-failover" else { return }
    loop.execute { [self] in if handover.isUnderWay { handoverProgress() } }
  }

  private func handoverProgress() {
    guard case .waiting(let target, _) = handover.state else { return step(handover: .tick) }
    guard let slave = core.replication.slaves.first(where: { $0.id == target.id }), slave.countsForCommit else {
      return step(handover: .targetLost("it does not follow the stream any more"))
    }
    // A batch that was let in before the pause has the write lock; behind it the log stands still.
    let store = core.store
    store.writeLock.lock()
    let last = LSN(store.lastAppended)
    store.writeLock.unlock()
    step(
      handover: .progress(targetDurable: slave.ack.durableLSN, ownLast: last, good: store.positions.committed))
  }

  func step(handover event: HandoverEvent) {
    for action in handover.step(event, now: host.monotonic) { perform(action) }
    let name =
      switch handover.state {
      case .waiting: "waiting-for-sync"
      case .sent, .asking, .reclaiming: "failover-in-progress"
      case .idle, .followed, .aborted: "no-failover"
      }
    viewBox.withLock { $0 = name }
    if name != "failover-in-progress", givenUp.exchange(false, ordering: .acquiringAndReleasing) { core.reviewLease() }
  }

  private func perform(_ action: HandoverAction) {
    switch action {
    case .pauseWrites: host.pauseWrites(true)
    case .resumeWrites: host.pauseWrites(false)
    case .sendHandover(let target, let order):
      logger.notice(
        "handing over", metadata: ["replication.target": "\(target.address)", "replication.term": "\(order.term)"])
      givenUp.store(true, ordering: .releasing)
      core.reviewLease()
      // On disk before the order leaves: started again, cut off from all others, this node does not take that term itself.
      if let failure = persist(Vote(term: order.term, candidate: target.id)) {
        step(handover: .targetLost("the term cannot be written down: \(failure)"))
      } else if !core.replication.send(order, to: target.id) {
        step(handover: .targetLost("its connection is gone"))
      }
    case .ask(let target):
      ask(target.address) { [self] result in
        switch result {
        case .success(let state): step(handover: .stateAnswered(state))
        case .failure(let error): step(handover: .askFailed(error.message))
        }
      }
    case .follow(let address, let term): follow(address, term: term, candidate: nil)
    case .beginReign(let term):
      var facts = promotionFacts(force: false, handover: term)
      facts.isMaster = false
      // The target may hold more by now, the first record of its own term, and is to stand then: it alone gets the votes.
      facts.isReturn = isQuorum
      promotionDone.append { [self] failure in
        loop.execute { [self] in
          step(handover: failure.map { .reignRefused($0) } ?? .reigns)
        }
      }
      begin(facts)
    case .finished(let failure):
      if let failure { logger.warning("handover ended", metadata: ["replication.reason": "\(failure)"]) }
      for done in handoverDone { done(failure) }
      handoverDone = []
    }
  }

  // MARK: Calls

  func call(
    _ arguments: [String], _ address: NodeAddress,
    _ done: @escaping (Result<PeerReply, ReplicationError>) -> Void
  ) {
    PeerCall.send(
      arguments, to: address, host: host, loop: loop, timeoutMilliseconds: Self.callMilliseconds, done: done)
  }

  func ask(_ address: NodeAddress, _ done: @escaping (Result<NodeState, ReplicationError>) -> Void) {
    call(["MS_STATE"] + NodeState.arguments, address) { result in
      do throws(ReplicationError) {
        done(.success(try NodeState(parsing: try Self.elements(result))))
      } catch {
        done(.failure(error))
      }
    }
  }

  private static func elements(
    _ result: Result<PeerReply, ReplicationError>
  ) throws(ReplicationError) -> [String] {
    guard case .elements(let elements) = try result.get() else {
      throw ReplicationError(.syntax, "an unexpected reply")
    }
    return elements
  }

  /// nil when it is on disk. A vote is not taken back, and of one term there is one.
  func persist(_ vote: Vote) -> String? {
    let current = core.directory.current.vote
    guard vote.term > current.term || (vote.term == current.term && vote.candidate == current.candidate) else {
      return "this node voted in term \(current.term) meanwhile"
    }
    #if PACELINE_PLANTED_BUGS
      if PlantedBug.forgetVote.isPlanted { return nil }
    #endif
    do {
      try core.directory.write(vote: .init(term: vote.term, candidate: vote.candidate))
      return nil
    } catch {
      return "\(error)"
    }
  }
}
