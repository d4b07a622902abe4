import Core
import Testing

@testable import Replication

/// Arbitrary but well-formed frames, replies and arguments in every state: an error or an action, never a trap.
@Suite struct StateFuzzTests {
  static func number(_ rng: inout Seeded) -> UInt64 {
    [0, 1, 3, 8, 9, 10, 11, 12, 20, 50, 99, 100, 1 << 31, 1 << 62, 1 << 63, .max - 1, .max].randomElement(using: &rng)
      ?? 0
  }
  static func history(_ rng: inout Seeded) -> TermHistory {
    [terms((1, 1)), terms((1, 1), (2, 15)), terms((.max, .max)), TermHistory()].randomElement(using: &rng)
      ?? TermHistory()
  }

  @Test(arguments: 0..<20 as Range<UInt64>) func theApplierSurvivesAnyMaster(seed: UInt64) {
    var rng = Seeded(seed)
    func n() -> UInt64 { Self.number(&rng) }
    for _ in 0..<100 {
      var applier = [
        ApplierTests.begun(ApplierTests.partial), ApplierTests.begun(ApplierTests.full), Applier(),
        ApplierTests.begun(DeltaTests.begin),
        ApplierTests.begun(ApplierTests.partial, facts: LocalFacts(id: node(1), address: place(1))),
      ].randomElement(using: &rng)!
      var now = at(1)
      for _ in 0..<30 {
        now = now.advanced(by: UInt64.random(in: 0...300, using: &rng))
        let manifest = FileManifest(
          snapshot: SnapshotID(n()),
          files: (0..<3).map { .init(number: UInt64($0), kind: .data, bytes: n() >> 3, lastLSN: LSN(n())) })
        let begin = SyncBegin(
          mode: SyncMode.allCases.randomElement(using: &rng)!, snapshot: SnapshotID(n()), startLSN: LSN(max(1, n())),
          barrierLSN: LSN(n()), lineage: node(9), fileCount: 3, fileBytes: manifest.totalBytes, logBytes: n(),
          history: Self.history(&rng))
        let header = FrameHeader(
          type: .log, bodyBytes: Int(n() & 0xFFFF) + 1, term: Term(UInt32(truncatingIfNeeded: n())), firstLSN: LSN(n()),
          lastLSN: LSN(n()), committedLSN: LSN(n()), masterClock: wall(n()))
        func frame(_ type: FrameType, _ body: FrameBody) -> ApplierEvent {
          var typed = header
          typed.type = type
          if type == .log, Bool.random(using: &rng), case .receivingLog(let log) = applier.state {
            typed.firstLSN = log.check.nextLSN
            typed.lastLSN = LSN(log.check.nextLSN.value &+ (n() & 7))
            typed.isContinued = typed.firstLSN == typed.lastLSN && Bool.random(using: &rng)
          }
          if type == .delta, Bool.random(using: &rng), case .receivingDelta(let delta) = applier.state {
            typed.firstLSN = delta.partLSN ?? LSN(delta.check.lastLSN.value &+ 1 &+ (n() & 3))
            typed.lastLSN = LSN(typed.firstLSN.value &+ (n() & 7))
            typed.term = delta.check.term
            typed.committedLSN = LSN(1 << 40)
            typed.isContinued = typed.firstLSN == typed.lastLSN && Bool.random(using: &rng)
          }
          return .frame(typed, body)
        }
        let event: ApplierEvent =
          switch Int.random(in: 0..<24, using: &rng) {
          case 19:
            frame(
              .handover,
              .handover(
                HandoverOrder(term: Term(UInt32(n() & 7)), masterID: node(100), lastLSN: LSN(n()), isForced: true)))
          case 20: .voted(reign(UInt32(n() & 7), of: UInt8(n() & 3)))
          case 21: .rewound(ApplierTests.facts { $0.durableLSN = LSN(n()) })
          case 22:
            .connected(
              RewindTests.facts {
                $0.durableLSN = LSN(n())
                $0.appliedLSN = LSN(min(n(), $0.durableLSN.value))
                $0.history = Self.history(&rng)
              })
          case 23: .syncReply(RewindTests.reply(to: n() >> 1) { $0.mode = begin.mode })
          case 16: frame(.delta, .bulk)
          case 17:
            frame(
              .deltaEnd,
              .deltaEnd(
                DeltaEnd(
                  barrierLSN: LSN(n()), term: Term(2), records: n(), bytes: n(), checksum: 0,
                  history: Self.history(&rng))))
          case 18:
            if case .receivingDelta(let delta) = applier.state {
              .deltaStaged(StagedDelta(records: n(), bytes: delta.receivedBytes, checksum: 0))
            } else if case .installingDelta(_, let end) = applier.state {
              .deltaInstalled(barrierLSN: end.barrierLSN)
            } else {
              .tick
            }
          case 0: frame(.syncBegin, .syncBegin(begin))
          case 1: frame(.fileManifest, .fileManifest(manifest))
          case 2: frame(.fileChunk, .bulk)
          case 3: frame(.fileDone, .fileDone(FileDone(snapshot: SnapshotID(n()))))
          case 4, 5, 6: frame(.log, .bulk)
          case 7: frame(.syncEnd, .syncEnd(SyncEnd(snapshot: SnapshotID(n()), barrierLSN: LSN(n()))))
          case 8: frame(.heartbeat, .empty)
          case 9: frame(.ack, .ack(Ack(durableLSN: LSN(n()), appliedLSN: .none)))
          case 10: frame(.digest, .digest(Digest(lsn: LSN(n()), ranges: [])))
          case 11: .syncReply(ApplierTests.reply(begin))
          case 12: .registerReply(ApplierTests.master { $0.history = Self.history(&rng) })
          case 13: .connected(ApplierTests.facts { $0.durableLSN = LSN(10) })
          case 14: .tick
          case _: .refused("\(n())\r\n")
          }
        for action in applier.step(event, now: now) {
          if case .writeChunk(_, let offset, let bytes) = action { #expect(offset + UInt64(bytes) <= 100) }
        }
      }
    }
  }

  @Test(arguments: 0..<20 as Range<UInt64>) func argumentsFromAnybodyGiveAnErrorOrARequest(seed: UInt64) {
    var rng = Seeded(seed)
    let samples = [ArgumentsTests.register.arguments, ArgumentsTests.sync.arguments]
    let odd = [
      "", "-", "none", ",", ":", "1:", ":1", "=", "@", "/", "18446744073709551615", "\u{0}", "é", "1:1,1:1", "yes",
      "0x1", "+1", " 1",
    ]
    for _ in 0..<500 {
      var arguments = samples.randomElement(using: &rng)!
      for _ in 0..<Int.random(in: 1...3, using: &rng) where !arguments.isEmpty {
        let index = Int.random(in: 0..<arguments.count, using: &rng)
        switch Int.random(in: 0..<4, using: &rng) {
        case 0: arguments[index] = odd.randomElement(using: &rng)!
        case 1: arguments[index] += odd.randomElement(using: &rng)!
        case 2: arguments.remove(at: index)
        case _: arguments.swapAt(index, arguments.count - 1)
        }
      }
      _ = try? RegisterRequest(parsing: arguments)
      _ = try? RegisterReply(parsing: arguments)
      _ = try? SyncReply(parsing: arguments)
      guard let sync = try? SyncRequest(parsing: arguments) else { continue }
      var input = PlannerTests.input()
      input.slavePosition = sync.position
      input.slaveHistory = sync.history
      input.slaveLineage = sync.lineage
      input.resume = sync.resume
      _ = SyncPlanner.plan(input).lines
    }
  }

  @Test(arguments: 0..<15 as Range<UInt64>) func theRelayNeverBelievesMoreThanItSent(seed: UInt64) {
    var rng = Seeded(seed)
    for _ in 0..<100 {
      var relay = Relay(
        config: RelayTests.config { $0.syncBytesPerSecond = Bool.random(using: &rng) ? 1000 : 0 }, now: at(0))
      _ = relay.step(
        .start(Bool.random(using: &rng) ? RelayTests.full([8: Self.number(&rng)]) : RelayPlan(begin: RelayTests.begin)),
        now: at(0))
      var now = at(0)
      for _ in 0..<30 {
        now = now.advanced(by: UInt64.random(in: 0...2000, using: &rng))
        let lsn = Self.number(&rng)
        let event: RelayEvent =
          switch Int.random(in: 0..<4, using: &rng) {
          case 0: .logAdvanced(last: LSN(min(lsn, 1 << 62)), committed: LSN(lsn), term: Term(1), masterClock: wall(lsn))
          case 1: .tick(masterClock: wall(lsn))
          case 2:
            .acked(
              Ack(
                durableLSN: LSN(lsn), appliedLSN: LSN(min(lsn, Self.number(&rng))), fileBytes: Self.number(&rng) & 0xFF)
            )
          case _: .rateChanged(bytesPerSecond: lsn)
          }
        _ = relay.step(event, now: now)
        #expect(relay.ack.durableLSN <= relay.sentLSN && relay.ack.fileBytes <= relay.sentFileBytes)
        _ = relay.progress
        _ = relay.inFlightBytes
      }
    }
  }
}
