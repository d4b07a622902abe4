import Core
import Testing

@testable import Replication

@Suite struct RelayTests {
  static let begin = SyncBegin(
    mode: .partial, startLSN: LSN(11), barrierLSN: LSN(20), lineage: node(9), history: terms((1, 1)))
  static func full(_ held: [UInt64: UInt64] = [:]) -> RelayPlan {
    let manifest = FileManifest(
      snapshot: SnapshotID(5),
      files: [.init(number: 8, kind: .data, bytes: 100), .init(number: 3, kind: .data, bytes: 50, lastLSN: LSN(10))])
    return RelayPlan(
      begin: SyncBegin(
        mode: .full, snapshot: SnapshotID(5), startLSN: LSN(11), barrierLSN: LSN(20), lineage: node(9), fileCount: 2,
        fileBytes: 150, history: terms((1, 1))),
      manifest: manifest, held: held)
  }
  static func config(_ change: (inout RelayConfig) -> Void = { _ in }) -> RelayConfig {
    var config = RelayConfig()
    config.readBytesMax = 64
    change(&config)
    return config
  }
  static func log(_ last: UInt64, committed: UInt64? = nil) -> RelayEvent {
    .logAdvanced(last: LSN(last), committed: LSN(committed ?? last), term: Term(1), masterClock: wall(500))
  }
  static func head(_ type: FrameType, bytes: Int = 0, first: UInt64 = 0, last: UInt64 = 0, committed: UInt64 = 20)
    -> FrameHeader
  {
    FrameHeader(
      type: type, bodyBytes: bytes, term: Term(1), firstLSN: LSN(first), lastLSN: LSN(last),
      committedLSN: LSN(committed),
      masterClock: wall(500))
  }
  func closed(_ relay: Relay) -> ReplicationError.Code? {
    guard case .closed(let error) = relay.state else { return nil }
    return error.code
  }

