import Core
import LogStore
import Replication
import Synchronization

/// What is good at each commit level, while this node is the master: fed with its own commits and the slaves' acks.
package final class Commitment: Sendable {
  fileprivate struct State {
    var tracker: CommitTracker?
    var fullsync = CommitWatch()
    var quorum = CommitWatch()
    /// (durable LSN, when), oldest first: since when a record waits. One in 10 ms at most.
    var samples: [(lsn: LSN, at: Tick)] = []
    var voters = VoterList.none
    var policy = VoterPolicy()
    /// Why the voters are not what they should be, and which command to give.
    var waiting: String?
    /// When the newest that a voter has heard of this reign was sent.
    var heard: [NodeID: Tick] = [:]
    var beganAt = Tick(milliseconds: 0)
  }
  private let state = Mutex(State())

  /// What one look gave.
  struct Look {
    var good: GoodLSNs
    var actions: [CommitWatchAction]
  }

  /// A new term has begun with the record `termStart`.
  func beginReign(
    own: NodeID, isVoter: Bool, termStart: LSN, voters: VoterList, committed: LSN, config: CommitWatchConfig,
    now: Tick
  ) {
    state.withLock { state in
      let good = GoodLSNs(durable: committed, fullsync: committed, quorum: committed)
      state = State()
      state.tracker = CommitTracker(ownID: own, termStart: termStart, voters: voters, isVoter: isVoter, good: good)
      state.fullsync = CommitWatch(config: config, goodLSN: committed)
      state.quorum = CommitWatch(config: config, goodLSN: committed)
      state.voters = voters
      state.beganAt = now
    }
  }

  func endReign() { state.withLock { $0 = State() } }

  /// - Parameter isForced: the list before it is given up, not asked.
  func votersAppended(_ list: VoterList, isForced: Bool = false) {
    state.withLock { state in
      state.tracker?.votersAppended(list, isForced: isForced)
      state.voters = list
    }
  }

  func heard(_ id: NodeID, from sent: Tick) {
    state.withLock { $0.heard[id] = max($0.heard[id] ?? sent, sent) }
  }

  /// Until when no other master can have been made; nil when that is not asked: see `ReadLease`.
  var leaseEnd: Tick? {
    state.withLock { state in
      guard let tracker = state.tracker, !state.quorum.isDegraded,
        let end = ReadLease.end(state.heard, voters: state.voters, own: tracker.ownID)
      else { return nil }
      return max(end, state.beganAt)
    }
  }

  /// nil when this node is no master.
  func look(
    durable: LSN, committed: LSN, acks: [SlaveAck], configuration: NodeConfiguration, now: Tick
  ) -> Look? {
    state.withLock { state in
      guard var tracker = state.tracker else { return nil }
      tracker.fullsyncSlaves = configuration.commit.slaves
      let held = tracker.update(ownDurable: durable, acks: acks)
      state.tracker = tracker
      state.note(durable, committed, now)
      let since = state.samples.first { $0.lsn > committed }?.at ?? now
      let pending =
        durable > committed ? CommitObservation.Pending(oldestLSN: committed.next, since: since) : nil
      let voters = acks.count { tracker.voters.ids.contains($0.id) }
      let fullsync = CommitObservation(
        durableLSN: durable, heldLSN: held.fullsync, pending: pending, streamingSlaves: acks.count,
        neededSlaves: configuration.commit.slaves)
      let quorum = CommitObservation(
        durableLSN: durable, heldLSN: held.quorum, pending: pending, streamingSlaves: voters,
        neededSlaves: max(0, tracker.voters.majority - (tracker.voters.ids.contains(tracker.ownID) ? 1 : 0)))
      var actions: [CommitWatchAction] = []
      for event in [CommitWatchEvent.configured(configuration.sync), .observed(fullsync)] {
        actions += state.fullsync.step(event, now: now)
      }
      for event in [CommitWatchEvent.configured(configuration.sync), .observed(quorum)] {
        actions += state.quorum.step(event, now: now)
      }
      return Look(
        good: GoodLSNs(durable: durable, fullsync: state.fullsync.goodLSN, quorum: state.quorum.goodLSN),
        actions: actions)
    }
  }

  /// Writes are good with less than their level asks for.
  package var isDegraded: Bool { state.withLock { $0.fullsync.isDegraded || $0.quorum.isDegraded } }
  /// A term of this node's own has begun, and no other's since.
  var isReigning: Bool { state.withLock { $0.tracker != nil } }
  package var voters: VoterList { state.withLock { $0.voters } }
  package var mayChangeVoters: Bool { state.withLock { $0.tracker?.mayChangeVoters ?? false } }
  /// nil where nothing is in the way.
  package var votersWaiting: String? { state.withLock { $0.waiting } }

  /// Asks the policy about the row as it is; nil when this node is no master.
  func decide<Decision, Failure: Error>(
    _ nodes: [VoterFacts], lastLSN: LSN, votersMax: Int, now: Tick,
    _ body: (inout VoterPolicy, VoterRow) throws(Failure) -> Decision
  ) throws(Failure) -> Decision? {
    // Typed errors do not pass the mutex.
    let result: Result<Decision, Failure>? = state.withLock { state in
      guard let tracker = state.tracker else { return nil }
      state.policy.votersMax = votersMax
      let row = VoterRow(
        ownID: tracker.ownID, isVoter: tracker.isVoter, voters: tracker.voters, mayChange: tracker.mayChangeVoters,
        securedLSN: tracker.good.quorum, lastLSN: lastLSN, nodes: nodes, now: now)
      do throws(Failure) { return .success(try body(&state.policy, row)) } catch { return .failure(error) }
    }
    return try result?.get()
  }

  /// - Returns: whether that is news.
  func wait(for reason: String?) -> Bool {
    state.withLock { state in
      // How long somebody is silent is no news.
      let isSame = state.waiting?.filter { !$0.isNumber } == reason?.filter { !$0.isNumber }
      state.waiting = reason
      return !isSame && reason != nil
    }
  }
}

