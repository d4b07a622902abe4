import RESP
import Testing

struct ReplyWriterTests {
  @Test func `simple replies`() {
    #expect(reply { $0.ok() } == "+OK\r\n")
    #expect(reply { $0.simple("PONG") } == "+PONG\r\n")
    #expect(reply { $0.simple("a\r\nb" as String) } == "+a  b\r\n")
    #expect(reply { $0.error("ERR syntax error") } == "-ERR syntax error\r\n")
    #expect(reply { $0.error("ERR \(String("a\r\n+OK"))") } == "-ERR a  +OK\r\n")
    #expect(reply { $0.raw("x") } == "x")
  }

  @Test(
    arguments: [0, 1, 9, 10, 99, 100, 101, 999, 1000, 9999, 10_000, 99_999, 1_234_567, .max, .min, -1, -10] as [Int64])
  func `integers`(value: Int64) {
    #expect(reply { $0.integer(value) } == ":\(value)\r\n")
    #expect(reply { $0.bulk(integer: value) } == "$\(String(value).utf8.count)\r\n\(value)\r\n")
  }

  @Test(arguments: [0, 1, 9, 10, 11, 99, 100, 999, 1000, 65_536])
  func `bulk strings`(count: Int) {
    let text = String(repeating: "x", count: count)
    let expected = "$\(count)\r\n\(text)\r\n"
    #expect(reply { $0.bulk(text) } == expected)
    #expect(reply { $0.bulk(Array(text.utf8)) } == expected)
    #expect(reply { buffer in withBytes(text) { buffer.bulk($0) } } == expected)
    #expect(reply { $0.bulkUninitialized(count).copyBytes(from: text.utf8) } == expected)
  }

  @Test func `an empty view is an empty bulk string`() {
    #expect(reply { $0.bulk(UnsafeRawBufferPointer(start: nil, count: 0)) } == "$0\r\n\r\n")
    #expect(reply { $0.bulk("text" as StaticString) } == "$4\r\ntext\r\n")
  }

  @Test func `the types of RESP3 have their forms in RESP2`() {
    #expect(reply { $0.null() } == "$-1\r\n")
    #expect(reply(version: 3) { $0.null() } == "_\r\n")
    #expect(reply { $0.nullArray() } == "*-1\r\n")
    #expect(reply(version: 3) { $0.nullArray() } == "_\r\n")
    #expect(reply { $0.array(12) } == "*12\r\n")
    #expect(reply { $0.map(2) } == "*4\r\n")
    #expect(reply(version: 3) { $0.map(2) } == "%2\r\n")
    #expect(reply { $0.set(3) } == "*3\r\n")
    #expect(reply(version: 3) { $0.set(3) } == "~3\r\n")
    #expect(reply { $0.push(3) } == "*3\r\n")
    #expect(reply(version: 3) { $0.push(3) } == ">3\r\n")
    #expect(reply { $0.boolean(true) } == ":1\r\n")
    #expect(reply { $0.boolean(false) } == ":0\r\n")
    #expect(reply(version: 3) { $0.boolean(true) } == "#t\r\n")
    #expect(reply(version: 3) { $0.boolean(false) } == "#f\r\n")
    #expect(reply { $0.double(0.1) } == "$19\r\n0.10000000000000001\r\n")
    #expect(reply(version: 3) { $0.double(0.5) } == ",0.5\r\n")
    #expect(reply(version: 3) { $0.double(-.infinity) } == ",-inf\r\n")
    #expect(reply { $0.verbatim("some") } == "$4\r\nsome\r\n")
    #expect(reply(version: 3) { $0.verbatim("some", format: "mkd") } == "=8\r\nmkd:some\r\n")
    #expect(reply { $0.bigNumber("123456789012345678901") } == "$21\r\n123456789012345678901\r\n")
    #expect(reply(version: 3) { $0.bigNumber("12345") } == "(12345\r\n")
  }

  @Test(arguments: [0, 1, 9, 10, 123, 4567])
  func `an array may get its count afterwards`(count: Int) {
    let elements = String(repeating: ":1\r\n", count: count)
    let written = reply { buffer in
      buffer.ok()
      let outer = buffer.beginArray()
      buffer.integer(7)
      let inner = buffer.beginArray()
      for _ in 0..<count { buffer.integer(1) }
      buffer.endArray(inner, count: count)
      buffer.integer(8)
      buffer.endArray(outer, count: 10)
      buffer.ok()
    }
    #expect(written == "+OK\r\n*10\r\n:7\r\n*\(count)\r\n\(elements):8\r\n+OK\r\n")
  }

  @Test func `a map and a set may get their counts afterwards`() {
    func write(_ buffer: inout ReplyBuffer) {
      let map = buffer.beginArray()
      let set = buffer.beginArray()
      buffer.endSet(set, count: 0)
      buffer.endMap(map, pairs: 5)
    }
    #expect(reply(write) == "*10\r\n*0\r\n")
    #expect(reply(version: 3, write) == "%5\r\n~0\r\n")
  }

  @Test func `the buffer grows, is cut, and gives memory back`() {
    var buffer = ReplyBuffer(capacity: 0)
    for i in 0..<10_000 { buffer.integer(Int64(i)) }
    let mark = buffer.count
    buffer.bulk(Array(repeating: 1, count: 100_000))
    buffer.truncate(to: mark)
    #expect(String(decoding: buffer.bytes, as: UTF8.self) == (0..<10_000).map { ":\($0)\r\n" }.joined())
    buffer.removeAll()
    #expect(buffer.count == 0 && buffer.byteCapacity > 100_000)
    buffer.removeAll(retainingAtMost: 8192)
    #expect(buffer.byteCapacity == 8192)
    buffer.removeAll(keepingCapacity: false)
    #expect(buffer.byteCapacity == 4096)
    buffer.ok()
    #expect(buffer.count == 5)
  }
}