  @Test func aPartialSyncIsLogThenTheEndThenTheStream() {
    var relay = Relay(config: Self.config(), now: at(0))
    #expect(relay.step(Self.log(20), now: at(0)) == [])
    let body = Self.begin.encoded()
    #expect(
      relay.step(.start(RelayPlan(begin: Self.begin)), now: at(0)) == [
        .sendControl(Self.head(.syncBegin, bytes: body.count), body), .readLog(from: LSN(11), bytesMax: 64),
      ])
    #expect(
      relay.step(.logRead(firstLSN: LSN(11), lastLSN: LSN(15), term: Term(1), bytes: 60), now: at(1)) == [
        .sendRead(Self.head(.log, bytes: 60, first: 11, last: 15)), .sent(upTo: LSN(15), fileBytes: 0),
        .readLog(from: LSN(16), bytesMax: 64),
      ])
    let end = SyncEnd(snapshot: .none, barrierLSN: LSN(20)).encoded()
    #expect(
      relay.step(.logRead(firstLSN: LSN(16), lastLSN: LSN(20), term: Term(1), bytes: 60), now: at(2)) == [
        .sendRead(Self.head(.log, bytes: 60, first: 16, last: 20)), .sent(upTo: LSN(20), fileBytes: 0),
        .sendControl(Self.head(.syncEnd, bytes: end.count), end),
        .progress(SyncProgress(bytesDone: 0, bytesTotal: 0, etaMilliseconds: 0)), .streaming,
      ])
    #expect(relay.state == .streaming(next: LSN(21)))
    #expect(relay.step(Self.log(22), now: at(3)) == [.readLog(from: LSN(21), bytesMax: 64)])
    // Only one read at a time.
    #expect(relay.step(Self.log(23), now: at(3)) == [])
  }

  @Test func filesGoFirstInTheManifestsOrderAndHeldBytesAreSkipped() {
    var relay = Relay(config: Self.config(), now: at(0))
    let plan = Self.full([8: 90])
    _ = relay.step(Self.log(10, committed: 20), now: at(0))
    let start = relay.step(.start(plan), now: at(0))
    #expect(start.count == 3 && start[2] == .readFile(number: 8, offset: 90, bytes: 10))
    let done = FileDone(snapshot: SnapshotID(5)).encoded()
    #expect(
      relay.step(.fileRead(number: 8, offset: 90, bytes: 10), now: at(1)) == [
        .sendRead(
          .fileChunk(number: 8, offset: 90, bytes: 10, term: Term(1), committedLSN: LSN(20), masterClock: wall(500))),
        .sent(upTo: .none, fileBytes: 100), .sendControl(Self.head(.fileDone, first: 8, last: 100), done),
        .readFile(number: 3, offset: 0, bytes: 50),
      ])
    #expect(
      relay.step(.fileRead(number: 3, offset: 0, bytes: 50), now: at(1)).dropFirst() == [
        .sent(upTo: .none, fileBytes: 150), .sendControl(Self.head(.fileDone, first: 3, last: 50), done),
        .sent(upTo: LSN(10), fileBytes: 150), .sendControl(Self.head(.heartbeat, last: 10), []),
      ])
    #expect(relay.state == .sendingLog(next: LSN(11)))
  }

  @Test func theFilesAreReleasedWhenTheSlaveHasSwappedThemIn() {
    var relay = Relay(config: Self.config(), now: at(0))
    _ = relay.step(.start(Self.full([8: 100, 3: 50])), now: at(0))
    _ = relay.step(Self.log(20), now: at(0))
    _ = relay.step(.logRead(firstLSN: LSN(11), lastLSN: LSN(20), term: Term(1), bytes: 60), now: at(0))
    #expect(relay.step(.acked(Ack(durableLSN: LSN(20), appliedLSN: .none, fileBytes: 150)), now: at(1)) == [])
    #expect(
      relay.step(.acked(Ack(durableLSN: LSN(20), appliedLSN: LSN(20), fileBytes: 150)), now: at(1)) == [
        .releaseFiles(SnapshotID(5))
      ])
  }

  @Test func aSlowSlaveWaitsAtTheWindowAndIsNotClosed() {
    var relay = Relay(config: Self.config { $0.windowBytesMax = 100 }, now: at(0))
    _ = relay.step(.start(RelayPlan(begin: Self.begin)), now: at(0))
    #expect(relay.step(Self.log(50), now: at(0)) == [.readLog(from: LSN(11), bytesMax: 64)])
    _ = relay.step(.logRead(firstLSN: LSN(11), lastLSN: LSN(15), term: Term(1), bytes: 60), now: at(0))
    let full = relay.step(.logRead(firstLSN: LSN(16), lastLSN: LSN(19), term: Term(1), bytes: 60), now: at(0))
    #expect(
      full == [
        .sendRead(Self.head(.log, bytes: 60, first: 16, last: 19, committed: 50)), .sent(upTo: LSN(19), fileBytes: 0),
      ])
    #expect(relay.inFlightBytes == 120)
    // An hour of acks that say nothing new: it stays, with a heartbeat a second.
    for second in UInt64(1)...3600 {
      #expect(relay.step(.acked(Ack(durableLSN: LSN(10), appliedLSN: LSN(10))), now: at(second * 1000)).count == 1)
    }
    #expect(
      relay.step(.acked(Ack(durableLSN: LSN(19), appliedLSN: LSN(10))), now: at(3_600_001)) == [
        .readLog(from: LSN(20), bytesMax: 64)
      ])
    #expect(relay.inFlightBytes == 0)
  }

  @Test func aFullSocketStopsReads() {
    var relay = Relay(config: Self.config(), now: at(0))
    _ = relay.step(.start(RelayPlan(begin: Self.begin)), now: at(0))
    _ = relay.step(.writable(false), now: at(0))
    #expect(relay.step(Self.log(30, committed: 0), now: at(0)) == [])
    #expect(relay.step(.writable(true), now: at(1)) == [.readLog(from: LSN(11), bytesMax: 64)])
  }

  @Test func aSilentSlaveIsClosedAfterTheTimeout() {
    var relay = Relay(config: Self.config(), now: at(0))
    _ = relay.step(.start(RelayPlan(begin: Self.begin)), now: at(0))
    _ = relay.step(.tick(masterClock: wall(1)), now: at(30_000))
    #expect(closed(relay) == nil)
    let actions = relay.step(.tick(masterClock: wall(1)), now: at(30_001))
    guard case .sendControl(let header, _)? = actions.first, case .close(let error)? = actions.last else {
      Issue.record("\(actions)")
      return
    }
    #expect(header.type == .error && error.code == .timeout && closed(relay) == .timeout)
    #expect(relay.step(Self.log(30), now: at(30_002)) == [])
  }

  @Test func aCommitWithoutNewLogIsToldAtOnce() {
    var relay = Relay(config: Self.config(), now: at(0))
    _ = relay.step(.start(RelayPlan(begin: Self.begin)), now: at(0))
    _ = relay.step(Self.log(20, committed: 15), now: at(0))
    _ = relay.step(.logRead(firstLSN: LSN(11), lastLSN: LSN(20), term: Term(1), bytes: 60), now: at(0))
    #expect(
      relay.step(Self.log(20, committed: 18), now: at(1)) == [
        .sendControl(Self.head(.heartbeat, last: 20, committed: 18), [])
      ])
    #expect(relay.step(Self.log(20, committed: 18), now: at(2)) == [])
    #expect(
      relay.step(.tick(masterClock: wall(500)), now: at(1001)) == [
        .sendControl(Self.head(.heartbeat, last: 20, committed: 18), [])
      ])
  }

  @Test func acksAreNotBelievedBeyondWhatWasSent() {
    func code(_ ack: Ack, _ plan: RelayPlan) -> ReplicationError.Code? {
      var relay = Relay(config: Self.config(), now: at(0))
      _ = relay.step(.start(plan), now: at(0))
      _ = relay.step(.acked(ack), now: at(0))
      return closed(relay)
    }
    let partial = RelayPlan(begin: Self.begin)
    #expect(code(Ack(durableLSN: LSN(10), appliedLSN: LSN(10)), partial) == nil)
    #expect(code(Ack(durableLSN: LSN(11), appliedLSN: LSN(10)), partial) == .badAck)
    #expect(code(Ack(durableLSN: LSN(10), appliedLSN: LSN(10), fileBytes: 1), partial) == .badAck)
    #expect(code(Ack(durableLSN: LSN(1), appliedLSN: .none), Self.full()) == .badAck)
    #expect(code(Ack(durableLSN: .none, appliedLSN: .none, fileBytes: 1), Self.full()) == .badAck)
    #expect(code(Ack(durableLSN: .none, appliedLSN: .none, fileBytes: 90), Self.full([8: 90])) == nil)
  }

  @Test func theRateLimitHoldsForSyncAndNotForTheStream() {
    var relay = Relay(config: Self.config { $0.syncBytesPerSecond = 1000 }, now: at(0))
    _ = relay.step(.start(RelayPlan(begin: Self.begin)), now: at(0))
    _ = relay.step(Self.log(100), now: at(0))
    let slow = relay.step(.logRead(firstLSN: LSN(11), lastLSN: LSN(15), term: Term(1), bytes: 600), now: at(0))
    #expect(slow.last == .wake(at: at(501)))
    #expect(relay.step(.tick(masterClock: wall(500)), now: at(500)).last == .wake(at: at(501)))
    #expect(relay.step(.tick(masterClock: wall(500)), now: at(501)) == [.readLog(from: LSN(16), bytesMax: 64)])
    let fast = relay.step(.logRead(firstLSN: LSN(16), lastLSN: LSN(20), term: Term(1), bytes: 600), now: at(502))
    #expect(fast.last == .readLog(from: LSN(21), bytesMax: 64))
    #expect(
      relay.step(.logRead(firstLSN: LSN(21), lastLSN: LSN(30), term: Term(1), bytes: 6000), now: at(503)).last
        == .readLog(from: LSN(31), bytesMax: 64))
    #expect(relay.step(.rateChanged(bytesPerSecond: 5), now: at(503)) == [])
  }

  @Test func liveTrafficGoesBeforeFilesButNotForEver() {
    var relay = Relay(config: Self.config(), now: at(0))
    _ = relay.step(.liveTrafficWaiting(true), now: at(0))
    #expect(relay.step(.start(Self.full()), now: at(0)).last == .wake(at: at(100)))
    #expect(relay.step(.tick(masterClock: wall(0)), now: at(50)) == [.wake(at: at(100))])
    #expect(relay.step(.tick(masterClock: wall(0)), now: at(100)) == [.readFile(number: 8, offset: 0, bytes: 64)])
    #expect(relay.step(.fileRead(number: 8, offset: 0, bytes: 64), now: at(101)).last == .wake(at: at(200)))
    #expect(relay.step(.liveTrafficWaiting(false), now: at(102)) == [.readFile(number: 8, offset: 64, bytes: 36)])
  }

  @Test func aLogThatIsGoneAsksForANewPlan() {
    var relay = Relay(config: Self.config(), now: at(0))
    _ = relay.step(.start(RelayPlan(begin: Self.begin)), now: at(0))
    _ = relay.step(Self.log(100), now: at(0))
    let error = ReplicationError(.pinLost, "too far behind")
    let actions = relay.step(.logGone(availableFrom: LSN(50), error), now: at(1))
    let body = NeedPlan(logAvailableFrom: LSN(50), code: "PINLOST", reason: "too far behind").encoded()
    #expect(actions == [.sendControl(Self.head(.needPlan, bytes: body.count, committed: 100), body), .close(error)])
  }

  @Test func failuresCloseWithAFrameAndALostLinkWithout() {
    for event in [
      RelayEvent.readFailed(ReplicationError(.readFailed, "disk")), .peerFailed(ReplicationError(.badFrame, "x")),
    ] {
      var relay = Relay(config: Self.config(), now: at(0))
      _ = relay.step(.start(Self.full()), now: at(0))
      #expect(relay.step(event, now: at(0)).count == 2)
    }
    var relay = Relay(config: Self.config(), now: at(0))
    _ = relay.step(.start(Self.full()), now: at(0))
    #expect(relay.step(.linkLost, now: at(0)) == [])
    #expect(closed(relay) == .linkLost)
    // The read that was under way comes back to a closed relay.
    #expect(relay.step(.fileRead(number: 8, offset: 0, bytes: 64), now: at(1)) == [])
  }

  @Test func listsGoToEveryStreamDigestsOnlyToOnesInStep() {
    var relay = Relay(config: Self.config(), now: at(0))
    #expect(relay.step(.broadcast(.slaveList, [1], at: .none), now: at(0)) == [])
    _ = relay.step(.start(RelayPlan(begin: Self.begin)), now: at(0))
    #expect(relay.step(.broadcast(.digest, [1], at: LSN(10)), now: at(0)) == [])
    #expect(relay.step(.broadcast(.slaveList, [1], at: .none), now: at(0)).count == 1)
    _ = relay.step(Self.log(20), now: at(0))
    _ = relay.step(.logRead(firstLSN: LSN(11), lastLSN: LSN(20), term: Term(1), bytes: 60), now: at(0))
    #expect(
      relay.step(.broadcast(.digest, [1], at: LSN(10)), now: at(0)) == [
        .sendControl(Self.head(.digest, bytes: 1, first: 10, last: 10), [1])
      ])
  }

  @Test func progressHasDoneTotalRateAndTimeLeft() {
    var relay = Relay(config: Self.config(), now: at(0))
    _ = relay.step(.start(Self.full()), now: at(0))
    _ = relay.step(.fileRead(number: 8, offset: 0, bytes: 64), now: at(10))
    _ = relay.step(.acked(Ack(durableLSN: .none, appliedLSN: .none, fileBytes: 50)), now: at(20))
    let actions = relay.step(.tick(masterClock: wall(0)), now: at(1000))
    #expect(
      actions.first
        == .progress(SyncProgress(bytesDone: 50, bytesTotal: 150, bytesPerSecond: 50, etaMilliseconds: 2000)))
  }
}
