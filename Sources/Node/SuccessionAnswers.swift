import Core
import LogStore
import Logging
import Replication

// What other nodes ask and tell about who is master. On the loop of the link to the master.
extension Succession {
  // MARK: MS_STATE

  package func state(_ done: @escaping @Sendable (NodeState) -> Void) {
    loop.execute { [self] in done(ownState) }
  }

  private var ownState: NodeState {
    let store = core.store
    let view = core.replication.upstream.view
    let vote = core.directory.current.vote
    let refetchTo = core.refetchTo
    store.writeLock.lock()
    let durable = store.positions.durable
    // What it may have acknowledged counts: nobody is to be preferred to this node who does not hold that.
    let last = max(store.terms.position(at: durable), refetchTo ?? .none)
    let hasData = core.hasData(store)
    store.writeLock.unlock()
    // A master that voted in a newer term, to hand over or to come back, is not that term's.
    let reign = core.isMaster ? min(core.reign, core.knownReign) : core.knownReign
    var state = NodeState(
      id: core.directory.node, address: core.ownAddress, role: core.isMaster ? .master : .slave,
      lineage: core.directory.lineage, reign: reign, votedTerm: max(vote.term, core.termForgotten), last: last,
      committedLSN: store.positions.committed, appliedLSN: store.positions.applied, isVoter: core.configuration.isVoter)
    state.refetchTo = refetchTo
    state.standsFor = standsFor
    state.hasData = hasData
    state.isJoining = join != nil
    state.row = knownNodes
    if case .slave(let master) = core.role {
      state.master = master
      state.masterID = view.upstream.first
      state.isStreaming = view.isLinkUp && view.isInSync
      state.heardMilliseconds = view.lastHeard.milliseconds == 0 ? nil : host.monotonic.since(view.lastHeard)
      if view.master == nil { state.role = .detached }
    } else if handover.seeksReign, isQuorum {
      // Who holds more of the log and stands must not take this node for the master that it was.
      state.role = .detached
    }
    return state
  }

  // MARK: MS_VOTE

  package func vote(_ request: VoteRequest, _ done: @escaping @Sendable (VoteReply) -> Void) {
    loop.execute { [self] in
      let asked = answer(request)
      guard asked.answer.voteToPersist != nil else { return decide(request, asked, done) }
      // Anybody can ask for a vote in anybody's name: the candidate itself is asked whether it stands.
      confirm(request) { [self] result in
        switch result {
        case .success(let confirmed): decide(confirmed, answer(confirmed), done)
        case .failure(let doubt):
          var reply = asked.answer.reply
          (reply.isGranted, reply.term, reply.reason) = (false, core.knownTerm, doubt.message)
          done(reply)
        }
      }
    }
  }

  private typealias Asked = (answer: VoteAnswer, voter: VoterState, own: NodeState)

  private func answer(_ request: VoteRequest) -> Asked {
    // Everything received so far counts: a voter must not promise with less than it holds.
    core.commitNow()
    let own = ownState
    let current = core.directory.current.vote
    var voter = VoterState(
      id: own.id, lineage: own.lineage, isVoter: own.isVoter,
      vote: current.candidate.map { Vote(term: current.term, candidate: $0) }, knownTerm: own.term, last: own.last,
      committedLSN: own.committedLSN)
    voter.unsureUpTo = core.directory.unsureUpTo
    // To its own master it owes nothing when that one asks: it does not reign then, and whoever else is to.
    let asksItself = core.replication.upstream.view.upstream == [request.candidate]
    if asksItself, request.isReturn, !own.isStreaming { core.releasePromise() }
    if !asksItself {
      voter.promiseMilliseconds = core.promiseLeft(now: host.monotonic)
    }
    if own.role == .master {
      // A log with a newer reign than this one is proof that this one is over.
      if request.last.reign <= core.reign, hearsMajority { voter.leadership = .isMaster }
    } else if own.isStreaming, let heard = own.heardMilliseconds,
      !core.replication.upstream.view.upstream.contains(request.candidate)
    {
      // From the candidate itself, or through it, no master is heard.
      voter.leadership = .follows(heardMillisecondsAgo: heard)
    }
    return (VoteRule.answer(request, voter), voter, own)
  }

