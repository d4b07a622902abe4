import LogStore
import Testing

@testable import Commands

/// Replies as Redis 7.0.15 gives them.
@Suite(.storedBothWays) struct KeyspaceTests {
  /// Commands with their replies, run one after the other on an empty store.
  struct Script: Sendable, CustomTestStringConvertible {
    let name: String
    let steps: [(String, String)]
    var testDescription: String { name }
    init(_ name: String, _ steps: [(String, String)]) {
      self.name = name
      self.steps = steps
    }
  }

  static let scripts: [Script] = [
    Script(
      "DEL and UNLINK count the keys they delete",
      [
        ("SET a 1", "+OK\r\n"), ("SET b 2", "+OK\r\n"), ("SET c 3", "+OK\r\n"),
        ("DEL a", ":1\r\n"), ("DEL a", ":0\r\n"), ("DEL a b b c x", ":2\r\n"), ("UNLINK c", ":0\r\n"),
        ("SET a 1", "+OK\r\n"), ("UNLINK a b", ":1\r\n"), ("DBSIZE", ":0\r\n"),
      ]),
    Script(
      "EXISTS and TOUCH count a key as often as it is named",
      [
        ("SET a 1", "+OK\r\n"), ("EXISTS a", ":1\r\n"), ("EXISTS a a x a", ":3\r\n"), ("TOUCH x a", ":1\r\n"),
        ("EXISTS x", ":0\r\n"),
      ]),
    Script(
      "the empty key is a key",
      [
        (#"SET "" v"#, "+OK\r\n"), (#"EXISTS """#, ":1\r\n"), (#"RENAME "" a"#, "+OK\r\n"), ("GET a", "$1\r\nv\r\n"),
        (#"COPY a """#, ":1\r\n"), (#"DEL """#, ":1\r\n"),
      ]),
    Script("TYPE", [("TYPE a", "+none\r\n"), ("SET a 1", "+OK\r\n"), ("TYPE a", "+string\r\n")]),
    Script(
      "RENAME",
      [
        ("RENAME a b", "-ERR no such key\r\n"), ("RENAME a a", "-ERR no such key\r\n"),
        ("SET a 1", "+OK\r\n"), ("SET b 2", "+OK\r\n"), ("RENAME a a", "+OK\r\n"), ("RENAME a b", "+OK\r\n"),
        ("GET a", "$-1\r\n"), ("GET b", "$1\r\n1\r\n"), ("DBSIZE", ":1\r\n"),
      ]),
    Script(
      "RENAMENX",
      [
        ("RENAMENX a b", "-ERR no such key\r\n"), ("SET a 1", "+OK\r\n"), ("SET b 2", "+OK\r\n"),
        ("RENAMENX a b", ":0\r\n"), ("RENAMENX a a", ":0\r\n"), ("RENAMENX a c", ":1\r\n"), ("GET c", "$1\r\n1\r\n"),
      ]),
    Script(
      "COPY",
      [
        ("COPY a b", ":0\r\n"), ("COPY a a", "-ERR source and destination objects are the same\r\n"),
        ("SET a 1", "+OK\r\n"), ("COPY a b", ":1\r\n"), ("COPY a b", ":0\r\n"), ("COPY a b replace", ":1\r\n"),
        ("COPY a b DB", "-ERR syntax error\r\n"), ("COPY a b X", "-ERR syntax error\r\n"),
        ("COPY a b DB x", "-ERR value is not an integer or out of range\r\n"),
        ("COPY a b DB 16", "-ERR DB index is out of range\r\n"),
        (
          "COPY a b DB 99999999999",
          "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"
        ),
        ("COPY a a DB 1", ":1\r\n"), ("COPY a a DB 1", ":0\r\n"), ("COPY a a DB 1 REPLACE", ":1\r\n"),
        ("COPY a a REPLACE DB 0", "-ERR source and destination objects are the same\r\n"),
      ]),
    Script(
      "MOVE",
      [
        ("MOVE a 0", "-ERR source and destination objects are the same\r\n"), ("MOVE a 1", ":0\r\n"),
        ("MOVE a x", "-ERR value is not an integer or out of range\r\n"),
        ("MOVE a 16", "-ERR DB index is out of range\r\n"),
        ("SET a 1", "+OK\r\n"), ("MOVE a 1", ":1\r\n"), ("EXISTS a", ":0\r\n"), ("SET a 2", "+OK\r\n"),
        ("MOVE a 1", ":0\r\n"), ("SELECT 1", "+OK\r\n"), ("GET a", "$1\r\n1\r\n"),
      ]),
    Script(
      "SWAPDB",
      [
        ("SWAPDB a b", "-ERR invalid first DB index\r\n"), ("SWAPDB 0 b", "-ERR invalid second DB index\r\n"),
        ("SWAPDB 0 999999999999", "-ERR invalid second DB index\r\n"),
        ("SWAPDB 0 99", "-ERR DB index is out of range\r\n"),
        ("SWAPDB -1 0", "-ERR DB index is out of range\r\n"), ("SWAPDB 3 3", "+OK\r\n"),
        ("SET a 1", "+OK\r\n"), ("SWAPDB 0 1", "+OK\r\n"), ("EXISTS a", ":0\r\n"), ("SELECT 1", "+OK\r\n"),
        ("GET a", "$1\r\n1\r\n"),
      ]),
    Script(
      "FLUSHDB and FLUSHALL",
      [
        ("SET a 1", "+OK\r\n"), ("SELECT 1", "+OK\r\n"), ("SET b 1", "+OK\r\n"), ("FLUSHDB x", "-ERR syntax error\r\n"),
        ("FLUSHDB ASYNC SYNC", "-ERR syntax error\r\n"), ("FLUSHDB ASYNC", "+OK\r\n"), ("DBSIZE", ":0\r\n"),
        ("SELECT 0", "+OK\r\n"), ("DBSIZE", ":1\r\n"), ("FLUSHALL sync", "+OK\r\n"), ("DBSIZE", ":0\r\n"),
        ("FLUSHALL now", "-ERR syntax error\r\n"),
      ]),
    Script(
      "OBJECT",
      [
        ("OBJECT ENCODING a", "$-1\r\n"), ("OBJECT FREQ a", "$-1\r\n"), ("SET a 10000", "+OK\r\n"),
        ("OBJECT encoding a", "$3\r\nint\r\n"), ("OBJECT REFCOUNT a", ":1\r\n"), ("OBJECT IDLETIME a", ":0\r\n"),
        ("SET a 9999", "+OK\r\n"), ("OBJECT REFCOUNT a", ":2147483647\r\n"),
        ("SET a -1", "+OK\r\n"), ("OBJECT REFCOUNT a", ":1\r\n"),
        ("SET a 007", "+OK\r\n"), ("OBJECT ENCODING a", "$6\r\nembstr\r\n"),
        ("SET a \(String(repeating: "x", count: 44))", "+OK\r\n"), ("OBJECT ENCODING a", "$6\r\nembstr\r\n"),
        ("SET a \(String(repeating: "x", count: 45))", "+OK\r\n"), ("OBJECT ENCODING a", "$3\r\nraw\r\n"),
        (
          "OBJECT FREQ a",
          "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching "
            + "between policies at runtime LRU and LFU data will take some time to adjust.\r\n"
        ),
        ("OBJECT x", "-ERR unknown subcommand 'x'. Try OBJECT HELP.\r\n"),
        ("OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command\r\n"),
        ("OBJECT HELP a", "-ERR wrong number of arguments for 'object|help' command\r\n"),
      ]),
  ]

  @Test(arguments: scripts) func repliesAreThoseOfRedis(_ script: Script) {
    let harness = CommandHarness()
    for (command, reply) in script.steps { #expect(harness.run(command) == reply, "\(command)") }
  }

  @Test func expiryTravelsWithTheValue() {
    let harness = CommandHarness()
    harness.run("SET a v PX 5000")
    harness.run("RENAME a b")
    #expect(harness.run("PTTL b") == ":5000\r\n")
    harness.run("SET c w")
    harness.run("COPY b c REPLACE")
    #expect(harness.run("PTTL c") == ":5000\r\n")
    harness.run("MOVE c 3")
    harness.run("SELECT 3")
    #expect(harness.run("PTTL c") == ":5000\r\n")
    harness.run("SET d v")
    harness.run("RENAME d c")
    #expect(harness.run("PTTL c") == ":-1\r\n")
  }

  @Test func whatBelongsTogetherIsOneUnit() {
    let harness = CommandHarness()
    for key in ["a", "b", "c"] { harness.run("SET \(key) \(key)") }
    func units(_ command: String) -> [Int] {
      let before = harness.records
      harness.run(command)
      return harness.units(after: before)
    }
    #expect(units("RENAME a x") == [2])
    #expect(units("MOVE x 1") == [2])
    #expect(units("COPY b y") == [1])
    #expect(units("DEL b nothing c y") == [3])
    #expect(units("DEL b c y") == [])
    #expect(units("RENAME nothing y") == [])
    #expect(units("SWAPDB 0 1") == [1])
    #expect(units("FLUSHALL") == [1])
  }

  @Test func expiredKeysAreNotThere() {
    let harness = CommandHarness()
    harness.run("SET a v PX 1000")
    harness.now += 1000
    for (command, reply) in [
      ("EXISTS a", ":0\r\n"), ("TYPE a", "+none\r\n"), ("RENAME a b", "-ERR no such key\r\n"), ("COPY a b", ":0\r\n"),
      ("MOVE a 1", ":0\r\n"), ("KEYS *", "*0\r\n"), ("KEYS a", "*0\r\n"), ("RANDOMKEY", "$-1\r\n"),
      ("OBJECT ENCODING a", "$-1\r\n"), ("DEL a", ":0\r\n"), ("SCAN 0 COUNT 1000", "*2\r\n$1\r\n0\r\n*0\r\n"),
    ] { #expect(harness.run(command) == reply, "\(command)") }
    harness.run("SET b v")
    #expect(harness.run("RENAMENX b a") == ":1\r\n", "an expired key does not stand in the way")
    #expect(harness.run("RANDOMKEY") == "$1\r\na\r\n")
  }

  @Test func aSlaveRefusesWrites() {
    let harness = CommandHarness()
    harness.run("SET a v")
    harness.takesWrites = false
    for command in [
      "DEL a", "DEL x", "UNLINK a b", "RENAME a b", "COPY a b", "MOVE a 1", "FLUSHALL", "FLUSHDB", "SWAPDB 0 1",
    ] {
      #expect(harness.run(command).hasPrefix("-READONLY "), "\(command)")
    }
    #expect(harness.run("EXISTS a") == ":1\r\n")
  }

  @Test func aKeyTooLongToBeStoredIsMissing() {
    let harness = CommandHarness { $0.keyBytesMax = 10 }
    harness.run("SET a v")
    let long = String(repeating: "k", count: 11)
    #expect(harness.run("DEL \(long)") == ":0\r\n")
    #expect(harness.run("DEL \(long) a") == ":1\r\n")
    #expect(harness.run("EXISTS \(long)") == ":0\r\n")
    #expect(harness.run("RENAME \(long) a") == "-ERR no such key\r\n")
    #expect(harness.run("EXPIRE \(long) 10") == ":0\r\n")
    harness.run("SET a v")
    #expect(harness.run("RENAME a \(long)").hasPrefix("-ERR key is too long"))
    #expect(harness.run("GET a") == "$1\r\nv\r\n", "nothing was changed")
  }

  @Test(arguments: [
    "DBSIZE", "KEYS *", "KEYS a", "SCAN 0", "RANDOMKEY", "EXISTS a", "DEL a", "RENAMENX b a", "TTL a", "EXPIRE a 10",
  ])
  func repliesThatTellOfARemovalWaitUntilItIsGood(_ command: String) {
    let harness = CommandHarness()
    harness.run("SET a v")
    harness.good = harness.records
    harness.run("DEL a")
    let removal = harness.records
    #expect(harness.session.gate.durable == removal)
    harness.session.gate = Gate()
    if command.hasPrefix("RENAMENX") { harness.run("SET b v") }
    harness.session.gate = Gate()
    harness.run(command)
    #expect(harness.session.gate.durable >= removal)
  }

  @Test(arguments: ["GETSET a w", "SET a w NX", "SET a w GET", "SETNX a w", "APPEND a w", "INCR a", "MSETNX a w"])
  func aWriteThatTellsOfARemovalWaitsUntilThatIsGoodAtItsLevel(_ command: String) {
    let harness = CommandHarness()
    harness.run("SET a v")
    harness.good = harness.records
    harness.run("COMMIT LEVEL quorum")
    harness.run("DEL a")
    let removal = harness.records
    harness.run("COMMIT LEVEL default")
    harness.session.gate = Gate()
    harness.run(command)
    #expect(harness.records > removal)
    #expect(harness.session.gate.committed >= removal, "the write itself is good with this node's disk alone")
  }

  @Test func aReadThroughASwappedDatabaseWaitsForTheSwap() {
    let harness = CommandHarness()
    harness.run("SET a v")
    harness.good = harness.records
    harness.run("SWAPDB 0 1")
    harness.session.gate = Gate()
    harness.run("SELECT 1")
    #expect(harness.session.gate.durable == 0)
    #expect(harness.run("GET a") == "$1\r\nv\r\n")
    #expect(harness.session.gate.durable == harness.records)
  }

  @Test func badNumbersNeverTrap() {
    let numbers = [
      "0", "-1", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "18446744073709551616", "x",
      "1e9",
      #""""#, "4294967296", "2147483648", "-2147483649",
    ]
    let harness = CommandHarness()
    for number in numbers {
      harness.run("SET a v")
      for command in [
        "SELECT", "SWAPDB 0", "SWAPDB \(number)", "MOVE a", "COPY a b DB", "EXPIRE a", "PEXPIRE a", "EXPIREAT a",
        "PEXPIREAT a",
        "SCAN", "SCAN 0 COUNT", "HELLO", "TTL a", "EXPIRETIME a", "PTTL a",
      ] {
        harness.session.database = 0
        #expect(!harness.run("\(command) \(number)").isEmpty)
        #expect(!harness.run("TTL a").isEmpty)
        #expect(!harness.run("EXPIRETIME a").isEmpty)
      }
    }
  }
}
