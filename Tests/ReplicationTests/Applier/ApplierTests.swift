import Core
import Testing

@testable import Replication

@Suite struct ApplierTests {
  static func facts(_ change: (inout LocalFacts) -> Void = { _ in }) -> LocalFacts {
    var facts = LocalFacts(id: node(1), address: place(7401))
    facts.lineage = node(9)
    facts.history = terms((1, 1))
    facts.durableLSN = LSN(10)
    facts.appliedLSN = LSN(10)
    change(&facts)
    return facts
  }
  static func master(_ change: (inout RegisterReply) -> Void = { _ in }) -> RegisterReply {
    var reply = RegisterReply(
      id: node(100), address: place(7400), reign: reign(2), last: position(2, 20), history: terms((1, 1), (2, 15)),
      lineage: node(9),
      hasData: true, capabilities: .all)
    change(&reply)
    return reply
  }
  static let partial = SyncBegin(
    mode: .partial, startLSN: LSN(11), barrierLSN: LSN(20), lineage: node(9), history: terms((1, 1), (2, 15)))
  static let manifest = FileManifest(
    snapshot: SnapshotID(5),
    files: [
      .init(number: 8, kind: .data, bytes: 100, firstLSN: LSN(1), lastLSN: LSN(9)),
      .init(number: 3, kind: .data, bytes: 50, lastLSN: LSN(10), checksum: 77),
    ])
  static let full = SyncBegin(
    mode: .full, snapshot: SnapshotID(5), startLSN: LSN(11), barrierLSN: LSN(20), lineage: node(9), fileCount: 2,
    fileBytes: 150,
    history: terms((1, 1), (2, 15)))
  static func reply(_ begin: SyncBegin) -> SyncReply {
    SyncReply(
      mode: begin.mode, snapshot: begin.snapshot, startLSN: begin.startLSN, barrierLSN: begin.barrierLSN,
      fileCount: begin.fileCount, fileBytes: begin.fileBytes, reason: "")
  }
  static func frame(
    _ type: FrameType, _ body: FrameBody = .bulk, first: UInt64 = 0, last: UInt64 = 0, term: UInt32 = 1,
    bytes: Int = 10, committed: UInt64 = 0
  ) -> ApplierEvent {
    .frame(
      FrameHeader(
        type: type, bodyBytes: bytes, term: Term(term), firstLSN: LSN(first), lastLSN: LSN(last),
        committedLSN: LSN(committed),
        masterClock: wall(700)), body)
  }
  static func log(_ first: UInt64, _ last: UInt64, term: UInt32 = 1, committed: UInt64 = 0) -> ApplierEvent {
    frame(.log, first: first, last: last, term: term, committed: committed)
  }
  static func begun(_ begin: SyncBegin, facts: LocalFacts = facts()) -> Applier {
    var applier = Applier()
    _ = applier.step(.attach(place(7400)), now: at(0))
    _ = applier.step(.connected(facts), now: at(0))
    _ = applier.step(.registerReply(master()), now: at(0))
    _ = applier.step(.syncReply(reply(begin)), now: at(0))
    _ = applier.step(frame(.syncBegin, .syncBegin(begin), term: 2), now: at(0))
    if begin.mode == .full { _ = applier.step(frame(.fileManifest, .fileManifest(manifest)), now: at(0)) }
    return applier
  }

