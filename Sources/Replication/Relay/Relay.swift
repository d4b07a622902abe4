import Core

/// The master's side of one slave's stream: decides what is sent next, and whether the slave is still to be trusted.
/// Owned by the connection, lives on its event loop. Reads no file and no log: it asks for one bounded read at a time.
///
/// Order of actions: they are to be done in the order given, but for `sent`: the registry is told before any frame of the
/// step leaves, so that an ack can never arrive for something it has not been told. After `close` every event is ignored.
package struct Relay: Sendable {
  package let config: RelayConfig
  package private(set) var state = RelayState.planning
  package private(set) var ack = Ack(durableLSN: .none, appliedLSN: .none)
  /// Up to here an ack is believed.
  package private(set) var sentLSN = LSN.none
  /// Of files, or of a delta's records.
  package private(set) var sentFileBytes: UInt64 = 0

  private enum Read: Hashable {
    case log(from: LSN)
    case file(number: UInt64, offset: UInt64)
    case delta(upTo: LSN)
  }
  private var pendingRead: Read?
  private var plan: RelayPlan?
  private var areFilesHeld = false
  private var heldBytes: UInt64 = 0
  private var sentLogBytes: UInt64 = 0
  private var sentDeltaRecords: UInt64 = 0
  private var window = SendWindow()
  private var bucket: TokenBucket
  private var meter: RateMeter
  // The master's log, as last told
  private var lastLSN = LSN.none
  private var committedLSN = LSN.none
  private var sentCommittedLSN = LSN.none
  private var term = Term.none
  private var masterClock = WallClock(milliseconds: 0)
  private var masterAge: UInt32 = 0
  // The link
  private var isWritable = true
  private var yieldingSince: Tick?
  private var lastSentAt: Tick
  private var heardAt: Tick
  private var sentClocks = SentClocks()
  /// When the newest frame that the slave has heard was sent, at the earliest.
  package private(set) var heardFrom = Tick(milliseconds: 0)

  package init(config: RelayConfig = RelayConfig(), now: Tick) {
    self.config = config
    bucket = TokenBucket(bytesPerSecond: config.syncBytesPerSecond, now: now)
    meter = RateMeter(now: now, bytesDone: 0)
    lastSentAt = now
    heardAt = now
  }

  package mutating func step(_ event: RelayEvent, now: Tick) -> [RelayAction] {
    switch state {
    case .closed: return []
    case .planning, .sendingFiles, .sendingDelta, .sendingLog, .streaming: break
    }
    var actions = handle(event, now)
    proceed(now, &actions)
    return actions
  }

  /// Bytes sent and not acknowledged, files and log together.
  package var inFlightBytes: UInt64 { window.inFlightBytes + fileBytesInFlight }

  private var fileBytesInFlight: UInt64 { sentFileBytes - max(ack.fileBytes, heldBytes) }

  package var progress: SyncProgress {
    let done = sentFileBytes - fileBytesInFlight + (sentLogBytes - window.inFlightBytes)
    let planned = (plan?.begin.fileBytes ?? 0).addingReportingOverflow(plan?.begin.logBytes ?? 0)
    let total = max(done, planned.overflow ? .max : planned.partialValue)
    return SyncProgress(
      bytesDone: done, bytesTotal: total, bytesPerSecond: meter.bytesPerSecond,
      etaMilliseconds: meter.etaMilliseconds(bytesLeft: total - done))
  }

  // MARK: events

  private mutating func handle(_ event: RelayEvent, _ now: Tick) -> [RelayAction] {
    switch event {
    case .start(let plan): return start(plan, now)
    case .logAdvanced(let last, let committed, let term, let clock, let age):
      lastLSN = max(lastLSN, last)
      committedLSN = max(committedLSN, committed)
      self.term = max(self.term, term)
      (masterClock, masterAge) = (clock, age)
      sentClocks.note(clock, now: now)
      return []
    case .logRead(let first, let last, let term, let bytes): return logRead(first, last, term, bytes, now)
    case .fileRead(let number, let offset, let bytes): return fileRead(number, offset, bytes, now)
    case .deltaRead(let piece): return deltaRead(piece, now)
    case .logGone(let availableFrom, let error):
      pendingRead = nil
      let body = NeedPlan(logAvailableFrom: availableFrom, code: error.code.rawValue, reason: error.message)
      return close(error, with: .needPlan, body.encoded(), now)
    case .readFailed(let error), .peerFailed(let error): return fail(error, now)
    case .acked(let ack): return acked(ack, now)
    case .writable(let isWritable):
      self.isWritable = isWritable
      return []
    case .liveTrafficWaiting(let isWaiting):
      yieldingSince = isWaiting ? yieldingSince ?? now : nil
      return []
    case .rateChanged(let bytesPerSecond):
      bucket.setRate(bytesPerSecond: bytesPerSecond, now: now)
      return []
    case .broadcast(let type, let body, let lsn): return broadcast(type, body, lsn, now)
    case .tick(let clock, let age):
      (masterClock, masterAge) = (clock, age)
      sentClocks.note(clock, now: now)
      return tick(now)
    case .linkLost:
      state = .closed(ReplicationError(.linkLost, "the slave's connection is gone"))
      return []
    }
  }

  private mutating func start(_ plan: RelayPlan, _ now: Tick) -> [RelayAction] {
    precondition(state == .planning, "a relay is started once, it is \(state)")
    precondition(
      (plan.begin.mode == .full) == (plan.manifest != nil),
      "a \(plan.begin.mode.name) sync with manifest \(plan.manifest != nil)")
    self.plan = plan
    heardAt = now
    var actions = [control(.syncBegin, plan.begin.encoded(), now)]
    if let manifest = plan.manifest {
      actions.append(control(.fileManifest, manifest.encoded(), now))
      for file in manifest.files { heldBytes += min(plan.held[file.number] ?? 0, file.bytes) }
      sentFileBytes = heldBytes
      areFilesHeld = true
      state = .sendingFiles(FileCursor(index: 0, offset: plan.held[manifest.files.first?.number ?? 0] ?? 0))
    } else {
      sentLSN = plan.begin.startLSN.previous
      state =
        plan.begin.mode == .delta ? .sendingDelta(scannedTo: sentLSN) : .sendingLog(next: plan.begin.startLSN)
    }
    meter = RateMeter(now: now, bytesDone: heldBytes)
    return actions
  }

  private mutating func logRead(
    _ first: LSN, _ last: LSN, _ term: Term, _ bytes: Int, _ now: Tick
  ) -> [RelayAction] {
    precondition(
      pendingRead == .log(from: first), "log read from \(first), pending is \(String(describing: pendingRead))")
    precondition(last >= first && bytes > 0, "an empty log read from \(first) to \(last)")
    pendingRead = nil
    switch state {
    case .sendingLog:
      bucket.take(bytes: bytes, now: now)
      state = .sendingLog(next: last.next)
    case .streaming: state = .streaming(next: last.next)
    case .planning, .sendingFiles, .sendingDelta, .closed: preconditionFailure("log read in \(state)")
    }
    window.sent(upTo: last, bytes: bytes)
    sentLogBytes &+= UInt64(bytes)
    sentLSN = last
    sentCommittedLSN = committedLSN
    lastSentAt = now
    return [
      .sendRead(
        FrameHeader(
          type: .log, bodyBytes: bytes, term: term, firstLSN: first, lastLSN: last, committedLSN: committedLSN,
          masterClock: masterClock, masterAge: masterAge)),
      .sent(upTo: last, fileBytes: sentFileBytes),
    ]
  }

  private mutating func fileRead(_ number: UInt64, _ offset: UInt64, _ bytes: Int, _ now: Tick) -> [RelayAction] {
    precondition(
      pendingRead == .file(number: number, offset: offset),
      "file \(number) read, pending is \(String(describing: pendingRead))")
    precondition(bytes > 0, "an empty read of file \(number) at \(offset)")
    pendingRead = nil
    guard case .sendingFiles(var cursor) = state else { preconditionFailure("file read in \(state)") }
    bucket.take(bytes: bytes, now: now)
    cursor.offset += UInt64(bytes)
    sentFileBytes += UInt64(bytes)
    state = .sendingFiles(cursor)
    lastSentAt = now
    return [
      .sendRead(
        .fileChunk(
          number: number, offset: offset, bytes: bytes, term: term, committedLSN: committedLSN,
          masterClock: masterClock,
          masterAge: masterAge
        )),
      .sent(upTo: sentLSN, fileBytes: sentFileBytes),
    ]
  }

  /// The slave keeps its old data until it has all of a delta, so nothing of it may be acknowledged by LSN before the
  /// end is sent: until then its acks count the delta's bytes.
  private mutating func deltaRead(_ piece: DeltaPiece, _ now: Tick) -> [RelayAction] {
    guard case .delta(let upTo)? = pendingRead, case .sendingDelta(let scannedBefore) = state else {
      preconditionFailure("delta read in \(state), pending is \(String(describing: pendingRead))")
    }
    precondition(
      piece.scannedTo >= scannedBefore && piece.scannedTo <= upTo
        && (piece.endHistory == nil || piece.scannedTo == upTo)
        && (piece.endHistory != nil || piece.records != nil || piece.scannedTo > scannedBefore),
      "a delta read after \(scannedBefore) up to \(upTo): \(piece)")
    pendingRead = nil
    state = .sendingDelta(scannedTo: piece.scannedTo)
    var actions: [RelayAction] = []
    if let run = piece.records {
      precondition(
        run.firstLSN > scannedBefore && run.lastLSN >= run.firstLSN && run.lastLSN <= piece.scannedTo && run.bytes > 0
          && run.count > 0, "a delta read after \(scannedBefore) up to \(upTo): \(piece)")
      bucket.take(bytes: run.bytes, now: now)
      sentFileBytes &+= UInt64(run.bytes)
      sentDeltaRecords &+= UInt64(run.count)
      sentCommittedLSN = committedLSN
      lastSentAt = now
      actions.append(
        .sendRead(
          FrameHeader(
            type: .delta, bodyBytes: run.bytes, term: run.term, firstLSN: run.firstLSN, lastLSN: run.lastLSN,
            committedLSN: committedLSN, masterClock: masterClock, masterAge: masterAge)))
      actions.append(.sent(upTo: sentLSN, fileBytes: sentFileBytes))
    }
    guard let history = piece.endHistory else { return actions }
    let end = DeltaEnd(
      barrierLSN: upTo, term: history.term(of: upTo) ?? .none, records: sentDeltaRecords, bytes: sentFileBytes,
      checksum: piece.checksum, history: history)
    sentLSN = upTo
    sentCommittedLSN = committedLSN
    state = .streaming(next: upTo.next)
    actions.append(control(.deltaEnd, end.encoded(), now))
    actions.append(.sent(upTo: sentLSN, fileBytes: sentFileBytes))
    actions.append(.progress(progress))
    actions.append(.streaming)
    return actions
  }

  private mutating func acked(_ new: Ack, _ now: Tick) -> [RelayAction] {
    do {
      try new.check(sentLSN: sentLSN, sentFileBytes: sentFileBytes, previous: ack)
    } catch {
      return fail(error, now)
    }
    heardAt = now
    ack = new
    if let sent = sentClocks.earliest(new.heardClock) { heardFrom = max(heardFrom, sent) }
    window.acked(upTo: new.durableLSN)
    // Applied is 0 until the slave has swapped its new copy in: only then it will not ask for these files again.
    if areFilesHeld, let begin = plan?.begin, new.appliedLSN >= begin.barrierLSN, hasPassedFiles {
      areFilesHeld = false
      return [.releaseFiles(begin.snapshot)]
    }
    return []
  }

  private var hasPassedFiles: Bool {
    switch state {
    case .sendingLog, .streaming: true
    case .planning, .sendingFiles, .sendingDelta, .closed: false
    }
  }

  private mutating func broadcast(_ type: FrameType, _ body: [UInt8], _ lsn: LSN, _ now: Tick) -> [RelayAction] {
    switch state {
    case .planning, .closed: return []
    case .sendingFiles, .sendingDelta, .sendingLog:
      // Neither says anything to a slave that is not yet in step.
      if type == .digest || type == .handover || type == .prove { return [] }
    case .streaming: break
    }
    lastSentAt = now
    let header = FrameHeader(
      type: type, bodyBytes: body.count, term: term, firstLSN: lsn, lastLSN: lsn, committedLSN: committedLSN,
      masterClock: masterClock, masterAge: masterAge)
    return [.sendControl(header, body)]
  }

  private mutating func tick(_ now: Tick) -> [RelayAction] {
    let silence = now.since(heardAt)
    guard silence <= config.silenceMillisecondsMax else {
      return fail(ReplicationError(.timeout, "the slave was silent for \(silence) ms"), now)
    }
    var actions: [RelayAction] = []
    switch state {
    case .sendingFiles, .sendingDelta, .sendingLog:
      if meter.measure(bytesDone: progress.bytesDone, now: now) { actions.append(.progress(progress)) }
    case .planning, .streaming, .closed: break
    }
    return actions
  }

  // MARK: what comes next

  /// Asks for the next read, or passes to the next state, or keeps the link warm.
  private mutating func proceed(_ now: Tick, _ actions: inout [RelayAction]) {
    if case .sendingFiles(let cursor) = state { proceedFiles(cursor, now, &actions) }
    if case .sendingDelta = state { proceedDelta(now, &actions) }
    if case .sendingLog(let next) = state { proceedCatchUp(next, now, &actions) }
    if case .streaming(let next) = state, pendingRead == nil, isWritable, next <= lastLSN { readLog(next, &actions) }
    switch state {
    case .planning, .closed: return
    case .sendingFiles, .sendingDelta: break
    case .sendingLog(let next), .streaming(let next):
      // Nothing to carry the news of a commit: it gets a frame of its own, or the slave would show it a second late.
      if next > lastLSN, committedLSN > sentCommittedLSN { return actions.append(heartbeat(now)) }
    }
    if now.since(lastSentAt) >= config.heartbeatIntervalMilliseconds { actions.append(heartbeat(now)) }
  }

  private mutating func proceedFiles(_ start: FileCursor, _ now: Tick, _ actions: inout [RelayAction]) {
    guard pendingRead == nil, let plan, let manifest = plan.manifest else { return }
    var cursor = start
    while cursor.index < manifest.files.count {
      let file = manifest.files[cursor.index]
      guard cursor.offset >= file.bytes else { break }
      let done = FileDone(snapshot: manifest.snapshot, checksum: file.checksum)
      let header = FrameHeader(
        type: .fileDone, term: term, firstLSN: LSN(file.number), lastLSN: LSN(file.bytes), committedLSN: committedLSN,
        masterClock: masterClock, masterAge: masterAge)
      actions.append(.sendControl(header, done.encoded()))
      lastSentAt = now
      cursor.index += 1
      cursor.offset = cursor.index < manifest.files.count ? plan.held[manifest.files[cursor.index].number] ?? 0 : 0
    }
    guard cursor.index < manifest.files.count else {
      sentLSN = plan.begin.startLSN.previous
      state = .sendingLog(next: plan.begin.startLSN)
      actions.append(.sent(upTo: sentLSN, fileBytes: sentFileBytes))
      return
    }
    state = .sendingFiles(cursor)
    let file = manifest.files[cursor.index]
    guard isWritable, fileBytesInFlight < config.windowBytesMax, mayUseLink(now, &actions) else { return }
    let bytes = Int(min(file.bytes - cursor.offset, UInt64(config.readBytesMax)))
    pendingRead = .file(number: file.number, offset: cursor.offset)
    actions.append(.readFile(number: file.number, offset: cursor.offset, bytes: bytes))
  }

  /// Also with nothing new in the log: it is the reader that says where it ends.
  private mutating func proceedDelta(_ now: Tick, _ actions: inout [RelayAction]) {
    guard let begin = plan?.begin, pendingRead == nil, isWritable, fileBytesInFlight < config.windowBytesMax else {
      return
    }
    // Not beyond what is committed: the slave shows the barrier's state at once. Not below what was planned either,
    // which was committed then; the log may not have been told of yet.
    let upTo = min(lastLSN, committedLSN)
    guard upTo >= begin.barrierLSN, mayUseLink(now, &actions) else { return }
    pendingRead = .delta(upTo: upTo)
    actions.append(.readDelta(upTo: upTo, bytesMax: config.readBytesMax))
  }

  private mutating func proceedCatchUp(_ next: LSN, _ now: Tick, _ actions: inout [RelayAction]) {
    guard let begin = plan?.begin, pendingRead == nil else { return }
    if next > begin.barrierLSN {
      let end = SyncEnd(snapshot: begin.snapshot, barrierLSN: begin.barrierLSN)
      actions.append(control(.syncEnd, end.encoded(), now))
      actions.append(.progress(progress))
      actions.append(.streaming)
      state = .streaming(next: next)
    } else if next <= lastLSN, isWritable, mayUseLink(now, &actions) {
      readLog(next, &actions)
    }
  }

  private mutating func readLog(_ next: LSN, _ actions: inout [RelayAction]) {
    guard window.inFlightBytes < config.windowBytesMax else { return }
    pendingRead = .log(from: next)
    actions.append(.readLog(from: next, bytesMax: config.readBytesMax))
  }

  /// Sync traffic asks here: the rate limit, and live traffic that goes first, but not for ever.
  private mutating func mayUseLink(_ now: Tick, _ actions: inout [RelayAction]) -> Bool {
    let wait = bucket.waitMilliseconds(now: now)
    if wait > 0 {
      actions.append(.wake(at: now.advanced(by: wait)))
      return false
    }
    if let since = yieldingSince {
      let until = since.advanced(by: config.yieldMillisecondsMax)
      if now < until {
        actions.append(.wake(at: until))
        return false
      }
      yieldingSince = now
    }
    return true
  }

  // MARK: frames

  private mutating func control(_ type: FrameType, _ body: [UInt8], _ now: Tick) -> RelayAction {
    lastSentAt = now
    return .sendControl(
      FrameHeader(
        type: type, bodyBytes: body.count, term: term, committedLSN: committedLSN, masterClock: masterClock,
        masterAge: masterAge), body)
  }

  private mutating func heartbeat(_ now: Tick) -> RelayAction {
    lastSentAt = now
    sentCommittedLSN = committedLSN
    return .sendControl(
      FrameHeader(
        type: .heartbeat, term: term, lastLSN: lastLSN, committedLSN: committedLSN, masterClock: masterClock,
        masterAge: masterAge), [])
  }

  private mutating func fail(_ error: ReplicationError, _ now: Tick) -> [RelayAction] {
    close(error, with: .error, ErrorBody(error).encoded(), now)
  }

  private mutating func close(
    _ error: ReplicationError, with type: FrameType, _ body: [UInt8], _ now: Tick
  ) -> [RelayAction] {
    let farewell = control(type, body, now)
    state = .closed(error)
    return [farewell, .close(error)]
  }
}
