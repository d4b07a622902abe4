import Core

// The applier once frames flow: every frame is checked against what was promised before anything is written.

extension Applier {
  mutating func frame(
    _ header: FrameHeader, _ body: FrameBody, _ now: Tick, _ actions: inout [ApplierAction]
  ) throws(ReplicationError) {
    switch body {
    case .syncBegin(let begin): try syncBegin(begin, &actions)
    case .fileManifest(let manifest): try fileManifest(manifest, &actions)
    case .bulk:
      switch header.type {
      case .fileChunk: try fileChunk(header, &actions)
      case .log: try logFrame(header, &actions)
      case .delta: try deltaFrame(header, &actions)
      case .syncBegin, .fileManifest, .fileDone, .syncEnd, .heartbeat, .ack, .slaveList, .digest, .needPlan, .error,
        .deltaEnd, .handover, .prove, .proof, .upstreamPath:
        throw unexpected(header.type)
      }
    case .fileDone(let done): try fileDone(header, done, &actions)
    case .syncEnd(let end): try syncEnd(end)
    case .deltaEnd(let end): try deltaEnd(header, end)
    case .empty:
      switch header.type {
      case .heartbeat: try heartbeat(header, &actions)
      case .syncBegin, .fileManifest, .fileChunk, .fileDone, .log, .syncEnd, .ack, .slaveList, .digest, .needPlan,
        .error, .delta, .deltaEnd, .handover, .prove, .proof, .upstreamPath:
        throw unexpected(header.type)
      }
    case .slaveList(let list):
      try expectBegun(header.type)
      slaves = list
      actions.append(.slaveListChanged(list))
    case .digest(let digest):
      try expectBegun(header.type)
      if isInSync { actions.append(.compareDigest(digest)) }
    case .needPlan(let plan):
      throw ReplicationError(.needPlan, "the master asks for a new plan: \(plan.code) \(plan.reason)")
    case .error(let body): throw ReplicationError(.peerRefused, "\(body.code) \(body.message)")
    case .handover(let order): try handover(header, order)
    case .prove(let question):
      try expectBegun(header.type)
      actions.append(.prove(question))
    case .upstreamPath(let path): try upstreamPath(path, &actions)
    case .ack, .proof: throw unexpected(header.type)
    }
  }

  func unexpected(_ type: FrameType) -> ReplicationError {
    ReplicationError(.unexpectedFrame, "a \(type) frame while \(stateName)")
  }

  /// The state without its payload.
  package var stateName: String {
    switch state {
    case .detached: "detached"
    case .disconnected: "disconnected"
    case .connecting: "connecting"
    case .registering: "registering"
    case .requestingPlan: "requesting a plan"
    case .rewinding: "cutting its log"
    case .awaitingBegin: "waiting for the sync to begin"
    case .awaitingManifest: "waiting for the manifest"
    case .receivingFiles: "receiving files"
    case .receivingDelta: "delta_sync"
    case .installingDelta: "delta_install"
    case .receivingLog: "receiving log"
    case .swapping: "swapping in"
    case .inSync: "in sync"
    }
  }

  func expectBegun(_ type: FrameType) throws(ReplicationError) {
    switch state {
    case .awaitingManifest, .receivingFiles, .receivingDelta, .installingDelta, .receivingLog, .swapping, .inSync:
      return
    case .detached, .disconnected, .connecting, .registering, .requestingPlan, .rewinding, .awaitingBegin:
      throw unexpected(type)
    }
  }

  // MARK: the plan

  private mutating func syncBegin(_ begin: SyncBegin, _ actions: inout [ApplierAction]) throws(ReplicationError) {
    guard case .awaitingBegin(let reply) = state, let local else { throw unexpected(.syncBegin) }
    guard begin.mode == reply.mode, begin.snapshot == reply.snapshot, begin.startLSN == reply.startLSN,
      begin.barrierLSN == reply.barrierLSN, begin.fileCount == reply.fileCount, begin.fileBytes == reply.fileBytes
    else { throw ReplicationError(.planMismatch, "the sync that begins is not the one that was planned") }
    guard begin.barrierLSN >= begin.startLSN.previous else {
      throw ReplicationError(.planMismatch, "barrier LSN \(begin.barrierLSN) lies before start LSN \(begin.startLSN)")
    }
    switch begin.mode {
    case .partial: try beginPartial(begin, local, &actions)
    case .full:
      guard begin.snapshot != .none else { throw ReplicationError(.planMismatch, "a full sync without a snapshot id") }
      guard begin.lineage == masterLineage else {
        throw ReplicationError(
          .otherLineage, "a full sync of data set \(begin.lineage), the master registered with another one")
      }
      state = .awaitingManifest(begin)
    case .delta: try beginDelta(begin, local, &actions)
    }
  }

