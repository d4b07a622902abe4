import Core
import LogStore
import Logging
import Replication
import Synchronization

/// Replication of one node, both ways: the registry and relays of its slaves, the link to its master.
///
/// Decisions are in `Replication`; this class carries them out. Background work (log reads, file reads, building a
/// snapshot) runs on loops of its own, where blocking is allowed; the loops that serve clients are never blocked.
package final class ReplicationService: @unchecked Sendable {
  // Safe to share: mutexes and atomics; `core` outlives it.
  unowned let core: NodeCore
  let logger: Logger
  private let registry: Mutex<Registry>
  private let runners = Mutex<[LinkID: RelayRunner]>([:])
  /// In the order of their links: a Dictionary's order differs from run to run.
  var streams: [RelayRunner] { runners.withLock { $0.sorted { $0.key < $1.key }.map(\.value) } }
  package let wireBytesSent = Atomic<UInt64>(0)
  /// Records that slaves gave up, since the start, because this node does not have them.
  package let recordsCutOnSlaves = Atomic<UInt64>(0)
  package let counters = SyncCounters()
  package let upstream: UpstreamLink
  let rates = Mutex(WriteRateMeter())
  private let rowBox = Mutex<SlaveList?>(nil)
  /// What syncs reached, for the next plan.
  private let reached = Mutex(MeasuredRates())
  /// Of all slaves together: for one that has no finished sync yet.
  private let ratios = Mutex(LinkRatios())
  private let samples = RatioSamples()
  /// The list of slaves changed and is not on disk: the maintenance thread writes it.
  private let savingIsDue = Atomic<Bool>(false)

  init(core: NodeCore) {
    self.core = core
    logger = core.logger
    let config = Self.registryConfig(core.configuration, ownID: core.directory.node)
    let now = core.host.monotonic
    let saved = core.directory.current.registry
    if let records = try? Registry.decode(saved), !saved.isEmpty {
      registry = Mutex(Registry(config: config, restored: records, now: now))
    } else {
      if !saved.isEmpty { logger.warning("the saved list of slaves cannot be read; it begins empty") }
      registry = Mutex(Registry(config: config, now: now))
    }
    upstream = UpstreamLink(core: core, loop: core.host.upstreamLoop, logger: logger)
  }

  private static func registryConfig(_ configuration: NodeConfiguration, ownID: NodeID) -> RegistryConfig {
    var config = RegistryConfig(ownID: ownID)
    config.slavesMax = configuration.slavesMax
    config.leaseMilliseconds = configuration.slaveLeaseMilliseconds
    config.pinBytesMax = configuration.slavePinBytesMax
    return config
  }

  func stop() {
    upstream.stop()
    for runner in streams { runner.end() }
  }

  /// Streams know the service, and it knows them.
  func forgetStreams() { runners.withLock { $0 = [:] } }

  // MARK: What relays may send

  /// Up to where records may leave this node, and what slaves may show.
  func sendable(_ store: LogStore) -> (last: LSN, committed: LSN, term: Term) {
    guard store.isGated, !store.isReplica else { return sendable(store, upTo: held(store)) }
    return store.withWriteLock { access in sendable(store, access) }
  }

  private func sendable(_ store: LogStore, _ access: borrowing WriteAccess) -> (last: LSN, committed: LSN, term: Term) {
    // Where a write waits for slaves, they get it while this node's disk is busy with it; nothing of it is shown there
    // before it is good.
    let isEarly = store.isGated && !store.isReplica
    return sendable(store, upTo: isEarly ? store.sendable(durable: held(store), access) : held(store))
  }

  private func held(_ store: LogStore) -> LSN {
    core.durability == .fsync ? store.positions.durable : store.positions.written
  }

  private func sendable(_ store: LogStore, upTo last: LSN) -> (last: LSN, committed: LSN, term: Term) {
    (last, min(store.positions.committed, last), core.term)
  }

  /// A slave that has not heard of its master for so long may be left without one: 5 s.
  private static let masterAgeMax: UInt32 = 5000
  var masterClock: WallClock { core.clock }
  /// Milliseconds since this node heard of the master; 0 if it is the master.
  var masterAge: UInt32 {
    guard !core.isMaster else { return 0 }
    return UInt32(clamping: core.host.monotonic.since(upstream.view.lastHeard))
  }

  /// After a commit: the relays have something to send.
  func logAdvanced() {
    for runner in streams { runner.logAdvanced() }
  }

  /// A relay read something damaged.
  func damageMet(_ why: String, in file: String, of store: LogStore, for link: LinkID) {
    guard store === core.store else { return }
    step(.unreadable(link, why))
    core.scrub.damageMet(in: file, of: store)
  }

  // MARK: Registry events from relays

  func relaySent(_ link: LinkID, upTo lsn: LSN, fileBytes: UInt64) {
    step(.sent(link, upTo: lsn, fileBytes: fileBytes))
  }
  func relayProgress(_ link: LinkID, _ progress: SyncProgress) { step(.progress(link, progress)) }
  func relayStreaming(_ link: LinkID) {
    step(.streaming(link))
    // One that came empty proves nothing: it would follow anybody.
    guard registry.withLock({ $0.slave(on: link)?.broughtData }) == true else { return }
    core.liftRival("a slave that holds this data set follows")
  }
  func relaySynced(_ link: LinkID, _ record: SyncRecord, _ measured: LinkRatios) {
    ratios.withLock { $0 = measured.completed(by: $0) }
    step(.synced(link, record, measured))
  }
  /// A slave has shown that it holds what it acknowledges: its acks count from here on.
  func slaveProved(_ link: LinkID, _ proof: Proof) {
    step(.proved(link, proof))
    ackCounts()
  }
  func slaveAcked(_ link: LinkID, _ ack: Ack) {
    step(.acked(link, ack))
    ackCounts()
  }
  private func ackCounts() {
    let store = core.store
    if store.isGated {
      let before = store.positions.committed
      core.advanceCommit(store)
      if store.positions.committed > before {
        core.host.commitAdvanced()
        logAdvanced()
      }
    }
    core.succession.acked()
    core.host.stateChanged()
  }

  func slaveHeard(_ slave: NodeID, on link: LinkID, from sent: Tick) {
    guard registry.withLock({ $0.slave(on: link)?.countsForCommit ?? false }) else { return }
    core.heard(slave, from: sent)
  }

  /// false if that slave has no stream.
  func send(_ order: HandoverOrder, to slave: NodeID) -> Bool {
    guard let runner = runners.withLock({ $0.values.first { $0.slave == slave } }) else { return false }
    // The slave takes over only what it knows to be committed.
    runner.logAdvanced()
    runner.broadcast(.handover, order.encoded(), at: order.lastLSN)
    return true
  }

  /// The row as it was when this node's master was last heard of; kept over a change of role.
  var lastRow: SlaveList? { rowBox.withLock { $0 } }
  func remember(_ row: SlaveList) {
    rowBox.withLock { $0 = row }
    step(.met(row), saves: true)
  }

  package func linkClosed(_ link: LinkID) {
    runners.withLock { $0[link] = nil }
    step(.linkClosed(link))
    core.host.stateChanged()
  }

  /// Steps the registry and carries out what can be done at once. Replies and refusals come back to the caller.
  ///
  /// - Parameter saves: the list is on disk when this returns, if it changed. Not on a loop that serves clients.
  @discardableResult
  func step(_ event: RegistryEvent, yields: Bool = false, saves: Bool = false) -> [RegistryAction] {
    let now = core.host.monotonic
    let actions = registry.withLock { $0.step(event, now: now) }
    for action in actions {
      switch action {
      case .persist where saves: saveList()
      case .persist:
        savingIsDue.store(true, ordering: .releasing)
        core.host.wake(.maintenance)
      case .broadcastSlaveList(let list):
        let body = list.encoded()
        for runner in streams { runner.broadcast(.slaveList, body, at: .none) }
      case .disconnect(let link, let error): disconnect(link, error)
      case .pinReleased(let id, let pin, let error):
        logger.warning(
          "the log held for a slave was let go",
          metadata: ["replication.slave.id": "\(id)", "pin.lsn": "\(pin.fromLSN)", "replication.reason": "\(error)"])
      case .newerReignSeen(let reign, let id, let address):
        core.succession.newerReignClaimed(reign, by: id, at: address, yields: yields)
        logger.warning(
          "a slave knows of a newer term than this node",
          metadata: [
            "replication.term": "\(reign.term)", "replication.slave.id": "\(id)",
            "replication.slave.address": "\(address)",
          ])
      case .rivalSeen(let lineage, _, let address): core.rivalSeen(lineage, at: address)
      case .reply, .refuse, .introduce: break
      }
    }
    return actions
  }

  private func disconnect(_ link: LinkID, _ error: ReplicationError) {
    let runner = runners.withLock { $0[link] }
    if let runner { runner.close(error) } else { core.host.closeClient(link) }
  }

  /// On the maintenance thread: what changed on loops that serve clients, or on those of relays.
  func saveListIfDue() {
    if savingIsDue.exchange(false, ordering: .acquiringAndReleasing) { saveList() }
  }

  /// Writes the list with the next generation. It is read where generations are written one after the other: of two that
  /// save at once the later one on disk is the newer one. Blocks.
  private func saveList() {
    do {
      try core.directory.change(ifDifferent: true) { file in
        file.registry = registry.withLock { $0.encoded(now: core.host.monotonic) }
      }
    } catch {
      logger.error("the list of slaves cannot be saved", metadata: ["error": "\(error)"])
    }
  }

  // MARK: MS_REGISTER_SLAVE

  /// Off the clients' loops: it writes the registry to disk.
  package func register(_ link: LinkID, _ request: RegisterRequest) -> Result<RegisterReply, ReplicationError> {
    // A slave that holds more would be told to cut it.
    if let wanted = core.refetchTo { return .failure(ReplicationError(.syncImpossible, core.refetching(to: wanted))) }
    let facts = masterFacts()
    for action in step(.register(link, request, facts), yields: request.yields, saves: true) {
      switch action {
      case .reply(_, let reply):
        logger.info(
          "slave registered",
          metadata: ["replication.slave.id": "\(request.id)", "replication.slave.address": "\(request.address)"])
        return .success(reply)
      case .refuse(_, let error):
        logger.warning(
          "slave refused",
          metadata: [
            "replication.slave.id": "\(request.id)", "replication.slave.address": "\(request.address)",
            "replication.error": "\(error)",
          ])
        return .failure(error)
      case .introduce(_, let reply):
        logger.warning(
          "a node of another data set is not taken as a slave: it keeps its data",
          metadata: [
            "replication.slave.id": "\(request.id)", "replication.slave.address": "\(request.address)",
            "dataset.own": "\(facts.lineage)", "dataset.other": "\(request.lineage ?? .unknown)",
          ])
        return .success(reply)
      case .persist, .disconnect, .broadcastSlaveList, .pinReleased, .newerReignSeen, .rivalSeen: break
      }
    }
    return .failure(ReplicationError(.syntax, "the registration was not answered"))
  }

  private func masterFacts() -> MasterFacts {
    let store = core.store
    let access = store.writeLock.lock()
    let last = store.positions.appended
    let terms = store.terms
    let hasData = core.hasData(store)
    let voters = store.votersInLog
    store.writeLock.unlock(access)
    var facts = MasterFacts(
      address: core.ownAddress, reign: core.reign, last: terms.position(at: last),
      history: terms, lineage: core.directory.lineage, hasData: hasData, upstream: upstream.view.upstream,
      isVoter: core.configuration.isVoter, starts: core.directory.current.startReigns)
    facts.voters = voters
    facts.isConfirmed = core.directory.current.dataSet.isConfirmed
    if core.isMaster { facts.rival = core.rival?.lineage }
    return facts
  }

  // MARK: MS_SYNC_SLAVE and MS_PLAN

  package struct Planned {
    package let report: PlanReport
    package let input: PlannerInput
    package let files: SnapshotFiles
    package let store: LogStore
    let bulkCompression: CompressionChooser
  }
  /// Below it a link gets the densest compression: the processor has time (200 Mbit/s).
  private static let slowLinkBytesPerSecond: UInt64 = 25_000_000

  /// Measures and plans. Off the clients' loops: it looks at files.
  package func plan(_ request: SyncRequest) throws -> Planned {
    let store = core.store
    let settings = core.configuration
    let files = try SnapshotFiles.pin(store, fileSystem: core.fileSystem, resuming: request.resume?.snapshot)
    var input = PlannerInput(masterLineage: core.directory.lineage, manifest: files.manifest)
    input.mode = request.mode == .auto ? settings.syncMode : request.mode
    input.slavePosition = request.position
    (input.startReigns, input.slaveStarts) = (core.directory.current.startReigns, request.starts)
    input.slaveHistory = StartDivergence.history(request.history, of: request.starts, without: input.startReigns)
    input.slaveLineage = request.lineage
    input.resume = request.resume
    let access = store.writeLock.lock()
    input.masterTerm = core.term
    input.masterHistory = store.terms
    let leaving = sendable(store, access)
    (input.masterLast, input.masterCommitted) = (leaving.last, leaving.committed)
    input.logRawFrom = store.logStart
    input.logAfterFilesFrom = files.logFrom
    let common = SyncPlanner.commonLSN(
      slavePosition: input.slavePosition, slaveHistory: input.slaveHistory, slaveLineage: input.slaveLineage,
      masterLast: input.masterLast, masterHistory: input.masterHistory, masterLineage: input.masterLineage)
    // What may not leave yet is the live stream's, whichever way the sync goes.
    let unsendable = store.logBytes(from: input.masterLast.next, access)
    func sendableBytes(from lsn: LSN, _ access: borrowing WriteAccess) -> UInt64 {
      UInt64(max(0, store.logBytes(from: lsn, access) - unsendable))
    }
    input.logBytesAfterCommon = sendableBytes(from: common.next, access)
    let figures = store.deltaFigures(after: common, access)
    input.delta = PlannerInput.DeltaOffer(
      liveBytes: UInt64(max(0, figures.bytes)), liveRecords: UInt64(max(0, figures.records)),
      tombstonesFrom: figures.tombstonesFrom, indexBytes: UInt64(figures.indexBytes))
    input.logBytesAfterFiles = sendableBytes(from: files.manifest.lastLSN.next, access)
    let totals = WriteRateMeter.Totals(records: store.positions.appended.value, bytes: store.appendedBytes)
    store.writeLock.unlock(access)
    let now = core.host.monotonic
    let rate = rates.withLock { $0.rate(totals, now: now) }
    input.expectedBytesPerSecond = rate.bytesPerSecond
    input.expectedRecordsPerSecond = rate.recordsPerSecond
    let slave = registry.withLock { $0.slave(request.id) }
    input.isDeltaNegotiated = slave?.capabilities.contains(.delta) ?? false
    let anySlave = ratios.withLock { $0 }
    input.ratios = slave?.ratios.completed(by: anySlave) ?? anySlave
    input.rates = reached.withLock { $0 }
    let capabilities = slave?.capabilities ?? Capabilities()
    let network = input.rates.networkBytes
    let bulk = CompressionChooser.bulk(
      negotiated: capabilities,
      bytesAreScarce: settings.syncRateBytes > 0 || (network > 0 && network < Self.slowLinkBytesPerSecond))
    if !input.ratios.isComplete {
      let sampled = samples.ratios(
        files, store, logBytes: input.logBytesAfterFiles, capabilities: capabilities, bulk: bulk,
        now: core.host.monotonic)
      input.ratios = input.ratios.completed(by: sampled)
    }
    input.syncRateBytesMax = settings.syncRateBytes
    input.isRewindNegotiated = slave?.capabilities.contains(.rewind) ?? false
    input.slaveRewindFloor = request.rewindFloor
    (input.slaveID, input.slaveCommitted) = (request.id, request.committedLSN)
    input.slaveAcceptsCut = request.acceptsCut
    input.hearsMaster = core.isMaster || upstream.view.isInSync && masterAge <= Self.masterAgeMax
    return Planned(
      report: SyncPlanner.plan(input), input: input, files: files, store: store, bulkCompression: bulk)
  }

  /// Takes a plan into the registry: from here on the slave's log is held. nil if the slave is not registered.
  package func adopt(_ link: LinkID, _ planned: Planned) -> ReplicationError? {
    for action in step(.planned(link, planned.report, pinFrom: planned.report.startLSN), saves: true) {
      if case .refuse(_, let error) = action { return error }
    }
    let address = registry.withLock { $0.slave(on: link)?.address }
    if let refusal = planned.report.refusal {
      logger.log(
        level: refusal.code == .diverged ? .error : .warning, "A SLAVE IS NOT SYNCED",
        metadata: ["replication.slave.id": "\(planned.input.slaveID)", "replication.error": "\(refusal)"])
      if refusal.code == .diverged, let address {
        core.succession.longerLogSeen(at: address, common: planned.report.commonLSN)
      }
      return refusal
    }
    noteCut(planned, at: address)
    return nil
  }

  /// Starts the stream on a connection that has answered MS_SYNC_SLAVE.
  package func startRelay(_ link: LinkID, _ planned: Planned, connection: any NodeConnection) -> RelayRunner? {
    guard let plan = RelayPlan(planned.report, planned.input),
      let slave = registry.withLock({ $0.slave(on: link) })
    else { return nil }
    var config = RelayConfig()
    config.syncBytesPerSecond = core.configuration.syncRateBytes
    // A slave tells by it how old what it shows may be.
    config.heartbeatIntervalMilliseconds = 100
    counters.count(plan.begin.mode)
    logger.info(
      "sync begins",
      metadata: [
        "replication.slave.id": "\(slave.id)", "sync.plan": "\(planned.report.summary)",
        "sync.start.lsn": "\(plan.begin.startLSN)",
        "sync.barrier.lsn": "\(plan.begin.barrierLSN)",
      ])
    let runner = RelayRunner(
      link: link, slave: slave.id, plan: plan, estimatedBytes: planned.report.chosenCost?.bytes ?? 0,
      files: plan.manifest == nil ? nil : planned.files,
      capabilities: slave.capabilities, bulkCompression: planned.bulkCompression, store: planned.store, config: config,
      loop: core.host.relayLoop(),
      connection: connection,
      service: self,
      logger: logger)
    runners.withLock { $0[link] = runner }
    // From here on `restartRelays` knows the stream; what was replaced before is looked at once.
    if core.store === planned.store {
      runner.start(plan)
      // It may have changed since the slave registered.
      if runner.tellsPath {
        runner.broadcast(.upstreamPath, UpstreamPath(nodes: upstream.view.upstream).encoded(), at: .none)
      }
    } else {
      runner.close(ReplicationError(.needPlan, "the data of this node was replaced"))
    }
    return runner
  }

  // MARK: Questions

  package var slaves: [Slave] { registry.withLock { $0.slaves } }
  package var slaveList: SlaveList { registry.withLock { $0.list } }
  /// Nodes that get their data through this one, for the cycle check further up.
  package var chain: [NodeID] { registry.withLock { $0.slaveIDs } }
  var countingAcks: [SlaveAck] { registry.withLock { $0.countingAcks } }
  var voterFacts: [VoterFacts] { registry.withLock { $0.voterFacts } }
  /// Forgets nodes in whose place others are.
  func reviewReplaced(voters: [NodeID]) { step(.reviewReplaced(voters: voters)) }
  package var ackedDurableLSNs: [LSN] { registry.withLock { $0.ackedDurableLSNs } }
  /// The lowest LSN that slaves hold; nil if none does.
  package var pinnedLSN: LSN? {
    let now = core.host.monotonic
    return registry.withLock { $0.pinnedLSN(now: now) }
  }

  /// A slave that is away holds log.
  package var holdsForAbsent: Bool {
    let now = core.host.monotonic
    return registry.withLock { $0.holdsForAbsent(now: now) }
  }

  /// This node's data was replaced or its role changed: every slave below must be planned anew.
  func restartRelays(_ reason: String) {
    for runner in streams { runner.close(ReplicationError(.needPlan, reason)) }
  }

  /// This node's own slaves hear of it, and through them all below.
  func upstreamChanged(_ nodes: [NodeID]) {
    step(.upstreamChanged(nodes), saves: true)
    let body = UpstreamPath(nodes: nodes).encoded()
    for runner in streams where runner.tellsPath { runner.broadcast(.upstreamPath, body, at: .none) }
  }
  package func rateChanged(_ bytesPerSecond: UInt64) {
    for runner in streams { runner.rateChanged(bytesPerSecond) }
  }

  /// What a finished sync took, if it was long enough to tell.
  func measured(_ mode: SyncMode, bytes: UInt64, seconds: Double) {
    guard bytes > 8 << 20, seconds > 0.05, core.configuration.syncRateBytes == 0 else { return }
    let rate = UInt64(Double(bytes) / seconds)
    reached.withLock {
      switch mode {
      case .full: $0.networkBytes = rate
      case .partial, .delta: $0.applyBytes = rate
      }
    }
  }

  /// Bytes a second that clients are expected to write, as the next plan would take it.
  package var expectedBytesPerSecond: UInt64 {
    let store = core.store
    let totals = store.withWriteLock { _ in
      WriteRateMeter.Totals(records: store.positions.appended.value, bytes: store.appendedBytes)
    }
    let now = core.host.monotonic
    return rates.withLock { $0.rate(totals, now: now).bytesPerSecond }
  }
}