extension Commitment.State {
  fileprivate mutating func note(_ durable: LSN, _ committed: LSN, _ now: Tick) {
    if let done = samples.firstIndex(where: { $0.lsn > committed }) {
      if done > 0 { samples.removeFirst(done) }
    } else {
      samples.removeAll(keepingCapacity: true)
    }
    guard durable > committed, durable > samples.last?.lsn ?? .none else { return }
    if let last = samples.last, now.since(last.at) < 10, samples.count > 1 {
      samples[samples.count - 1].lsn = durable
    } else {
      samples.append((durable, now))
    }
  }
}

extension NodeCore {
  /// What is good now, for replies that wait.
  @inline(__always)
  package func good(of store: LogStore) -> (durable: UInt64, committed: UInt64) {
    // On a slave nothing is visible before it is committed, but for what it wrote itself as a master, or held at its start;
    // that may not even be on its disk.
    if store.isReplica {
      let held = store.isGated ? store.positions.committed.value : .max
      return (held, held)
    }
    #if PACELINE_PLANTED_BUGS
      if PlantedBug.acknowledgeBeforeFlush.isPlanted { return (.max, .max) }
      if PlantedBug.ignoreLevel.isPlanted { return (store.positions.durable.value, .max) }
    #endif
    let committed = store.positions.committed.value
    return durability == .fsync ? (store.positions.durable.value, committed) : (.max, committed)
  }

  /// Moves the committed LSN of a master: after its own commits, after acks, and at every tick.
  func advanceCommit(_ store: LogStore) {
    guard !store.isReplica else { return }
    let durable = durability == .fsync ? store.positions.durable : store.positions.written
    #if PACELINE_PLANTED_BUGS
      if PlantedBug.commitEverything.isPlanted { return store.positions.set(committed: store.positions.applied) }
    #endif
    // Read after `durable`: who writes the first record of a level says so before that record is durable.
    guard store.isGated else { return store.positions.set(committed: durable) }
    let committed = store.positions.committed
    guard
      let look = commitment.look(
        durable: durable, committed: committed, acks: replication.countingAcks, configuration: configuration,
        now: host.monotonic)
    else { return }
    say(look.actions)
    store.withWriteLock { access in
      if !store.isReplica {
        let reached = store.committable(
          durable: look.good.durable, fullsync: look.good.fullsync, quorum: look.good.quorum, access)
        if reached > store.positions.committed { store.positions.set(committed: reached) }
        store.reviewGate(access)
      }
    }
  }

  func say(_ actions: [CommitWatchAction]) { for action in actions { say(action) } }
  private func say(_ action: CommitWatchAction) {
    switch action {
    case .degraded(let reason):
      logger.error(
        "COMMIT LEVEL NOT HELD: writes are acknowledged without the slaves", metadata: ["reason": "\(reason)"])
    case .restored(let lsn): logger.notice("the commit level holds again", metadata: ["commit.lsn": "\(lsn)"])
    }
  }

  /// Something was appended and is about to be written: slaves may have it while this node's disk is busy with it. Only
  /// where levels are in use: then a slave that is ahead of its master after a crash can cut its tail back.
  package func appended(_ store: LogStore) {
    if store.isGated, !store.isReplica { replication?.logAdvanced() }
  }

  /// Several times a second: what depends on time.
  package func tick() {
    let store = self.store
    if store.isGated, !store.isReplica {
      advanceCommit(store)
      host.commitAdvanced()
    }
    reviewVoters()
    reviewWriteBar()
    reviewLease()
    reviewDatabases()
    expiryClock.compare(isSlave: !isMaster, logger)
  }

