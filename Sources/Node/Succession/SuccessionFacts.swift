import Core
import LogStore
import Replication

// What this node is and knows, read for the machines. Nothing here writes, but for `readPromotionFacts`, which first brings
// the log to disk.
extension Succession {
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

  private struct Voting {
    var level: CommitLevel
    var areVotersNamed: Bool
    var fullsyncSlaves: Int?
  }

  /// The level that the next master must have all records of, and with whom.
  private var voting: Voting {
    let (store, settings) = (core.store, core.configuration)
    let access = store.writeLock.lock()
    let voters = core.votersOfLog(store)
    let areNamed = !store.votersInLog.isEmpty
    let asked = settings.commit.level.joined(store.tableLevels).joined(store.pendingLevel)
    store.writeLock.unlock(access)
    let level: CommitLevel =
      switch asked {
      case .quorum, .both: .quorum(voters: voters.ids)
      case .fullsync: .fullsync(slaves: settings.commit.slaves)
      case .async: .async
      }
    return Voting(level: level, areVotersNamed: areNamed, fullsyncSlaves: asked == .both ? settings.commit.slaves : nil)
  }

  /// The voters whose majority makes the master; nil where this node needs no other's vote.
  var votersAsked: [NodeID]? {
    guard case .quorum(let voters) = voting.level else { return nil }
    return VoterList(voters, at: .none).asksOthers(than: core.directory.node) ? voters : nil
  }

  /// The voters of the log, where a quorum commits; empty elsewhere.
  var votersOfQuorum: [NodeID] {
    if case .quorum(let voters) = voting.level { voters } else { [] }
  }

  /// Where a quorum commits: whether so many voters follow this master that it can commit anything.
  var hearsMajority: Bool {
    guard let voters = votersAsked else { return true }
    let now = host.monotonic
    let heard = core.replication.slaves.count {
      voters.contains($0.id) && $0.countsForCommit && now.since($0.heardAt) <= Self.aliveMilliseconds
    }
    return heard + (voters.contains(core.directory.node) ? 1 : 0) >= voters.count / 2 + 1
  }
  static let aliveMilliseconds: UInt64 = 3000

  var durablePosition: Position {
    let store = core.store
    return store.withWriteLock { _ in store.terms.position(at: store.positions.durable) }
  }

  func readFacts() -> ReignFacts {
    let (directory, settings) = (core.directory, core.configuration)
    let refetchTo = core.refetchTo
    var facts = ReignFacts(
      id: directory.node, address: core.ownAddress, lineage: directory.lineage,
      last: max(durablePosition, refetchTo ?? .none), knownReign: core.knownReign)
    facts.refetchTo = refetchTo
    facts.reign = core.reign
    let store = core.store
    facts.newestFirstLSN = store.withWriteLock { _ in store.terms.last?.firstLSN ?? .none }
    facts.newestReign = store.newestReign
    facts.forgotten = core.termForgotten
    let vote = directory.current.vote
    facts.vote = vote.candidate.map { Vote(term: vote.term, candidate: $0) }
    facts.voters = votersAsked
    facts.nodes = knownNodes
    facts.peers = settings.peers
    facts.sharesOutTerms = settings.sharesOutTerms
    facts.wasMaster = core.rememberedRole == .master
    if facts.voters != nil, core.isMaster { facts.hearsMajority = hearsMajority }
    let link = core.replication.upstream.view
    facts.masterHeardAt = link.lastHeard
    facts.isLinkHeld = link.hold != nil
    return facts
  }

  /// Everything that came from the old master is on disk when this returns.
  func readPromotionFacts(_ standing: Standing) -> PromotionFacts {
    core.commitNow()
    let (facts, voting, settings) = (readFacts(), voting, core.configuration)
    var own = PromotionFacts(
      id: facts.id, address: facts.address, lineage: facts.lineage, last: durablePosition, knownTerm: facts.knownTerm,
      nodes: facts.nodes, level: voting.level, isForced: standing.isForced, handoverTerm: standing.term)
    let link = core.replication.upstream.view
    own.areVotersNamed = voting.areVotersNamed
    own.fullsyncSlaves = voting.fullsyncSlaves
    own.dissentsFrom = link.dissentsFrom
    own.upstream = link.upstream
    own.unsureUpTo = core.directory.unsureUpTo
    own.isMaster = core.isMaster && standing.occasion != .reclaimed
    own.isVoter = settings.isVoter
    own.isReturn = standing.isReturn
    own.isOrdered = standing.isOrdered
    let now = host.monotonic
    own.promisedUntil = now.advanced(by: core.promiseLeft(now: now))
    own.refetchTo = facts.refetchTo
    // Without other voters nobody's votes keep two nodes from one term.
    if standing.term == nil, facts.voters == nil { own.termsLeftOut = facts.termsLeftOut }
    return own
  }

  func handoverFacts(to target: NodeAddress?, timeoutMilliseconds: UInt64?, isForced: Bool) -> HandoverFacts {
    let voters = core.commitment.voters.ids
    var facts = HandoverFacts(
      id: core.directory.node, term: core.knownTerm,
      candidates: core.replication.slaves.filter { $0.state.link != nil }.map {
        HandoverCandidate(
          id: $0.id, address: $0.address, isVoter: voters.isEmpty ? $0.isVoter : voters.contains($0.id),
          isStreaming: $0.countsForCommit, durableLSN: $0.ack.durableLSN)
      },
      target: target, timeoutMilliseconds: timeoutMilliseconds, isForced: isForced)
    facts.isMaster = core.isMaster
    facts.needsVoter = votersAsked != nil
    facts.diverged = core.replication.divergedSlaves
    return facts
  }

  /// As MS_STATE answers.
  var ownState: NodeState {
    let (store, vote) = (core.store, core.directory.current.vote)
    let link = core.replication.upstream.view
    let refetchTo = core.refetchTo
    let access = store.writeLock.lock()
    let durable = store.positions.durable
    // What it may have acknowledged counts: nobody is to be preferred to this node who does not hold that.
    let last = max(store.terms.position(at: durable), refetchTo ?? .none)
    let hasData = core.hasData(store)
    store.writeLock.unlock(access)
    // A master that voted in a newer term, to hand over or to come back, is not that term's.
    let reign = core.isMaster ? min(core.reign, core.knownReign) : core.knownReign
    var state = NodeState(
      id: core.directory.node, address: core.ownAddress, role: .detached, lineage: core.directory.lineage,
      reign: reign, votedTerm: max(vote.term, core.termForgotten), last: last,
      committedLSN: store.positions.committed, appliedLSN: store.positions.applied, isVoter: core.configuration.isVoter)
    state.refetchTo = refetchTo
    state.standsFor = machine.standsFor
    state.hasData = hasData
    state.isJoining = machine.isJoining
    state.mayReign = votersAsked?.contains(state.id) ?? true
    state.row = knownNodes
    if case .slave(let master) = view.role {
      state.master = master
      state.masterID = link.upstream.first
      state.isStreaming = link.isLinkUp && link.isInSync
      state.heardMilliseconds = link.lastHeard.milliseconds == 0 ? nil : host.monotonic.since(link.lastHeard)
      if machine.isFollowing { state.role = .slave }
    } else if !machine.seeksReign || votersAsked == nil {
      state.role = .master
    }
    return state
  }
}
