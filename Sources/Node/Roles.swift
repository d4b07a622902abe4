import Core
import LogStore
import Replication
import Synchronization

extension NodeCore {
  package var role: Role { succession.view.role }
  package var isMaster: Bool { role == .master }
  /// The newest reign that this node has a record or heard of. A newer term that it only voted in counts too, with an
  /// unknown owner: whoever won it may reign.
  var knownReign: Reign {
    let current = directory.current
    let heard = heardReign.withLock { $0.lineage == current.lineage ? $0.reign : .none }
    func unowned(_ term: Term) -> Reign { Reign(term: term, owner: .unknown) }
    return max(
      unowned(current.vote.term), unowned(current.refetchTo?.term ?? .none), heard, store.newestReign ?? .none)
  }
  var knownTerm: Term { knownReign.term }
  /// In terms up to this one the node may have voted, and does not know how. `none` where nothing at all is known: a reign
  /// without votes needs no vote.
  var termForgotten: Term {
    let term = directory.unsureUpTo
    return term == VoteJudgement.allTerms ? .none : term
  }

  /// For INFO: 0 when the node is sure, or when the terms in which it is not are over.
  package var voteUnsureUpTo: Term {
    let term = directory.unsureUpTo
    return term > knownTerm ? term : .none
  }

  /// Another node knows of this reign. Forgotten with the process: who told it will tell it again.
  func heard(of reign: Reign) {
    let lineage = directory.lineage
    heardReign.withLock { $0 = $0.lineage == lineage ? (lineage, max($0.reign, reign)) : (lineage, reign) }
  }
  /// Its own as a master, else that of what it has applied last.
  package var term: Term { Term(termValue.load(ordering: .acquiring)) }
  var reign: Reign {
    let term = self.term
    if isMaster { return Reign(term: term, owner: directory.node) }
    let store = self.store
    return store.withWriteLock { _ in Reign(term: term, owner: store.terms.owner(of: term)) }
  }

  var ownAddress: NodeAddress { configuration.address }

  /// Whether a store holds anything but the no-op records that begin terms. Under the write lock.
  package func hasData(_ store: LogStore) -> Bool {
    let bare = UInt64(store.terms.entries.count)
    let appended = store.positions.appended.value
    // The record with the number of databases is none either.
    return appended > bare + 1 || appended == bare + 1 && !store.onlyNamesDatabases
  }

  // MARK: Master

  /// Begins a new term: every reign has its own, so a position names one history. Off the clients' loops.
  ///
  /// - Returns: the LSN of the term's first record, which is durable.
  func beginReign(_ beginning: Beginning) throws -> LSN {
    let before = directory.current
    do {
      return try begin(beginning)
    } catch {
      // What is in the log already is cut again, by the master that there will be.
      if !isMaster, !self.store.isReplica {
        fenceLog()
        write(role: before.role, startRole: before.startRole)
      }
      throw error
    }
  }

