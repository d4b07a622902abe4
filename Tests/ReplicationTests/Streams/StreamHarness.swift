import Core
import Testing

@testable import Replication

/// A master and a slave in memory: real registry, planner, relay, applier and frame bytes; arrays instead of disks.
/// One `turn` moves one thing: a message, a read, a write, or the clock. The link can be cut before any turn.
final class StreamHarness {
  // The master
  let lineage = node(9)
  var masterHistory = terms((1, 1), (2, 40))
  var masterLast: UInt64 = 0
  var files: [UInt64: [UInt8]] = [:]
  var manifest = FileManifest(snapshot: SnapshotID(1), files: [])
  var logRawFrom: UInt64 = 1
  var registry = Registry(config: RegistryConfig(ownID: node(100)), now: at(0))
  var relay: Relay?
  var relayConfig = RelayConfig()
  var lastReport: PlanReport?
  /// What the filtered log offers; nil = nothing.
  var tombstonesFrom: UInt64?
  var deltaSeed: UInt32 = 0
  var deltaScanned: UInt64 = 0
  var deltaBody: [UInt8] = []
  var deltaBytesSent = 0
  // The slave's disk
  var facts = LocalFacts(id: node(1), address: place(7401))
  var ownLog: [UInt64: String] = [:]
  var lostLog: [UInt64: String] = [:]
  var ownFiles: [UInt64: [UInt8]] = [:]
  var stagedLog: [UInt64: String] = [:]
  var stagedFiles: [UInt64: [UInt8]] = [:]
  var stagedSnapshot = SnapshotID.none
  /// nil: no place for a delta has been made.
  var stagedDelta: [UInt64: String]?
  var stagedDeltaSum = StagedDelta()
  var deltasInstalled = 0
  var applier = Applier()
  var swaps = 0
  var fileBytesReceived = 0
  var errors: [ReplicationError.Code] = []
  // The link
  enum Message {
    case register([String]), registered([String]), sync([String]), planned([String]), refused(String)
    case toSlave([UInt8]), toMaster([UInt8])
  }
  enum Work {
    case relay(RelayEvent), applier(ApplierEvent)
  }
  var messages: [Message] = []
  var work: [Work] = []
  var link = LinkID(0)
  var isUp = false
  var now = at(1000)

  static func record(_ lsn: UInt64, _ term: UInt32) -> String { "record \(lsn) of \(term)" }
  func term(_ lsn: UInt64) -> UInt32 { masterHistory.term(of: LSN(lsn))?.value ?? 0 }

