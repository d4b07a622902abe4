import Core
import Testing

@testable import Replication

@Suite struct ArgumentsTests {
  static let register = RegisterRequest(
    id: node(1), address: place(7401), capabilities: [.lz4, .files], hasData: true, last: position(3, 99),
    chain: [node(2), node(3)], lineage: node(9), acceptDataLoss: true, knownReign: reign(4, of: 5), isVoter: true,
    givesUp: .dataSet(node(7)))
  static let sync = SyncRequest(
    id: node(1), position: position(3, 99), history: terms((1, 1), (3, 50)), lineage: node(9), mode: .partial,
    resume: ResumeState(
      snapshot: SnapshotID(0xabc), stagedLSN: LSN(7), files: [.init(number: 4, bytes: 100), .init(number: 2, bytes: 0)]),
    rewindFloor: LSN(42))

  @Test func requestsAndRepliesComeBackAsTheyWereWritten() throws {
    #expect(try RegisterRequest(parsing: Self.register.arguments) == Self.register)
    #expect(try SyncRequest(parsing: Self.sync.arguments) == Self.sync)
    let bare = SyncRequest(id: node(1), position: .none, history: TermHistory(), lineage: nil)
    #expect(try SyncRequest(parsing: bare.arguments) == bare)
    let reply = RegisterReply(
      id: node(4), address: NodeAddress(host: "::1", port: 7400)!, reign: reign(5, of: 4), last: position(5, 200),
      history: TermHistory([
        .init(reign(1), firstLSN: LSN(1)), .init(reign(3), firstLSN: LSN(7)),
        .init(reign(5, of: 4), firstLSN: LSN(150)),
      ])!, lineage: node(9), hasData: true, capabilities: .all, upstream: [node(6)],
      slaves: [
        .init(id: node(1), address: place(7401)),
        .init(id: node(2), address: NodeAddress(host: "fe80::2%eth0", port: 1)!),
      ])
    #expect(try RegisterReply(parsing: reply.elements) == reply)
    let plan = SyncReply(
      mode: .full, snapshot: SnapshotID(5), startLSN: LSN(10), barrierLSN: LSN(20), rewindTo: LSN(9), fileCount: 3,
      fileBytes: 4,
      logBytes: 5, heldBytes: 1, wireBytes: 7, seconds: 6, term: Term(8), reason: "why.", report: ["one", "two"])
    #expect(try SyncReply(parsing: plan.elements) == plan)
  }

