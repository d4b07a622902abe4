import Core
import LogStore
import Logging
import Replication

extension NodeCore {
  /// Takes the role that the node is started in; `done` is called when clients may come in.
  package func start(_ role: Role, then done: @escaping @Sendable ((any Error)?) -> Void) {
    reignIsStart.store(role == .master, ordering: .releasing)
    if case .slave = role { startedAsSlave.store(true, ordering: .releasing) }
    noteHidden()
    if let damage = tailDamage.withLock({ $0 }) { return succession.start(as: role, without: damage, done) }
    if let limit = configuration.forgetTermsAbove {
      do { try forgetTerms(above: limit) } catch { return done(error) }
    }
    if configuration.beginsDataSet { confirmDataSet() } else if asksPeers { return succession.join(as: role, done) }
    switch role {
    case .slave(let master):
      becomeSlave(of: master, .configured)
      done(nil)
    case .master where refetchTo != nil: succession.startIncomplete(done)
    case .master: succession.startAsMaster(done)
    }
  }
}

// A master that starts again may not be one any more: it asks the nodes that it knew. Where a quorum commits, a majority
// must vote for it before it takes writes. Who holds more of the log than it is to be the master (`ReturnRule`).
extension Succession {
  private static let askMilliseconds: UInt64 = 1000

  func startAsMaster(_ done: @escaping @Sendable ((any Error)?) -> Void) {
    loop.execute { [self] in
      let addresses = addressesAtStart
      // Where the log names other voters, nobody to ask is no majority.
      guard !addresses.isEmpty || isQuorum else {
        return reign(max(core.knownTerm, core.termForgotten).advanced(), done)
      }
      let round = StartRound(nodes: addresses.count)
      for address in addresses {
        ask(address) { [self] result in
          if case .success(let state) = result { round.heard(state, at: address, core) }
          round.left -= 1
          if round.left == 0 { decide(round, done) }
        }
      }
      loop.schedule(afterMilliseconds: Self.askMilliseconds) { [self] in decide(round, done) }
    }
  }

  private func decide(_ round: StartRound, _ done: @escaping @Sendable ((any Error)?) -> Void) {
    guard !round.isDecided else { return }
    round.isDecided = true
    let own = core.knownReign
    if let rival = round.rival { core.hold(against: rival) }
    let decision = returnRule.decide(round.states)
    if case .follow(let newer) = decision {
      logger.notice("another node is the master now", metadata: ["replication.master": "\(newer.address)"])
      follow(newer.address, term: newer.term, candidate: newer.id)
      return done(nil)
    }
    let highest = round.states.map { max($0.term, $0.votedTerm) }.max() ?? .none
    let known = max(highest, own.term)
    if case .yield(let holder) = decision {
      notMasterAgain(holder, highest)
      return done(nil)
    }
    if !isQuorum, madeWay {
      core.stepDown(for: core.ownAddress)
      logger.notice(
        "this node made way for another master before it ended: it is looked for",
        metadata: ["replication.term": "\(own.term)"])
      findMaster(knownNodes.map(\.address), reign: own)
      return done(nil)
    }
    guard isQuorum else {
      reign(nextTerm(above: known), done)
      let silent = addressesAtStart.filter { !round.answered.contains($0) }
      return askSilent(silent)
    }
    core.stepDown(for: core.ownAddress)
    logger.notice("a majority of the voters is asked before this node takes writes")
    askVoters(max(known, core.termForgotten).advanced())
    done(nil)
  }

  var returnRule: ReturnRule {
    let facts = promotionFacts(force: false, handover: nil)
    var voters: [NodeID]?
    if case .quorum(let ids) = facts.level, VoterList(ids, at: .none).asksOthers(than: facts.id) { voters = ids }
    return ReturnRule(
      id: facts.id, address: core.ownAddress, last: max(facts.last, facts.refetchTo ?? .none),
      knownReign: core.knownReign, voters: voters)
  }

  /// Another node holds more of this node's own data set than this one: its directory is an older one, or it lost the end of
  /// its log. It follows that node, which is to become the master.
  private func notMasterAgain(_ holder: NodeState, _ highest: Term) {
    logger.error(
      "ANOTHER NODE HOLDS MORE OF THE LOG: this node does not reign. Is its data directory an older one?",
      metadata: ["replication.node": "\(holder.address)", "replication.last": "\(holder.last)"])
    // Votes that were given after that copy was made are not in it.
    do { try core.directory.forgot(votesUpTo: highest) } catch {
      logger.error("the vote cannot be written down", metadata: ["error": "\(error)"])
    }
    core.stepDown(for: core.ownAddress)
    yield(to: holder)
    seekLonger()
  }

