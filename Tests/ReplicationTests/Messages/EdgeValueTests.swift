import Core
import Testing

@testable import Replication

/// Every field of every message with numbers at their edges: each is read as what it is, or refused; and what was read is
/// safe to calculate with.
@Suite struct EdgeValueTests {
  static let numbers: [UInt64] = [
    0, 1, 2, 1 << 31 - 1, 1 << 31, 1 << 32 - 2, 1 << 32 - 1, 1 << 32, 4_000_000_000, 4_000_000_001, 1 << 62,
    1 << 62 + 1,
    1 << 63 - 1, 1 << 63, .max - 1, .max, 253_402_300_799_999, 253_402_300_800_000,
  ]
  static let texts: [String] =
    numbers.map(String.init) + [
      "-1", "", " ", "x", "1.5", "1e9", "+1", "0x10", "18446744073709551616", "99999999999999999999999",
    ]
    + numbers.flatMap { ["\($0):1", "1:\($0)", "\($0):\($0)"] } + ["none", "yes", "no", ":", "1:", ":1", "1:1:1"]
    + ["4294967295:1@" + String(repeating: "ab", count: 20), "1:1,4294967295:9223372036854775808"]

  private let id = NodeID(random: [UInt8](repeating: 7, count: 20))
  private let other = NodeID(random: [UInt8](repeating: 9, count: 20))
  private let lineage = NodeID(random: [UInt8](repeating: 3, count: 20))
  private let address = NodeAddress(host: "h", port: 7400)!
  private var position: Position { Position(Reign(term: Term(3), owner: id), lsn: LSN(40)) }
  private var history: TermHistory { TermHistory([.init(Reign(term: Term(3), owner: id), firstLSN: LSN(1))])! }

  /// Calls `body` with the arguments, one value after the other replaced by each edge.
  private func walk(_ arguments: [String], _ body: ([String]) throws -> Void) {
    for index in stride(from: 2, to: arguments.count, by: 2) {
      for text in Self.texts {
        var changed = arguments
        changed[index] = text
        do { try body(changed) } catch let error as ReplicationError {
          #expect(!error.description.isEmpty)
        } catch {
          Issue.record("\(error) for \(changed[index - 1]) = \(text)")
        }
      }
    }
  }

  @Test func aRegistrationWithEdgesIsAnsweredAndChangesNoTerm() {
    let request = RegisterRequest(
      id: other, address: NodeAddress(host: "g", port: 7401)!, hasData: true, last: position, chain: [],
      lineage: lineage, knownReign: position.reign)
    walk(request.arguments) { arguments in
      let parsed = try RegisterRequest(parsing: arguments)
      var registry = Registry(config: RegistryConfig(ownID: id), now: Tick(milliseconds: 5))
      let facts = MasterFacts(
        address: address, reign: position.reign, last: position, history: history, lineage: lineage, hasData: true)
      _ = registry.step(.register(LinkID(1), parsed, facts), now: Tick(milliseconds: 5))
      _ = registry.encoded(now: Tick(milliseconds: 6))
      #expect(parsed.knownReign.term.isWithinLimit && parsed.last.lsn <= LSN.limit)
    }
  }

  @Test func theReplyToARegistration() {
    let reply = RegisterReply(
      id: id, address: address, reign: position.reign, last: position, history: history, lineage: lineage,
      hasData: true,
      capabilities: .all, slaves: [.init(id: other, address: address)])
    walk(reply.elements) { elements in
      let parsed = try RegisterReply(parsing: elements)
      var applier = Applier()
      var local = LocalFacts(id: other, address: NodeAddress(host: "g", port: 7401)!)
      local.history = history
      local.durableLSN = LSN(30)
      local.lineage = lineage
      _ = applier.step(.attach(address), now: Tick(milliseconds: 1))
      _ = applier.step(.connected(local), now: Tick(milliseconds: 2))
      _ = applier.step(.registerReply(parsed), now: Tick(milliseconds: 3))
    }
  }