  // MARK: The lease of reads

  /// A slave has heard what was sent then.
  func heard(_ slave: NodeID, from sent: Tick) {
    commitment.heard(slave, from: sent)
    if decidesByQuorum { reviewLease() }
  }

  /// The server's level, or that of a database.
  var decidesByQuorum: Bool { configuration.commit.level.joined(store.tableLevels).asksQuorum }

  package func reviewLease() {
    let store = self.store
    // One at a time: who looked before the reign was given up must not write after who did so then.
    let isHeldAgain = reviewingLease.withLock { _ in setLease(store) }
    if isHeldAgain { host.stateChanged() }
  }

  /// Started with records that may be good, and were shown before, and nobody has said since that they are: as if they had
  /// never been is no answer. True until the node follows a master, or is one; from then on it is never asked again.
  private func reviewHiding(_ store: LogStore) -> Bool {
    guard startHides.load(ordering: .acquiring) else { return false }
    let isOver =
      isMaster && !store.isReplica || replication.upstream.view.isInSync
      || store.positions.applied >= store.positions.appended
    if isOver { startHides.store(false, ordering: .releasing) }
    return !isOver
  }

  /// At the start, before clients come in.
  func noteHidden() {
    let store = self.store
    let level = configuration.commit.level.joined(store.tableLevels)
    startHides.store(level != .async && store.positions.applied < store.positions.appended, ordering: .releasing)
    reviewLease()
  }

  /// Returns true if what waited may go on.
  private func setLease(_ store: LogStore) -> Bool {
    let now = host.monotonic.milliseconds
    let before = readLease.load(ordering: .acquiring)
    let until: UInt64
    #if PACELINE_PLANTED_BUGS
      let isIgnored = PlantedBug.ignoreLease.isPlanted
    #else
      let isIgnored = false
    #endif
    if reviewHiding(store) {
      until = min(before, now)
    } else if !isMaster || store.isReplica || !decidesByQuorum || !configuration.readLease || isIgnored {
      until = .max
    } else if succession.view.failover == .underWay {
      until = min(before, now)
    } else {
      until = commitment.leaseEnd?.milliseconds ?? .max
    }
    readLease.store(until, ordering: .releasing)
    return before <= now && until > now
  }

  /// Until when a command may wait for the lease, nil if it ran out so long ago.
  package func leaseDeadline(now: Tick) -> Tick? {
    let ended = Tick(milliseconds: readLease.load(ordering: .relaxed))
    guard ended.milliseconds < .max else { return now }
    let deadline = ended.advanced(by: configuration.sync.timeoutMilliseconds)
    return now < deadline ? deadline : nil
  }

  /// How long this node, if it is a voter, still keeps its promise to its master.
  func promiseLeft(now: Tick) -> UInt64 {
    let heard = replication.upstream.view.lastHeard
    let released = Tick(milliseconds: promiseReleased.load(ordering: .acquiring))
    guard released < max(heard, startedAt) || released == Tick(milliseconds: 0) else { return 0 }
    // Of what damage took nobody knows at which level it was.
    guard decidesByQuorum || directory.current.refetchTo != nil, !isMaster,
      heard > startedAt || startedAsSlave.load(ordering: .acquiring)
    else { return 0 }
    return ReadLease.promiseLeft(since: max(heard, startedAt), now: now)
  }

  /// Its master asks for votes itself: what was promised it, it needs no more.
  func releasePromise() { promiseReleased.store(host.monotonic.milliseconds, ordering: .releasing) }

  // MARK: What writers ask

  /// Why no write is let in, or only none that waits for slaves.
  func reviewWriteBar() {
    let store = self.store
    if rivalBox.withLock({ $0 }) != nil { return writeBar.store(3, ordering: .relaxed) }
    guard isMaster else { return writeBar.store(0, ordering: .relaxed) }
    let settings = configuration
    let now = host.monotonic
    let lags: [UInt64?] = replication.slaves.filter(\.countsForCommit).map { now.since($0.heardAt) }
    if !settings.minSlaves.isMet(lagMilliseconds: lags) { return writeBar.store(1, ordering: .relaxed) }
    guard store.isGated else { return writeBar.store(0, ordering: .relaxed) }
    let access = store.writeLock.lock()
    let bytes = UInt64(store.pendingBytes)
    let records = store.positions.appended.value - min(store.positions.appended.value, store.positions.committed.value)
    store.writeLock.unlock(access)
    let isFull = records >= settings.sync.pendingRecordsMax || bytes >= settings.sync.pendingBytesMax
    writeBar.store(isFull ? 2 : 0, ordering: .relaxed)
  }
}