  /// As a master, this node voted for another one, or gave its reign to it, and did not follow before it ended. Another
  /// reign of its own would stand beside that one's.
  private var madeWay: Bool {
    let vote = core.directory.current.vote
    return core.rememberedRole == .master && vote.candidate != core.directory.node
      && vote.term > core.store.newestReign?.term ?? .none
  }

  private func reign(_ term: Term, _ done: @escaping @Sendable ((any Error)?) -> Void) {
    do {
      try core.beginReign(term, byStart: true)
      done(nil)
    } catch {
      guard core.waitsForRoom(after: error) else { return done(error) }
      // What is on disk is good without a reign where nobody votes: it is shown until there is room for one.
      logger.error(
        "no room to begin a reign: reads are answered, writes are refused until there is",
        metadata: ["disk.error": "\(error)"])
      done(nil)
      loop.schedule(afterMilliseconds: Self.roomMilliseconds) { [self] in reignWhenThereIsRoom(term) }
    }
  }
  private static let roomMilliseconds: UInt64 = 1000

  private func reignWhenThereIsRoom(_ term: Term) {
    guard core.isMaster, !isStopped, core.store.isReplica else { return core.store.stopWaitingForRoom() }
    do {
      try core.beginReign(max(term, Term(core.knownTerm.value + 1)))
      core.store.stopWaitingForRoom()
      logger.notice("there is room again: this node's reign has begun")
    } catch {
      loop.schedule(afterMilliseconds: Self.roomMilliseconds) { [self] in reignWhenThereIsRoom(term) }
    }
  }

  /// Who did not answer at the start may be the master, in a newer term, and may have forgotten to tell this node: each is
  /// asked again until it has answered once.
  private func askSilent(_ silent: [NodeAddress]) {
    guard !silent.isEmpty else { return }
    loop.schedule(afterMilliseconds: Self.silentMilliseconds) { [self] in
      guard core.isMaster, !isStopped else { return }
      let round = SilentRound(silent)
      for address in silent {
        ask(address) { [self] result in
          round.left -= 1
          if case .success(let state) = result, state.lineage == core.directory.lineage {
            round.silent.removeAll { $0 == address }
            if core.isMaster, !handover.isUnderWay, state.role == .master, state.reign > core.knownReign {
              logger.error(
                "THIS NODE IS NO MASTER ANY MORE: another one was made in a newer term",
                metadata: ["replication.term": "\(state.term)", "replication.told.by": "\(address)"])
              follow(state.address, term: state.term, candidate: state.id)
            }
          }
          if round.left == 0 { askSilent(round.silent) }
        }
      }
    }
  }
  private static let silentMilliseconds: UInt64 = 1000

  /// Where a majority that this node alone is not makes the master.
  var isQuorum: Bool {
    let facts = promotionFacts(force: false, handover: nil)
    guard case .quorum(let voters) = facts.level else { return false }
    return VoterList(voters, at: .none).asksOthers(than: facts.id)
  }

  /// Until a majority votes for this node, or it hears of another master.
  func askVoters(_ term: Term) {
    guard !core.isMaster, core.replication.upstream.view.master == nil, !isStopped else { return }
    if !isPromoting {
      var facts = promotionFacts(force: false, handover: max(term, max(core.knownTerm, core.termForgotten).advanced()))
      facts.isReturn = true
      begin(facts)
    }
    findMasterOnce(knownNodes.map(\.address), reign: Reign(term: term, owner: .unknown))
    loop.schedule(afterMilliseconds: 1000 + spread(1500)) { [self] in askVoters(term) }
  }

  /// Other than the other nodes', and than this one's last: two that ask in step would take each other's terms for ever.
  func spread(_ milliseconds: UInt64) -> UInt64 {
    let id = core.directory.node.bytes
    return (UInt64(id[0]) << 8 | UInt64(id[1]) &+ UInt64(core.knownTerm.value) &* 97) % milliseconds
  }
}

/// The answers to a start's question.
private final class StartRound: @unchecked Sendable {
  // Safe to share: touched on the loop only.
  var left: Int
  var states: [NodeState] = []
  var answered: [NodeAddress] = []
  /// A node that the row is named by is the master of another data set.
  var rival: DataSetState.Rival?
  var isDecided = false
  init(nodes: Int) { left = nodes }

  func heard(_ state: NodeState, at address: NodeAddress, _ core: NodeCore) {
    guard state.lineage != core.directory.lineage else {
      answered += [address, state.address]
      return states.append(state)
    }
    guard let other = state.lineage, state.hasData, state.role == .master, core.configuration.peers.contains(address)
    else { return }
    rival = DataSetState.Rival(lineage: other, place: "\(address)")
  }
}

private final class SilentRound: @unchecked Sendable {
  // Safe to share: touched on the loop only.
  var left: Int
  var silent: [NodeAddress]
  init(_ silent: [NodeAddress]) { (left, self.silent) = (silent.count, silent) }
}
