import Core

// The applier while a delta comes in. Nothing of the delta touches the node's data before all of it is here, staged,
// counted and equal in checksum; until then readers see the old moment, and acks name the old LSN. Cut or wrong, it is
// abandoned, and the next sync begins from that LSN again.

extension Applier {
  /// A delta continues this node's data as a partial sync does, so it is held to the same.
  mutating func beginDelta(
    _ begin: SyncBegin, _ local: LocalFacts, _ actions: inout [ApplierAction]
  ) throws(ReplicationError) {
    guard local.capabilities.contains(.delta) else {
      throw ReplicationError(.planMismatch, "a delta sync, which this node did not offer")
    }
    guard begin.snapshot == .none, begin.fileCount == 0, begin.fileBytes == 0 else {
      throw ReplicationError(.planMismatch, "a delta sync with \(begin.fileCount) files of snapshot \(begin.snapshot)")
    }
    try checkContinues(begin, local, &actions)
    state = .receivingDelta(
      DeltaReception(
        begin: begin, afterLSN: local.durableLSN,
        check: DeltaStreamCheck(afterLSN: local.durableLSN, term: local.position.term), appliedLSN: local.appliedLSN,
        applyingLSN: local.appliedLSN, committedLSN: .none, masterLastLSN: begin.barrierLSN))
    actions.append(.beginDelta(afterLSN: local.durableLSN, begin))
  }

  mutating func deltaFrame(_ header: FrameHeader, _ actions: inout [ApplierAction]) throws(ReplicationError) {
    guard case .receivingDelta(var delta) = state, delta.end == nil else { throw unexpected(.delta) }
    let bytes = header.uncompressedBytes
    if delta.partBytes > 0 || header.isContinued {
      guard header.firstLSN == header.lastLSN else {
        throw ReplicationError(
          .deltaOrder, "LSN \(header.firstLSN) to \(header.lastLSN) came inside a record that comes in parts")
      }
      guard delta.partBytes + bytes <= FrameLimits.recordBytesMax else {
        throw ReplicationError(
          .deltaOrder, "the record with LSN \(header.firstLSN) has more than \(FrameLimits.recordBytesMax) bytes")
      }
    }
    // A part is checked as if it were whole, but taken only with its last; a part of another record would be taken then.
    var check = delta.check
    let committed = max(delta.committedLSN, header.committedLSN)
    try check.take(firstLSN: header.firstLSN, lastLSN: header.lastLSN, term: header.term, committed: committed)
    if let due = delta.partLSN, due != header.firstLSN {
      throw ReplicationError(.deltaOrder, "LSN \(header.firstLSN) came, the rest of the record \(due) is due")
    }
    delta.receivedBytes &+= UInt64(bytes)
    delta.committedLSN = committed
    delta.masterLastLSN = max(delta.masterLastLSN, committed)
    if header.isContinued {
      delta.partBytes += bytes
      delta.partLSN = header.firstLSN
      state = .receivingDelta(delta)
      actions.append(.keepDeltaPart(header.firstLSN, bytes: bytes))
      return
    }
    delta.partBytes = 0
    delta.partLSN = nil
    delta.check = check
    state = .receivingDelta(delta)
    actions.append(.stageDelta(firstLSN: header.firstLSN, lastLSN: header.lastLSN, term: header.term))
    noteMaster(delta.masterLastLSN, header, &actions)
  }

  mutating func deltaEnd(_ header: FrameHeader, _ end: DeltaEnd) throws(ReplicationError) {
    guard case .receivingDelta(var delta) = state, delta.end == nil else { throw unexpected(.deltaEnd) }
    let committed = max(delta.committedLSN, header.committedLSN)
    guard end.barrierLSN >= delta.begin.barrierLSN, end.barrierLSN >= delta.check.lastLSN, end.barrierLSN <= committed
    else {
      throw ReplicationError(
        .barrierMissed,
        "the delta ends at LSN \(end.barrierLSN): its last record is \(delta.check.lastLSN), it was to reach "
          + "\(delta.begin.barrierLSN) at least, committed is \(committed)")
    }
    guard end.term >= delta.check.term, delta.afterLSN == .none || end.history.reign(of: delta.afterLSN) == ownReign
    else {
      throw ReplicationError(
        .planMismatch, "the master's history does not hold this node's LSN \(delta.afterLSN) of \(ownReign)")
    }
    guard delta.partBytes == 0, end.bytes == delta.receivedBytes else {
      throw ReplicationError(
        .deltaIncomplete, "a delta of \(end.bytes) bytes ends after \(delta.receivedBytes) bytes")
    }
    delta.committedLSN = committed
    delta.masterLastLSN = max(delta.masterLastLSN, end.barrierLSN)
    delta.end = end
    state = .receivingDelta(delta)
    clocks.received(upTo: end.barrierLSN, clock: header.masterClock)
    clocks.heard(header.masterClock, committed: header.committedLSN, applied: delta.applyingLSN)
  }

