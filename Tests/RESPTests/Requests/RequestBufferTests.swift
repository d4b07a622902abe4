import RESP
import Testing

@Suite struct RequestBufferTests {
  @Test func commandsAreArraysOfStrings() {
    let encoded = RequestBuffer.encoded([["SET", "k", "ä b"], ["PING"]])
    #expect(
      String(decoding: encoded, as: UTF8.self) == "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\nä b\r\n*1\r\n$4\r\nPING\r\n")
  }

  @Test func theThreeFormsWriteTheSame() {
    let words = ["GET", "", "a\r\nb"]
    let arguments = words.map { Array($0.utf8) }
    var buffer = RequestBuffer()
    buffer.command(arguments)
    #expect(Array(buffer.bytes) == RequestBuffer.encoded([words]))
    buffer.removeAll()
    #expect(buffer.bytes.isEmpty)
    let list = ArgumentList(arguments)
    buffer.command(list)
    #expect(Array(buffer.bytes) == RequestBuffer.encoded([words]))
  }

  @Test func whatIsWrittenIsReadBackAsOneReply() throws {
    let encoded = RequestBuffer.encoded([["MS_STATE", "2"]])
    var decoder = ReplyDecoder()
    let (value, byteCount) = try #require(try encoded.withUnsafeBytes { try decoder.next($0) })
    #expect(byteCount == encoded.count && value.elements?.compactMap(\.string) == ["MS_STATE", "2"])
  }
}
