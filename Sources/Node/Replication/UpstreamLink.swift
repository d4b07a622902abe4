// Raw memory: frames are opened into a buffer of the link's own.
import Core
import LogStore
import Logging
import RESP
import Replication
import Synchronization

/// The slave's side of replication: carries out what the `Applier` decides.
///
/// Lives on a background loop of its own: appending, applying and writing files block it and nothing else, and TCP holds
/// the master back meanwhile.
package final class UpstreamLink: @unchecked Sendable {
  // Safe to share: everything but `viewBox` is touched on `loop` only.
  unowned let core: NodeCore
  let loop: any WorkLoop
  let logger: Logger
  var applier: Applier
  var wire: (any NodeConnection)?
  /// Raised with every connection, so that what comes late from an old one is dropped.
  var connection = 0
  var compressor = BodyCompressor()
  var opened: [UInt8] = []
  var parts: [UInt8] = []
  var staged: StagedStore?
  var delta: DeltaStage?
  var lastAck: [UInt8] = []
  var ticking: (any Cancellable)?
  var pendingDigest: Digest?
  /// What the master asks this node to show, until it is answered; and whether a piece of the log is still owed.
  var question: ProofQuestion?
  var owesLog = false
  var syncStartedAt = Tick(milliseconds: 0)
  var bytesReceived: UInt64 = 0
  /// Of them, until the frame that ended the sync.
  var syncBytes: UInt64 = 0
  private var isStopped = false
  /// The disk keeps the link closed.
  var hold: DiskHold?
  /// An operator ordered this node to follow this master.
  private var isOrdered = false

  let viewBox = Mutex(UpstreamView())
  package var view: UpstreamView { viewBox.withLock { $0 } }

  init(core: NodeCore, loop: any WorkLoop, logger: Logger) {
    self.core = core
    self.loop = loop
    self.logger = logger
    applier = Applier()
  }

  // MARK: From other threads

  func attach(_ master: NodeAddress, _ reason: FollowReason) {
    viewBox.withLock {
      $0 = UpstreamView()
      $0.master = master
      $0.state = "connecting"
      $0.downSince = core.host.monotonic
    }
    loop.execute { [self] in
      startTicking()
      if hold != nil { endHold() }
      if reason != .resumed { isOrdered = reason == .ordered }
      step(.attach(master, reason))
      // Those below must not go on naming who was above before.
      core.upstreamChanged()
    }
  }

  /// On the link's loop: no record comes from the old master any more.
  func detachNow() {
    step(.detach)
    if hold != nil { endHold() }
    ticking?.cancel()
    ticking = nil
    viewBox.withLock { $0 = UpstreamView() }
  }

  /// On the link's loop: this node voted in a newer term, what comes of an older one is taken no more.
  func voted(_ reign: Reign) { step(.voted(reign)) }

  /// Calls `done` on the link's loop when no record comes from the old master any more.
  func detach(then done: @escaping @Sendable () -> Void) {
    loop.execute { [self] in
      detachNow()
      done()
    }
  }

  /// The connection to the master ends, and is taken up again.
  package func reconnect() {
    loop.execute { [self] in wire?.close() }
  }

  func stop() {
    loop.execute { [self] in
      isStopped = true
      ticking?.cancel()
      wire?.close()
    }
  }

  /// The commit thread flushed this node's own log.
  func durableAdvanced(_ lsn: LSN) {
    loop.execute { [self] in
      // An event of a store that was replaced meanwhile says nothing about the present one.
      let positions = core.store.positions
      let reached = core.durability == .fsync ? positions.durable : positions.written
      guard case .own? = target, reached >= lsn else { return }
      step(.durableAdvanced(lsn))
    }
  }

  // MARK: Steps

  private func startTicking() {
    guard ticking == nil else { return }
    ticking = loop.every(milliseconds: 50) { [weak self] in self?.tick() }
  }

  /// The log that comes in is this node's own, not that of a copy that is being built.
  var isOwnLog: Bool { target == .own }

  private var target: LogTarget? {
    switch applier.state {
    case .receivingLog(let log), .swapping(let log), .inSync(let log): log.target
    default: nil
    }
  }

  /// The body of the frame that is being worked on.
  var body = UnsafeRawBufferPointer(start: nil, count: 0)

  func step(_ event: ApplierEvent) {
    guard !isStopped else { return }
    var queue = [event]
    while !queue.isEmpty {
      let next = queue.removeFirst()
      let before = connection
      for action in applier.step(next, now: core.host.monotonic) {
        do {
          if let answer = try perform(action) { queue.append(answer) }
        } catch {
          logger.error("sync stopped", metadata: ["replication.error": "\(error)"])
          holdIfDisk(error)
          if case LogReadError.damaged(let file, _, _) = error { core.scrub.damageMet(in: file, of: core.store) }
          queue = [.storeFailed("\(error)")]
          break
        }
        // After `closeLink` nothing of the old connection counts.
        if connection != before { queue.removeAll() }
      }
    }
    if question != nil { proveOn() }
    publish()
  }

  private func publish() {
    let isFull = DiskHold(core.store.writeRefusal) != nil
    let hold = hold
    let state = hold?.stateName ?? (isFull ? "disk full" : applier.stateName)
    let inSync = applier.isInSync
    let progress = applier.fileProgress
    let upstream = applier.upstream
    let error = applier.lastError?.description
    let refusedLineage = applier.refusedLineage
    let dissentsFrom = applier.dissentsFrom
    viewBox.withLock {
      $0.state = state
      $0.isInSync = inSync
      $0.progress = progress
      $0.upstream = upstream
      $0.lastError = error
      $0.refusedLineage = refusedLineage
      $0.dissentsFrom = dissentsFrom
      $0.hold = hold
    }
  }

  private func perform(_ action: ApplierAction) throws -> ApplierEvent? {
    switch action {
    case .connect(let master): connect(master)
    case .sendRegister(let request): send(["MS_REGISTER_SLAVE"] + request.arguments)
    case .sendSync(let request):
      syncStartedAt = core.host.monotonic
      bytesReceived = 0
      syncBytes = 0
      send(["MS_SYNC_SLAVE"] + request.arguments)
    case .sendAck(let ack):
      #if PACELINE_PLANTED_BUGS
        var ack = ack
        if PlantedBug.acknowledgeUnflushed.isPlanted, applier.isInSync {
          ack.durableLSN = core.store.positions.appended
        }
      #endif
      lastAck = FrameHeader(type: .ack).frame(body: ack.encoded())
      wire?.send(lastAck)
    case .rewind(let lsn): return try rewind(to: lsn)
    case .takeOver(let order): core.succession.step(.takeOver(order))
    case .beginSnapshot(let begin, let manifest, let keep):
      staged?.abandon()
      if let staged, keep != nil, staged.manifest.snapshot == manifest.snapshot, staged.nextLSN == begin.startLSN {
        // The same snapshot in the same process: files and staged log are as they were left.
        return nil
      }
      if let keep, keep.stagedLSN > .none { throw OpenError("the staged log is not there any more") }
      staged = try StagedStore(
        begin: begin, manifest: manifest, keep: keep, directory: core.directory,
        configuration: core.configuration.store, host: core.host)
      if let staged { core.reviewReplacedStores(wantedBytes: staged.wantedBytes) }
      try staged?.requireRoom()
    case .dropSnapshot:
      staged?.abandon()
      staged = nil
      core.directory.removeStore(core.directory.current.storeNumber + 1)
    case .openFile(let number, let offset): try stagedStore().openFile(number, offset: offset)
    case .writeChunk(let number, let offset, let bytes):
      try stagedStore().write(number, offset: offset, body)
      return .fileStored(number: number, bytes: offset + UInt64(bytes))
    case .verifyFile(let number, let bytes, let checksum):
      return .fileVerified(number: number, isGood: try stagedStore().verify(number, bytes: bytes, checksum: checksum))
    case .keepRecordPart: parts.append(contentsOf: body)
    case .appendRecords(let target, _, _, _): return try append(target)
    case .applyUpTo(let lsn, let clock): return try apply(upTo: lsn, clock: clock)
    case .swapIn(_, let lsn, _, let history, let keepsOld):
      return try swapIn(applyUpTo: lsn, history: history, keepsOld: keepsOld)
    case .beginDelta(let after, _): delta = DeltaStage(store: core.store, after: after)
    case .keepDeltaPart: parts.append(contentsOf: body)
    case .stageDelta(let first, let last, let term): return try stageDelta(first, last, term)
    case .installDelta(let end, let clock): return try installDelta(end, clock: clock)
    case .abandonDelta:
      delta?.discard()
      delta = nil
      parts = []
    case .adoptLineage(let lineage): try core.adoptLineage(lineage)
    case .noteOrder(let lineage): try core.noteOrder(lineage)
    case .markOutOfSync: logger.warning("out of sync with the master")
    case .markInSync(let lsn): inSync(lsn)
    case .slaveListChanged(let list):
      viewBox.withLock { $0.slaves = list }
      core.replication.remember(list)
    case .upstreamChanged(let nodes):
      viewBox.withLock { $0.upstream = nodes }
      core.upstreamChanged()
    case .compareDigest(let digest): receive(digest)
    case .prove(let question): receive(question)
    case .masterSeen(let lsn, let clock, let age):
      // Through a slave that has lost its own link the master is not heard.
      let now = core.host.monotonic.milliseconds
      let heard = Tick(milliseconds: now - min(now, UInt64(age)))
      viewBox.withLock {
        $0.masterLastLSN = lsn
        $0.masterClock = clock
        $0.lastHeard = max($0.lastHeard, heard)
      }
      noteFreshness()
      core.followClock(clock)
    case .closeLink(let error): closeLink(error)
    case .scheduleRetry: break  // the tick comes every 50 ms
    }
    return nil
  }

  /// The last ack once more: this node is busy, not gone.
  func repeatAck() {
    guard !lastAck.isEmpty else { return }
    wire?.send(lastAck)
  }

  func stagedStore() throws -> StagedStore {
    guard let staged else { throw OpenError("no snapshot is being received") }
    return staged
  }

  // MARK: The connection

  private func connect(_ master: NodeAddress) {
    connection += 1
    let number = connection
    core.host.connect(master, on: loop, to: UpstreamInput(link: self, connection: number))
  }

  func connected(_ number: Int, _ opened: any NodeConnection) {
    guard number == connection else { return opened.close() }
    wire = opened
    viewBox.withLock { $0.isLinkUp = true }
    if let password = core.configuration.masterPassword {
      send(Login.command(password: password))
    } else {
      registered(number)
    }
  }

  /// Authenticated, or no password is needed: tell who we are.
  func registered(_ number: Int) {
    guard number == connection else { return }
    // A position that the log has passed already would make the master send records twice.
    core.commitNow()
    if let refused = DiskHold(core.store.writeRefusal) { return stop(for: refused) }
    var facts = core.localFacts(resume: staged == nil ? StagedStore.resumable(core.directory) : nil)
    facts.isOrdered = isOrdered
    facts.isOrderOpen = core.succession.view.isOrderOpen
    step(.connected(facts))
  }

  func lost(_ number: Int, _ reason: String) {
    guard number == connection else { return }
    step(.linkLost(reason))
  }

  private func send(_ arguments: [String]) {
    wire?.send(RequestBuffer.encoded([arguments]))
  }

  private func closeLink(_ error: ReplicationError) {
    connection += 1
    parts = []
    pendingDigest = nil
    question = nil
    wire?.close()
    wire = nil
    if error.code != .detached {
      logger.warning("link to the master is down", metadata: ["replication.error": "\(error)"])
    }
    viewBox.withLock {
      if $0.isLinkUp { $0.downSince = core.host.monotonic }
      $0.isLinkUp = false
    }
  }

  func handshake(_ number: Int, _ reply: PeerReply) {
    guard number == connection else { return }
    do throws(ReplicationError) {
      switch (reply, applier.state) {
      case (.error(let error), .connecting):
        if let refusal = Login.refusal(error) {
          step(.linkLost("the master refused the password: \(refusal)"))
        } else {
          registered(number)
        }
      case (.error(let error), _): step(.refused(error.message))
      case (.status, .connecting): registered(number)
      case (.elements(let elements), .registering):
        let parsed = try RegisterReply(parsing: elements)
        step(.registerReply(parsed))
        core.upstreamChanged()
      case (.elements(let elements), .requestingPlan):
        let parsed = try SyncReply(parsing: elements)
        viewBox.withLock {
          $0.lastPlan = parsed.mode.name
          $0.lastReason = parsed.reason
          $0.lastEstimatedBytes = parsed.wireBytes
          $0.lastBytes = 0
          $0.lastSeconds = 0
          $0.syncCount += 1
        }
        logger.info(
          "sync planned",
          metadata: [
            "sync.plan": "\(parsed.mode.name)", "sync.reason": "\(parsed.reason)",
            "sync.barrier.lsn": "\(parsed.barrierLSN)",
          ])
        step(.syncReply(parsed))
      default: throw ReplicationError(.syntax, "an unexpected reply while \(applier.stateName)")
      }
    } catch {
      step(.refused(error.description))
    }
  }

  /// Whether replies or frames are due.
  var expectsFrames: Bool {
    switch applier.state {
    case .rewinding, .awaitingBegin, .awaitingManifest, .receivingFiles, .receivingDelta, .installingDelta,
      .receivingLog,
      .swapping, .inSync:
      true
    default: false
    }
  }

  func frame(_ number: Int, _ header: FrameHeader, _ wire: UnsafeRawBufferPointer) {
    guard number == connection else { return }
    bytesReceived &+= UInt64(FrameHeader.byteCount + wire.count)
    if header.type == .syncEnd || header.type == .deltaEnd { syncBytes = bytesReceived }
    do throws(FrameError) {
      var failure: FrameError?
      if header.compression == .none {
        try take(header, wire)
      } else {
        opened = [UInt8](unsafeUninitializedCapacity: header.uncompressedBytes) { space, count in
          count = header.uncompressedBytes
          do throws(FrameError) {
            try compressor.open(
              header.compression, wire, into: UnsafeMutableRawBufferPointer(start: space.baseAddress, count: count))
          } catch { failure = error }
        }
        if let failure { throw failure }
        let bytes = opened
        opened = []
        bytes.withUnsafeBytes { raw in
          do throws(FrameError) { try take(header, raw) } catch { failure = error }
        }
        if let failure { throw failure }
      }
    } catch {
      step(.frameFailed(error))
    }
  }

  private func take(_ header: FrameHeader, _ bytes: UnsafeRawBufferPointer) throws(FrameError) {
    body = bytes
    defer { body = UnsafeRawBufferPointer(start: nil, count: 0) }
    let isBulk = header.carriesRecords || header.type == .fileChunk
    let decoded = try FrameBody.decode(header, isBulk ? [] : Array(bytes))
    step(.frame(header, decoded))
  }

  func frameFailed(_ number: Int, _ error: FrameError) {
    guard number == connection else { return }
    step(.frameFailed(error))
  }
}
