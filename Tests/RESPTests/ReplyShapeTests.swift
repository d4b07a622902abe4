import Testing

@testable import RESP

/// Bytes are whole replies, or it is said why not.
struct ReplyShapeTests {
  private func fault(_ text: String, _ version: UInt8, count: Int = 1) -> ReplyShape.Fault? {
    Array(text.utf8).withUnsafeBytes { ReplyShape.fault(in: $0, count: count, protocolVersion: version) }
  }

  @Test(arguments: [
    "+OK\r\n", "-ERR no\r\n", ":-12\r\n", "$0\r\n\r\n", "$4\r\na\r\nb\r\n", "*0\r\n", "*2\r\n:1\r\n*1\r\n$1\r\nx\r\n",
  ])
  func `a whole reply is one in both protocols`(text: String) {
    #expect(fault(text, 2) == nil)
    #expect(fault(text, 3) == nil)
  }

  @Test(arguments: [
    "%1\r\n+a\r\n:1\r\n", "~2\r\n:1\r\n:2\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "(123\r\n", "=5\r\ntxt:x\r\n",
    "*1\r\n%2\r\n+a\r\n~0\r\n+b\r\n_\r\n",
  ])
  func `types of RESP3 are none of RESP2`(text: String) {
    #expect(fault(text, 3) == nil)
    guard case .badType = fault(text, 2) else {
      Issue.record("\(text) passed as RESP2")
      return
    }
  }

  @Test func `nothing has a form of its own in each`() {
    #expect(fault("$-1\r\n", 2) == nil)
    #expect(fault("*-1\r\n", 2) == nil)
    #expect(fault("$-1\r\n", 3) != nil)
    #expect(fault("*-1\r\n", 3) == .malformed)
  }

  @Test(arguments: ["*2\r\n:1\r\n", "*1\r\n*2\r\n:1\r\n", "$5\r\nabc\r\n", ":1", "%1\r\n+a\r\n", "", "*1\r\n"])
  func `an aggregate with too few elements is incomplete`(text: String) {
    #expect(fault(text, 3) == .incomplete)
  }

  @Test func `what follows is too much`() {
    #expect(fault("*1\r\n:1\r\n:2\r\n", 2) == .tooMuch(bytes: 4))
    #expect(fault("+a\r\n+b\r\n", 2, count: 2) == nil)
  }

  @Test func `lengths and line ends are looked at`() {
    #expect(fault("$1\r\nab\r\n", 2) == .malformed)
    #expect(fault("*x\r\n", 2) == .malformed)
    #expect(fault("+a\n", 2) == .malformed)
    #expect(fault("?\r\n", 2) == .badType(UInt8(ascii: "?")))
  }

  @Test func `the writer's own aggregates pass`() {
    for version in [UInt8(2), 3] {
      var reply = ReplyBuffer(protocolVersion: version)
      let mark = reply.beginArray()
      for number in 0..<12 {
        reply.bulk(integer: Int64(number))
        reply.map(1)
        reply.simple("a" as StaticString)
        reply.null()
      }
      reply.endMap(mark, pairs: 12)
      #expect(ReplyShape.fault(in: reply.bytes, protocolVersion: version) == nil)
    }
  }
}