  /// A partial sync continues this node's log. The master says so; its history must agree, or two logs would be joined
  /// that have nothing in common.
  private mutating func beginPartial(
    _ begin: SyncBegin, _ local: LocalFacts, _ actions: inout [ApplierAction]
  ) throws(ReplicationError) {
    try checkContinues(begin, local, &actions)
    startLog(begin, target: .own, durable: local.durableLSN, applied: local.appliedLSN, term: local.position.term)
  }

  mutating func checkContinues(
    _ begin: SyncBegin, _ local: LocalFacts, _ actions: inout [ApplierAction]
  ) throws(ReplicationError) {
    guard begin.startLSN == local.durableLSN.next else {
      throw ReplicationError(
        .planMismatch, "the log is to start at LSN \(begin.startLSN), this node needs \(local.durableLSN.next)")
    }
    if local.hasData {
      guard begin.lineage == local.lineage else {
        throw ReplicationError(
          .otherLineage, "a \(begin.mode.name) sync with a master of another data set, \(begin.lineage)")
      }
      let isHeld = begin.history.reign(of: local.durableLSN) == local.position.reign
      #if PACELINE_PLANTED_BUGS
        let isSame = isHeld || PlantedBug.ignoreTerms.isPlanted
      #else
        let isSame = isHeld
      #endif
      guard isSame else {
        throw ReplicationError(
          .planMismatch, "the master's history does not hold this node's position \(local.position)")
      }
    } else if begin.lineage != local.lineage {
      actions.append(.adoptLineage(begin.lineage))
      tookOver(begin.lineage)
    }
  }

  private mutating func startLog(_ begin: SyncBegin, target: LogTarget, durable: LSN, applied: LSN, term: Term) {
    state = .receivingLog(
      LogReception(
        begin: begin, target: target, check: RecordStreamCheck(nextLSN: begin.startLSN, term: term),
        durableLSN: durable,
        committedLSN: .none, appliedLSN: applied, applyingLSN: applied, masterLastLSN: begin.barrierLSN))
  }

  // MARK: files

  private mutating func fileManifest(_ manifest: FileManifest, _ actions: inout [ApplierAction])
    throws(ReplicationError)
  {
    guard case .awaitingManifest(let begin) = state else { throw unexpected(.fileManifest) }
    guard manifest.snapshot == begin.snapshot else {
      throw ReplicationError(
        .snapshotMismatch, "the manifest of snapshot \(manifest.snapshot), \(begin.snapshot) was planned")
    }
    guard manifest.files.count == begin.fileCount, manifest.totalBytes == begin.fileBytes else {
      throw ReplicationError(
        .badManifest,
        "\(manifest.files.count) files of \(manifest.totalBytes) bytes, \(begin.fileCount) of \(begin.fileBytes) were planned"
      )
    }
    if let old = received, old.snapshot != manifest.snapshot {
      actions.append(.dropSnapshot(old.snapshot))
      received = nil
    }
    var held = received ?? ReceivedSnapshot(snapshot: manifest.snapshot)
    held.restrict(to: manifest)
    // The log starts after the files, or after the staged part if that is whole. What lies between was replaced, and
    // dropped by the master.
    if begin.startLSN != held.stagedLSN.next { held.stagedLSN = .none }
    guard held.stagedLSN == .none || begin.history.reign(of: held.stagedLSN) == held.stagedReign else {
      received?.stagedLSN = .none
      throw ReplicationError(
        .planMismatch, "the master's history does not hold LSN \(held.stagedLSN) of \(held.stagedReign)")
    }
    guard held.stagedLSN != .none || begin.startLSN > manifest.lastLSN else {
      throw ReplicationError(
        .planMismatch, "the files end at LSN \(manifest.lastLSN), the log is to start at LSN \(begin.startLSN)")
    }
    received = held
    actions.append(.beginSnapshot(begin, manifest, keep: held.resume))
    let first = manifest.files.first.map { held.bytes(of: $0.number) } ?? 0
    state = .receivingFiles(FileReception(begin: begin, manifest: manifest, index: 0, offset: first))
  }

  /// The file that is due, if it is the one named.
  private func dueFile(
    _ files: FileReception, _ number: UInt64
  ) throws(ReplicationError) -> FileManifest.File {
    let due = files.index < files.manifest.files.count ? files.manifest.files[files.index] : nil
    if let due, due.number == number { return due }
    guard files.manifest.files.contains(where: { $0.number == number }) else {
      throw ReplicationError(.unknownFile, "file \(number) is not in the manifest")
    }
    throw ReplicationError(.chunkOrder, "file \(number) came, \(due.map { "file \($0.number)" } ?? "no file") is due")
  }

