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
// must vote for it before it takes writes; it is the one node that may be elected with less of the log than others hold,
// because nothing of its own reign was ever good that it had not on disk itself (`VoteRule`).
extension Succession {
  private static let askMilliseconds: UInt64 = 1000

  func startAsMaster(_ done: @escaping @Sendable ((any Error)?) -> Void) {
    loop.execute { [self] in
      let addresses = addressesAtStart
      // Where the log names other voters, nobody to ask is no majority.
      guard !addresses.isEmpty || isQuorum else { return reign(core.knownTerm.advanced(), done) }
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
    if let newer = leader(round.states, than: own) {
      logger.notice("another node is the master now", metadata: ["replication.master": "\(newer.address)"])
      follow(newer.address, term: newer.term, candidate: newer.id)
      return done(nil)
    }
    // What nothing but an answer says must not use the terms up.
    let highest = round.states.flatMap { [$0.term, $0.votedTerm] }.filter { own.term.isNear($0) }.max() ?? .none
    let known = max(highest, own.term)
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
    askVoters(known.advanced())
    done(nil)
  }

  /// The master of the newest reign, if that is not older than what this node knows of.
  func leader(_ states: [NodeState], than own: Reign) -> (address: NodeAddress, term: Term, id: NodeID?)? {
    let masters = states.filter { $0.role == .master && $0.reign >= own }
    if let newest = masters.max(by: { $0.reign < $1.reign }) { return (newest.address, newest.term, newest.id) }
    // Not one that streams from a node that is no master any more: it may follow this very node.
    let led = states.first { state in
      state.reign > own && state.isStreaming && state.master != nil && state.master != core.ownAddress
        && !states.contains { $0.id == state.masterID && $0.role != .master }
    }
    return led.flatMap { state in state.master.map { ($0, state.term, state.masterID) } }
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
      try core.beginReign(term)
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

  /// Where a majority of several voters makes the master.
  var isQuorum: Bool {
    guard case .quorum(let voters) = promotionFacts(force: false, handover: nil).level else { return false }
    return voters.count > 1
  }

  /// Until a majority votes for this node, or it hears of another master.
  func askVoters(_ term: Term) {
    guard !core.isMaster, core.replication.upstream.view.master == nil, !isStopped else { return }
    if !isPromoting {
      var facts = promotionFacts(force: false, handover: max(term, core.knownTerm.advanced()))
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