  @Test func syncRequestsAndReplies() {
    let request = SyncRequest(
      id: other, position: position, history: history, lineage: lineage,
      resume: ResumeState(snapshot: SnapshotID(5), stagedLSN: LSN(4), files: []), rewindFloor: LSN(2))
    walk(request.arguments) { arguments in
      let parsed = try SyncRequest(parsing: arguments)
      var input = PlannerInput(masterLineage: lineage, manifest: FileManifest(snapshot: SnapshotID(5), files: []))
      (input.slavePosition, input.slaveHistory, input.slaveLineage) = (parsed.position, parsed.history, parsed.lineage)
      (input.masterHistory, input.masterLast, input.masterCommitted) = (history, LSN(50), LSN(50))
      (input.resume, input.slaveRewindFloor, input.isRewindNegotiated) = (parsed.resume, parsed.rewindFloor, true)
      (input.masterTerm, input.logRawFrom, input.logAfterFilesFrom) = (Term(3), LSN(1), LSN(1))
      _ = SyncPlanner.plan(input)
    }
    let reply = SyncReply(
      mode: .partial, startLSN: LSN(41), barrierLSN: LSN(50), rewindTo: LSN(40), term: Term(3), reason: "r")
    walk(reply.elements) { _ = try SyncReply(parsing: $0) }
  }