  private mutating func fileChunk(_ header: FrameHeader, _ actions: inout [ApplierAction]) throws(ReplicationError) {
    guard case .receivingFiles(var files) = state else { throw unexpected(.fileChunk) }
    let file = try dueFile(files, header.fileNumber)
    guard header.fileOffset == files.offset else {
      throw ReplicationError(
        .chunkOrder, "bytes of file \(file.number) from \(header.fileOffset), they are due from \(files.offset)")
    }
    let bytes = header.uncompressedBytes
    guard UInt64(bytes) <= file.bytes - files.offset else {
      throw ReplicationError(
        .fileSize, "\(bytes) bytes of file \(file.number) at \(files.offset), it has only \(file.bytes)")
    }
    if !files.isOpen {
      actions.append(.openFile(number: file.number, offset: files.offset))
      files.isOpen = true
    }
    actions.append(.writeChunk(number: file.number, offset: files.offset, bytes: bytes))
    files.offset += UInt64(bytes)
    state = .receivingFiles(files)
  }

  private mutating func fileDone(
    _ header: FrameHeader, _ done: FileDone, _ actions: inout [ApplierAction]
  ) throws(ReplicationError) {
    guard case .receivingFiles(var files) = state else { throw unexpected(.fileDone) }
    guard done.snapshot == files.begin.snapshot else {
      throw ReplicationError(.snapshotMismatch, "a file of snapshot \(done.snapshot), \(files.begin.snapshot) is due")
    }
    let file = try dueFile(files, header.fileNumber)
    guard header.fileOffset == file.bytes, files.offset == file.bytes else {
      throw ReplicationError(
        .fileSize,
        "file \(file.number) ends at \(files.offset) (\(header.fileOffset) by the master), the manifest says \(file.bytes)"
      )
    }
    if let promised = file.checksum, let sent = done.checksum, promised != sent {
      received?.forget(file.number)
      throw ReplicationError(.fileChecksum, "file \(file.number) has crc32c \(sent), the manifest says \(promised)")
    }
    if received?.verified.contains(file.number) != true {
      if !files.isOpen { actions.append(.openFile(number: file.number, offset: file.bytes)) }
      actions.append(.verifyFile(number: file.number, bytes: file.bytes, checksum: file.checksum ?? done.checksum))
    }
    files.index += 1
    files.isOpen = false
    files.offset =
      files.index < files.manifest.files.count ? received?.bytes(of: files.manifest.files[files.index].number) ?? 0 : 0
    guard files.index == files.manifest.files.count else {
      state = .receivingFiles(files)
      return
    }
    startStagedLog(files)
  }

  private mutating func startStagedLog(_ files: FileReception) {
    let begin = files.begin
    startLog(
      begin, target: .staged, durable: received?.stagedLSN ?? .none, applied: .none,
      term: begin.history.term(of: begin.startLSN.previous) ?? .none)
  }

  // MARK: log

  private mutating func logFrame(_ header: FrameHeader, _ actions: inout [ApplierAction]) throws(ReplicationError) {
    guard var log = reception else { throw unexpected(.log) }
    if log.partBytes > 0 || header.isContinued {
      guard header.firstLSN == header.lastLSN else {
        throw ReplicationError(
          .logGap, "LSN \(header.firstLSN) to \(header.lastLSN) came inside a record that comes in parts")
      }
      guard log.partBytes + header.uncompressedBytes <= FrameLimits.recordBytesMax else {
        throw ReplicationError(
          .logGap, "the record with LSN \(header.firstLSN) has more than \(FrameLimits.recordBytesMax) bytes")
      }
    }
    if header.isContinued {
      // Checked as if it were whole, but taken only with its last part.
      var check = log.check
      try check.take(firstLSN: header.firstLSN, lastLSN: header.lastLSN, term: header.term)
      log.partBytes += header.uncompressedBytes
      reception = log
      actions.append(.keepRecordPart(log.target, header.firstLSN, bytes: header.uncompressedBytes))
      return
    }
    log.partBytes = 0
    try log.check.take(firstLSN: header.firstLSN, lastLSN: header.lastLSN, term: header.term)
    log.committedLSN = max(log.committedLSN, header.committedLSN)
    log.masterLastLSN = max(log.masterLastLSN, header.lastLSN)
    reception = log
    clocks.received(upTo: header.lastLSN, clock: header.masterClock)
    actions.append(
      .appendRecords(log.target, firstLSN: header.firstLSN, lastLSN: header.lastLSN, term: header.term))
    noteMaster(log.masterLastLSN, header, &actions)
  }

