import RESP
import Testing

@Suite struct ReplyScannerTests {
  /// Whole replies of every type, nested and empty ones among them.
  private static let replies = [
    "+OK\r\n", "-READONLY no\r\n", ":-12\r\n", "$5\r\na\r\nbc\r\n", "$0\r\n\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n",
    "*2\r\n$1\r\na\r\n:1\r\n", "*3\r\n*0\r\n*2\r\n+a\r\n*1\r\n$-1\r\n-ERR x\r\n", "_\r\n", "#t\r\n", ",1.5\r\n",
    "(123456789012345678901234567890\r\n", "=7\r\ntxt:a\r\n\r\n", "!5\r\nERR x\r\n", "~2\r\n+a\r\n+b\r\n", "%0\r\n",
    "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n%1\r\n+x\r\n_\r\n", ">2\r\n+a\r\n+b\r\n", "|1\r\n+ttl\r\n:5\r\n$1\r\nx\r\n",
    "*2\r\n|1\r\n+k\r\n:1\r\n+a\r\n|0\r\n+b\r\n",
  ].map { Array($0.utf8) }

  private static let limits = ReplyLimits(replyBytesMax: 1 << 40, depthMax: 32)

  private func ends(_ pieces: [ArraySlice<UInt8>]) throws -> [Int] {
    var scanner = ReplyScanner(limits: Self.limits)
    var ends: [Int] = []
    var offset = 0
    for piece in pieces {
      var rest = piece
      while !rest.isEmpty {
        guard let end = try rest.withUnsafeBytes({ try scanner.scan($0) }) else {
          offset += rest.count
          break
        }
        offset += end
        ends.append(offset)
        rest = rest.dropFirst(end)
      }
    }
    return ends
  }

  private var stream: (bytes: [UInt8], ends: [Int]) {
    var bytes: [UInt8] = []
    var ends: [Int] = []
    for reply in Self.replies {
      bytes += reply
      ends.append(bytes.count)
    }
    return (bytes, ends)
  }

  @Test func `every reply ends where it ends, whole and byte by byte`() throws {
    let (bytes, expected) = stream
    #expect(try ends([bytes[...]]) == expected)
    #expect(try ends(bytes.indices.map { bytes[$0...$0] }) == expected)
  }

  @Test func `a cut anywhere changes nothing`() throws {
    let (bytes, expected) = stream
    for cut in 1..<bytes.count {
      #expect(try ends([bytes[..<cut], bytes[cut...]]) == expected, "cut at \(cut)")
    }
  }

  @Test func `two cuts anywhere in a nested reply change nothing`() throws {
    let bytes = Array("*2\r\n%1\r\n+a\r\n$3\r\n\r\n\n\r\n|1\r\n+k\r\n:1\r\n~1\r\n#f\r\n".utf8)
    for first in 1..<bytes.count - 1 {
      for second in first + 1..<bytes.count {
        #expect(try ends([bytes[..<first], bytes[first..<second], bytes[second...]]) == [bytes.count])
      }
    }
  }

  @Test(arguments: [
    "OK\r\n", "$a\r\n", "$--1\r\n", "$\r\n", "*1x\r\n", "$1234567890123\r\n", "*2\r\n+a\r\nx", "\r\n", "$-2\r\n",
    "+OK\n", "$3\r\nabcd\r\n", "%-1\r\n",
    "$1-\r\n",
  ])
  func `what is no reply is refused`(_ text: String) {
    #expect(throws: MalformedReply.self) { try ends([Array(text.utf8)[...]]) }
  }

  @Test func `replies nest so deep and no deeper`() throws {
    func nested(_ depth: Int) -> [UInt8] { Array((String(repeating: "*1\r\n", count: depth) + "+a\r\n").utf8) }
    let deepest = nested(Self.limits.depthMax)
    #expect(try ends([deepest[...]]) == [deepest.count])
    #expect(throws: MalformedReply.self) { try ends([nested(Self.limits.depthMax + 1)[...]]) }
  }

  private static func kinds(_ packets: [[UInt8]]) throws -> [ReplyScanner.Kind] {
    var scanner = ReplyScanner()
    var found: [ReplyScanner.Kind] = []
    for packet in packets {
      var rest = packet[...]
      while !rest.isEmpty, let end = try rest.withUnsafeBytes({ try scanner.scan($0) }) {
        found.append(scanner.kind)
        rest = rest.dropFirst(end)
      }
    }
    return found
  }

  @Test func `replies are told apart wherever they are cut`() throws {
    let bytes = Array(
      ("+OK\r\n$5\r\nab\r\nc\r\n$-1\r\n-ERR READONLY\r\n-READONLY no\r\n-READONLY\r\n_\r\n:12\r\n$0\r\n\r\n-\r\n"
        + "-READONL\r\n$7\r\n+OK\r\n-R\r\n*1\r\n-READONLY\r\n!12\r\nREADONLY you\r\n").utf8)
    let error = ReplyScanner.Kind.error(ErrorCode("ERR"))
    let expected: [ReplyScanner.Kind] = [
      .line, .string, .null, error, .error(.readOnly), .error(.readOnly), .null, .line, .string, .error(ErrorCode()),
      .error(ErrorCode("READONL")), .string, .aggregate, .error(.readOnly),
    ]
    #expect(try Self.kinds([bytes]) == expected)
    #expect(try Self.kinds(bytes.map { [$0] }) == expected)
    for cut in 0...bytes.count { #expect(try Self.kinds([Array(bytes[..<cut]), Array(bytes[cut...])]) == expected) }
  }
}