  private var ownReign: Reign { local?.position.reign ?? .none }

  mutating func deltaStaged(_ staged: StagedDelta) {
    guard case .receivingDelta(var delta) = state else { return }
    precondition(
      staged.bytes >= delta.staged.bytes && staged.bytes <= delta.receivedBytes,
      "\(staged) is staged after \(delta.staged), \(delta.receivedBytes) bytes were received")
    delta.staged = staged
    state = .receivingDelta(delta)
  }

  /// True if it was the old data, whose last records become visible before the delta goes behind them.
  mutating func deltaAppliedAdvanced(_ lsn: LSN) -> Bool {
    func advance(_ delta: inout DeltaReception) {
      precondition(lsn <= delta.applyingLSN, "LSN \(lsn) is applied, asked for up to \(delta.applyingLSN)")
      delta.appliedLSN = max(delta.appliedLSN, lsn)
    }
    switch state {
    case .receivingDelta(var delta):
      advance(&delta)
      state = .receivingDelta(delta)
      return true
    case .installingDelta(var delta, let end):
      advance(&delta)
      state = .installingDelta(delta, end)
      return true
    case .detached, .disconnected, .connecting, .registering, .requestingPlan, .rewinding, .awaitingBegin,
      .awaitingManifest,
      .receivingFiles, .receivingLog, .swapping, .inSync:
      return false
    }
  }

  /// Installs the delta when all that was promised is staged.
  mutating func advanceDelta(_ actions: inout [ApplierAction]) throws(ReplicationError) {
    guard case .receivingDelta(var delta) = state else { return }
    // What this node held already and the master calls committed, as in a partial sync.
    let visible = min(delta.afterLSN, max(delta.committedLSN, delta.end?.barrierLSN ?? .none))
    if visible > delta.applyingLSN {
      delta.applyingLSN = visible
      state = .receivingDelta(delta)
      clocks.reached(visible)
      actions.append(.applyUpTo(visible, clock: clocks.newest))
    }
    guard let end = delta.end, delta.staged.bytes == end.bytes else { return }
    guard delta.staged.records == end.records, delta.staged.checksum == end.checksum else {
      throw ReplicationError(
        .deltaIncomplete,
        "\(delta.staged.records) records with crc32c \(delta.staged.checksum) came, the master sent \(end.records) with "
          + "\(end.checksum)")
    }
    state = .installingDelta(delta, end)
    clocks.reached(end.barrierLSN)
    actions.append(.installDelta(end, clock: clocks.newest))
  }

  mutating func deltaInstalled(_ barrier: LSN) {
    guard case .installingDelta(let delta, let end) = state else { return }
    precondition(barrier == end.barrierLSN, "a delta was installed up to \(barrier), its end is \(end)")
    var begin = delta.begin
    begin.startLSN = barrier.next
    begin.barrierLSN = barrier
    tookOver(begin.lineage)
    local?.history = end.history
    local?.durableLSN = barrier
    local?.appliedLSN = barrier
    clocks.applied(upTo: barrier)
    state = .receivingLog(
      LogReception(
        begin: begin, target: .own, check: RecordStreamCheck(nextLSN: barrier.next, term: end.term),
        durableLSN: barrier, committedLSN: max(delta.committedLSN, barrier), appliedLSN: barrier, applyingLSN: barrier,
        masterLastLSN: delta.masterLastLSN, isEndSeen: true, deltaBytes: end.bytes))
  }

  /// Whatever ends a delta early: what was staged is of no use without the rest.
  mutating func abandonDelta(_ actions: inout [ApplierAction]) {
    switch state {
    case .receivingDelta, .installingDelta: actions.append(.abandonDelta)
    case .detached, .disconnected, .connecting, .registering, .requestingPlan, .rewinding, .awaitingBegin,
      .awaitingManifest,
      .receivingFiles, .receivingLog, .swapping, .inSync:
      return
    }
  }
}
