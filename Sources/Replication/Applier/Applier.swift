import Core

/// The slave's side of replication: connects, registers, receives, acknowledges, and starts again after anything.
/// Owned by the node's control thread. Believes the master's numbers only after checking them against its own; whatever
/// a master sends, the old data stays until a whole, verified copy takes its place.
///
/// Order of actions: to be done in the order given. An ack names only what events have said to be durable and applied.
/// After `closeLink` the shell gives no more events of that link: neither its frames nor what their writes led to.
package struct Applier: Sendable {
  package let config: ApplierConfig
  package internal(set) var state = ApplierState.detached
  package internal(set) var local: LocalFacts?
  package internal(set) var lastError: ReplicationError?
  package internal(set) var lastReply: SyncReply?
  package internal(set) var upstream: [NodeID] = []
  package internal(set) var slaves: SlaveList?
  /// The master that was registered with last.
  package internal(set) var masterID: NodeID?

  var master: NodeAddress?
  var masterLineage: NodeID?
  var masterHistory = TermHistory()
  /// As the master told it; `masterHistory` lacks the reigns of the same name that this node knows as others.
  var toldHistory = TermHistory()
  /// Reigns that began by a mere start, as the master says.
  package internal(set) var masterStarts: [StartMark] = []
  /// The master whose log went another way by a mere start: this node does not cut its own for it.
  package internal(set) var dissentsFrom: NodeID?
  var masterLast = LSN.none
  var masterVoters: [NodeID]?
  /// As the master of this connection last said.
  var masterReign = Reign.none
  var received: ReceivedSnapshot?
  /// Waits for its last records to become visible.
  var pendingHandover: HandoverOrder?
  /// For which other data set this node's own may be given up.
  package internal(set) var order = DataSetOrder.nothing
  /// The master's, which this node refused to take in place of its own; nil when that is not what keeps it away.
  package private(set) var refusedLineage: NodeID?
  var clocks = AppliedClock()
  /// The newest that this connection's master said.
  var heardClock = WallClock(milliseconds: 0)
  var lastAck: Ack?
  var ackedAt = Tick(milliseconds: 0)
  var heardAt = Tick(milliseconds: 0)
  var backoffMilliseconds: UInt64

  /// - Parameter order: of an applier that this one takes the place of.
  package init(config: ApplierConfig = ApplierConfig(), order: DataSetOrder = .nothing) {
    self.config = config
    self.order = order
    backoffMilliseconds = config.backoffMillisecondsMin
  }

  package mutating func step(_ event: ApplierEvent, now: Tick) -> [ApplierAction] {
    var actions: [ApplierAction] = []
    do {
      try handle(event, now, &actions)
      try advance(now, &actions)
    } catch {
      fail(error, now, &actions)
    }
    return actions
  }

  package var isInSync: Bool {
    switch state {
    case .inSync: true
    case .detached, .disconnected, .connecting, .registering, .requestingPlan, .rewinding, .awaitingBegin,
      .awaitingManifest,
      .receivingFiles, .receivingDelta, .installingDelta, .receivingLog, .swapping:
      false
    }
  }

  /// What MS_SYNC_SLAVE would ask to resume.
  package var resume: ResumeState? { received?.resume }

  /// Bytes stored of those planned, of files or of a delta; nil when neither is under way.
  package var fileProgress: SyncProgress? {
    switch state {
    case .receivingFiles(let files):
      SyncProgress(bytesDone: received?.heldBytes ?? 0, bytesTotal: files.manifest.totalBytes)
    case .receivingDelta(let delta), .installingDelta(let delta, _):
      // What will come is an estimate until the end is here.
      SyncProgress(
        bytesDone: delta.staged.bytes, bytesTotal: delta.end?.bytes ?? max(delta.begin.logBytes, delta.receivedBytes))
    case .detached, .disconnected, .connecting, .registering, .requestingPlan, .rewinding, .awaitingBegin,
      .awaitingManifest,
      .receivingLog, .swapping, .inSync:
      nil
    }
  }

  // MARK: events

  private mutating func handle(
    _ event: ApplierEvent, _ now: Tick, _ actions: inout [ApplierAction]
  ) throws(ReplicationError) {
    switch event {
    case .attach(let master, let reason): attach(master, reason, now, &actions)
    case .detach: detach(&actions)
    case .connected(let facts):
      guard case .connecting = state else { return }
      let local = facts
      self.local = facts
      if order == .nothing, let ordered = facts.orderedLineage { order = .dataSet(ordered) }
      if received == nil { received = facts.resume.map { ReceivedSnapshot($0) } }
      heardAt = now
      heardClock = WallClock(milliseconds: 0)
      state = .registering(since: now)
      actions.append(
        .sendRegister(
          RegisterRequest(
            id: local.id, address: local.address, capabilities: local.capabilities, hasData: local.hasData,
            last: local.position, chain: local.chain, lineage: local.lineage, acceptDataLoss: local.acceptDataLoss,
            knownReign: local.knownReign, isVoter: local.isVoter, yields: local.yields,
            givesUp: local.acceptDataLoss ? .anything : order)))
    case .registerReply(let reply): try registered(reply, now, &actions)
    case .syncReply(let reply):
      guard case .requestingPlan = state else { return }
      heardAt = now
      if reply.term > .none { try seen(reply.term) }
      try checkStart(reply)
      try checkOrder(reply)
      dissentsFrom = nil
      lastReply = reply
      if reply.mode == .full { try keepsSecured() }
      if let target = reply.rewindTo { try rewind(reply, to: target, &actions) } else { state = .awaitingBegin(reply) }
    case .rewound(let facts):
      // It may have taken long, and the shell heard nothing meanwhile: that was not the master's silence.
      heardAt = now
      try rewound(facts)
    case .refused(let text):
      guard isConnected else { return }
      // The master's own word for what `checkStart` finds.
      if text.hasPrefix(ReplicationError.Code.diverged.rawValue + " ") { dissentsFrom = masterID }
      throw ReplicationError(.peerRefused, singleLine(text, bytesMax: 512))
    case .frame(let header, let body):
      guard isConnected else { return }
      heardAt = now
      // Records are of the term in which they were written; everything else is of the sender's.
      if !header.carriesRecords, header.term > .none { try seen(header.term) }
      try frame(header, body, now, &actions)
    case .frameFailed(let error):
      guard isConnected else { return }
      throw error.asReplicationError
    case .fileStored(let number, let bytes):
      if received != nil { received?.setBytes(bytes, of: number) }
    case .fileVerified(let number, let isGood):
      guard isGood else {
        received?.forget(number)
        guard isConnected else { return }
        throw ReplicationError(.fileChecksum, "file \(number) did not arrive as its checksum says")
      }
      received?.markVerified(number)
    case .durableAdvanced(let lsn): durableAdvanced(lsn)
    case .appliedAdvanced(let lsn): appliedAdvanced(lsn)
    case .swappedIn(let applied): swappedIn(applied)
    case .deltaStaged(let staged): deltaStaged(staged)
    case .deltaInstalled(let barrier):
      // It may have taken long, and the shell heard nothing meanwhile: that was not the master's silence.
      heardAt = now
      deltaInstalled(barrier)
    case .storeFailed(let text):
      // What is staged behind the files is not what was noted.
      received?.stagedLSN = .none
      guard isConnected else { return }
      backoffMilliseconds = config.backoffMillisecondsMax
      throw ReplicationError(.storeFailed, singleLine(text, bytesMax: 512))
    case .linkLost(let text):
      guard isConnected else { return }
      throw ReplicationError(.linkLost, singleLine(text, bytesMax: 512))
    case .voted(let reign):
      if let known = local?.knownReign { local?.knownReign = max(known, reign) }
      guard isConnected, masterReign > .none else { return }
      try seen(masterReign)
    case .tick: try tick(now, &actions)
    }
  }

  /// The master says that its reign is this one. A node that knows of a newer one must not follow it: its acks would let
  /// the old master call records good that the new one does not have. Reigns of another data set do not compare.
  private mutating func seen(_ reign: Reign) throws(ReplicationError) {
    masterReign = max(masterReign, reign)
    guard let local, local.lineage != nil, local.lineage == masterLineage, reign < local.knownReign else { return }
    throw ReplicationError(
      .staleTerm, "the master is of \(reign), this node knows of \(local.knownReign): there is or was a newer one")
  }

  /// What comes later names the term alone: it is the reign that the master registered with, or one whose owner the log
  /// will tell. Another owner of the same term would have closed this connection with the change of its store.
  private mutating func seen(_ term: Term) throws(ReplicationError) {
    try seen(term == masterReign.term ? masterReign : Reign(term: term, owner: .unknown))
  }

  private mutating func attach(
    _ master: NodeAddress, _ reason: FollowReason, _ now: Tick, _ actions: inout [ApplierAction]
  ) {
    abandonDelta(&actions)
    switch reason {
    case .configured: order = .nothing
    case .ordered: order = .anything
    case .resumed: break
    }
    refusedLineage = nil
    if isConnected { actions.append(.closeLink(ReplicationError(.detached, "this node follows \(master) now"))) }
    self.master = master
    slaves = nil
    upstream = []
    masterID = nil
    dissentsFrom = nil
    lastError = nil
    backoffMilliseconds = config.backoffMillisecondsMin
    actions.append(.markOutOfSync)
    connect(now, &actions)
  }

  private mutating func detach(_ actions: inout [ApplierAction]) {
    abandonDelta(&actions)
    if isConnected { actions.append(.closeLink(ReplicationError(.detached, "this node follows no master any more"))) }
    state = .detached
    master = nil
    masterID = nil
    dissentsFrom = nil
    upstream = []
    pendingHandover = nil
    lastAck = nil
  }

  private mutating func connect(_ now: Tick, _ actions: inout [ApplierAction]) {
    guard let master else { return }
    clocks = AppliedClock()
    lastAck = nil
    heardAt = now
    masterLineage = nil
    masterReign = .none
    pendingHandover = nil
    state = .connecting(since: now)
    actions.append(.connect(master))
  }

  private mutating func registered(
    _ reply: RegisterReply, _ now: Tick, _ actions: inout [ApplierAction]
  ) throws(ReplicationError) {
    guard case .registering = state, let local else { return }
    heardAt = now
    guard reply.id != local.id else {
      throw ReplicationError(.selfRegister, "the master at \(reply.address) is this node itself")
    }
    let below = [local.id] + local.chain
    if let node = ([reply.id] + reply.upstream).first(where: { below.contains($0) }) {
      throw ReplicationError(.cycle, "the master gets its data through \(node), which is this node or below it")
    }
    masterLineage = reply.lineage
    masterHistory = StartDivergence.history(reply.history, of: reply.starts, without: local.starts)
    masterLast = reply.last.lsn
    masterVoters = reply.voters
    masterStarts = reply.starts
    toldHistory = reply.history
    try seen(reply.reign)
    try checkDataSet(reply, local, &actions)
    // The master checks this too; but it is this node's data that would go.
    guard reply.hasData || !local.hasData || local.acceptDataLoss else {
      throw ReplicationError(.dataLoss, "the master is empty and this node is not: attaching would delete its data")
    }
    masterID = reply.id
    upstream = [reply.id] + reply.upstream
    state = .requestingPlan(since: now)
    var request = SyncRequest(
      id: local.id, position: local.position, history: local.history, lineage: local.lineage, mode: local.mode,
      resume: received?.resume, rewindFloor: local.capabilities.contains(.rewind) ? local.rewindFloor : nil)
    request.committedLSN = min(local.committedLSN, local.durableLSN)
    request.acceptsCut = local.acceptDataLoss || local.isOrdered
    request.starts = local.starts
    actions.append(.sendSync(request))
  }

  /// Whatever the master planned: for a reign that began by a mere start nothing is cut here that was committed.
  private mutating func checkStart(_ reply: SyncReply) throws(ReplicationError) {
    guard let local, local.lineage == masterLineage, !local.acceptDataLoss, !local.isOrdered,
      reply.mode == .full || reply.rewindTo != nil
    else { return }
    let common = masterHistory.lastCommonLSN(endingAt: masterLast, with: local.history, endingAt: local.durableLSN)
    let committed = min(local.committedLSN, local.durableLSN)
    guard
      let branch = StartDivergence.reign(
        common: common, committed: committed, slaveLast: local.durableLSN, history: toldHistory,
        endingAt: masterLast, starts: masterStarts, own: local.starts, slave: local.id)
    else { return }
    dissentsFrom = masterID
    throw StartDivergence.error(branch, common: common, committed: committed, slave: local.id)
  }

  /// Nothing of this node's log goes for an order that may be undone in a moment.
  ///
  /// Example: three nodes are told to follow each other in a ring, and the one that was master holds a record more than the
  /// node that it is to follow. It gets its old role back, with all of its records.
  private func checkOrder(_ reply: SyncReply) throws(ReplicationError) {
    guard let local, local.isOrderOpen, local.hasData, reply.mode == .full || reply.rewindTo != nil else { return }
    throw ReplicationError(
      .rewindRefused,
      "no master was found yet behind the node that an order names: nothing of this node's log is given up")
  }

  /// Whether this node's data may be given up for the master's, if that is another data set. An order holds for the data
  /// set that is there when it is first carried out, and for no later one at the same address.
  private mutating func checkDataSet(
    _ reply: RegisterReply, _ local: LocalFacts, _ actions: inout [ApplierAction]
  ) throws(ReplicationError) {
    let isOther = local.hasData && local.lineage != reply.lineage
    if isOther, !local.acceptDataLoss, !order.permits(reply.lineage) {
      refusedLineage = reply.lineage
      // The master is asked again, but not in haste: a person must decide.
      backoffMilliseconds = config.backoffMillisecondsMax
      throw ReplicationError(.otherDataSet, otherDataSet(reply, local))
    }
    refusedLineage = nil
    // A master that is refused for another reason below binds no order.
    guard reply.hasData || !local.hasData || local.acceptDataLoss else { return }
    let isNews = order == .anything
    order = order.bound(to: reply.lineage)
    if isNews, isOther { actions.append(.noteOrder(reply.lineage)) }
  }

  private func otherDataSet(_ reply: RegisterReply, _ local: LocalFacts) -> String {
    "this node holds data set \(local.lineage ?? .unknown) up to \(local.position), the master at \(reply.address) "
      + "\(reply.lineage)\(reply.hasData ? "" : ", which is empty"): nothing is given up for it. REPLICAOF a node of the "
      + "own data set, or give the own up: REPLICAOF \(reply.address.host) \(reply.address.port) now, or "
      + "--accept-data-loss, sets it aside and takes the master's"
  }

  /// This node's data set is another one now: what it voted on in the old one binds it no more.
  mutating func tookOver(_ lineage: NodeID) {
    if local?.lineage != lineage { local?.knownReign = .none }
    local?.lineage = lineage
  }

  // MARK: a full sync in place of a log

  /// What the master's log has in common with the one that a full sync replaces: a majority may count on it here. The
  /// barrier may lie before it, because a master that has just begun its reign does not know what is committed.
  private func heldInCommon(with begin: SyncBegin) -> LSN {
    guard let local, local.lineage == begin.lineage else { return .none }
    return begin.history.lastCommonLSN(endingAt: LSN(.max), with: local.history, endingAt: local.durableLSN)
  }

  /// The log that a full sync replaces holds what the new one does not: another data set, or a tail of its own.
  func losesOwn(to begin: SyncBegin) -> Bool {
    guard let local, local.hasData else { return false }
    return heldInCommon(with: begin) < local.durableLSN
  }

  /// The new copy has all of that. A record of a newer term says so too: its master was elected with all that counts.
  func holdsOwn(_ log: LogReception) -> Bool {
    guard log.durableLSN < heldInCommon(with: log.begin) else { return true }
    return log.durableLSN.next == log.check.nextLSN && log.check.term > local?.position.term ?? .none
  }

  /// What the master may count as held here while the new copy is not in place: not more than the log that it replaces
  /// holds too. Where there is a barrier, the master counts nothing before it is visible here.
  func countable(_ log: LogReception) -> LSN {
    guard log.begin.barrierLSN == .none else { return log.durableLSN }
    return min(log.durableLSN, heldInCommon(with: log.begin))
  }

  // MARK: time and failure

  /// A connection exists or is being made.
  var isConnected: Bool {
    switch state {
    case .detached, .disconnected: false
    case .connecting, .registering, .requestingPlan, .rewinding, .awaitingBegin, .awaitingManifest, .receivingFiles,
      .receivingDelta, .installingDelta, .receivingLog, .swapping, .inSync:
      true
    }
  }

  private mutating func tick(_ now: Tick, _ actions: inout [ApplierAction]) throws(ReplicationError) {
    switch state {
    case .detached: return
    case .disconnected(let retryAt):
      if now >= retryAt { connect(now, &actions) }
    case .connecting(let since):
      guard now.since(since) <= config.connectMillisecondsMax else {
        throw ReplicationError(.timeout, "no connection to the master after \(now.since(since)) ms")
      }
    case .registering, .requestingPlan, .rewinding, .awaitingBegin, .awaitingManifest, .receivingFiles, .receivingDelta,
      .installingDelta, .receivingLog, .swapping, .inSync:
      guard now.since(heardAt) <= config.silenceMillisecondsMax else {
        throw ReplicationError(.timeout, "the master was silent for \(now.since(heardAt)) ms")
      }
    }
  }

  /// Closes the link and plans the next try. What was received stays for it; the node's own data is untouched.
  private mutating func fail(_ error: ReplicationError, _ now: Tick, _ actions: inout [ApplierAction]) {
    lastError = error
    abandonDelta(&actions)
    if isInSync { actions.append(.markOutOfSync) }
    // The swap may still happen or fail: what is on disk at the next connection says which.
    if case .swapping = state { received = nil }
    let retryAt = now.advanced(by: backoffMilliseconds)
    backoffMilliseconds = min(backoffMilliseconds * 2, config.backoffMillisecondsMax)
    state = .disconnected(retryAt: retryAt)
    pendingHandover = nil
    lastAck = nil
    actions.append(.closeLink(error))
    actions.append(.scheduleRetry(at: retryAt))
  }
}