  private func decide(_ request: VoteRequest, _ asked: Asked, _ done: @escaping @Sendable (VoteReply) -> Void) {
    var answer = asked.answer
    let (voter, own) = (asked.voter, asked.own)
    if let vote = answer.voteToPersist {
      if let failure = persist(vote) {
        answer.reply.isGranted = false
        answer.reply.reason = "the vote cannot be written: \(failure)"
      } else {
        logger.notice(
          "voted", metadata: ["replication.term": "\(vote.term)", "replication.candidate": "\(request.address)"])
        // Nothing of an older term is taken or acknowledged any more; whom to follow, the winner will tell.
        let stepsDown = own.role == .master && !handover.isUnderWay
        if stepsDown { core.stepDown(for: request.address) }
        core.replication.upstream.voted(Reign(term: vote.term, owner: .unknown))
        // The winner tells, unless it is gone before.
        if stepsDown {
          let addresses = knownNodes.map(\.address)
          loop.schedule(afterMilliseconds: 1000) { [self] in
            findMaster(addresses, reign: Reign(term: vote.term, owner: .unknown))
          }
        }
        step(promotion: .termSeen(vote.term))
      }
    }
    if request.isReturn, !answer.reply.isGranted, voter.isVoter, voter.lineage == request.lineage,
      own.role != .master, voter.leadership == .none, own.last > request.last
    {
      stand()
    }
    done(answer.reply)
  }

  /// Where a quorum commits: whether so many voters follow this master that it can commit anything.
  var hearsMajority: Bool {
    guard case .quorum(let voters) = promotionFacts(force: false, handover: nil).level,
      VoterList(voters, at: .none).asksOthers(than: core.directory.node)
    else { return true }
    let now = host.monotonic
    let heard = core.replication.slaves.count {
      voters.contains($0.id) && $0.countsForCommit && now.since($0.heardAt) <= Self.aliveMilliseconds
    }
    return heard + (voters.contains(core.directory.node) ? 1 : 0) >= voters.count / 2 + 1
  }
  static let aliveMilliseconds: UInt64 = 3000

  // MARK: MS_NEW_MASTER

  package func newMaster(_ news: NewMaster, _ done: @escaping @Sendable (ReplicationError?) -> Void) {
    loop.execute { [self] in
      // An operator ordered it to leave this data set: news of it does not call it back.
      if let ordered = core.directory.current.dataSet.ordered, ordered != news.lineage {
        return done(ReplicationError(.otherDataSet, "this node was ordered to take data set \(ordered)"))
      }
      let masterID = core.isMaster ? core.directory.node : core.replication.upstream.view.upstream.first
      switch NewMasterRule.answer(
        news, ownID: core.directory.node, lineage: core.directory.lineage, knownReign: core.knownReign,
        masterID: masterID)
      {
      case .refuse(let error):
        done(error)
        if core.isMaster, news.lineage == core.directory.lineage, news.reign < core.reign {
          tell(KnownNode(id: news.id, address: news.address))
        }
      case .known: done(nil)
      case .follow:
        verify(news) { [self] result in
          switch result {
          case .success(let address):
            believe(news, at: address)
            done(nil)
          case .failure(let error): done(error)
          }
        }
      }
    }
  }

  /// That node reigns. Asked again: this node may have voted or begun a reign meanwhile.
  func believe(_ news: NewMaster, at address: NodeAddress) {
    let masterID = core.isMaster ? core.directory.node : core.replication.upstream.view.upstream.first
    guard
      case .follow = NewMasterRule.answer(
        news, ownID: core.directory.node, lineage: core.directory.lineage, knownReign: core.knownReign,
        masterID: masterID)
    else { return }
    core.heard(of: news.reign)
    if handover.isUnderWay {
      let known = NewMaster(
        term: news.term, id: news.id, address: address, lineage: news.lineage, firstLSN: news.firstLSN)
      step(handover: .newMaster(known))
      // The machine may be done with it; the vote is written in any case.
    } else {
      follow(address, term: news.term, candidate: news.id)
    }
  }

  /// Follows a newer master. From here on this node takes no writes.
  func follow(_ address: NodeAddress, term: Term, candidate: NodeID?) {
    // A far term is believed when this node has a record of it.
    if term > core.directory.current.vote.term, core.knownTerm.isNear(term) {
      if let failure = persist(Vote(term: term, candidate: candidate ?? core.directory.node)), candidate != nil {
        logger.error("the new term cannot be written down", metadata: ["error": "\(failure)"])
      }
    }
    // A master that stepped down with its vote names that node already, and follows nobody yet.
    let view = core.replication.upstream.view
    guard core.role != .slave(of: address) || view.master != address || view.hold != nil else { return }
    logger.notice(
      "there is a new master", metadata: ["replication.master": "\(address)", "replication.term": "\(term)"])
    core.forgetOrder()
    core.becomeSlave(of: address, .configured)
    core.remember(.slave(of: address))
  }

  // MARK: A newer term was met

  /// A slave that registered here knows of a newer term, and bears it out: see `HearsayRule`.
  ///
  /// - Parameter yields: it was master of that term itself and was told to follow this node.
  func newerReignSeen(_ reign: Reign, at address: NodeAddress, yields: Bool) {
    guard core.isMaster else { return passOn(reign, yields: yields) }
    guard core.reign < reign else { return }
    let term = reign.term
    if yields {
      logger.notice(
        "a former master follows this node: a newer term begins", metadata: ["replication.term": "\(term)"])
      return beginAbove(term)
    }
    // A majority follows this node still: whoever stood for that term did not get it.
    if isQuorum, hearsMajority { return beginAbove(term) }
    core.heard(of: reign)
    logger.error(
      "THIS NODE IS NO MASTER ANY MORE: another one was made in a newer term",
      metadata: ["replication.term": "\(term)", "replication.told.by": "\(address)"])
    core.stepDown(for: address)
    findMaster([address] + knownNodes.map(\.address), reign: reign)
    yieldIfShorter([address] + knownNodes.map(\.address))
  }

