import Core
import Testing

@testable import Replication

@Suite struct BodyTests {
  @Test func everyBodyComesBackAsItWasWritten() throws {
    let begin = SyncBegin(
      mode: .full, snapshot: SnapshotID(77), startLSN: LSN(101), barrierLSN: LSN(120), lineage: node(9), fileCount: 2,
      fileBytes: 300, logBytes: 40, history: terms((1, 1), (4, 60)))
    #expect(try SyncBegin.decode(begin.encoded()) == begin)
    var owners = begin
    owners.history = TermHistory([.init(reign(1), firstLSN: LSN(1)), .init(reign(4, of: 3), firstLSN: LSN(60))])!
    #expect(try SyncBegin.decode(owners.encoded()) == owners && owners != begin)
    owners.history = TermHistory((1...2500).map { .init(reign(UInt32($0), of: UInt8($0 & 7)), firstLSN: LSN($0)) })!
    #expect(owners.encoded().count <= FrameLimits.controlBodyBytesMax)
    #expect(try SyncBegin.decode(owners.encoded()).history.entries == owners.history.entries.suffix(2000))
    var told = begin
    told.tombstonesFrom = LSN(55)
    #expect(try SyncBegin.decode(told.encoded()) == told && told.encoded().count == begin.encoded().count + 8)
    for cut in 1..<8 {
      #expect(throws: FrameError.self) { try SyncBegin.decode(Array(told.encoded().dropLast(cut))) }
    }
    let manifest = FileManifest(
      snapshot: SnapshotID(77),
      files: [
        .init(number: 3, kind: .data, bytes: 100, firstLSN: LSN(1), lastLSN: LSN(50), checksum: 0),
        .init(number: 2, kind: .index, bytes: 200),
      ])
    #expect(try FileManifest.decode(manifest.encoded()) == manifest)
    #expect(try FileDone.decode(FileDone(snapshot: SnapshotID(7)).encoded()) == FileDone(snapshot: SnapshotID(7)))
    let end = SyncEnd(snapshot: SnapshotID(1), barrierLSN: LSN(2))
    #expect(try SyncEnd.decode(end.encoded()) == end)
    let deltaEnd = DeltaEnd(
      barrierLSN: LSN(20), term: Term(4), records: 3, bytes: 300, checksum: 9, history: terms((1, 1), (4, 15)))
    #expect(try DeltaEnd.decode(deltaEnd.encoded()) == deltaEnd)
    let none = DeltaEnd(barrierLSN: .none, term: .none, records: 0, bytes: 0, checksum: 0, history: TermHistory())
    #expect(try DeltaEnd.decode(none.encoded()) == none)
    let ack = Ack(durableLSN: LSN(9), appliedLSN: LSN(8), appliedClock: wall(5), fileBytes: 6, heardClock: wall(7))
    #expect(try Ack.decode(ack.encoded()) == ack)
    let list = SlaveList(
      revision: 4,
      slaves: [
        .init(id: node(1), address: place(7401), state: .syncing, durableLSN: LSN(1), appliedLSN: LSN(0)),
        .init(
          id: node(2), address: NodeAddress(host: "::1", port: 9)!, state: .disconnected, durableLSN: LSN(0),
          appliedLSN: LSN(0)),
      ])
    #expect(try SlaveList.decode(list.encoded()) == list)
    let digest = Digest(
      lsn: LSN(5), ranges: [.init(id: .init(database: 1, table: 2), sum: .max, liveRecords: 3)])
    #expect(try Digest.decode(digest.encoded(), at: LSN(5)) == digest)
    let plan = NeedPlan(logAvailableFrom: LSN(8), code: "PINLOST", reason: "why")
    #expect(try NeedPlan.decode(plan.encoded()) == plan)
    let error = ErrorBody(ReplicationError(.badAck, "two\r\nlines"))
    #expect(try ErrorBody.decode(error.encoded()) == ErrorBody(code: "BADACK", message: "two??lines"))
  }

  @Test func everyShortenedBodyIsRefused() {
    let bodies: [(FrameType, [UInt8])] = [
      (
        .syncBegin,
        SyncBegin(mode: .full, startLSN: LSN(1), barrierLSN: LSN(1), lineage: node(9), history: terms((1, 1))).encoded()
      ),
      (
        .fileManifest, FileManifest(snapshot: SnapshotID(7), files: [.init(number: 3, kind: .data, bytes: 1)]).encoded()
      ),
      (.fileDone, FileDone(snapshot: SnapshotID(7)).encoded()),
      (.syncEnd, SyncEnd(snapshot: .none, barrierLSN: LSN(1)).encoded()),
      (
        .deltaEnd,
        DeltaEnd(barrierLSN: LSN(3), term: Term(1), records: 1, bytes: 2, checksum: 4, history: terms((1, 1)))
          .encoded()
      ),
      (.ack, Ack(durableLSN: LSN(9), appliedLSN: LSN(8)).encoded()),
      (
        .digest,
        Digest(lsn: LSN(0), ranges: [.init(id: .init(database: 1, table: 2), sum: 1, liveRecords: 3)]).encoded()
      ),
    ]
    for (type, body) in bodies {
      for end in 0..<body.count {
        #expect(throws: FrameError.self) { try FrameBody.decode(FrameHeader(type: type), Array(body[0..<end])) }
      }
      #expect(throws: FrameError.self) { try FrameBody.decode(FrameHeader(type: type), body + [0]) }
      #expect(throws: Never.self) { try FrameBody.decode(FrameHeader(type: type), body) }
    }
  }

