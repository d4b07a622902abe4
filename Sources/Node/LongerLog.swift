import Core
import LogStore
import Logging
import Replication

// A node that was the master and finds that another one holds more of the log: it is the master no more, asks that one to be,
// and follows it. On the loop of the link to the master.
extension Succession {
  /// Where votes decide, the other one stands when it hears that this node wants to go on with less; elsewhere it is told to.
  func yield(to holder: NodeState) {
    if isQuorum { nudge(holder) } else { askToReign(holder) }
  }

  /// It stands under the conditions of a node that goes on by itself: with a majority or, where none is asked, with the votes
  /// of all nodes that it knows.
  func nudge(_ holder: NodeState) {
    let facts = promotionFacts(force: false, handover: nil)
    let request = VoteRequest(
      term: max(core.knownTerm, holder.term, holder.votedTerm).advanced(), candidate: facts.id, address: facts.address,
      last: facts.last, lineage: facts.lineage, isPreVote: true, isReturn: true)
    call(["MS_VOTE"] + request.arguments, holder.address) { _ in }
  }

  func askToReign(_ holder: NodeState) {
    logger.notice(
      "a node that holds more than this one is asked to be master",
      metadata: ["replication.node": "\(holder.address)", "replication.last": "\(holder.last)"])
    call(["PROMOTE"], holder.address) { [self] result in
      guard case .failure(let error) = result, error.code == .peerRefused else { return }
      logger.warning(
        "that node does not become master",
        metadata: ["replication.node": "\(holder.address)", "replication.reason": "\(error.message)"])
    }
  }

  /// Until there is a master, or the operator says whom to follow or promotes a node: this one may be promoted, too, if it is
  /// to go on without what another one holds.
  func seekLonger() {
    loop.schedule(afterMilliseconds: 1000 + spread(500)) { [self] in
      guard !core.isMaster, core.replication.upstream.view.master == nil, !isStopped else { return }
      let addresses = knownNodes.map(\.address)
      askAll(addresses) { [self] round in
        guard !core.isMaster, core.replication.upstream.view.master == nil, !isStopped, !isPromoting else { return }
        switch returnRule.decide(round.states) {
        case .follow(let leader): follow(leader.address, term: leader.term, candidate: leader.id)
        case .yield(let holder): yield(to: holder)
        case .goOn:
          // With votes nothing can go wrong. Without, the one that held more may be silent now: this node waits until all
          // nodes answer, and needs the votes of all.
          if isQuorum {
            let highest = round.states.map { max($0.term, $0.votedTerm) }.max() ?? .none
            goOn(in: max(highest, core.knownTerm, core.termForgotten).advanced())
          } else if addresses.allSatisfy({ round.answers[$0] != nil }) {
            goOn()
          } else {
            saySilent(round.summary(addresses))
          }
        }
      }
      seekLonger()
    }
  }

  /// Said when it changes, not at every round.
  private func saySilent(_ nodes: String) {
    guard nodes != silentNodes else { return }
    silentNodes = nodes
    logger.warning(
      "the node that held more of the log does not answer: bring it up, or PROMOTE one that does",
      metadata: ["replication.nodes": "\(nodes)"])
  }

  private func goOn(in term: Term) {
    var facts = promotionFacts(force: false, handover: term)
    facts.isReturn = true
    begin(facts)
  }

  /// A slave holds committed records that this master, which began its reign by a mere start, does not have. If the master has
  /// written nothing since, nothing speaks for its log: it makes way.
  func longerLogSeen(at address: NodeAddress, common: LSN) {
    loop.execute { [self] in
      guard core.isMaster, !isQuorum, !handover.isUnderWay else { return }
      let store = core.store
      store.writeLock.lock()
      let own = store.positions.appended.value - min(common.value, store.positions.appended.value)
      let beginnings = store.terms.entries.count { $0.firstLSN > common }
      store.writeLock.unlock()
      guard own == UInt64(beginnings) else { return }
      logger.error(
        "A SLAVE HOLDS MORE OF THE LOG, and nothing was written here since the start: this node is no master any more",
        metadata: ["replication.slave.address": "\(address)"])
      core.stepDown(for: address)
      ask(address) { [self] result in
        guard case .success(let state) = result, state.lineage == core.directory.lineage, !core.isMaster else { return }
        yield(to: state)
      }
      seekLonger()
    }
  }
}

extension DirectoryFile {
  /// The oldest are forgotten first.
  /// Of the same reign the newer word counts.
  mutating func note(startReigns new: [StartMark]) {
    let kept = startReigns.filter { old in !new.contains { $0.reign == old.reign } }
    startReigns = Array((kept + new).sorted { $0.reign < $1.reign }.suffix(256))
  }
}

extension NodeCore {
  /// What this node's master says of how reigns of this data set began.
  func note(starts: [StartMark], of lineage: NodeID) {
    guard lineage == directory.lineage else { return }
    var next = directory.current
    next.note(startReigns: starts)
    guard next.startReigns != directory.current.startReigns else { return }
    do { try directory.change { $0.note(startReigns: starts) } } catch { disk.generation(error) }
  }
}