  private func begin(_ beginning: Beginning) throws -> LSN {
    try cutUnfinishedUnit()
    let store = self.store
    let next = beginning.term
    let vote = directory.current.vote
    guard next.isWithinLimit else { throw OpenError(noTermLeft) }
    guard next > store.newestReign?.term ?? .none,
      next > vote.term || vote == .init(term: next, candidate: directory.node)
    else {
      throw OpenError("term \(next) is over: this node knows of term \(knownTerm)")
    }
    // The term is taken on disk before any record carries it: after a crash the next reign has a higher one.
    // So is how the reign began.
    let reign = Reign(term: next, owner: directory.node)
    if beginning.occasion.isMereStart {
      let start = StartMark(reign, mark: host.wall.milliseconds)
      try directory.change {
        $0.vote = .init(term: next, candidate: $0.node)
        $0.note(startReigns: [start])
      }
    } else {
      try directory.write(vote: .init(term: next, candidate: directory.node))
    }
    // Not under the write lock: generations are written the other way round.
    let own = directory.node
    #if PACELINE_PLANTED_BUGS
      let owner = PlantedBug.ignoreOwners.isPlanted ? NodeID.largest : own
    #else
      let owner = own
    #endif
    let settings = configuration
    let access = store.writeLock.lock()
    // What is applied now and is not good yet is not to be shown before it is.
    store.closeGate()
    let applied = try? store.apply(upTo: store.positions.appended, access)
    // What this node holds of older terms becomes good with the new term's first record: it has all their levels.
    let level = settings.commit.level.joined(store.pendingLevel).joined(store.tableLevels)
    let began = applied != nil && store.beginTerm(Reign(term: next, owner: owner), level: level, access)
    if began {
      store.setReplica(false, access)
      commitment.beginReign(
        own: own, isVoter: settings.isVoter, termStart: LSN(store.lastAppended),
        voters: votersOfReign(of: own, in: store), committed: store.positions.committed,
        config: settings.sync, now: host.monotonic)
      // If only this does not reach the disk, the reign has the old list, and the order is given again.
      let namesOthers = store.votersInLog.contains { $0 != own }
      if beginning.isOnlyVoter, namesOthers || level.asksQuorum && votersOfLog(store).asksOthers(than: own) {
        _ = appendVoters([own], to: store, isForced: true, access)
      }
      store.setLevel(settings.commit.level, access)
      store.reviewGate(access)
    }
    let terms = store.terms
    let first = LSN(store.lastAppended)
    if began { nameDatabases(store, isFirstOfStart: beginning.isFirstOfStart, access) }
    store.writeLock.unlock(access)
    guard began else { throw OpenError("no new term can be begun: the log takes no records") }
    // A restart goes on in this role from the moment that the log has the term.
    do throws(FileError) {
      try directory.change {
        $0.terms = terms
        $0.role = Role.master.persisted
        $0.startRole = host.startRole.persisted
      }
    } catch {
      // Without room a master that was started as one reigns all the same: the next start takes that role again, and the log
      // has the term.
      guard error.isNoSpace, beginning.occasion.isMereStart else { throw error }
      disk.generation(error)
      generationIsDue.store(true, ordering: .relaxed)
    }
    termValue.store(next.value, ordering: .releasing)
    expiryClock.look()
    let result = commitNow()
    // On a full disk reads need no record; writes are refused until it is there. A quorum of others waits for it.
    let asksOthers = store.withWriteLock { _ in level.asksQuorum && votersOfLog(store).asksOthers(than: own) }
    let waits = if case .noSpace? = store.writeRefusal { !asksOthers } else { false }
    guard durability != .fsync || waits || result.durable >= first else {
      throw OpenError(
        "the first record of term \(next) is not on disk: \(store.writeRefusal.map { "\($0)" } ?? "unknown")")
    }
    return first
  }

  /// A reign that could not begin for want of room, and not for another reason: writes are refused for that from here on.
  func waitsForRoom(after error: any Error) -> Bool {
    let isFull = (error as? FileError)?.isNoSpace == true
    guard isFull, isMaster, store.isReplica else { return false }
    store.waitForRoom("\(error)")
    return true
  }

  /// Under the write lock. For the node that began the data set its own disk alone counts until a record names others.
  private func votersOfReign(of own: NodeID, in store: LogStore) -> VoterList {
    let voters = votersOfLog(store)
    return voters.lsn == .none && voters.ids == [own] ? .none : voters
  }

  /// Under the write lock.
  func votersOfLog(_ store: LogStore) -> VoterList {
    VoterList.ofLog(named: store.votersInLog, at: store.catalogRecordLSN, history: store.terms)
  }