  @Test func theGrammarIsWhatTheDocumentSays() {
    #expect(
      Self.register.arguments == [
        "2", "node-id", node(1).description, "addr", "10.0.0.1", "port", "7401", "capabilities", "lz4,files",
        "has-data", "yes",
        "last", "3:99@\(node(1))", "chain", "\(node(2)),\(node(3))", "lineage", node(9).description, "accept-data-loss",
        "yes",
        "known-term", "4", "known-owner", node(5).description, "voter", "yes", "yields", "no",
        "gives-up", node(7).description,
      ])
    #expect(
      Self.sync.arguments == [
        "2", "node-id", node(1).description, "position", "3:99@\(node(1))", "history", "1:1@\(node(1)),3:50", "lineage",
        node(9).description,
        "mode",
        "partial", "resume", "0000000000000abc:7:4=100,2=0", "rewind-floor", "42", "committed", "0", "accepts-cut",
        "no",
        "starts", "none",
      ])
  }

  @Test func aMasterWithoutWireBytesIsUnderstood() throws {
    let plan = SyncReply(mode: .partial, startLSN: LSN(10), barrierLSN: LSN(20), wireBytes: 7, reason: "why.")
    var older = plan.elements
    let index = older.firstIndex(of: "wire-bytes")!
    older.removeSubrange(index...index + 1)
    #expect(try SyncReply(parsing: older).wireBytes == 0)
  }

  @Test func aSlaveThatSaysNothingOfTermsAndVotesHasNone() throws {
    let older = try RegisterRequest(parsing: Array(Self.register.arguments.dropLast(10)))
    #expect(older.knownReign == .none && !older.isVoter && older.lineage == Self.register.lineage)
    let plan = SyncReply(mode: .partial, startLSN: LSN(10), barrierLSN: LSN(20), term: Term(3), reason: "why.")
    var reply = plan.elements
    let index = reply.firstIndex(of: "term")!
    reply.removeSubrange(index...index + 1)
    #expect(try SyncReply(parsing: reply).term == .none)
  }

  @Test func deltaIsACapabilityThatAnOlderPeerDoesNotName() throws {
    #expect(Capabilities.all.description == "lz4,zstd,files,delta,rewind,proof,path")
    #expect(Capabilities(text: "lz4,delta") == [.lz4, .delta])
    #expect(!Capabilities(text: "lz4,zstd,files").contains(.delta))
  }

  @Test func keysThatANewerNodeAddsAreIgnored() throws {
    #expect(try RegisterRequest(parsing: Self.register.arguments + ["colour", "green"]) == Self.register)
    var newer = Self.register.arguments
    newer[8] = "lz4,brotli,files"
    #expect(try RegisterRequest(parsing: newer).capabilities == [.lz4, .files])
  }

  func code(_ arguments: [String], sync: Bool = false) -> ReplicationError.Code? {
    do {
      if sync { _ = try SyncRequest(parsing: arguments) } else { _ = try RegisterRequest(parsing: arguments) }
      return nil
    } catch { return error.code }
  }
  func with(_ arguments: [String], _ key: String, _ value: String) -> [String] {
    var changed = arguments
    changed[changed.firstIndex(of: key)! + 1] = value
    return changed
  }

  @Test func anotherProtocolVersionIsNamed() {
    for version in ["1", "3", "0", "", "one", "+1", "01", "99999999999999999999"] {
      #expect(code([version] + Self.register.arguments.dropFirst()) == .protocolVersion, "\(version)")
    }
    #expect(code([]) == .syntax)
  }

  @Test(arguments: [
    ("node-id", "abc"), ("node-id", String(repeating: "g", count: 40)), ("addr", ""), ("addr", "a b"),
    ("addr", "a\r\nb"),
    ("addr", String(repeating: "a", count: 256)), ("port", "0"), ("port", "65536"), ("port", "-1"), ("port", "99999"),
    ("port", "18446744073709551616"), ("has-data", "maybe"), ("last", "3"), ("last", "3:99:1"),
    ("last", "4294967296:1"),
    ("last", "-1:1"), ("last", "1:18446744073709551616"), ("chain", "zz"), ("lineage", "12"), ("accept-data-loss", "1"),
    ("known-term", "4294967296"), ("known-term", "-1"), ("known-owner", "5"), ("last", "3:99@5"), ("voter", "perhaps"),
  ]) func badRegistrationValues(key: String, value: String) {
    #expect(code(with(Self.register.arguments, key, value)) == .syntax)
  }

  @Test(arguments: [
    ("position", "3:49"), ("position", "2:99"), ("history", "1:1,1:2"), ("history", "2:5,3:4"), ("history", "0:1"),
    ("history", "1:0"),
    ("history", "1:1,,3:50"), ("history", "1:1@,3:50"), ("history", "1:1@\(node(1))@,3:50"), ("mode", "fast"),
    ("resume", "x"), ("resume", "0000000000000000:0:"),
    ("resume", "0000000000000001:0:1"),
    ("resume", "0000000000000001:0:1=2,1=3"), ("resume", "0000000000000001:0:../escape=3"),
    ("resume", "0000000000000001:0:1=-1"),
    ("resume", "-000000000000001:0:"), ("rewind-floor", "-1"), ("rewind-floor", ""),
  ]) func badSyncValues(key: String, value: String) {
    #expect(code(with(Self.sync.arguments, key, value), sync: true) == .syntax)
  }

  @Test func oddDoubleAndTooManyPairs() {
    #expect(code(Self.register.arguments + ["alone"]) == .syntax)
    #expect(code(Self.register.arguments + ["port", "1"]) == .syntax)
    #expect(code(["2", "port", "1"]) == .syntax)
    #expect(code(["2"] + (0..<200).flatMap { ["k\($0)", "v"] }) == .syntax)
    let chain = [String](repeating: node(1).description, count: ChainLimits.idsMax + 1).joined(separator: ",")
    #expect(code(with(Self.register.arguments, "chain", chain)) == .syntax)
  }

  @Test func whatIsHeldOfAnotherSnapshotOrTooMuchCountsNothing() {
    let manifest = FileManifest(
      snapshot: SnapshotID(1),
      files: [.init(number: 1, kind: .data, bytes: 10), .init(number: 2, kind: .data, bytes: 10)])
    let held: [ResumeState.HeldFile] = [
      .init(number: 1, bytes: 4), .init(number: 2, bytes: 11), .init(number: 3, bytes: 1),
    ]
    #expect(ResumeState(snapshot: SnapshotID(1), files: held).usableBytes(in: manifest) == [1: 4])
    #expect(ResumeState(snapshot: SnapshotID(2), files: held).usableBytes(in: manifest).isEmpty)
  }
}