  @Test func hostileManifestsAreRefused() {
    func refused(_ files: [FileManifest.File], _ change: (inout [UInt8]) -> Void = { _ in }) -> Bool {
      var body = FileManifest(snapshot: SnapshotID(7), files: files).encoded()
      change(&body)
      do {
        _ = try FileManifest.decode(body)
        return false
      } catch { return error.code == .badBody }
    }
    let file = FileManifest.File(number: 1, kind: .data, bytes: 10)
    #expect(!refused([file]))
    #expect(refused([file, file]))  // the same number twice
    #expect(refused([.init(number: 1, kind: .data, bytes: .max)]))  // size -1
    #expect(refused([.init(number: 1, kind: .data, bytes: 1 << 63)]))
    #expect(refused([.init(number: 1, kind: .data, bytes: 1 << 62), .init(number: 2, kind: .data, bytes: 1 << 62)]))
    #expect(refused([.init(number: 1, kind: .data, bytes: 1, firstLSN: LSN(5), lastLSN: LSN(4))]))
    #expect(refused([file]) { put32(1_000_000, at: 9, &$0) })  // a million files announced in 38 bytes
    #expect(refused([file]) { put32(.max, at: 9, &$0) })
    #expect(refused([file]) { $0[21] = 9 })  // unknown kind
    #expect(refused([file]) { $0[22] = 2 })  // unknown flag
    #expect(refused([file]) { $0[0] = 2 })  // another version
  }

  @Test func deltaEndsThatContradictThemselvesAreRefused() {
    func isRefused(_ change: (inout DeltaEnd) -> Void) -> Bool {
      var end = DeltaEnd(
        barrierLSN: LSN(20), term: Term(2), records: 3, bytes: 300, checksum: 9, history: terms((1, 1), (2, 15)))
      change(&end)
      return (try? DeltaEnd.decode(end.encoded())) == nil
    }
    #expect(!isRefused { _ in })
    #expect(isRefused { $0.barrierLSN = LSN(14) })  // before a term that it names
    #expect(isRefused { $0.barrierLSN = LSN(.max) })
    #expect(isRefused { $0.term = Term(1) })
    #expect(isRefused { $0.history = TermHistory() })
    #expect(isRefused { $0.records = 0 })
    #expect(isRefused { $0.records = 301 })
    #expect(isRefused { $0.bytes = 0 })
  }

  @Test func listsThatAreNotSortedOrNameOneTwiceAreRefused() {
    let slave = SlaveList.Entry(id: node(2), address: place(1), state: .syncing, durableLSN: LSN(1), appliedLSN: LSN(0))
    #expect(throws: FrameError.self) { try SlaveList.decode(SlaveList(revision: 1, slaves: [slave, slave]).encoded()) }
    let range = Digest.Range(id: .init(database: 1, table: 1), sum: 1, liveRecords: 1)
    #expect(throws: FrameError.self) {
      try Digest.decode(Digest(lsn: LSN(1), ranges: [range, range]).encoded(), at: LSN(1))
    }
  }

  @Test func anAckThatAppliedMoreThanItHasIsRefused() {
    #expect(throws: FrameError.self) { try Ack.decode(Ack(durableLSN: LSN(1), appliedLSN: LSN(2)).encoded()) }
  }

  @Test func aPeersTextCannotSplitAReply() {
    #expect(ReplicationError(.cycle, "a\r\n+OK").description == "CYCLE a??+OK")
    #expect(singleLine(String(repeating: "x", count: 5000)).utf8.count < 120)
  }

  @Test func aSlaveListNamesTheMasterAndTheVotersAndVersion1IsStillRead() throws {
    var list = SlaveList(
      revision: 3, master: .init(id: node(100), address: place(7400), isVoter: true),
      slaves: [
        .init(
          id: node(1), address: place(7401), state: .streaming, isVoter: true, durableLSN: LSN(9), appliedLSN: LSN(8))
      ])
    #expect(try SlaveList.decode(list.encoded()) == list)
    let bytes = list.encoded()
    for index in [9, 9 + 1 + 20 + 10 + 2, bytes.count - 17] {
      var bad = bytes
      bad[index] = 2  // a flag that is none
      #expect(throws: FrameError.self, "at \(index)") { try SlaveList.decode(bad) }
    }
    list.master = nil
    list.slaves[0].isVoter = false
    let first: [UInt8] =
      [1, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0] + [UInt8](repeating: 1, count: 20) + [8, 0] + Array("10.0.0.1".utf8)
      + [0xE9, 0x1C, 3, 9, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]
    #expect(try SlaveList.decode(first) == list)
  }
}
