import Core
import LogStore
import Logging
import Replication

// What other nodes claim about reigns, and what this node finds out before it believes it: see `HearsayRule`. On the loop of
// the link to the master.
extension Succession {
  private static let confirmMilliseconds: UInt64 = 1000
  private static let confirmAgainMilliseconds: UInt64 = 50
  /// More hints at one time are answered at once, unbelieved.
  private static let hintsMax = 16

  /// Whether the row works, as far as this node sees: then no hint alone may change anything in it.
  var isRowHealthy: Bool {
    let now = host.monotonic
    guard core.isMaster else {
      let view = core.replication.upstream.view
      return view.isLinkUp && view.isInSync && view.lastHeard.milliseconds > 0
        && now.since(view.lastHeard) <= Self.aliveMilliseconds
    }
    if votersAsked != nil { return hearsMajority }
    let members = core.replication.slaves.filter(\.hasShown)
    return members.isEmpty
      || members.contains { $0.state.isStreaming && now.since($0.heardAt) <= Self.aliveMilliseconds }
  }

  /// Where this node's row has that node; nil if it is none of the row.
  private func knownAddress(of id: NodeID) -> NodeAddress? {
    let view = core.replication.upstream.view
    if !core.isMaster, view.upstream.first == id, let master = view.master { return master }
    if let member = core.replication.slaves.first(where: { $0.id == id && $0.hasShown }) { return member.address }
    guard !core.isMaster, let row = view.slaves ?? core.replication.lastRow else { return nil }
    return row.known(without: core.directory.node).first { $0.id == id }?.address
  }

  private var hearer: HearsayRule.Hearer {
    let vote = core.directory.current.vote
    return HearsayRule.Hearer(
      id: core.directory.node, lineage: core.directory.lineage, knownTerm: core.knownTerm, isRowHealthy: isRowHealthy,
      voters: votersOfQuorum, vote: vote.candidate.map { Vote(term: vote.term, candidate: $0) })
  }

  // MARK: MS_NEW_MASTER

  /// Calls `done` with the address to follow, or with why the news is not believed.
  func verify(_ news: NewMaster, _ done: @escaping @Sendable (Result<NodeAddress, ReplicationError>) -> Void) {
    let hearer = hearer
    let known = knownAddress(of: news.id)
    @Sendable func refuse(_ why: String) {
      logger.warning(
        "news of a master that is not borne out",
        metadata: [
          "replication.node": "\(news.address)", "replication.term": "\(news.term)", "replication.reason": "\(why)",
        ])
      done(.failure(ReplicationError(.unproven, why)))
    }
    guard let address = HearsayRule.address(known: known, claimed: news.address, isRowHealthy: hearer.isRowHealthy)
    else {
      return refuse("this node's row works and has no node \(news.id)")
    }
    guard hintsUnderWay < Self.hintsMax else { return refuse("other news is being looked into") }
    hintsUnderWay += 1
    let round = HintRound()
    // Nobody but the voters can say whom they voted for.
    let voters = hearer.needsVotes ? hearer.voters.filter { $0 != hearer.id && $0 != news.id } : []
    round.left = 1
    @Sendable func answered() {
      round.left -= 1
      guard round.left == 0 else { return }
      hintsUnderWay -= 1
      switch round.answer {
      case .failure(let error)?: refuse("\(news.id) does not bear it out: \(error.message)")
      case .success(let state)?:
        if let doubt = HearsayRule.doubt(news, state, votes: round.votes, hearer) {
          refuse(doubt)
          return outdo(news, state, hearer, isKnown: known != nil)
        }
        done(.success(address))
      case nil: break
      }
    }
    for id in voters {
      guard let place = knownAddress(of: id) else { continue }
      round.left += 1
      ask(place) { result in
        if case .success(let state) = result, state.id == id { round.votes[id] = state.votedTerm }
        answered()
      }
    }
    ask(address) { result in
      round.answer = result
      answered()
    }
  }