  /// A slave's log may end in the middle of a transaction. Nothing of it was ever visible; recovery cuts it off, so the
  /// store is opened anew. Without this the new term's first record would complete half a transaction.
  private func cutUnfinishedUnit() throws {
    let store = self.store
    guard store.isReplica else { return }
    let access = store.writeLock.lock()
    // What becomes visible here may not be good yet.
    store.closeGate()
    let applied = Result { try store.apply(upTo: store.positions.appended, access) }
    let appended = store.positions.appended
    store.writeLock.unlock(access)
    guard try applied.get() < appended else { return }
    commitNow()
    try maintaining.withLock { _ in
      let (reopened, report) = try directory.openStore(
        configuration: configuration.store, workers: host.cores, run: host.parallel)
      for note in report.notes { logger.warning("\(note)") }
      reopened.withWriteLock { access in reopened.setReplica(true, access) }
      replaceStore(with: reopened, keepingFilesOfOld: true)
    }
  }

  // MARK: Changes of the role

  /// Takes the role that the node is started in; `done` is called when clients may come in.
  package func start(_ role: Role, then done: @escaping @Sendable ((any Error)?) -> Void) {
    succession.start(role, done)
  }

  /// REPLICAOF host port, as an operator orders it: carried out at once, and undone if there is no master behind it. Calls
  /// `done` when no write is taken any more.
  package func replicaOf(_ master: NodeAddress, then done: @escaping @Sendable () -> Void) {
    succession.follow(ordered: master, done)
  }

  /// REPLICAOF NO ONE.
  package func becomeMaster(then done: @escaping @Sendable ((any Error)?) -> Void) {
    guard !isMaster else { return done(nil) }
    if let wanted = refetchTo { return done(OpenError(refetching(to: wanted))) }
    succession.reignAlone { failure in done(failure.map { OpenError($0) }) }
  }

  /// No write gets into the log any more when this returns. What clients are told of the role is the caller's.
  func fenceLog() {
    let store = self.store
    commitNow()
    store.withWriteLock { access in
      store.setReplica(true, access)
      // What is not good at its level yet is shown when the new master says so.
      store.reviewGate(access)
    }
    commitment.endReign()
    commitNow()
  }

  /// Writes down that the role is another one than the node was started with: a restart goes on in it.
  func remember(_ role: Role) { write(role: role.persisted, startRole: host.startRole.persisted) }

  private func write(role: String, startRole: String) {
    guard directory.current.role != role || directory.current.startRole != startRole else { return }
    do {
      try directory.change {
        $0.role = role
        $0.startRole = startRole
      }
    } catch {
      logger.error(
        "the role cannot be written down: after a restart it is the old one", metadata: ["error": "\(error)"])
    }
  }

  /// The role that the node changed to while it ran last, if it was started as it is now.
  package var rememberedRole: Role? {
    let current = directory.current
    let role = Role(persisted: current.role)
    // Killed before an order to follow itself was undone: that led nowhere.
    guard Role(persisted: current.startRole) == host.startRole, role != .slave(of: ownAddress) else { return nil }
    return role
  }

  /// What this node waits for before it joins its row; nil: it does not.
  package var waitsForPeers: String? { succession.view.waitsForPeers }

  /// The row is named, and this node has no data that would tell it more.
  var asksPeers: Bool {
    guard !configuration.peers.isEmpty else { return false }
    let store = self.store
    return store.withWriteLock { _ in !hasData(store) }
  }

