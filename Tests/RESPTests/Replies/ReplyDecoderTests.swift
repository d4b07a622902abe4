import RESP
import Testing

@Suite struct ReplyDecoderTests {
  /// Every kind of reply, and what it means.
  static let replies: [(String, RESPValue)] = [
    ("+OK\r\n", .simple("OK")), ("+\r\n", .simple("")), ("-ERR no\r\n", .error(.init("ERR no"))),
    (":-42\r\n", .integer(-42)), ("$5\r\nhe\r\no\r\n", .bulk(Array("he\r\no".utf8))), ("$0\r\n\r\n", .bulk([])),
    ("$-1\r\n", .null), ("*-1\r\n", .null), ("_\r\n", .null), ("*0\r\n", .array([])),
    ("*2\r\n:1\r\n*1\r\n$1\r\na\r\n", .array([.integer(1), .array([.bulk([97])])])),
    ("*3\r\n*0\r\n*1\r\n*0\r\n_\r\n", .array([.array([]), .array([.array([])]), .null])),
    ("#t\r\n", .boolean(true)), ("#f\r\n", .boolean(false)), (",1.5\r\n", .double(1.5)),
    (",-inf\r\n", .double(-.infinity)),
    ("(12345678901234567890123\r\n", .bigNumber("12345678901234567890123")),
    ("!8\r\nERR a\r\nb\r\n", .error(.init("ERR a\r\nb"))),
    ("=8\r\nmkd:*hi*\r\n", .verbatim(format: "mkd", text: Array("*hi*".utf8))),
    ("%1\r\n+k\r\n%0\r\n", .map([.init(key: .simple("k"), value: .map([]))])),
    ("~2\r\n:1\r\n:2\r\n", .set([.integer(1), .integer(2)])), (">1\r\n+m\r\n", .push([.simple("m")])),
    ("|1\r\n+ttl\r\n:3\r\n:7\r\n", .integer(7)),
    ("*2\r\n|1\r\n+a\r\n*1\r\n+b\r\n:1\r\n:2\r\n", .array([.integer(1), .integer(2)])),
  ]

  static func decode(_ packets: [[UInt8]]) throws -> [RESPValue] {
    var decoder = ReplyDecoder()
    var received: [UInt8] = []
    var found: [RESPValue] = []
    for packet in packets {
      received += packet
      while let (value, byteCount) = try received.withUnsafeBytes({ try decoder.next($0) }) {
        found.append(value)
        received.removeFirst(byteCount)
      }
    }
    return found
  }

  @Test func eachKindIsDecoded() throws {
    for (text, value) in Self.replies { #expect(try Self.decode([Array(text.utf8)]) == [value], "\(text)") }
  }

  @Test func theCutsBetweenPacketsDoNotMatter() throws {
    let all = Array(Self.replies.map(\.0).joined().utf8)
    let expected = Self.replies.map(\.1)
    #expect(try Self.decode(all.map { [$0] }) == expected)
    for cut in 0...all.count { #expect(try Self.decode([Array(all[..<cut]), Array(all[cut...])]) == expected) }
  }

  @Test(arguments: [
    "HTTP/1.1 400 Bad Request\r\n", "\r\n", "+OK\n", ":12x\r\n", ":\r\n", "$-2\r\n", "*-2\r\n", "#x\r\n", ",abc\r\n",
    "$3\r\nabcd\r\n", "*1\r\n?\r\n", "$9223372036854775808\r\n", "$9223372036854775807\r\n", "*9223372036854775807\r\n",
    "%4611686018427387904\r\n",
  ])
  func bytesThatAreNotRESPAreAnError(text: String) {
    #expect(throws: MalformedReply.self) { try Self.decode([Array(text.utf8)]) }
  }

  @Test func limitsHold() throws {
    func decode(_ text: String, _ limits: ReplyLimits) throws -> RESPValue? {
      var decoder = ReplyDecoder(limits: limits)
      return try Array(text.utf8).withUnsafeBytes { try decoder.next($0)?.value }
    }
    let nested = String(repeating: "*1\r\n", count: 4)
    #expect(try decode(nested + ":1\r\n", .init(depthMax: 4)) != nil)
    #expect(throws: MalformedReply.tooDeep(limit: 3)) { try decode(nested, .init(depthMax: 3)) }
    #expect(throws: MalformedReply.lineTooLong(limit: 8)) { try decode("+123456789", .init(lineBytesMax: 8)) }
    #expect(throws: MalformedReply.lineTooLong(limit: 8)) { try decode("+1234567\r\n", .init(lineBytesMax: 8)) }
    #expect(throws: MalformedReply.replyTooLarge(limit: 30)) {
      try decode("$100\r\n", .init(replyBytesMax: 30))
    }
    #expect(throws: MalformedReply.replyTooLarge(limit: 30)) {
      try decode("*4\r\n$10\r\n0123456789\r\n$10\r\n", .init(replyBytesMax: 30))
    }
    // The limit is one reply's, not the connection's.
    var decoder = ReplyDecoder(limits: .init(replyBytesMax: 30))
    for _ in 0..<10 {
      #expect(try Array("$10\r\n0123456789\r\n".utf8).withUnsafeBytes { try decoder.next($0) } != nil)
    }
  }

  @Test func anAnnouncedCountAllocatesNothing() throws {
    var decoder = ReplyDecoder()
    #expect(try Array("*100000000\r\n:1\r\n".utf8).withUnsafeBytes { try decoder.next($0) } == nil)
  }

  @Test func damagedBytesNeverTrap() {
    let good = Array(Self.replies.map(\.0).joined().utf8)
    let alphabet = Array("+-:$*_#,(!=%~>|\r\n0123456789".utf8)
    for seed in 0..<3000 as Range<UInt64> {
      var random = SeededGenerator(seed: seed)
      var bytes = good
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        bytes[Int.random(in: bytes.indices, using: &random)] = alphabet.randomElement(using: &random) ?? 0
      }
      _ = try? Self.decode([bytes])
    }
  }

  @Test func errorCodesAreTheFirstWordInUpperCase() {
    #expect(RESPValue.ServerError("READONLY You can't").code == "READONLY")
    #expect(RESPValue.ServerError("no such thing").code == "")
  }
}
