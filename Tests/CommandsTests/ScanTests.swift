import Testing

@testable import Commands

@Suite(.storedBothWays) struct ScanTests {
  @Test(
    arguments: [
      ("0", UInt64(0)), ("", 0), ("12", 12), ("+12", 12), ("-1", .max), ("0\0x", 0), ("\0", 0), ("007", 7),
      ("18446744073709551615", .max), ("18446744073709551616", nil), ("99999999999999999999999", nil), ("x", nil),
      ("1x", nil), (" 1", nil), ("1 ", nil), ("-", nil), ("+", nil), ("--1", nil),
    ] as [(String, UInt64?)])
  func cursorsAreReadAsByStrtoul(_ text: String, _ cursor: UInt64?) {
    #expect(Array(text.utf8).withUnsafeBytes { ScanCommands.scanCursor($0) } == cursor)
  }

  @Test(arguments: [
    ("SCAN x", "-ERR invalid cursor\r\n"),
    ("SCAN x COUNT y", "-ERR invalid cursor\r\n"),
    ("SCAN 0 COUNT", "-ERR syntax error\r\n"),
    ("SCAN 0 COUNT 0", "-ERR syntax error\r\n"),
    ("SCAN 0 COUNT -5", "-ERR syntax error\r\n"),
    ("SCAN 0 COUNT x", "-ERR value is not an integer or out of range\r\n"),
    ("SCAN 0 COUNT 99999999999999999999", "-ERR value is not an integer or out of range\r\n"),
    ("SCAN 0 MATCH", "-ERR syntax error\r\n"),
    ("SCAN 0 TYPE", "-ERR syntax error\r\n"),
    ("SCAN 0 X y", "-ERR syntax error\r\n"),
    ("SCAN", "-ERR wrong number of arguments for 'scan' command\r\n"),
    ("SCAN -1", "*2\r\n$1\r\n0\r\n*0\r\n"),
    ("SCAN 18446744073709551615 COUNT 9223372036854775807", "*2\r\n$1\r\n0\r\n*0\r\n"),
    ("SCAN 0 COUNT 9223372036854775807", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n"),
    ("scan 0 type String match ? count 1000", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n"),
    ("SCAN 0 TYPE list COUNT 1000", "*2\r\n$1\r\n0\r\n*0\r\n"),
    ("SCAN 0 MATCH b* COUNT 1000", "*2\r\n$1\r\n0\r\n*0\r\n"),
    ("KEYS *", "*1\r\n$1\r\na\r\n"),
    ("KEYS [a-c]", "*1\r\n$1\r\na\r\n"),
    ("KEYS a", "*1\r\n$1\r\na\r\n"),
    ("KEYS b", "*0\r\n"),
    ("RANDOMKEY", "$1\r\na\r\n"),
  ])
  func repliesAreThoseOfRedis(_ command: String, _ reply: String) {
    let harness = CommandHarness()
    harness.run("SET a 1")
    #expect(harness.run(command) == reply)
  }

  /// The cursor and the keys of a SCAN reply (keys without line ends).
  private func parse(_ reply: String) -> (cursor: String, keys: [String]) {
    let lines = reply.split(separator: "\r\n", omittingEmptySubsequences: false).map(String.init)
    return (lines[2], stride(from: 5, to: lines.count, by: 2).map { lines[$0] })
  }

  @Test(arguments: [1, 7, 100, 100_000]) func aWalkMeetsEveryKeyThatStaysExactlyOnce(_ count: Int) {
    let harness = CommandHarness()
    for i in 0..<3000 { harness.run("SET key:\(i) v") }
    var met: [String: Int] = [:]
    var cursor = "0"
    var calls = 0
    repeat {
      let (next, keys) = parse(harness.run("SCAN \(cursor) COUNT \(count)"))
      for key in keys { met[key, default: 0] += 1 }
      cursor = next
      // The index grows meanwhile.
      calls += 1
      if calls % 50 == 0 { for i in 0..<50 { harness.run("SET other:\(calls):\(i) v") } }
    } while cursor != "0"
    for i in 0..<3000 { #expect(met["key:\(i)"] == 1) }
  }

  @Test func randomKeysAreOfTheDatabaseAndVary() {
    let harness = CommandHarness()
    for i in 0..<100 { harness.run("SET key:\(i) v") }
    var drawn: Set<String> = []
    for _ in 0..<200 { drawn.insert(harness.run("RANDOMKEY")) }
    #expect(drawn.count > 20)
    #expect(drawn.allSatisfy { $0.contains("key:") })
    harness.run("SELECT 1")
    #expect(harness.run("RANDOMKEY") == "$-1\r\n")
  }

  @Test func aRandomKeyIsFoundAmongManyExpiredOnes() {
    let harness = CommandHarness()
    for i in 0..<2000 { harness.run("SET key:\(i) v PX 10") }
    harness.run("SET living v")
    harness.now += 10
    #expect(harness.run("RANDOMKEY") == "$6\r\nliving\r\n")
    #expect(harness.run("KEYS *") == "*1\r\n$6\r\nliving\r\n")
    #expect(harness.run("DBSIZE") == ":2001\r\n")
  }
}
