// Raw memory: log and file bytes are read into one buffer that the runner owns.
import Core
import LogStore
import Logging
import Replication

/// Does what one slave's `Relay` decides: reads log and files, makes frames, writes them to the connection.
///
/// Lives on a background loop, where blocking reads are allowed; the connection's handler on its own loop hands acks over.
package final class RelayRunner: @unchecked Sendable {
  // Safe to share: everything but the constants is touched on `loop` only.
  let link: LinkID
  let slave: NodeID
  let store: LogStore
  private let loop: any WorkLoop
  private let connection: any NodeConnection
  private let host: any NodeHost
  private let service: ReplicationService
  private let logger: Logger
  private var relay: Relay
  private var files: SnapshotFiles?
  private var cursor: LogCursor
  /// Walks the log for a delta; nil before and after it.
  private var delta: DeltaReader?
  private var participant: EpochDomain.Participant?
  private var compressor = BodyCompressor()
  private var logCompression: CompressionChooser
  private var recordCompression: CompressionChooser
  private var indexCompression: CompressionChooser
  private var readsIndex = false
  private var buffer: UnsafeMutableRawBufferPointer
  private var openFile: (number: UInt64, file: MappedFile)?
  /// What was read last: in `buffer`, or in the mapping of `openFile`.
  private var lastRead = UnsafeRawBufferPointer(start: nil, count: 0)
  private var ticking: (any Cancellable)?
  private var wakeAt: Tick?
  private var isClosed = false
  private var wire = WireCount()
  private let canProve: Bool
  private var proof = ProofRound()
  /// What the slave says that it shows; nil before its first ack on this connection.
  private var slaveApplied: LSN?
  private let startedAt: Tick
  private let mode: SyncMode
  private let startLSN: LSN
  private let estimatedBytes: UInt64
  /// The slave understands who is above this node.
  let tellsPath: Bool

  init(
    link: LinkID, slave: NodeID, plan: RelayPlan, estimatedBytes: UInt64, files: SnapshotFiles?,
    capabilities: Capabilities, bulkCompression: CompressionChooser, store: LogStore, config: RelayConfig,
    loop: any WorkLoop,
    connection: any NodeConnection,
    service: ReplicationService, logger: Logger
  ) {
    self.link = link
    self.slave = slave
    self.files = files
    tellsPath = capabilities.contains(.path)
    self.store = store
    self.loop = loop
    self.connection = connection
    host = service.core.host
    self.service = service
    self.logger = logger
    startedAt = host.monotonic
    mode = plan.begin.mode
    self.estimatedBytes = estimatedBytes
    canProve = capabilities.contains(.proof)
    relay = Relay(config: config, now: host.monotonic)
    startLSN = plan.begin.startLSN
    cursor = LogCursor(startingAt: plan.begin.startLSN)
    logCompression = CompressionChooser(negotiated: capabilities, preferRatio: false)
    recordCompression = bulkCompression
    indexCompression = bulkCompression
    buffer = .allocate(byteCount: config.readBytesMax + 4096, alignment: 64)
  }
  deinit { buffer.deallocate() }

  // MARK: From other threads

  /// Begins to send. To be called once, when the service knows this runner: what it broadcasts from then on arrives.
  func start(_ plan: RelayPlan) {
    loop.execute { [self] in begin(plan) }
  }
  /// The log has more to send.
  func logAdvanced() {
    loop.execute { [self] in
      guard !isClosed else { return }
      step(advance())
    }
  }
  func acked(_ ack: Ack) {
    loop.execute { [self] in
      slaveApplied = ack.appliedLSN
      step(.acked(ack))
      service.slaveHeard(slave, on: link, from: relay.heardFrom)
      if let question = question() { step(question) }
    }
  }
  func writable(_ isWritable: Bool) { loop.execute { [self] in step(.writable(isWritable)) } }
  func broadcast(_ type: FrameType, _ body: [UInt8], at lsn: LSN) {
    loop.execute { [self] in
      // Who is still to show a digest is not told one.
      if type == .digest, canProve, !proof.hasAnswered { return }
      step(.broadcast(type, body, at: lsn))
    }
  }
  func answered(_ answer: ProofAnswer) { loop.execute { [self] in take(answer) } }
  func peerFailed(_ error: ReplicationError) { loop.execute { [self] in step(.peerFailed(error)) } }
  func rateChanged(_ bytesPerSecond: UInt64) {
    loop.execute { [self] in step(.rateChanged(bytesPerSecond: bytesPerSecond)) }
  }
  func linkLost() {
    loop.execute { [self] in
      step(.linkLost)
      finish()
    }
  }
  /// The server ends: the slave comes back when it is up again.
  func end() {
    loop.execute { [self] in
      step(.linkLost)
      finish()
      connection.close()
    }
  }
  /// Closes the stream with an error that the slave is told: it comes back and is planned anew.
  func close(_ error: ReplicationError) { peerFailed(error) }

  // MARK: On the loop

  private func begin(_ plan: RelayPlan) {
    guard !isClosed else { return }
    participant = store.epochs.join()
    ticking = loop.every(milliseconds: 100) { [weak self] in
      guard let self, !self.isClosed else { return }
      self.step(self.advance())
      self.step(.tick(masterClock: self.service.masterClock, masterAge: self.service.masterAge))
      if let question = self.question() { self.step(question) }
    }
    step(.start(plan))
    step(advance())
  }

  private func advance() -> RelayEvent {
    let view = service.sendable(store)
    return .logAdvanced(
      last: view.last, committed: view.committed, term: view.term, masterClock: service.masterClock,
      masterAge: service.masterAge)
  }

  private func step(_ event: RelayEvent) {
    guard !isClosed else { return }
    var queue = [event]
    while !queue.isEmpty {
      let actions = relay.step(queue.removeFirst(), now: host.monotonic)
      // The registry hears of it first: the slave's ack may be back before this thread goes on.
      for case .sent(let lsn, let fileBytes) in actions { service.relaySent(link, upTo: lsn, fileBytes: fileBytes) }
      for action in actions { if let next = perform(action) { queue.append(next) } }
    }
  }

  /// Carries out one action; a read answers with the next event.
  private func perform(_ action: RelayAction) -> RelayEvent? {
    switch action {
    case .sendControl(let header, let body): sent(connection.send(header.frame(body: body)))
    case .readLog(let from, let bytesMax): return readLog(from, bytesMax)
    case .readFile(let number, let offset, let bytes): return readFile(number, offset, bytes)
    case .readDelta(let upTo, let bytesMax):
      // Behind what other slaves on this loop wait for: much of the log may be looked at for one frame.
      loop.execute { [self] in
        guard !isClosed else { return }
        step(readDelta(upTo, bytesMax))
      }
    case .sendRead(let header):
      sendRead(header)
      // The connection tells when there is room again, and that is heard after this.
      if !connection.isWritable { return .writable(false) }
    case .sent: break  // done before the frames left
    case .progress(let progress): service.relayProgress(link, progress)
    case .streaming:
      delta = nil
      service.relayStreaming(link)
      let seconds = Double(host.monotonic.since(startedAt)) / 1000
      service.measured(mode, bytes: relay.progress.bytesDone, seconds: seconds)
      service.relaySynced(
        link,
        SyncRecord(mode: mode, estimatedBytes: estimatedBytes, bytes: wire.wireBytes, seconds: seconds), wire.ratios)
      logger.info(
        "slave caught up",
        metadata: [
          "replication.slave.id": "\(slave)", "sync.seconds": "\(seconds)", "sync.wire.bytes": "\(wire.wireBytes)",
        ])
      // At once: until it is answered, nothing that the slave acknowledges counts.
      return question()
    case .releaseFiles:
      files = nil
      openFile = nil
    case .wake(let at): wake(at)
    case .close(let error):
      logger.warning(
        "slave stream closed", metadata: ["replication.slave.id": "\(slave)", "replication.error": "\(error)"])
      connection.close()
      finish()
    }
    return nil
  }

  private func wake(_ at: Tick) {
    let now = host.monotonic
    if let wakeAt, wakeAt <= at, wakeAt > now { return }
    wakeAt = at
    loop.schedule(afterMilliseconds: at.since(now) + 1) { [weak self] in
      guard let self, !self.isClosed else { return }
      self.wakeAt = nil
      self.step(self.advance())
    }
  }

  private func readLog(_ from: LSN, _ bytesMax: Int) -> RelayEvent {
    guard let participant else { return .readFailed(ReplicationError(.storeFailed, "too many readers of the store")) }
    store.epochs.enter(participant)
    defer { store.epochs.leave(participant) }
    do throws(LogReadError) {
      if cursor.next != from { cursor = LogCursor(startingAt: from) }
      let last = service.sendable(store).last
      var needed = 0
      let room = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<min(bytesMax, buffer.count)])
      if let run = try store.read(&cursor, upTo: last, into: room, bytesNeeded: &needed) {
        // A piece that was dropped between the plan and its pin leaves a gap, which no raw stream may have.
        guard run.first == from else { return gap(from) }
        lastRead = UnsafeRawBufferPointer(rebasing: buffer[0..<run.bytes])
        return .logRead(firstLSN: run.first, lastLSN: run.last, term: run.term, bytes: run.bytes)
      }
      guard needed > 0 else {
        return .readFailed(ReplicationError(.storeFailed, "LSN \(from) was announced and is not in the log"))
      }
      grow(needed)
      let larger = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<needed])
      guard let run = try store.read(&cursor, upTo: last, into: larger, bytesNeeded: &needed) else {
        return .readFailed(ReplicationError(.storeFailed, "the record \(from) cannot be read"))
      }
      guard run.first == from else { return gap(from) }
      lastRead = UnsafeRawBufferPointer(rebasing: buffer[0..<run.bytes])
      return .logRead(firstLSN: run.first, lastLSN: run.last, term: run.term, bytes: run.bytes)
    } catch {
      switch error {
      case .dropped(_, let start):
        return .logGone(availableFrom: start, ReplicationError(.needPlan, error.description))
      case .damaged(let file, _, _):
        service.damageMet(error.description, in: file, of: store, for: link)
        return .readFailed(ReplicationError(.storeFailed, error.description))
      }
    }
  }

  // MARK: What the slave holds

  /// The question that makes a slave's acks count; nil when none is due.
  private func question() -> RelayEvent? {
    guard !isClosed, canProve, case .streaming = relay.state, proof.isDue(now: host.monotonic) else { return nil }
    let access = store.writeLock.lock()
    let digest = service.core.digest(of: store, access)
    let committed = store.positions.committed
    store.writeLock.unlock(access)
    // Where commits wait for slaves, the digest may never be reached before this one's acks count: then its log is proof enough.
    var piece: LogPiece?
    var sum: UInt64?
    if store.isGated, !store.isReplica, let participant {
      // What the slave shows is good, and its log may be compacted up to there: this node may know less of it, after a start.
      guard let slaveApplied else { return nil }
      piece = LogPiece(
        after: max(committed, slaveApplied), upTo: min(digest.lsn, service.sendable(store).last))
      sum = piece.flatMap { store.sum(of: $0, participant) }
    }
    let question = proof.ask(digest, piece, log: sum)
    return .broadcast(.prove, question.encoded(), at: digest.lsn)
  }

  private func take(_ answer: ProofAnswer) {
    guard !isClosed else { return }
    switch proof.answered(answer, now: host.monotonic) {
    case .shows(let shown): service.slaveProved(link, shown)
    case .passed: if let question = question() { step(question) }
    case .differs:
      logger.error(
        "A SLAVE HOLDS SOMETHING ELSE than this node: what it acknowledges counts for nothing until it has shown the same",
        metadata: ["replication.slave.id": "\(slave)"])
    case .ignored: break
    }
  }

  private func readDelta(_ upTo: LSN, _ bytesMax: Int) -> RelayEvent {
    guard let participant else { return .readFailed(ReplicationError(.storeFailed, "too many readers of the store")) }
    let reader = delta ?? DeltaReader(store: store, after: startLSN.previous)
    delta = reader
    do throws(LogReadError) {
      store.epochs.enter(participant)
      defer { store.epochs.leave(participant) }
      var run = try reader.read(
        upTo: upTo, into: UnsafeMutableRawBufferPointer(rebasing: buffer[0..<min(bytesMax, buffer.count)]))
      if reader.bytesNeeded > 0 {
        let needed = reader.bytesNeeded
        grow(needed)
        run = try reader.read(upTo: upTo, into: UnsafeMutableRawBufferPointer(rebasing: buffer[0..<needed]))
      }
      lastRead = UnsafeRawBufferPointer(rebasing: buffer[0..<run.bytes])
      let (tombstonesFrom, terms) = store.withWriteLock { _ in (store.tombstonesFrom, store.terms) }
      guard tombstonesFrom <= startLSN else {
        return .logGone(
          availableFrom: tombstonesFrom,
          ReplicationError(.needPlan, "deletions before LSN \(tombstonesFrom) were forgotten meanwhile"))
      }
      return .deltaRead(
        DeltaPiece(
          records: run.records == 0
            ? nil
            : .init(firstLSN: run.first, lastLSN: run.last, term: run.term, count: run.records, bytes: run.bytes),
          scannedTo: run.scannedTo, checksum: reader.checksum,
          endHistory: run.reachedEnd ? terms.upTo(upTo) : nil))
    } catch {
      switch error {
      case .dropped(_, let start):
        return .logGone(availableFrom: start, ReplicationError(.needPlan, error.description))
      case .damaged(let file, _, _):
        service.damageMet(error.description, in: file, of: store, for: link)
        return .readFailed(ReplicationError(.storeFailed, error.description))
      }
    }
  }

  private func gap(_ from: LSN) -> RelayEvent {
    cursor = LogCursor(startingAt: from)
    let start = store.firstRetainedLSN
    let reason = "LSN \(from) is not in the log any more, it is complete from \(start) on"
    return .logGone(availableFrom: start, ReplicationError(.needPlan, reason))
  }

  private func grow(_ bytes: Int) {
    guard bytes > buffer.count else { return }
    buffer.deallocate()
    buffer = .allocate(byteCount: bytes, alignment: 64)
  }

  private func readFile(_ number: UInt64, _ offset: UInt64, _ bytes: Int) -> RelayEvent {
    guard let files, let entry = files.manifest.files.first(where: { $0.number == number }),
      let path = files.path(entry)
    else {
      return .readFailed(ReplicationError(.unknownFile, "file \(number) is not in the snapshot"))
    }
    do {
      let mapped: MappedFile
      if let open = openFile, open.number == number {
        mapped = open.file
      } else {
        mapped = try store.fileSystem.map(path)
        // What is damaged is not sent: the slave would find out only when it has all of it.
        guard SnapshotFiles.isIntact(mapped, entry) else {
          let why = "file \(number) of the snapshot is damaged on this node"
          service.damageMet(why, in: files.recordsPath(entry), of: store, for: link)
          return .readFailed(ReplicationError(.storeFailed, why))
        }
        openFile = (number, mapped)
      }
      guard mapped.count == Int(entry.bytes), offset + UInt64(bytes) <= entry.bytes else {
        return .readFailed(
          ReplicationError(.storeFailed, "file \(number) has \(mapped.count) bytes, not \(entry.bytes)"))
      }
      readsIndex = entry.kind == .index
      lastRead = UnsafeRawBufferPointer(rebasing: mapped.bytes[Int(offset)..<Int(offset) + bytes])
      return .fileRead(number: number, offset: offset, bytes: bytes)
    } catch {
      return .readFailed(ReplicationError(.storeFailed, "\(error)"))
    }
  }

  private func sendRead(_ header: FrameHeader) {
    for (part, range) in header.parts() {
      let body = UnsafeRawBufferPointer(rebasing: lastRead[range])
      let bytes = connection.send(capacity: FrameHeader.byteCount + body.count) { space in
        switch part.type {
        case .log: compressor.writeFrame(part, body: body, chooser: &logCompression, into: space)
        case .fileChunk where readsIndex:
          compressor.writeFrame(part, body: body, chooser: &indexCompression, into: space)
        default: compressor.writeFrame(part, body: body, chooser: &recordCompression, into: space)
        }
      }
      wire.sentBulk(part.type, rawBytes: body.count, bodyBytes: bytes - FrameHeader.byteCount)
      sent(bytes)
    }
  }

  private func sent(_ bytes: Int) {
    wire.sent(wireBytes: bytes)
    service.wireBytesSent.wrappingAdd(UInt64(bytes), ordering: .relaxed)
  }

  private func finish() {
    guard !isClosed else { return }
    isClosed = true
    ticking?.cancel()
    files = nil
    openFile = nil
    delta = nil
    if let participant { store.epochs.resign(participant) }
    participant = nil
  }
}
