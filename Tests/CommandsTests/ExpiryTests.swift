import Testing

@testable import Commands

/// The harness's clock stands at 1700000000000 ms.
@Suite(.storedBothWays) struct ExpiryTests {
  private static let incompatible = "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"
  private static let notInteger = "-ERR value is not an integer or out of range\r\n"

  @Test(arguments: [
    ("EXPIRE a x", notInteger),
    ("EXPIRE a 1.5", notInteger),
    ("EXPIRE a x NX FOO", "-ERR Unsupported option FOO\r\n"),
    ("EXPIRE a 10 NX XX", incompatible),
    ("EXPIRE a 10 nx gt", incompatible),
    ("EXPIRE a 10 NX LT", incompatible),
    ("EXPIRE a 10 NX XX LT", incompatible),
    ("EXPIRE a 10 GT LT", "-ERR GT and LT options at the same time are not compatible\r\n"),
    ("EXPIRE a 10 XX GT LT", "-ERR GT and LT options at the same time are not compatible\r\n"),
    ("EXPIRE a 9223372036854775807", "-ERR invalid expire time in 'expire' command\r\n"),
    ("EXPIRE a -9223372036854775808", "-ERR invalid expire time in 'expire' command\r\n"),
    ("EXPIRE a 9223372036854775", "-ERR invalid expire time in 'expire' command\r\n"),
    ("EXPIRE x 9223372036854775807", "-ERR invalid expire time in 'expire' command\r\n"),
    ("PEXPIRE a 9223372036854775807", "-ERR invalid expire time in 'pexpire' command\r\n"),
    ("EXPIREAT a 9223372036854776", "-ERR invalid expire time in 'expireat' command\r\n"),
    ("EXPIRE x 10", ":0\r\n"),
    ("EXPIRE a 10 NX NX", ":1\r\n"),
    ("EXPIRE a 10 XX", ":0\r\n"),
    ("EXPIRE a 10 GT", ":0\r\n"),
    ("EXPIRE a 10 LT", ":1\r\n"),
    ("PEXPIREAT a 9223372036854775807", ":1\r\n"),
    ("EXPIREAT a 9223372036854775", ":1\r\n"),
    ("PERSIST a", ":0\r\n"),
    ("PERSIST x", ":0\r\n"),
    ("TTL a", ":-1\r\n"),
    ("PTTL a", ":-1\r\n"),
    ("EXPIRETIME a", ":-1\r\n"),
    ("PEXPIRETIME a", ":-1\r\n"),
    ("TTL x", ":-2\r\n"),
    ("PEXPIRETIME x", ":-2\r\n"),
    // From here on b, which expires in 100 s.
    ("EXPIRE b 200 NX", ":0\r\n"),
    ("EXPIRE b 200 XX", ":1\r\n"),
    ("EXPIRE b 200 GT", ":1\r\n"),
    ("EXPIRE b 100 GT", ":0\r\n"),
    ("EXPIRE b 100 LT", ":0\r\n"),
    ("EXPIRE b 99 LT", ":1\r\n"),
    ("EXPIRE b 99 XX LT", ":1\r\n"),
    ("EXPIRE b 99 XX GT", ":0\r\n"),
    ("EXPIRE b -1 GT", ":0\r\n"),
    ("EXPIRE b -1 LT", ":1\r\n"),
    ("TTL b", ":100\r\n"),
    ("PTTL b", ":100000\r\n"),
    ("EXPIRETIME b", ":1700000100\r\n"),
    ("PEXPIRETIME b", ":1700000100000\r\n"),
    ("PERSIST b", ":1\r\n"),
  ])
  func repliesAreThoseOfRedis(_ command: String, _ reply: String) {
    let harness = CommandHarness()
    harness.run("SET a v")
    harness.run("SET b v EX 100")
    #expect(harness.run(command) == reply)
    #expect(["$1\r\nv\r\n", "$-1\r\n"].contains(harness.run("GET a")), "the value stays")
  }

  @Test(arguments: [
    "EXPIRE a 0", "EXPIRE a -1", "PEXPIRE a -5", "EXPIREAT a 1", "PEXPIREAT a 1700000000000",
    "PEXPIREAT a -9223372036854775808",
  ])
  func aTimeThatHasPassedDeletes(_ command: String) {
    let harness = CommandHarness()
    harness.run("SET a v")
    var reply = ""
    #expect(harness.recordsAppended { reply = harness.run(command) } == 1)
    #expect(reply == ":1\r\n")
    #expect(harness.run("EXISTS a") == ":0\r\n")
    #expect(harness.run("DBSIZE") == ":0\r\n")
  }

  @Test(arguments: [
    ("PEXPIRE a 1500", ":2\r\n"), ("PEXPIRE a 1499", ":1\r\n"), ("PEXPIRE a 499", ":0\r\n"),
    ("PEXPIRE a 1000", ":1\r\n"),
  ])
  func secondsAreRounded(_ command: String, _ reply: String) {
    let harness = CommandHarness()
    harness.run("SET a v")
    harness.run(command)
    #expect(harness.run("TTL a") == reply)
  }

  @Test func theFarthestExpiryIsToldWithoutOverflow() {
    let harness = CommandHarness()
    harness.run("SET a v")
    harness.run("PEXPIREAT a 9223372036854775807")
    #expect(harness.run("PEXPIRETIME a") == ":9223372036854775807\r\n")
    #expect(harness.run("EXPIRETIME a") == ":9223372036854776\r\n")
    #expect(harness.run("PTTL a") == ":9223370336854775807\r\n")
    #expect(harness.run("TTL a") == ":9223370336854776\r\n")
  }

  @Test func aKeyLivesUntilItsMillisecond() {
    let harness = CommandHarness()
    harness.run("SET a v")
    harness.run("PEXPIRE a 10")
    harness.now += 9
    #expect(harness.run("PTTL a") == ":1\r\n")
    #expect(harness.run("GET a") == "$1\r\nv\r\n")
    harness.now += 1
    #expect(harness.run("PTTL a") == ":-2\r\n")
    #expect(harness.run("PERSIST a") == ":0\r\n")
    #expect(harness.run("EXPIRE a 10") == ":0\r\n")
  }

  @Test func aNewExpiryIsARecordWithTheWholeValue() {
    let harness = CommandHarness()
    let value = String(repeating: "0123456789", count: 1000)
    harness.run("SET a \(value)")
    #expect(harness.recordsAppended { harness.run("EXPIRE a 100") } == 1)
    #expect(harness.run("GET a") == "$10000\r\n\(value)\r\n")
    #expect(harness.recordsAppended { harness.run("PERSIST a") } == 1)
    #expect(harness.run("GET a") == "$10000\r\n\(value)\r\n")
    #expect(harness.recordsAppended { harness.run("PERSIST a") } == 0)
  }

  @Test func aSlaveTellsExpiriesAndSetsNone() {
    let harness = CommandHarness()
    harness.run("SET a v EX 100")
    harness.takesWrites = false
    for command in ["EXPIRE a 1", "PERSIST a", "PEXPIREAT a 1", "EXPIRE x 1"] {
      #expect(harness.run(command).hasPrefix("-READONLY "), "\(command)")
    }
    #expect(harness.run("TTL a") == ":100\r\n")
    harness.now += 100_000
    #expect(harness.run("TTL a") == ":-2\r\n")
  }
}