  private mutating func syncEnd(_ end: SyncEnd) throws(ReplicationError) {
    guard case .receivingLog(var log) = state, !log.isEndSeen else { throw unexpected(.syncEnd) }
    guard end.snapshot == log.begin.snapshot else {
      throw ReplicationError(
        .snapshotMismatch, "the end of snapshot \(end.snapshot), \(log.begin.snapshot) was planned")
    }
    guard end.barrierLSN == log.begin.barrierLSN, log.check.nextLSN > end.barrierLSN else {
      throw ReplicationError(
        .barrierMissed,
        "the sync ends at LSN \(end.barrierLSN) with the log at \(log.check.nextLSN.previous), "
          + "barrier \(log.begin.barrierLSN)")
    }
    log.isEndSeen = true
    state = .receivingLog(log)
  }

  private mutating func heartbeat(_ header: FrameHeader, _ actions: inout [ApplierAction]) throws(ReplicationError) {
    try expectBegun(.heartbeat)
    noteMaster(header.lastLSN, header, &actions)
    if case .receivingDelta(var delta) = state {
      delta.committedLSN = max(delta.committedLSN, header.committedLSN)
      delta.masterLastLSN = max(delta.masterLastLSN, header.lastLSN)
      state = .receivingDelta(delta)
    }
    guard var log = reception else { return }
    log.committedLSN = max(log.committedLSN, header.committedLSN)
    log.masterLastLSN = max(log.masterLastLSN, header.lastLSN)
    reception = log
    // Nothing is newer than the heartbeat if the master has no more than this node: then it is up to date as of now.
    if header.lastLSN == log.check.nextLSN.previous { clocks.received(upTo: header.lastLSN, clock: header.masterClock) }
  }

  /// The log part of the state; setting it keeps the state.
  private(set) var reception: LogReception? {
    get {
      switch state {
      case .receivingLog(let log), .swapping(let log), .inSync(let log): log
      case .detached, .disconnected, .connecting, .registering, .requestingPlan, .rewinding, .awaitingBegin,
        .awaitingManifest,
        .receivingFiles, .receivingDelta, .installingDelta:
        nil
      }
    }
    set {
      guard let newValue else { return }
      switch state {
      case .receivingLog: state = .receivingLog(newValue)
      case .swapping: state = .swapping(newValue)
      case .inSync: state = .inSync(newValue)
      case .detached, .disconnected, .connecting, .registering, .requestingPlan, .rewinding, .awaitingBegin,
        .awaitingManifest,
        .receivingFiles, .receivingDelta, .installingDelta:
        return
      }
    }
  }

  mutating func durableAdvanced(_ lsn: LSN) {
    guard var log = reception else { return }
    precondition(lsn < log.check.nextLSN, "LSN \(lsn) is durable, received up to \(log.check.nextLSN.previous)")
    log.durableLSN = max(log.durableLSN, lsn)
    reception = log
    if log.target == .staged { noteStaged(log) }
  }

  /// How far the staged log goes, and in which reign: a sync that goes on behind it must be of a master that holds both.
  /// Of a term that began behind `begin` the owner is not known here: then the log is not gone on with.
  private mutating func noteStaged(_ log: LogReception) {
    guard log.durableLSN >= log.begin.startLSN, log.durableLSN.next == log.check.nextLSN else { return }
    received?.stagedLSN = log.durableLSN
    received?.stagedReign = Reign(
      term: log.check.term, owner: log.begin.history.owner(of: log.check.term))
  }

  mutating func appliedAdvanced(_ lsn: LSN) {
    if deltaAppliedAdvanced(lsn) { return }
    guard var log = reception else { return }
    precondition(lsn <= log.applyingLSN, "LSN \(lsn) is applied, asked for up to \(log.applyingLSN)")
    log.appliedLSN = max(log.appliedLSN, lsn)
    reception = log
    clocks.applied(upTo: log.appliedLSN)
  }

  mutating func swappedIn(_ applied: LSN) {
    guard case .swapping(let log) = state else { return }
    let own = LogReception(
      begin: log.begin, target: .own, check: log.check, durableLSN: log.durableLSN, committedLSN: log.committedLSN,
      appliedLSN: applied, applyingLSN: max(applied, log.applyingLSN), masterLastLSN: log.masterLastLSN,
      isEndSeen: log.isEndSeen, partBytes: log.partBytes, deltaBytes: log.deltaBytes)
    received = nil
    tookOver(log.begin.lineage)
    local?.history = Self.reached(log.begin.history, by: log.durableLSN)
    clocks.applied(upTo: applied)
    state = .receivingLog(own)
  }

