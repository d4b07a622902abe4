import RESP
import Testing

/// However a client's bytes are cut, the commands are the same.
struct RequestSplitTests {
  private static let pipeline: [UInt8] = {
    var bytes: [UInt8] = []
    bytes += request("PING") + request("ECHO", "hello") + Array("PING\r\n".utf8) + Array("SET a \"b c\" 'd'\n".utf8)
    bytes += request("SET", "key:1", "value") + request("GET", "key:1") + Array("\r\n*0\r\n*-1\r\n".utf8)
    bytes += request("SET", "k", "v", "EX", "100", "NX") + request("SETNX", "k", "v") + request("SETEX", "k", "9", "v")
    bytes += request("GETRANGE", "k", "0", "-1") + request("SETRANGE", "k", "4294967296", "x")
    bytes += request("MSET", "a", "1", "b", "2", "c", "3") + request("MGET", "a", "b", "c") + request("DEL", "a", "b")
    bytes += request("INCR", "n") + request("INCRBY", "n", "-5") + request("INCRBYFLOAT", "n", "3.0e3")
    bytes += request("APPEND", "k", "") + request("STRLEN", "k") + request("SCAN", "0", "MATCH", "*", "COUNT", "10")
    bytes += request("EXPIRE", "k", "9223372036854775807") + request("TTL", "k") + request("PERSIST", "k")
    bytes += request("MULTI") + request("EXEC") + request("WATCH", "a") + request("CONFIG", "GET", "save")
    bytes += request("BITOP", "AND", "d", "s1", "s2") + request("SETBIT", "k", "7", "1") + request("LCS", "a", "b")
    bytes += request("COPY", "a", "b", "REPLACE") + request("RENAME", "a", "b") + request("OBJECT", "ENCODING", "a")
    bytes += request("CLIENT", "SETNAME", "me") + request("HELLO", "3", "AUTH", "default", "secret")
    bytes += request([Array("SET".utf8), [0, 13, 10, 255], Array(repeating: 13, count: 12)])
    bytes += request([Array("SET".utf8), Array("k".utf8), Array(repeating: 36, count: 100)])
    bytes += request([Array("SET".utf8), Array("k".utf8), Array(repeating: 42, count: 1234)])
    bytes += request((0..<12).map { Array("argument\($0)".utf8) }) + request("GET", "") + request("")
    return bytes
  }()

  @Test func `cut at any byte, the commands are the same`() {
    let whole = events(of: Self.pipeline)
    #expect(whole.count == 44)
    #expect(!whole.contains { if case .failed = $0 { true } else { false } })
    for cut in 0...Self.pipeline.count {
      var receiver = Receiver()
      receiver.feed(Self.pipeline[..<cut])
      receiver.feed(Self.pipeline[cut...])
      if receiver.events != whole || !receiver.unread.isEmpty { Issue.record("cut at \(cut)") }
    }
  }

  @Test(arguments: 1...40)
  func `in equal pieces, the commands are the same`(step: Int) {
    #expect(events(of: Self.pipeline, step: step) == events(of: Self.pipeline))
  }

  @Test func `a command of many arguments in small pieces is read once`() {
    let count = 200_000
    let bytes = request(Array(repeating: [0x61], count: count))
    var parser = RequestParser()
    var list = ArgumentList()
    let limits = RequestLimits()
    var last = ParseResult.incomplete
    bytes.withUnsafeBytes { buffer in
      var given = 0
      while given < buffer.count {
        #expect(last == .incomplete)
        given = min(given + 5, buffer.count)
        last = parser.next(buffer.baseAddress!, count: given, limits: limits, into: &list)
      }
    }
    #expect(last == .command(bytesConsumed: bytes.count))
    #expect(list.count == count)
    #expect(list.byteCapacity <= count * 16)
    // What the large command needed is given back with the next one.
    request("PING").withUnsafeBytes { buffer in
      last = parser.next(buffer.baseAddress!, count: buffer.count, limits: limits, into: &list)
    }
    #expect(list.count == 1)
    #expect(list.byteCapacity < 1024)
  }

  @Test(arguments: 0..<40 as Range<UInt64>)
  func `random bytes are consumed alike however they are cut`(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let pieces: [[UInt8]] = [
      "*", "$", "\r\n", "\n", "\r", "1", "2", "0", "-1", "10", "PING", "\"", "'", "\\x41", " ", "\0", "*1\r\n",
      "*2\r\n", "$4\r\n", "$1\r\na\r\n", "$0\r\n\r\n", "$12\r\n", "$100\r\n", "*1\r\n$4\r\nPING\r\n",
      "99999999999999999999", "\t", "a", "16385", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nvv\r\n", "x y\r\n", "*0\r\n",
      "POST", "\u{16}",
    ].map { Array($0.utf8) }
    for _ in 0..<250 {
      var input: [UInt8] = []
      for _ in 0..<Int.random(in: 1...20, using: &random) {
        if Int.random(in: 0..<8, using: &random) == 0 {
          input.append(UInt8.random(in: 0...255, using: &random))
        } else {
          input += pieces.randomElement(using: &random)!
        }
      }
      let limits = RequestLimits(authenticated: Bool.random(using: &random))
      let whole = events(of: input, limits: limits)
      #expect(events(of: input, step: 1, limits: limits) == whole, "\(input)")
      var receiver = Receiver(limits: limits)
      var at = 0
      while at < input.count {
        let end = min(input.count, at + Int.random(in: 1...9, using: &random))
        receiver.feed(input[at..<end])
        at = end
      }
      #expect(receiver.events == whole, "\(input)")
    }
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func `a pipeline with damaged bytes never crashes`(seed: UInt64) {
    var random = SeededGenerator(seed: seed &+ 1000)
    for _ in 0..<60 {
      var input = Self.pipeline
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        input[Int.random(in: 0..<input.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      let step = Int.random(in: 1...400, using: &random)
      #expect(events(of: input, step: step) == events(of: input))
    }
  }
}