  /// A voter of this row reigns in a newer term that no majority gave it, by an order that passed over the others. This
  /// master, which a majority follows, goes on above that term, and that one will follow.
  private func outdo(_ news: NewMaster, _ state: NodeState, _ hearer: HearsayRule.Hearer, isKnown: Bool) {
    guard core.isMaster, isKnown, hearer.needsVotes, hearer.voters.contains(news.id), state.id == news.id,
      state.role == .master, state.lineage == hearer.lineage, state.reign > core.reign,
      hearer.knownTerm.isNear(state.reign.term), hearsMajority
    else { return }
    logger.error(
      "A NODE REIGNS WITHOUT A MAJORITY in a newer term: this master goes on above it",
      metadata: ["replication.node": "\(state.address)", "replication.term": "\(state.reign.term)"])
    step(.reignWithoutMajority(state.reign.term))
  }

  // MARK: A registration's newest term

  func newerReignClaimed(_ reign: Reign, by id: NodeID, at claimed: NodeAddress, yields: Bool) {
    loop.execute { [self] in
      let hearer = hearer
      guard
        let address = HearsayRule.address(
          known: knownAddress(of: id), claimed: claimed, isRowHealthy: hearer.isRowHealthy),
        hintsUnderWay < Self.hintsMax
      else { return }
      hintsUnderWay += 1
      ask(address) { [self] result in
        hintsUnderWay -= 1
        guard case .success(let state) = result else { return }
        if let doubt = HearsayRule.doubt(reign, of: id, state, self.hearer) {
          return logger.warning(
            "a newer term that is not borne out",
            metadata: ["replication.node": "\(address)", "replication.reason": "\(doubt)"])
        }
        step(.newerReign(reign, at: address, yields: yields))
      }
    }
  }

  // MARK: A slave that holds more

  /// A slave that holds committed records which this master, whose reign began by a mere start, does not have. If the master
  /// has written nothing since, nothing speaks for its log.
  func longerLogSeen(at address: NodeAddress, common: LSN) {
    loop.execute { [self] in
      let store = core.store
      let access = store.writeLock.lock()
      let own = store.positions.appended.value - min(common.value, store.positions.appended.value)
      let beginnings = store.terms.entries.count { $0.firstLSN > common }
      store.writeLock.unlock(access)
      if own == UInt64(beginnings) { step(.longerLog(at: address)) }
    }
  }

  // MARK: MS_VOTE

  /// Calls `done` with the request as the candidate bears it out, or with the doubt.
  func confirm(_ request: VoteRequest, _ done: @escaping @Sendable (Result<VoteRequest, ReplicationError>) -> Void) {
    let hearer = hearer
    func refuse(_ why: String) { done(.failure(ReplicationError(.unproven, why))) }
    let isVoter = hearer.voters.contains(request.candidate)
    guard hearer.voters.count < 2 || isVoter else {
      return refuse("\(request.candidate) is none of the voters that this node's log names")
    }
    // A voter of the log is of the row, also where this node never heard of its address.
    guard
      let address = HearsayRule.address(
        known: knownAddress(of: request.candidate), claimed: request.address,
        isRowHealthy: hearer.isRowHealthy && !isVoter)
    else { return refuse("this node's row works and has no node \(request.candidate)") }
    guard hintsUnderWay < Self.hintsMax else { return refuse("other candidates are being looked into") }
    hintsUnderWay += 1
    let deadline = host.monotonic.advanced(by: Self.confirmMilliseconds)
    confirm(request, at: address, until: deadline) { [self] result in
      hintsUnderWay -= 1
      done(result)
    }
  }

  /// A candidate that starts asks for votes before it can be reached itself.
  private func confirm(
    _ request: VoteRequest, at address: NodeAddress, until deadline: Tick,
    _ done: @escaping @Sendable (Result<VoteRequest, ReplicationError>) -> Void
  ) {
    ask(address) { [self] result in
      switch result {
      case .success(let state):
        if let doubt = HearsayRule.doubt(request, state) {
          return done(.failure(ReplicationError(.unproven, doubt)))
        }
        var confirmed = request
        confirmed.last = min(request.last, state.last)
        done(.success(confirmed))
      case .failure(let error):
        guard error.code == .linkLost, host.monotonic < deadline, !isStopped else {
          return done(.failure(ReplicationError(.unproven, "the candidate does not answer: \(error.message)")))
        }
        loop.schedule(afterMilliseconds: Self.confirmAgainMilliseconds) { [self] in
          confirm(request, at: address, until: deadline, done)
        }
      }
    }
  }
}

private final class HintRound: @unchecked Sendable {
  // Safe to share: touched on the loop only.
  var left = 0
  var answer: Result<NodeState, ReplicationError>?
  var votes: [NodeID: Term] = [:]
}