  // MARK: what follows from it

  /// After every event: pass on to the next state, make visible what is committed, acknowledge.
  mutating func advance(_ now: Tick, _ actions: inout [ApplierAction]) throws(ReplicationError) {
    if case .receivingFiles(let files) = state, files.manifest.files.isEmpty { startStagedLog(files) }
    try advanceDelta(&actions)
    advanceLog(&actions)
    acknowledge(now, &actions)
    advanceHandover(&actions)
  }

  private mutating func advanceLog(_ actions: inout [ApplierAction]) {
    guard case .receivingLog(var log) = state else { return applyCommitted(&actions) }
    switch log.target {
    case .staged:
      guard areFilesVerified(log) else { return }
      // The files hold everything before the first log record, so with them that much is durable here.
      log.durableLSN = max(log.durableLSN, log.begin.startLSN.previous)
      noteStaged(log)
      reception = log
      let barrier = log.begin.barrierLSN
      guard log.isEndSeen, log.durableLSN >= barrier, log.committedLSN >= barrier, holdsOwn(log) else { return }
      log.applyingLSN = min(log.durableLSN, log.committedLSN)
      state = .swapping(log)
      actions.append(
        .swapIn(
          log.begin.snapshot, applyUpTo: log.applyingLSN, lineage: log.begin.lineage,
          history: Self.reached(log.begin.history, by: log.durableLSN), keepsOld: losesOwn(to: log.begin)))
    case .own:
      applyCommitted(&actions)
      guard log.isEndSeen, log.appliedLSN >= log.begin.barrierLSN, let current = reception else { return }
      // What a cut full sync left behind is of no use any more.
      if let left = received {
        actions.append(.dropSnapshot(left.snapshot))
        received = nil
      }
      state = .inSync(current)
      backoffMilliseconds = config.backoffMillisecondsMin
      actions.append(.markInSync(log.appliedLSN))
    }
  }

  /// A history must not name terms of which this node has no record.
  static func reached(_ history: TermHistory, by lsn: LSN) -> TermHistory {
    history.upTo(lsn)
  }

  private func areFilesVerified(_ log: LogReception) -> Bool {
    received.map { $0.verified.count == log.begin.fileCount } ?? false
  }

  private mutating func applyCommitted(_ actions: inout [ApplierAction]) {
    guard var log = reception, log.target == .own else { return }
    // Not before it is durable: after a crash a reader must not see less than before.
    let visible = min(log.durableLSN, log.committedLSN)
    guard visible > log.applyingLSN else { return }
    log.applyingLSN = visible
    reception = log
    clocks.reached(visible)
    actions.append(.applyUpTo(visible, clock: clocks.newest))
  }

  private mutating func acknowledge(_ now: Tick, _ actions: inout [ApplierAction]) {
    var ack: Ack
    switch state {
    case .detached, .disconnected, .connecting, .registering, .requestingPlan, .rewinding, .awaitingBegin,
      .awaitingManifest:
      return
    case .receivingFiles:
      ack = Ack(durableLSN: .none, appliedLSN: .none, fileBytes: received?.heldBytes ?? 0)
    case .receivingDelta(let delta), .installingDelta(let delta, _):
      // The old data, which is still all there is; and how much of the delta is here.
      ack = Ack(
        durableLSN: delta.afterLSN, appliedLSN: delta.appliedLSN, appliedClock: clocks.applied,
        fileBytes: delta.staged.bytes)
    case .receivingLog(let log), .swapping(let log), .inSync(let log):
      let fileBytes: UInt64
      switch log.begin.mode {
      case .partial: fileBytes = 0
      case .delta: fileBytes = log.deltaBytes
      case .full: fileBytes = received?.heldBytes ?? log.begin.fileBytes
      }
      switch log.target {
      case .own:
        ack = Ack(
          durableLSN: log.durableLSN, appliedLSN: log.appliedLSN, appliedClock: clocks.applied, fileBytes: fileBytes)
      case .staged:
        let durable = areFilesVerified(log) ? countable(log) : .none
        ack = Ack(durableLSN: durable, appliedLSN: .none, fileBytes: fileBytes)
      }
    }
    let isNews =
      lastAck.map {
        $0.durableLSN != ack.durableLSN || $0.appliedLSN != ack.appliedLSN || $0.fileBytes != ack.fileBytes
      } ?? true
    guard isNews || now.since(ackedAt) >= config.ackIntervalMilliseconds else { return }
    ack.heardClock = heardClock
    lastAck = ack
    ackedAt = now
    actions.append(.sendAck(ack))
  }
}