  @Test func votes() {
    let request = VoteRequest(term: Term(4), candidate: other, address: address, last: position, lineage: lineage)
    walk(request.arguments) { arguments in
      let parsed = try VoteRequest(parsing: arguments)
      let state = VoterState(id: id, lineage: lineage, knownTerm: Term(3), last: position, committedLSN: LSN(40))
      let answer = VoteRule.answer(parsed, state)
      if let vote = answer.voteToPersist { #expect(Term(3).isNear(vote.term)) }
      #expect(try VoteReply(parsing: answer.reply.elements) == answer.reply)
    }
    let reply = VoteReply(id: other, isGranted: true, term: Term(4), last: position, committedLSN: LSN(3), reason: "")
    walk(reply.elements) { _ = try VoteReply(parsing: $0) }
  }

  @Test func statesAndWhatAPromotionMakesOfThem() {
    let state = NodeState(
      id: other, address: address, role: .slave, lineage: lineage, reign: position.reign, votedTerm: Term(3),
      last: position, masterID: id, master: address, heardMilliseconds: 5)
    walk(state.elements) { elements in
      let parsed = try NodeState(parsing: elements)
      var promotion = Promotion()
      let facts = PromotionFacts(
        id: id, address: address, lineage: lineage, last: position, knownTerm: Term(3),
        nodes: [KnownNode(id: other, address: address, isVoter: true)], level: .async, isForced: true)
      _ = promotion.step(.start(facts), now: Tick(milliseconds: 1))
      for action in promotion.step(.stateAnswered(from: other, parsed), now: Tick(milliseconds: 2)) {
        if case .persistVote(let vote) = action { #expect(Term(3).isNear(vote.term.advanced())) }
      }
      _ = promotion.step(.tick, now: Tick(milliseconds: 9000))
    }
  }

  @Test func newsOfAMaster() {
    let news = NewMaster(term: Term(4), id: other, address: address, lineage: lineage, firstLSN: LSN(41))
    walk(news.arguments) { arguments in
      let parsed = try NewMaster(parsing: arguments)
      #expect(parsed.term.isWithinLimit)
      _ = NewMasterRule.answer(parsed, ownID: id, lineage: lineage, knownReign: position.reign, masterID: id)
    }
  }

  /// Every 4 and 8 bytes of every body, at every offset.
  @Test func bodiesOfFrames() {
    let begin = SyncBegin(
      mode: .full, snapshot: SnapshotID(5), startLSN: LSN(41), barrierLSN: LSN(50), lineage: lineage, fileCount: 1,
      fileBytes: 10, logBytes: 10, history: history, tombstonesFrom: LSN(2))
    let manifest = FileManifest(
      snapshot: SnapshotID(5),
      files: [.init(number: 4, kind: .data, bytes: 10, firstLSN: LSN(1), lastLSN: LSN(40), checksum: 3)])
    let list = SlaveList(
      revision: 4, master: .init(id: id, address: address),
      slaves: [.init(id: other, address: address, state: .streaming, durableLSN: LSN(4), appliedLSN: LSN(3))])
    let bodies: [(FrameType, [UInt8])] = [
      (.syncBegin, begin.encoded()), (.fileManifest, manifest.encoded()),
      (.fileDone, FileDone(snapshot: SnapshotID(5), checksum: 3).encoded()),
      (.syncEnd, SyncEnd(snapshot: SnapshotID(5), barrierLSN: LSN(50)).encoded()),
      (
        .deltaEnd,
        DeltaEnd(barrierLSN: LSN(50), term: Term(3), records: 1, bytes: 9, checksum: 1, history: history).encoded()
      ),
      (.ack, Ack(durableLSN: LSN(4), appliedLSN: LSN(3)).encoded()), (.slaveList, list.encoded()),
      (.needPlan, NeedPlan(logAvailableFrom: LSN(4), code: "c", reason: "r").encoded()),
      (.error, ErrorBody(code: "c", message: "m").encoded()),
      (.handover, HandoverOrder(term: Term(4), masterID: id, lastLSN: LSN(50)).encoded()),
      (.prove, ProofQuestion(number: 1, digestLSN: LSN(50), piece: LogPiece(after: LSN(40), upTo: LSN(50))).encoded()),
      (.proof, ProofAnswer(number: 1, shown: .log(7)).encoded()),
      (
        .digest,
        Digest(lsn: LSN(4), ranges: [.init(id: .init(database: 0, table: 1), sum: 3, liveRecords: 2)]).encoded()
      ),
    ]
    for (type, body) in bodies {
      for at in body.indices {
        for number in Self.numbers {
          for width in [4, 8] where at + width <= body.count {
            var changed = body
            for i in 0..<width { changed[at + i] = UInt8(truncatingIfNeeded: number >> (8 * i)) }
            let header = FrameHeader(type: type, bodyBytes: changed.count, firstLSN: LSN(1))
            guard let decoded = try? FrameBody.decode(header, changed) else { continue }
            if case .fileManifest(let manifest) = decoded { #expect(manifest.totalBytes <= OutsideNumber.limit) }
            if case .handover(let order) = decoded { #expect(order.term.isWithinLimit) }
            if case .prove(let question) = decoded {
              #expect(
                question.digestLSN <= LSN.limit
                  && question.piece.map { $0.last <= LSN.limit && $0.first <= $0.last } ?? true)
            }
            if case .ack(let ack) = decoded { #expect(ack.heardClock <= WallClock.limit) }
          }
        }
      }
    }
  }

  /// The same with the fields of headers; each is decoded, or refused with the reason.
  @Test func headersOfFrames() {
    for type in FrameType.allCases {
      for at in [24, 28, 32, 40, 48, 56] {
        for number in Self.numbers {
          var frame = FrameHeader(
            type: type, term: Term(3), firstLSN: LSN(41), lastLSN: LSN(41), committedLSN: LSN(40),
            masterClock: WallClock(milliseconds: 1_700_000_000_000)
          ).frame(body: type == .heartbeat ? [] : [UInt8](repeating: 1, count: Ack.byteCount))
          for i in 0..<(at < 32 ? 4 : 8) { frame[at + i] = UInt8(truncatingIfNeeded: number >> (8 * i)) }
          let checksum = CRC32C.checksum(Array(frame[8..<FrameHeader.byteCount]))
          for i in 0..<4 { frame[4 + i] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt32(i))) }
          var decoder = FrameDecoder()
          let header = frame.withUnsafeBytes { try? decoder.next($0)?.header }
          guard let header else { continue }
          #expect(
            header.term.isWithinLimit && header.masterClock <= WallClock.limit && header.committedLSN <= LSN.limit)
        }
      }
    }
  }

  @Test func termsStopAtTheEnd() {
    #expect(Term(.max).advanced() == Term(.max))
    #expect(Term(5).advanced(by: .max) == Term(.max))
    #expect(Term(outside: 4_294_967_295) == nil && Term(outside: 4_000_000_000) == Term.limit)
    #expect(Term(5).isNear(Term(5 + (1 << 20))) && !Term(5).isNear(Term(6 + (1 << 20))))
  }

  @Test func aPromotionThatHasNoTermLeftSaysWhatToDo() {
    var promotion = Promotion()
    let facts = PromotionFacts(
      id: id, address: address, lineage: lineage, last: position, knownTerm: Term.limit, nodes: [], level: .async,
      isForced: true)
    _ = promotion.step(.start(facts), now: Tick(milliseconds: 1))
    _ = promotion.step(.tick, now: Tick(milliseconds: 9000))
    guard case .refused(let why) = promotion.state else { return #expect(Bool(false), "\(promotion.state)") }
    #expect(why.contains("--forget-terms-above"))
  }
}
