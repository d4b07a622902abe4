import PacelineClient
import Testing

@Suite struct ReplyScannerTests {
  static func scan(_ packets: [[UInt8]]) throws -> [ReplyScanner.Reply] {
    var scanner = ReplyScanner()
    var found: [ReplyScanner.Reply] = []
    for packet in packets {
      try packet.withUnsafeBytes { bytes in try scanner.scan(bytes) { found.append($0) } }
    }
    return found
  }

  @Test func repliesAreToldApartWhereverTheyAreCut() throws {
    let bytes = Array(
      ("+OK\r\n$5\r\nab\r\nc\r\n$-1\r\n-ERR READONLY\r\n-READONLY no\r\n-READONLY\r\n_\r\n:12\r\n$0\r\n\r\n-\r\n"
        + "-READONL\r\n$7\r\n+OK\r\n-R\r\n").utf8)
    let expected: [ReplyScanner.Reply] = [
      .done, .hit, .miss, .error, .readOnly, .readOnly, .miss, .done, .hit, .error, .error, .hit,
    ]
    #expect(try Self.scan([bytes]) == expected)
    #expect(try Self.scan(bytes.map { [$0] }) == expected)
    for cut in 0...bytes.count { #expect(try Self.scan([Array(bytes[..<cut]), Array(bytes[cut...])]) == expected) }
  }

  @Test(arguments: ["HTTP", "*1\r\n", "$\r\n", "$x\r\n", "$1-\r\n", "$99999999999\r\n"])
  func otherBytesAreMalformed(text: String) {
    #expect(throws: ReplyScanner.Malformed.self) { try Self.scan([Array(text.utf8)]) }
  }
}
