import RESP
import Testing

/// The rows of BAD-INPUT.md that concern the request parser, each also in pieces of one byte.
struct RequestParserTests {
  private func expect(
    _ input: String, _ expected: [Event], limits: RequestLimits = RequestLimits(),
    at location: SourceLocation = #_sourceLocation
  ) {
    #expect(events(of: input, limits: limits) == expected, sourceLocation: location)
    #expect(events(of: input, step: 1, limits: limits) == expected, "in single bytes", sourceLocation: location)
  }

  @Test(arguments: [
    "\r\n", "\n", "*0\r\n", "*-1\r\n", "*-10\r\n", "*-2147483648\r\n", "\0\r\n", "  \t \r\n",
    "\0PING\r\n",
  ])
  func `an empty command is nothing`(input: String) {
    expect(input, [.nothing])
    expect(input + "*1\r\n$4\r\nPING\r\n", [.nothing, .command("PING")])
  }

  @Test(arguments: ["PING\n", "PING\r\n", "   PING  \r\n", "\t\u{0B}\u{0C}PING\t\r\n"])
  func `an inline command has its blanks taken away`(input: String) {
    expect(input, [.command("PING")])
  }

  @Test func `inline quotes and escapes are those of a shell`() {
    expect(#"SET "k v" 'a\'b' x"# + "\r\n", [.command("SET", "k v", "a'b", "x")])
    expect(#"SET "\x41\x4a\n\r\t\b\a\\\"" ''"# + "\n", [.command("SET", "AJ\n\r\t\u{8}\u{7}\\\"", "")])
    expect(#"SET a"b c"d"# + "\n", [.failed(.unbalancedQuotes)])
    expect(#"SET ab"c d""# + "\n", [.command("SET", "abc d")])
    expect(#"SET "\xzz" \x41"# + "\n", [.command("SET", "xzz", #"\x41"#)])
  }

  @Test(arguments: ["SET \"k v\r\n", "SET 'k v\r\n", "SET \"k\"v\r\n", "SET 'k'v\r\n", "SET \"k\\\"\r\n", "\"\n"])
  func `unbalanced quotes are refused`(input: String) {
    expect(input, [.failed(.unbalancedQuotes)])
  }

  @Test func `a NUL inside an inline command is refused`() {
    expect("FLUSHALL\0x\r\n", [.failed(.nulInInline)])
    expect("SET \"a\0b\" c\r\n", [.failed(.nulInInline)])
    expect("SET a \0\r\n", [.failed(.nulInInline)])
  }

  @Test func `an inline command is shorter than 64 KiB`() {
    let long = String(repeating: "A", count: 65_536)
    #expect(events(of: String(repeating: "A", count: 70_000)) == [.failed(.inlineTooBig)])
    #expect(events(of: long, step: 4096) == [])
    #expect(events(of: long + "\n", step: 1000) == [.command(long)])
    #expect(events(of: long + "A\n") == [.failed(.inlineTooBig)])
    #expect(events(of: long + "A\n", step: 777) == [.failed(.inlineTooBig)])
  }

  @Test(arguments: [
    "*3000000000\r\n", "*2147483648\r\n", "*9223372036854775808\r\n", "*99999999999999999999999\r\n", "*abc\r\n",
    "*\r\n", "*+1\r\n", "*01\r\n", "* 1\r\n", "*1 \r\n", "*-\r\n", "*-0\r\n", "*2147483647\r\n", "*1048577\r\n",
    "*1\rx$4\r\nPING\r\n", "*1\n$4\nPING\n*1\r\n",
  ])
  func `an invalid number of arguments is refused`(input: String) {
    expect(input, [.failed(.invalidMultibulkLength)])
  }

  @Test func `a large announced count waits and holds nothing`() {
    var receiver = Receiver()
    receiver.feed("*1048576\r\n".utf8)
    #expect(receiver.events == [])
    #expect(receiver.list.byteCapacity < 1024)
    receiver.feed("$1\r\na\r\n".utf8)
    #expect(receiver.list.byteCapacity < 1024)
  }

  @Test func `a line without CR waits up to 64 KiB`() {
    expect("*1\n$4\nPING\n", [])
    let digits = String(repeating: "1", count: 70_000)
    #expect(events(of: "*1" + digits) == [.failed(.multibulkCountTooBig)])
    #expect(events(of: "*1" + digits + "\r\n", step: 999) == [.failed(.multibulkCountTooBig)])
    #expect(events(of: "*\0" + digits, step: 100) == [.failed(.multibulkCountTooBig)])
    #expect(events(of: "*1\r\n$" + digits, step: 999) == [.failed(.bulkCountTooBig)])
    #expect(events(of: "*1\r\n$" + digits + "\r\n") == [.failed(.bulkCountTooBig)])
    #expect(events(of: "*1\r\n$" + String(repeating: "1", count: 65_000) + "\r\n") == [.failed(.invalidBulkLength)])
  }

  @Test func `anything but a dollar before an argument is named`() {
    expect("*1\r\nfoo\r\n", [.failed(.expectedDollar(got: UInt8(ascii: "f")))])
    expect("*1\r\n*1\r\n$4\r\n", [.failed(.expectedDollar(got: UInt8(ascii: "*")))])
    expect("*2\r\n$4\r\nECHO\r\n:5\r\n", [.failed(.expectedDollar(got: UInt8(ascii: ":")))])
    expect("*1\r\n\r\n", [.failed(.expectedDollar(got: 0x0D))])
    #expect(ProtocolError.expectedDollar(got: 0x66).message == "Protocol error: expected '$', got 'f'")
    #expect(ProtocolError.expectedDollar(got: 0x0D).message == #"Protocol error: expected '$', got '\x0d'"#)
    #expect(ProtocolError.expectedDollar(got: 0xFF).message == #"Protocol error: expected '$', got '\xff'"#)
  }

  @Test(arguments: [
    "-10", "-1", "blabla", "", "04", "+4", " 4", "4 ", "2000000000", "536870913", "9223372036854775807", "0x4", "-0",
    "18446744073709551620", "1:", ":1", "1/", "12:", "1\u{7F}4",
  ])
  func `an invalid length is refused`(length: String) {
    expect("*1\r\n$\(length)\r\nPING\r\nxxxxxxxxxxxx", [.failed(.invalidBulkLength)])
    expect("*2\r\n$4\r\nECHO\r\n$\(length)\r\nPING\r\nxxxxxxx", [.failed(.invalidBulkLength)])
  }

  @Test func `a large announced length waits and reserves nothing`() {
    var receiver = Receiver()
    receiver.feed("*1\r\n$536870912\r\n".utf8)
    #expect(receiver.events == [])
    #expect(receiver.parser.bytesWantedAtLeast <= 16 + 65_536)
    receiver.feed([0x61])
    #expect(receiver.events == [])
  }

  @Test func `the hint names the bytes that a command needs`() {
    var receiver = Receiver()
    receiver.feed("*1\r\n$100\r\nabc".utf8)
    #expect(receiver.parser.bytesWantedAtLeast == 4 + 6 + 102)
    receiver.feed(Array(repeating: 0x61, count: 97))
    receiver.feed("\r\n".utf8)
    #expect(receiver.events.count == 1)
    #expect(receiver.parser.bytesWantedAtLeast == 0)
  }

  @Test(arguments: [
    "*1\r\n$4\r\nPINGXX*1\r\n$4\r\nPING\r\n", "*1\r\n$4\r\nPINGPONG\r\n", "*1\r\n$4\r\nPING\rX",
    "*1\r\n$4\r\nPING\n\r",
  ])
  func `an argument ends with CR LF`(input: String) {
    expect(input, [.failed(.expectedTerminator)])
  }

  @Test func `an argument may be empty or hold any byte`() {
    expect("*1\r\n$0\r\n\r\n", [.command("")])
    expect("*1\r\n$6\r\nfo\r\nba\r\n", [.command("fo\r\nba")])
    let all = Array(UInt8.min...UInt8.max)
    #expect(events(of: request([all, all]), step: 7) == [.command([all, all])])
  }

  @Test func `types of RESP3 and replies are words of an inline command`() {
    expect("%1\r\n", [.command("%1")])
    expect("+PING\r\n", [.command("+PING")])
  }

  @Test(arguments: ["POST / HTTP/1.1\r\n", "post /\r\n", "Host: x\r\n", "host:\n"])
  func `a browser is closed silently`(input: String) {
    expect(input, [.failed(.httpRequest)])
    #expect(ProtocolError.httpRequest.isSilent)
    #expect(reply { $0.protocolError(.httpRequest) } == "")
  }

  @Test func `a GET of a browser is closed silently too, a bulk POST is a command`() {
    expect("GET / HTTP/1.1\r\nHost: x\r\n\r\n", [.failed(.httpRequest)])
    expect("*1\r\n$4\r\nPOST\r\n", [.command("POST")])
  }

  @Test func `a TLS ClientHello is closed silently`() {
    #expect(events(of: [0x16, 0x03, 0x01, 0x02, 0x00]) == [.failed(.tlsHandshake)])
    #expect(events(of: [0x16]) == [.failed(.tlsHandshake)])
  }

  @Test func `before authentication little is accepted`() {
    let limits = RequestLimits(authenticated: false)
    expect("*11\r\n", [.failed(.unauthenticatedMultibulkLength)], limits: limits)
    expect("*10\r\n", [], limits: limits)
    expect("*1\r\n$16385\r\n", [.failed(.unauthenticatedBulkLength)], limits: limits)
    expect("*1\r\n$16384\r\n", [], limits: limits)
    expect("a b c d e f g h i j k\r\n", [.failed(.unauthenticatedMultibulkLength)], limits: limits)
    expect("a b c d e f g h i j\r\n", [.command("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")], limits: limits)
    #expect(events(of: String(repeating: "A", count: 16_385), limits: limits) == [.failed(.inlineTooBig)])
    let greatest = [UInt8](repeating: 1, count: 16_384)
    #expect(events(of: request([greatest]), limits: limits) == [.command([greatest])])
    #expect(events(of: request([greatest, greatest]), limits: limits) == [.failed(.requestTooBig)])
    #expect(events(of: "*" + String(repeating: "1", count: 16_385), limits: limits) == [.failed(.multibulkCountTooBig)])
    #expect(ProtocolError.unauthenticatedBulkLength.message == "Protocol error: unauthenticated bulk length")
  }

  @Test func `limits may be small`() {
    var limits = RequestLimits()
    limits.bulkBytesMax = 5
    expect("*1\r\n$5\r\nabcde\r\n", [.command("abcde")], limits: limits)
    expect("*1\r\n$6\r\nabcdef\r\n", [.failed(.invalidBulkLength)], limits: limits)
    limits.multibulkCountMax = 2
    expect("*3\r\n", [.failed(.invalidMultibulkLength)], limits: limits)
    limits.commandBytesMax = 20
    expect("*2\r\n$2\r\nab\r\n$2\r\nab\r\n", [.command("ab", "ab")], limits: limits)
    expect("*2\r\n$2\r\nab\r\n$3\r\nabc\r\n", [.failed(.requestTooBig)], limits: limits)
  }

  @Test func `every error has Redis's words`() {
    #expect(ProtocolError.inlineTooBig.message == "Protocol error: too big inline request")
    #expect(ProtocolError.unbalancedQuotes.message == "Protocol error: unbalanced quotes in request")
    #expect(ProtocolError.invalidMultibulkLength.message == "Protocol error: invalid multibulk length")
    #expect(ProtocolError.multibulkCountTooBig.message == "Protocol error: too big mbulk count string")
    #expect(ProtocolError.bulkCountTooBig.message == "Protocol error: too big bulk count string")
    #expect(ProtocolError.invalidBulkLength.message == "Protocol error: invalid bulk length")
    #expect(ProtocolError.unauthenticatedMultibulkLength.message == "Protocol error: unauthenticated multibulk length")
    #expect(reply { $0.protocolError(.expectedTerminator) } == "-ERR Protocol error: expected CRLF after bulk\r\n")
  }

  @Test func `a list outlives the receive buffer as a copy`() {
    var list = ArgumentList([Array("set".utf8), [], Array("value".utf8)])
    let copy = ArgumentList(copying: list)
    list.removeAll()
    #expect(list.count == 0)
    #expect(copy.count == 3)
    #expect(copy.byteCount == 8)
    #expect([UInt8](copy[0]) == Array("set".utf8))
    #expect(copy[1].count == 0)
    #expect([UInt8](copy[2]) == Array("value".utf8))
  }
}