  func localFacts(resume: ResumeState?) -> LocalFacts {
    let store = self.store
    var facts = LocalFacts(id: directory.node, address: ownAddress)
    facts.chain = replication.chain
    facts.lineage = directory.lineage
    facts.mode = configuration.syncMode
    facts.acceptDataLoss = configuration.acceptDataLoss
    facts.orderedLineage = directory.current.dataSet.ordered
    facts.isVoter = configuration.isVoter
    facts.knownReign = knownReign
    let vote = directory.current.vote
    facts.yields =
      vote.term == facts.knownReign.term && vote.candidate == facts.id
      && (facts.knownReign.owner == .unknown || facts.knownReign.owner == facts.id)
    facts.resume = resume
    let level = configuration.commit.level
    var asksQuorum = false
    store.withWriteLock { _ in
      if hasData(store) {
        facts.history = store.terms
        facts.durableLSN = store.positions.durable
        facts.rewindFloor = store.rewindFloor
        asksQuorum = store.tableLevels.joined(level).asksQuorum
        if asksQuorum { facts.securedLSN = store.positions.committed }
        facts.appliedLSN = store.positions.applied
        facts.committedLSN = store.positions.committed
        facts.starts = directory.current.startReigns
      } else if store.positions.appended > .none {
        // Nothing but beginnings of terms: the log cannot go on in it, and nothing is lost with it. Without a data set of
        // its own the node takes over the master's, in a new store.
        facts.lineage = nil
      }
    }
    if asksQuorum { facts.voterLists = store.voterLists().map { VoterList($0.nodes, at: $0.lsn) } }
    return facts
  }

  /// The master's clock decides what has expired.
  func followClock(_ clock: WallClock) {
    guard clock.milliseconds > 0, !isMaster else { return }
    expiryClock.follow(clock)
  }

  /// Records became visible on a slave: its own slaves may have them.
  func applied() {
    let store = self.store
    if let newest = store.positions.applied.value == 0 ? nil : store.newestReign {
      termValue.store(newest.term.value, ordering: .releasing)
    }
    replication.logAdvanced()
    host.stateChanged()
  }

  func upstreamChanged() { replication.upstreamChanged(replication.upstream.view.upstream) }

  /// An empty node takes over the master's data set id: a new store, under a new number.
  func adoptLineage(_ lineage: NodeID) throws {
    let number = directory.current.storeNumber + 1
    directory.removeStore(number)
    let fresh = try LogStore.create(
      fileSystem: fileSystem, directory: directory.storePath(number), lineage: lineage,
      configuration: configuration.store)
    fresh.withWriteLock { access in fresh.setReplica(true, access) }
    try directory.change {
      $0.lineage = lineage
      // Terms of another data set say nothing about this one.
      $0.vote = .init(term: .none, candidate: nil)
      $0.dataSet = DataSetState()
      $0.storeNumber = number
      $0.terms = TermHistory()
      $0.segments = []
      $0.logStart = LSN(1)
      ($0.rewindFloor, $0.cut, $0.refetchTo) = (.none, nil, nil)
      $0.catalogRecord = []
      $0.startReigns = []
    }
    fresh.keepSpace(in: directory.reserve)
    fresh.noteReach(in: directory.reachFile, era: directory.current.era)
    replaceStore(with: fresh, keepingFilesOfOld: false)
  }

  /// Every loop goes over to another store between two batches; then the old one's files are removed. Blocks until
  /// all have: never on a loop that serves clients.
  func replaceStore(with fresh: LogStore, keepingFilesOfOld keep: Bool) {
    let old = swapStore(fresh)
    // Who claimed this node's place claimed it with that one.
    if old.lineage != fresh.lineage { rivalBox.withLock { $0 = nil } }
    termValue.store(fresh.newestReign?.term.value ?? 0, ordering: .releasing)
    host.moveReaders(to: fresh)
    replication.restartRelays("the data of this node was replaced")
    if !keep {
      for name in (try? fileSystem.list(old.directory)) ?? [] { try? fileSystem.unlink("\(old.directory)/\(name)") }
      try? fileSystem.removeDirectory(old.directory)
    }
    host.stateChanged()
  }

  // MARK: Digests

  /// The digest of this node at its applied LSN.
  package func digest() -> Digest {
    let store = self.store
    return store.withWriteLock { access in digest(of: store, access) }
  }

  package func digest(of store: LogStore, _ access: borrowing WriteAccess) -> Digest {
    Digest(
      lsn: store.positions.applied,
      ranges: store.digests(access).filter { $0.keys > 0 }.map {
        Digest.Range(
          id: .init(database: UInt32($0.database), table: $0.table), sum: $0.sum, liveRecords: UInt64($0.keys))
      })
  }
}