  /// This node goes on as master, in a term above `term`.
  func beginAbove(_ term: Term) {
    let known = max(term, core.knownTerm)
    guard isQuorum else {
      do {
        try core.beginReign(nextTerm(above: known))
      } catch {
        logger.error("the new term could not be begun", metadata: ["error": "\(error)"])
      }
      return
    }
    // The voters may be about to elect another one in that very term. A handover that is under way has its own vote.
    guard !handover.isUnderWay else { return }
    core.stepDown(for: core.ownAddress)
    askVoters(known.advanced())
  }

  /// A slave of this node knows of a newer reign than this node's master: that one is to hear of it, at the registration
  /// that follows. Until then this node could not pass on its log.
  private func passOn(_ reign: Reign, yields: Bool) {
    guard reign >= core.knownReign, core.replication.upstream.view.master != nil else { return }
    do {
      // It may know the term itself, from a promotion that failed, and have followed on as before.
      if reign.term > core.knownTerm {
        try core.directory.write(vote: .init(term: reign.term, candidate: yields ? core.directory.node : nil))
      }
      core.heard(of: reign)
      core.replication.upstream.voted(reign)
    } catch {
      logger.error("the new term cannot be written down", metadata: ["error": "\(error)"])
    }
  }

  /// Asks all who is master, again and again until somebody is, or tells.
  ///
  /// This node was the master itself and made way for another one. If that one never begins its reign (it failed, or was
  /// stopped before), this node goes on: in a term above that one's, which a majority must vote for, or, without a quorum,
  /// every node that it knows.
  func findMaster(_ addresses: [NodeAddress], reign: Reign, round: Int = 1) {
    guard !core.isMaster, core.replication.upstream.view.master == nil, !isStopped else { return }
    if !isPromoting, round.isMultiple(of: Self.roundsBeforeReturn) {
      goOn()
    } else if !isPromoting {
      findMasterOnce(addresses, reign: reign)
    }
    loop.schedule(afterMilliseconds: 1000) { [self] in findMaster(addresses, reign: reign, round: round + 1) }
  }
  /// Nobody may reign: a node of a newer term that holds more is to.
  private func yieldIfShorter(_ addresses: [NodeAddress]) {
    askAll(addresses) { [self] round in
      guard !core.isMaster, core.replication.upstream.view.master == nil, !isStopped, !isPromoting else { return }
      switch returnRule.decide(round.states) {
      case .follow(let leader): follow(leader.address, term: leader.term, candidate: leader.id)
      case .yield(let holder): nudge(holder)
      case .goOn: break
      }
    }
  }

  /// Stands by itself: with a majority, or with the votes of all nodes that it knows.
  func goOn() {
    guard !core.isMaster, !isPromoting, !isStopped else { return }
    var facts = promotionFacts(force: false, handover: nil)
    facts.isReturn = true
    begin(facts)
  }

  /// A former master wants to go on and holds less of the log than this node, which hears no master either: then this node
  /// stands. Not all that hold more at the same moment.
  private func stand() {
    loop.schedule(afterMilliseconds: 10 + spread(400)) { [self] in goOn() }
  }
  /// A promotion that is under way has its answers by then, or has failed.
  private static let roundsBeforeReturn = 6

  func findMasterOnce(_ addresses: [NodeAddress], reign: Reign) {
    for address in addresses { askForMaster(address, reign: reign, hopsLeft: Self.hopsMax) }
  }

  /// Where a node streams from somebody, that one is asked: it may be a slave of this very node, and two nodes that follow
  /// each other would wait for ever.
  ///
  /// - Parameter reign: nil when somebody streams from there, whatever its reign.
  private func askForMaster(_ address: NodeAddress, reign: Reign?, hopsLeft: Int) {
    ask(address) { [self] result in
      guard case .success(let state) = result, !core.isMaster, state.lineage == core.directory.lineage,
        core.replication.upstream.view.master == nil
      else { return }
      if state.role == .master {
        if state.reign >= reign ?? .none { follow(state.address, term: state.term, candidate: state.id) }
      } else if let master = state.master, master != core.ownAddress, state.isStreaming, hopsLeft > 0 {
        askForMaster(master, reign: nil, hopsLeft: hopsLeft - 1)
      }
    }
  }
  /// A longer row of slaves below slaves is looked at from further up.
  private static let hopsMax = 4
}