  /// A master with files up to LSN 30 (sizes chosen so that chunks do not divide them) and a log after that.
  init(masterLast: UInt64 = 60, withFiles: Bool = true) {
    self.masterLast = masterLast
    relayConfig.readBytesMax = 64
    guard withFiles else { return }
    logRawFrom = 31
    for (number, size) in [(UInt64(4), 150), (2, 0), (9, 64), (3, 33)] {
      files[number] = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* Int(number)) }
      manifest.files.append(
        .init(
          number: number, kind: .data, bytes: UInt64(size), firstLSN: LSN(1), lastLSN: LSN(30),
          checksum: CRC32C.checksum(files[number]!)))
    }
  }

  private func fail(_ text: String) { Issue.record("\(text)") }

  func start() { perform(applier.step(.attach(place(7400)), now: now)) }

  func cut() {
    guard isUp else { return }
    isUp = false
    messages = []
    work = []
    if var relay { _ = relay.step(.linkLost, now: now) }
    relay = nil
    _ = registry.step(.linkClosed(link), now: now)
    perform(applier.step(.linkLost("cut"), now: now))
  }

  /// - Returns: false when there was nothing to do but to let time pass.
  @discardableResult func turn() -> Bool {
    if !work.isEmpty {
      switch work.removeFirst() {
      case .relay(let event): relayStep(event)
      case .applier(let event): perform(applier.step(event, now: now))
      }
      return true
    }
    if !messages.isEmpty {
      receive(messages.removeFirst())
      return true
    }
    now = now.advanced(by: 50)
    perform(applier.step(.tick, now: now))
    if relay != nil { relayStep(.tick(masterClock: wall(now.milliseconds))) }
    return false
  }

  func run(turns: Int = 4000, until done: () -> Bool) {
    var left = turns
    while !done(), left > 0 {
      turn()
      left -= 1
    }
    #expect(
      left > 0,
      "it never gets there: \(applier.stateName), \(String(describing: applier.lastError)), relay \(String(describing: relay?.state))"
    )
  }

  var isSettled: Bool {
    applier.isInSync && applier.local != nil && appliedLSN == masterLast
      && registry.slave(facts.id)?.ack.appliedLSN == LSN(masterLast)
  }
  var appliedLSN: UInt64 { facts.appliedLSN.value }

  func write(_ count: UInt64) {
    masterLast += count
    if relay != nil { tellRelay() }
  }

  private func tellRelay() {
    relayStep(
      .logAdvanced(
        last: LSN(masterLast), committed: LSN(masterLast), term: Term(term(masterLast)),
        masterClock: wall(now.milliseconds)))
  }

  // MARK: master

  func relayStep(_ event: RelayEvent) {
    guard let actions = relay?.step(event, now: now) else { return }
    for action in actions {
      switch action {
      case .sendControl(let header, let body): messages.append(.toSlave(header.frame(body: body)))
      case .readLog(let from, _):
        let last = min(from.value + 2, masterLast)
        work.append(
          .relay(
            .logRead(firstLSN: from, lastLSN: LSN(last), term: Term(term(last)), bytes: logBody(from.value, last).count)
          ))
      case .readFile(let number, let offset, let bytes):
        work.append(.relay(.fileRead(number: number, offset: offset, bytes: bytes)))
      case .readDelta(let upTo, _):
        if deltaScanned == 0 { deltaScanned = relay?.sentLSN.value ?? 0 }
        work.append(.relay(.deltaRead(readDelta(upTo: upTo.value))))
      case .sendRead(let header) where header.type == .delta:
        deltaBytesSent += deltaBody.count
        messages.append(.toSlave(header.frame(body: deltaBody)))
      case .sendRead(let header):
        let body =
          header.type == .log
          ? logBody(header.firstLSN.value, header.lastLSN.value)
          : Array(files[header.fileNumber]![Int(header.fileOffset)..<(Int(header.fileOffset) + header.bodyBytes)])
        messages.append(.toSlave(header.frame(body: body)))
      case .sent(let lsn, let fileBytes):
        #expect(registry.step(.sent(link, upTo: lsn, fileBytes: fileBytes), now: now) == [])
      case .progress(let progress): _ = registry.step(.progress(link, progress), now: now)
      case .streaming: _ = registry.step(.streaming(link), now: now)
      case .releaseFiles, .wake: break
      case .close(let error):
        errors.append(error.code)
        relay = nil
      }
    }
  }

  /// LSN n writes key n % 7: alive while nothing newer does.
  static func key(_ lsn: UInt64) -> UInt64 { lsn % 7 }
  static func isAlive(_ lsn: UInt64, upTo: UInt64) -> Bool { lsn + 7 > upTo }

  /// Looks at five records a time; some reads find nothing that is alive.
  func readDelta(upTo: UInt64) -> DeltaPiece {
    let end = min(upTo, deltaScanned + 5)
    let alive = deltaScanned < end ? (deltaScanned + 1...end).filter { Self.isAlive($0, upTo: upTo) } : []
    deltaScanned = end
    deltaBody = []
    for lsn in alive { deltaBody += Array((Self.record(lsn, term(lsn)) + "\n").utf8) }
    deltaSeed = CRC32C.checksum(deltaBody, seed: deltaSeed)
    var records: DeltaPiece.Records?
    if let first = alive.first, let last = alive.last {
      records = .init(
        firstLSN: LSN(first), lastLSN: LSN(last), term: Term(term(last)), count: alive.count, bytes: deltaBody.count)
    }
    let history = end == upTo ? TermHistory(masterHistory.entries.filter { $0.firstLSN <= LSN(upTo) }) : nil
    return DeltaPiece(records: records, scannedTo: LSN(end), checksum: deltaSeed, endHistory: history)
  }

  func logBody(_ first: UInt64, _ last: UInt64) -> [UInt8] {
    Array((first...last).map { Self.record($0, term($0)) }.joined(separator: "\n").utf8)
  }

  private func receive(_ message: Message) {
    switch message {
    case .register(let arguments):
      let master = MasterFacts(
        address: place(7400), reign: reign(term(masterLast)),
        last: position(term(masterLast), masterLast),
        history: masterHistory, lineage: lineage, hasData: masterLast > 0)
      guard let request = try? RegisterRequest(parsing: arguments) else { return fail("\(arguments)") }
      for action in registry.step(.register(link, request, master), now: now) {
        switch action {
        case .reply(_, let reply): messages.append(.registered(reply.elements))
        case .refuse(_, let error): messages.append(.refused(error.description))
        case .persist, .disconnect, .broadcastSlaveList, .pinReleased, .newerReignSeen, .introduce, .rivalSeen: break
        }
      }
    case .sync(let arguments):
      guard let request = try? SyncRequest(parsing: arguments) else { return fail("\(arguments)") }
      var input = PlannerInput(masterLineage: lineage, manifest: manifest)
      input.mode = request.mode
      input.slavePosition = request.position
      input.slaveHistory = request.history
      input.slaveLineage = request.lineage
      input.resume = request.resume
      input.slaveRewindFloor = request.rewindFloor
      input.slaveAcceptsCut = request.acceptsCut
      input.isRewindNegotiated = registry.slave(request.id)?.capabilities.contains(.rewind) ?? false
      input.masterLast = LSN(masterLast)
      input.masterHistory = masterHistory
      input.logRawFrom = LSN(logRawFrom)
      input.isDeltaNegotiated = registry.slave(request.id)?.capabilities.contains(.delta) ?? false
      input.delta = tombstonesFrom.map { .init(liveBytes: 100, liveRecords: 7, tombstonesFrom: LSN($0)) }
      let report = SyncPlanner.plan(input)
      lastReport = report
      guard let reply = report.reply, let plan = RelayPlan(report, input) else {
        messages.append(.refused(report.summary))
        return
      }
      _ = registry.step(.planned(link, report, pinFrom: report.startLSN), now: now)
      messages.append(.planned(reply.elements))
      relay = Relay(config: relayConfig, now: now)
      deltaScanned = 0
      deltaSeed = 0
      relayStep(.start(plan))
      tellRelay()
    case .registered(let elements):
      guard let reply = try? RegisterReply(parsing: elements) else { return fail("\(elements)") }
      perform(applier.step(.registerReply(reply), now: now))
    case .planned(let elements):
      guard let reply = try? SyncReply(parsing: elements) else { return fail("\(elements)") }
      perform(applier.step(.syncReply(reply), now: now))
    case .refused(let text): perform(applier.step(.refused(text), now: now))
    case .toSlave(let bytes):
      let (frames, error, left) = decodeAll(bytes)
      if let error { return perform(applier.step(.frameFailed(error), now: now)) }
      #expect(left == 0)
      for (header, body) in frames {
        do {
          perform(applier.step(.frame(header, try FrameBody.decode(header, body)), now: now), body: body)
        } catch { perform(applier.step(.frameFailed(error), now: now)) }
      }
    case .toMaster(let bytes):
      for (header, body) in decodeAll(bytes).frames {
        guard case .ack(let ack)? = try? FrameBody.decode(header, body) else { return fail("no ack") }
        #expect(registry.step(.acked(link, ack), now: now) == [])
        relayStep(.acked(ack))
      }
    }
  }

  // MARK: slave

  func perform(_ actions: [ApplierAction], body: [UInt8] = []) {
    for action in actions {
      switch action {
      case .connect:
        link = LinkID(link.value + 1)
        isUp = true
        work.append(.applier(.connected(facts)))
      case .sendRegister(let request): messages.append(.register(request.arguments))
      case .sendSync(let request): messages.append(.sync(request.arguments))
      case .sendAck(let ack): messages.append(.toMaster(FrameHeader(type: .ack).frame(body: ack.encoded())))
      case .rewind(let lsn):
        for cut in ownLog.keys where cut > lsn.value { lostLog[cut] = ownLog.removeValue(forKey: cut) }
        facts.durableLSN = lsn
        facts.appliedLSN = min(facts.appliedLSN, lsn)
        facts.history = Applier.reached(facts.history, by: lsn)
        work.append(.applier(.rewound(facts)))
      case .beginSnapshot(let begin, let manifest, let keep):
        stagedSnapshot = begin.snapshot
        var kept: [UInt64: [UInt8]] = [:]
        for file in manifest.files {
          let bytes = keep?.files.first { $0.number == file.number }?.bytes ?? 0
          kept[file.number] = Array((stagedFiles[file.number] ?? []).prefix(Int(bytes)))
        }
        stagedFiles = kept
        stagedLog = stagedLog.filter { $0.key <= keep?.stagedLSN.value ?? 0 }
      case .dropSnapshot: stagedFiles = [:]
      case .openFile(let number, let offset):
        stagedFiles[number] = Array((stagedFiles[number] ?? []).prefix(Int(offset)))
        #expect(stagedFiles[number]?.count == Int(offset))
      case .writeChunk(let number, let offset, let bytes):
        #expect(stagedFiles[number]?.count == Int(offset) && body.count == bytes)
        stagedFiles[number]?.append(contentsOf: body)
        fileBytesReceived += bytes
        work.append(.applier(.fileStored(number: number, bytes: offset + UInt64(bytes))))
      case .verifyFile(let number, let bytes, let checksum):
        let file = stagedFiles[number] ?? []
        let isGood = file.count == Int(bytes) && checksum.map { $0 == CRC32C.checksum(file) } ?? true
        work.append(.applier(.fileVerified(number: number, isGood: isGood)))
      case .appendRecords(let target, let first, let last, _):
        let records = String(decoding: body, as: UTF8.self).split(separator: "\n").map(String.init)
        #expect(records.count == Int(last.value - first.value + 1))
        for (lsn, record) in zip(first.value...last.value, records) {
          switch target {
          case .own:
            ownLog[lsn] = record
            facts.history = TermHistory(masterHistory.entries.filter { $0.firstLSN <= last })!
            facts.durableLSN = last
          case .staged: stagedLog[lsn] = record
          }
        }
        work.append(.applier(.durableAdvanced(last)))
      case .keepRecordPart: Issue.record("no record here is that large")
      case .applyUpTo(let lsn, _):
        #expect(lsn <= facts.durableLSN)
        facts.appliedLSN = lsn
        work.append(.applier(.appliedAdvanced(lsn)))
      case .swapIn(let snapshot, let lsn, let lineage, let history, _):
        #expect(snapshot == stagedSnapshot)
        #expect(stagedFiles == files)
        swaps += 1
        ownFiles = stagedFiles
        ownLog = stagedLog
        stagedFiles = [:]
        stagedLog = [:]
        facts.lineage = lineage
        facts.history = history
        facts.durableLSN = LSN(ownLog.keys.max() ?? manifest.lastLSN.value)
        facts.appliedLSN = lsn
        work.append(.applier(.swappedIn(appliedLSN: lsn)))
      case .beginDelta(let after, _):
        #expect(after == facts.durableLSN)
        stagedDelta = [:]
        stagedDeltaSum = StagedDelta()
      case .keepDeltaPart: Issue.record("no record here is that large")
      case .stageDelta(let first, let last, _):
        let records = String(decoding: body, as: UTF8.self).split(separator: "\n").map(String.init)
        let lsns = records.compactMap { UInt64($0.split(separator: " ")[1]) }
        #expect(lsns.count == records.count && lsns.first == first.value && lsns.last == last.value)
        #expect(lsns == lsns.sorted() && stagedDelta != nil)
        for (lsn, record) in zip(lsns, records) { stagedDelta?[lsn] = record }
        stagedDeltaSum.records += UInt64(records.count)
        stagedDeltaSum.bytes += UInt64(body.count)
        stagedDeltaSum.checksum = CRC32C.checksum(body, seed: stagedDeltaSum.checksum)
        work.append(.applier(.deltaStaged(stagedDeltaSum)))
      case .installDelta(let end, _):
        #expect(facts.appliedLSN == facts.durableLSN, "the old data is not all visible")
        #expect((stagedDelta?.keys.max() ?? 0) <= end.barrierLSN.value)
        ownLog.merge(stagedDelta ?? [:]) { _, _ in
          Issue.record("an LSN that was here")
          return ""
        }
        stagedDelta = nil
        deltasInstalled += 1
        facts.history = end.history
        facts.durableLSN = end.barrierLSN
        facts.appliedLSN = end.barrierLSN
        work.insert(.applier(.deltaInstalled(barrierLSN: end.barrierLSN)), at: 0)
      case .abandonDelta: stagedDelta = nil
      case .adoptLineage(let lineage): facts.lineage = lineage
      case .noteOrder(let lineage): facts.orderedLineage = lineage
      case .takeOver(let order): Issue.record("nobody hands over here: \(order)")
      case .markOutOfSync, .markInSync, .slaveListChanged, .upstreamChanged, .compareDigest, .prove, .masterSeen,
        .scheduleRetry:
        break
      case .closeLink(let error):
        errors.append(error.code)
        isUp = false
        messages = []
        work = []
        relay = nil
        _ = registry.step(.linkClosed(link), now: now)
      }
    }
  }

  /// Everything the master has is here, and nothing else.
  func expectEqual(from first: UInt64) {
    #expect(ownLog.count == Int(masterLast - first + 1))
    for lsn in first...masterLast where ownLog[lsn] != Self.record(lsn, term(lsn)) {
      Issue.record("LSN \(lsn): \(String(describing: ownLog[lsn]))")
    }
  }

  /// The newest record of every key is the master's, and every record here is one of the master's.
  func expectSameState() {
    for (lsn, record) in ownLog where record != Self.record(lsn, term(lsn)) { Issue.record("LSN \(lsn): \(record)") }
    for key in UInt64(0)..<7 {
      let own = ownLog.keys.filter { Self.key($0) == key }.max() ?? 0
      let masters = (1...max(1, masterLast)).last { Self.key($0) == key && $0 <= masterLast } ?? 0
      #expect(own == masters, "key \(key)")
    }
    #expect(facts.durableLSN == LSN(masterLast) && facts.history == masterHistory && stagedDelta == nil)
  }

  /// The slave has the master's first records.
  func seedSlave(upTo last: UInt64) {
    for lsn in 1...last { ownLog[lsn] = Self.record(lsn, term(lsn)) }
    facts.durableLSN = LSN(last)
    facts.appliedLSN = LSN(last)
    facts.history = TermHistory(masterHistory.entries.filter { $0.firstLSN <= LSN(last) })!
    facts.lineage = lineage
  }
}