  @Test func fromAttachToInSync() {
    var applier = Applier()
    let facts = Self.facts()
    #expect(applier.step(.attach(place(7400)), now: at(0)) == [.markOutOfSync, .connect(place(7400))])
    #expect(
      applier.step(.connected(facts), now: at(1)) == [
        .sendRegister(
          RegisterRequest(id: node(1), address: place(7401), hasData: true, last: position(1, 10), lineage: node(9)))
      ])
    #expect(
      applier.step(.registerReply(Self.master()), now: at(2)) == [
        .sendSync(SyncRequest(id: node(1), position: position(1, 10), history: terms((1, 1)), lineage: node(9)))
      ])
    #expect(applier.step(.syncReply(Self.reply(Self.partial)), now: at(3)) == [])
    #expect(
      applier.step(Self.frame(.syncBegin, .syncBegin(Self.partial)), now: at(4)) == [
        .sendAck(Ack(durableLSN: LSN(10), appliedLSN: LSN(10)))
      ])
    #expect(
      applier.step(Self.log(11, 20, term: 2, committed: 15), now: at(5)) == [
        .appendRecords(.own, firstLSN: LSN(11), lastLSN: LSN(20), term: Term(2)),
        .masterSeen(lastLSN: LSN(20), clock: wall(700)),
      ])
    #expect(
      applier.step(Self.frame(.syncEnd, .syncEnd(SyncEnd(snapshot: .none, barrierLSN: LSN(20)))), now: at(6)) == [])
    // Durable first, then visible, and only as far as the master calls it committed.
    #expect(
      applier.step(.durableAdvanced(LSN(20)), now: at(7)) == [
        .applyUpTo(LSN(15), clock: wall(700)),
        .sendAck(Ack(durableLSN: LSN(20), appliedLSN: LSN(10), heardClock: wall(700))),
      ])
    #expect(
      applier.step(.appliedAdvanced(LSN(15)), now: at(8)) == [
        .sendAck(Ack(durableLSN: LSN(20), appliedLSN: LSN(15), heardClock: wall(700)))
      ])
    #expect(
      applier.step(Self.frame(.heartbeat, .empty, last: 20, bytes: 0, committed: 99), now: at(9)) == [
        .masterSeen(lastLSN: LSN(20), clock: wall(700)), .applyUpTo(LSN(20), clock: wall(700)),
      ])
    #expect(
      applier.step(.appliedAdvanced(LSN(20)), now: at(10)) == [
        .markInSync(LSN(20)),
        .sendAck(Ack(durableLSN: LSN(20), appliedLSN: LSN(20), appliedClock: wall(700), heardClock: wall(700))),
      ])
    #expect(applier.isInSync)
  }

  @Test func theNewCopyIsSwappedInOnlyWhole() {
    var applier = Self.begun(Self.full)
    #expect(
      applier.step(Self.frame(.fileChunk, first: 8, last: 0, bytes: 100), now: at(1)) == [
        .openFile(number: 8, offset: 0), .writeChunk(number: 8, offset: 0, bytes: 100),
      ])
    #expect(
      applier.step(.fileStored(number: 8, bytes: 100), now: at(2)) == [
        .sendAck(Ack(durableLSN: .none, appliedLSN: .none, fileBytes: 100))
      ])
    let done = FrameBody.fileDone(FileDone(snapshot: SnapshotID(5), checksum: 4))
    #expect(
      applier.step(Self.frame(.fileDone, done, first: 8, last: 100), now: at(3)) == [
        .verifyFile(number: 8, bytes: 100, checksum: 4)
      ])
    _ = applier.step(Self.frame(.fileChunk, first: 3, last: 0, bytes: 50), now: at(4))
    let last = FrameBody.fileDone(FileDone(snapshot: SnapshotID(5)))
    #expect(
      applier.step(Self.frame(.fileDone, last, first: 3, last: 50), now: at(5)) == [
        .verifyFile(number: 3, bytes: 50, checksum: 77)
      ])
    #expect(
      applier.step(Self.log(11, 20, term: 2, committed: 20), now: at(6)).first
        == .appendRecords(.staged, firstLSN: LSN(11), lastLSN: LSN(20), term: Term(2)))
    #expect(
      applier.step(Self.frame(.syncEnd, .syncEnd(SyncEnd(snapshot: SnapshotID(5), barrierLSN: LSN(20)))), now: at(7))
        == [])
    #expect(applier.step(.durableAdvanced(LSN(20)), now: at(8)) == [])
    #expect(applier.step(.fileVerified(number: 8, isGood: true), now: at(9)) == [])
    _ = applier.step(.fileStored(number: 3, bytes: 50), now: at(9))
    #expect(
      applier.step(.fileVerified(number: 3, isGood: true), now: at(10)) == [
        .swapIn(SnapshotID(5), applyUpTo: LSN(20), lineage: node(9), history: terms((1, 1), (2, 15))),
        .sendAck(Ack(durableLSN: LSN(20), appliedLSN: .none, fileBytes: 150, heardClock: wall(700))),
      ])
    #expect(
      applier.step(.swappedIn(appliedLSN: LSN(20)), now: at(11)) == [
        .markInSync(LSN(20)),
        .sendAck(
          Ack(
            durableLSN: LSN(20), appliedLSN: LSN(20), appliedClock: wall(700), fileBytes: 150, heardClock: wall(700))),
      ])
  }

  /// A master that has just begun its reign knows of nothing that is committed: its barrier lies before what this node
  /// holds, and a majority may count on that.
  @Test func aNewCopyWaitsUntilItHoldsWhatItReplaces() {
    let begin = SyncBegin(
      mode: .full, snapshot: SnapshotID(5), startLSN: LSN(1), barrierLSN: .none, lineage: node(9), fileCount: 0,
      fileBytes: 0, history: terms((1, 1), (2, 15)))
    func swaps(_ actions: [ApplierAction]) -> Bool {
      actions.contains { if case .swapIn = $0 { true } else { false } }
    }
    func applier(lineage: NodeID) -> Applier {
      var applier = Applier()
      // A data set is given up by an order only.
      _ = applier.step(.attach(place(7400), .ordered), now: at(0))
      _ = applier.step(.connected(Self.facts { $0.lineage = lineage }), now: at(0))
      _ = applier.step(.registerReply(Self.master()), now: at(0))
      _ = applier.step(.syncReply(Self.reply(begin)), now: at(0))
      _ = applier.step(Self.frame(.syncBegin, .syncBegin(begin), term: 2), now: at(0))
      let manifest = FileManifest(snapshot: SnapshotID(5), files: [])
      _ = applier.step(Self.frame(.fileManifest, .fileManifest(manifest)), now: at(0))
      _ = applier.step(Self.log(1, 6), now: at(1))
      return applier
    }
    let end = Self.frame(.syncEnd, .syncEnd(SyncEnd(snapshot: SnapshotID(5), barrierLSN: .none)))

    var own = applier(lineage: node(9))
    #expect(!swaps(own.step(end, now: at(2))))
    #expect(!swaps(own.step(.durableAdvanced(LSN(6)), now: at(3))))
    _ = own.step(Self.log(7, 10), now: at(4))
    #expect(swaps(own.step(.durableAdvanced(LSN(10)), now: at(5))))

    // Nothing of another data set is worth waiting for.
    var other = applier(lineage: node(8))
    #expect(swaps(other.step(end, now: at(2))))

    // Before the new copy is in place, nothing counts as held here that the old log does not hold.
    var early = applier(lineage: node(9))
    _ = early.step(Self.log(7, 14), now: at(2))
    let actions = early.step(.durableAdvanced(LSN(14)), now: at(3))
    #expect(actions.contains { if case .sendAck(let ack) = $0 { ack.durableLSN == LSN(10) } else { false } })
  }

  /// Whatever a master sends: a named error, the link closed, a retry planned, and nothing written before.
  func refusal(_ applier: Applier, _ event: ApplierEvent) -> ReplicationError.Code? {
    var applier = applier
    let actions = applier.step(event, now: at(50))
    guard actions.count >= 2, case .closeLink(let error) = actions[actions.count - 2],
      case .scheduleRetry(let tick) = actions[actions.count - 1], case .disconnected(tick) = applier.state
    else { return nil }
    for action in actions {
      switch action {
      case .closeLink, .scheduleRetry, .markOutOfSync, .masterSeen: break
      case .abandonDelta: break
      case .beginDelta, .keepDeltaPart, .stageDelta, .installDelta, .connect, .sendRegister, .sendSync, .sendAck,
        .rewind,
        .beginSnapshot, .dropSnapshot, .openFile, .writeChunk,
        .verifyFile,
        .appendRecords, .keepRecordPart, .applyUpTo, .swapIn, .adoptLineage, .noteOrder, .markInSync, .slaveListChanged,
        .compareDigest, .prove, .takeOver, .upstreamChanged:
        Issue.record("\(action) before \(error)")
      }
    }
    return error.code
  }

  @Test func hostileLogFrames() {
    let applier = Self.begun(Self.partial)
    #expect(refusal(applier, Self.log(12, 13)) == .logGap)
    #expect(refusal(applier, Self.log(10, 13)) == .logOverlap)
    #expect(refusal(applier, Self.log(1, 13)) == .logOverlap)
    #expect(refusal(applier, Self.log(11, 13, term: 0)) == .termBackwards)
    #expect(refusal(applier, Self.log(11, .max)) == .logGap)
    #expect(refusal(applier, Self.frame(.fileChunk, first: 8, last: 0)) == .unexpectedFrame)
    #expect(refusal(applier, Self.frame(.syncBegin, .syncBegin(Self.partial))) == .unexpectedFrame)
    #expect(refusal(applier, Self.frame(.fileManifest, .fileManifest(Self.manifest))) == .unexpectedFrame)
    #expect(refusal(applier, Self.frame(.ack, .ack(Ack(durableLSN: .none, appliedLSN: .none)))) == .unexpectedFrame)
    #expect(
      refusal(applier, Self.frame(.syncEnd, .syncEnd(SyncEnd(snapshot: .none, barrierLSN: LSN(20))))) == .barrierMissed)
    #expect(
      refusal(applier, Self.frame(.syncEnd, .syncEnd(SyncEnd(snapshot: .none, barrierLSN: LSN(5))))) == .barrierMissed)
    #expect(
      refusal(applier, Self.frame(.syncEnd, .syncEnd(SyncEnd(snapshot: SnapshotID(1), barrierLSN: LSN(20)))))
        == .snapshotMismatch)
    #expect(
      refusal(
        applier, Self.frame(.needPlan, .needPlan(NeedPlan(logAvailableFrom: LSN(1), code: "PINLOST", reason: ""))))
        == .needPlan)
    #expect(refusal(applier, Self.frame(.error, .error(ErrorBody(code: "X", message: "y")))) == .peerRefused)
    #expect(refusal(applier, .frameFailed(FrameError(.badMagic, "x"))) == .badFrame)
    #expect(refusal(applier, .storeFailed("disk full")) == .storeFailed)
    var later = applier
    _ = later.step(Self.log(11, 16, term: 2), now: at(1))
    #expect(refusal(later, Self.log(17, 18, term: 1)) == .termBackwards)
    #expect(refusal(later, Self.log(11, 16, term: 2)) == .logOverlap)  // the same frame again
  }

  @Test func hostileFileFrames() {
    let applier = Self.begun(Self.full)
    let done = FrameBody.fileDone(FileDone(snapshot: SnapshotID(5)))
    #expect(refusal(applier, Self.frame(.fileChunk, first: 99, last: 0)) == .unknownFile)
    #expect(refusal(applier, Self.frame(.fileChunk, first: 3, last: 0)) == .chunkOrder)
    #expect(refusal(applier, Self.frame(.fileChunk, first: 8, last: 1)) == .chunkOrder)
    #expect(refusal(applier, Self.frame(.fileChunk, first: 8, last: .max)) == .chunkOrder)
    #expect(refusal(applier, Self.frame(.fileChunk, first: 8, last: 0, bytes: 101)) == .fileSize)
    #expect(refusal(applier, Self.frame(.fileDone, done, first: 8, last: 100)) == .fileSize)
    #expect(
      refusal(applier, Self.frame(.fileDone, .fileDone(FileDone(snapshot: SnapshotID(6))), first: 8, last: 100))
        == .snapshotMismatch)
    #expect(refusal(applier, Self.log(11, 12)) == .unexpectedFrame)
    #expect(
      refusal(applier, Self.frame(.syncEnd, .syncEnd(SyncEnd(snapshot: SnapshotID(5), barrierLSN: LSN(20)))))
        == .unexpectedFrame)
    var later = applier
    _ = later.step(Self.frame(.fileChunk, first: 8, last: 0, bytes: 60), now: at(1))
    #expect(refusal(later, Self.frame(.fileChunk, first: 8, last: 0, bytes: 60)) == .chunkOrder)  // again
    #expect(refusal(later, Self.frame(.fileChunk, first: 8, last: 30, bytes: 30)) == .chunkOrder)  // overlapping
    #expect(refusal(later, Self.frame(.fileChunk, first: 8, last: 60, bytes: 41)) == .fileSize)
    _ = later.step(Self.frame(.fileChunk, first: 8, last: 60, bytes: 40), now: at(1))
    _ = later.step(Self.frame(.fileDone, done, first: 8, last: 100), now: at(1))
    #expect(refusal(later, .fileVerified(number: 8, isGood: false)) == .fileChecksum)
    _ = later.step(Self.frame(.fileChunk, first: 3, last: 0, bytes: 50), now: at(1))
    #expect(
      refusal(
        later, Self.frame(.fileDone, .fileDone(FileDone(snapshot: SnapshotID(5), checksum: 78)), first: 3, last: 50))
        == .fileChecksum)
    _ = later.step(Self.frame(.fileDone, done, first: 3, last: 50), now: at(1))
    #expect(refusal(later, Self.frame(.fileDone, done, first: 3, last: 50)) == .unexpectedFrame)
  }

  @Test func hostilePlans() {
    func waiting(_ begin: SyncBegin, _ facts: LocalFacts = Self.facts()) -> Applier {
      var applier = Applier()
      _ = applier.step(.attach(place(7400)), now: at(0))
      _ = applier.step(.connected(facts), now: at(0))
      _ = applier.step(.registerReply(Self.master()), now: at(0))
      _ = applier.step(.syncReply(Self.reply(begin)), now: at(0))
      return applier
    }
    func code(_ base: SyncBegin, facts: LocalFacts = Self.facts(), _ change: (inout SyncBegin) -> Void)
      -> ReplicationError.Code?
    {
      var begin = base
      change(&begin)
      return refusal(waiting(begin, facts), Self.frame(.syncBegin, .syncBegin(begin)))
    }
    // What begins is not what was planned.
    #expect(refusal(waiting(Self.full), Self.frame(.syncBegin, .syncBegin(Self.partial))) == .planMismatch)
    // A partial sync without a shared history, which Redis takes.
    #expect(code(Self.partial) { $0.lineage = node(8) } == .otherLineage)
    #expect(code(Self.partial) { $0.history = terms((2, 1)) } == .planMismatch)
    // The same term at the same LSN, of another owner.
    #expect(
      code(Self.partial) { $0.history = TermHistory([.init(reign(1, of: 4), firstLSN: LSN(1))])! } == .planMismatch)
    #expect(code(Self.partial) { $0.startLSN = LSN(12) } == .planMismatch)
    #expect(code(Self.partial) { $0.startLSN = LSN(5) } == .planMismatch)
    #expect(code(Self.partial) { $0.barrierLSN = LSN(5) } == .planMismatch)
    #expect(code(Self.full) { $0.snapshot = .none } == .planMismatch)
    #expect(code(Self.full) { $0.mode = .delta } == .planMismatch)
    func manifestCode(_ begin: SyncBegin, _ manifest: FileManifest) -> ReplicationError.Code? {
      var applier = waiting(begin)
      _ = applier.step(Self.frame(.syncBegin, .syncBegin(begin)), now: at(0))
      return refusal(applier, Self.frame(.fileManifest, .fileManifest(manifest)))
    }
    var other = Self.manifest
    other.snapshot = SnapshotID(6)
    #expect(manifestCode(Self.full, other) == .snapshotMismatch)
    other = Self.manifest
    other.files[0].bytes = 99
    #expect(manifestCode(Self.full, other) == .badManifest)
    other.files.removeLast()
    #expect(manifestCode(Self.full, other) == .badManifest)
    var overlap = Self.full
    overlap.startLSN = LSN(10)
    #expect(manifestCode(overlap, Self.manifest) == .planMismatch)
    // What lay between was replaced and dropped.
    var later = Self.full
    later.startLSN = LSN(13)
    #expect(manifestCode(later, Self.manifest) == nil)
  }

  @Test func hostileRegistrations() {
    func code(_ change: (inout RegisterReply) -> Void, _ facts: LocalFacts = Self.facts()) -> ReplicationError.Code? {
      var applier = Applier()
      _ = applier.step(.attach(place(7400)), now: at(0))
      _ = applier.step(.connected(facts), now: at(0))
      return refusal(applier, .registerReply(Self.master(change)))
    }
    #expect(code { _ in } == nil)
    #expect(code { $0.id = node(1) } == .selfRegister)
    #expect(code { $0.upstream = [node(5), node(1)] } == .cycle)
    #expect(code({ $0.upstream = [node(6)] }, Self.facts { $0.chain = [node(6)] }) == .cycle)
    #expect(code { $0.hasData = false } == .dataLoss)
    #expect(code({ $0.hasData = false }, Self.facts { $0.acceptDataLoss = true }) == nil)
  }

  @Test func aRecordInPartsIsTakenWithItsLast() {
    var applier = Self.begun(Self.partial)
    func part(_ first: UInt64, more: Bool, last: UInt64? = nil, bytes: Int = 4 << 20) -> ApplierEvent {
      var header = FrameHeader(
        type: .log, bodyBytes: bytes, term: Term(1), firstLSN: LSN(first), lastLSN: LSN(last ?? first))
      header.isContinued = more
      return .frame(header, .bulk)
    }
    #expect(applier.step(part(11, more: true), now: at(1)) == [.keepRecordPart(.own, LSN(11), bytes: 4 << 20)])
    #expect(refusal(applier, part(12, more: true)) == .logGap)
    #expect(refusal(applier, part(11, more: false, last: 13)) == .logGap)
    #expect(
      applier.step(part(11, more: false), now: at(1)).first
        == .appendRecords(.own, firstLSN: LSN(11), lastLSN: LSN(11), term: Term(1)))
    for _ in 0..<256 { _ = applier.step(part(12, more: true), now: at(1)) }
    #expect(refusal(applier, part(12, more: true, bytes: 1)) == .logGap)
  }

  @Test func retriesWaitLongerAndLonger() {
    var applier = Applier()
    _ = applier.step(.attach(place(7400)), now: at(0))
    var waits: [UInt64] = []
    var now = at(0)
    for _ in 0..<9 {
      let actions = applier.step(.linkLost("refused"), now: now)
      guard case .scheduleRetry(let tick)? = actions.last else {
        Issue.record("\(actions)")
        return
      }
      waits.append(tick.since(now))
      #expect(applier.step(.tick, now: at(tick.milliseconds - 1)) == [])
      #expect(applier.step(.tick, now: tick) == [.connect(place(7400))])
      now = tick
    }
    #expect(waits == [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000])
  }

  @Test func silenceEndsTheLinkAndAnAckGoesOutBeforeTheLeaseEnds() {
    var applier = Self.begun(Self.partial)
    #expect(applier.step(.tick, now: at(249)) == [])
    #expect(applier.step(.tick, now: at(250)) == [.sendAck(Ack(durableLSN: LSN(10), appliedLSN: LSN(10)))])
    #expect(refusal(applier, .tick) == nil)
    let actions = applier.step(.tick, now: at(30_001))
    guard case .closeLink(let error)? = actions.first else {
      Issue.record("\(actions)")
      return
    }
    #expect(error.code == .timeout)
    var connecting = Applier()
    _ = connecting.step(.attach(place(7400)), now: at(0))
    #expect(connecting.step(.tick, now: at(10_000)) == [])
    #expect(connecting.step(.tick, now: at(10_001)).count == 2)
  }

  @Test func detachingEndsEverything() {
    var applier = Self.begun(Self.partial)
    let actions = applier.step(.detach, now: at(5))
    #expect(actions == [.closeLink(ReplicationError(.detached, "this node follows no master any more"))])
    #expect(applier.upstream.isEmpty && applier.masterID == nil)
    #expect(applier.step(.tick, now: at(100_000)) == [] && applier.step(.linkLost("late"), now: at(5)) == [])
    #expect(applier.step(Self.log(11, 12), now: at(6)) == [])
  }

  @Test func listsAndDigestsArePassedOn() {
    var applier = Self.begun(Self.partial)
    let list = SlaveList(revision: 3, slaves: [])
    #expect(applier.step(Self.frame(.slaveList, .slaveList(list)), now: at(1)) == [.slaveListChanged(list)])
    let digest = Digest(lsn: LSN(10), ranges: [])
    #expect(applier.step(Self.frame(.digest, .digest(digest)), now: at(1)) == [])
  }

  @Test func aCutFullSyncAsksToGoOn() {
    var applier = Self.begun(Self.full)
    _ = applier.step(Self.frame(.fileChunk, first: 8, last: 0, bytes: 60), now: at(1))
    _ = applier.step(.fileStored(number: 8, bytes: 60), now: at(2))
    _ = applier.step(.linkLost("cut"), now: at(3))
    _ = applier.step(.tick, now: at(500))
    _ = applier.step(.connected(Self.facts()), now: at(500))
    let actions = applier.step(.registerReply(Self.master()), now: at(500))
    guard case .sendSync(let request)? = actions.first else {
      Issue.record("\(actions)")
      return
    }
    #expect(request.resume == ResumeState(snapshot: SnapshotID(5), files: [.init(number: 8, bytes: 60)]))
  }

  /// The log that a cut full sync staged may be another master's: then it is not gone on with.
  @Test func stagedLogIsGoneOnWithOnlyIfTheMasterHoldsIt() {
    func again(_ history: TermHistory) -> [ApplierAction] {
      var applier = Self.begun(Self.full)
      for file in Self.manifest.files {
        _ = applier.step(Self.frame(.fileChunk, first: file.number, last: 0, bytes: Int(file.bytes)), now: at(1))
        _ = applier.step(.fileStored(number: file.number, bytes: file.bytes), now: at(1))
        let done = FileDone(snapshot: SnapshotID(5), checksum: file.checksum)
        _ = applier.step(
          Self.frame(.fileDone, .fileDone(done), first: file.number, last: file.bytes), now: at(1))
        _ = applier.step(.fileVerified(number: file.number, isGood: true), now: at(1))
      }
      _ = applier.step(Self.log(11, 16, term: 2), now: at(2))
      _ = applier.step(.durableAdvanced(LSN(16)), now: at(2))
      _ = applier.step(.linkLost("cut"), now: at(3))
      _ = applier.step(.tick, now: at(500))
      _ = applier.step(.connected(Self.facts()), now: at(500))
      let asked = applier.step(.registerReply(Self.master()), now: at(500))
      guard case .sendSync(let request)? = asked.first, request.resume?.stagedLSN == LSN(16) else {
        Issue.record("\(asked)")
        return []
      }
      var begin = Self.full
      begin.startLSN = LSN(17)
      begin.history = history
      _ = applier.step(.syncReply(Self.reply(begin)), now: at(500))
      _ = applier.step(Self.frame(.syncBegin, .syncBegin(begin), term: 3), now: at(500))
      return applier.step(Self.frame(.fileManifest, .fileManifest(Self.manifest), term: 3), now: at(500))
    }
    guard case .beginSnapshot(_, _, let keep)? = again(terms((1, 1), (2, 15))).first else {
      Issue.record("the log was not gone on with")
      return
    }
    #expect(keep?.stagedLSN == LSN(16))
    guard case .closeLink(let error)? = again(terms((1, 1), (3, 15))).first else {
      Issue.record("the log of another history was gone on with")
      return
    }
    #expect(error.code == .planMismatch)
  }
}
