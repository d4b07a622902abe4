import Core
import RESP
import Testing

@testable import Commands

struct ConnectionTests {
  private static func hello(_ version: Int, _ map: String) -> String {
    "\(map)\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:\(version)\r\n$2\r\nid\r\n:1\r\n"
      + "$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"
  }
  private static let wrongPassword = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
  private static let badName = "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"

  @Test(arguments: [
    ("PING", "+PONG\r\n"),
    ("PING x", "$1\r\nx\r\n"),
    ("PING a b", "-ERR wrong number of arguments for 'ping' command\r\n"),
    (#"ECHO "\x00\r\n""#, "$3\r\n\0\r\n\r\n"),
    ("SELECT 15", "+OK\r\n"),
    ("SELECT 16", "-ERR DB index is out of range\r\n"),
    ("SELECT -1", "-ERR DB index is out of range\r\n"),
    ("SELECT abc", "-ERR value is not an integer or out of range\r\n"),
    ("SELECT 01", "-ERR value is not an integer or out of range\r\n"),
    ("SELECT 99999999999", "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"),
    ("HELLO", hello(2, "*14")),
    ("HELLO 2", hello(2, "*14")),
    ("HELLO 3", hello(3, "%7")),
    ("HELLO 3 setname bob", hello(3, "%7")),
    ("HELLO 2 AUTH default whatever", hello(2, "*14")),
    ("HELLO 1", "-NOPROTO unsupported protocol version\r\n"),
    ("HELLO 4", "-NOPROTO unsupported protocol version\r\n"),
    ("HELLO x", "-ERR Protocol version is not an integer or out of range\r\n"),
    ("HELLO 99999999999999999999", "-ERR Protocol version is not an integer or out of range\r\n"),
    ("HELLO 2 FOO", "-ERR Syntax error in HELLO option 'FOO'\r\n"),
    ("HELLO 2 AUTH a", "-ERR Syntax error in HELLO option 'AUTH'\r\n"),
    ("HELLO 2 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'\r\n"),
    (#"HELLO 2 SETNAME "a b""#, badName),
    (#"HELLO 2 SETNAME "a b" AUTH u x"#, badName),
    ("HELLO 2 AUTH u x FOO", wrongPassword),
    (
      "AUTH x",
      "-ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        + "configuration is correct?\r\n"
    ),
    ("AUTH default x", "+OK\r\n"),
    ("AUTH u x", wrongPassword),
    ("AUTH a b c", "-ERR syntax error\r\n"),
    ("RESET", "+RESET\r\n"),
    ("QUIT", "+OK\r\n"),
    ("QUIT now", "+OK\r\n"),
  ])
  func repliesAreThoseOfRedis(_ command: String, _ reply: String) {
    let harness = CommandHarness()
    #expect(harness.run(command) == reply)
    #expect(harness.session.closing == command.hasPrefix("QUIT"))
  }

  @Test func resetTakesTheConnectionBackToItsBeginning() {
    let harness = CommandHarness()
    harness.run("HELLO 3 SETNAME bob")
    harness.run("SELECT 4")
    harness.session.noTouch = true
    harness.session.replyMode = .off
    #expect(harness.run("RESET") == "+RESET\r\n")
    let session = harness.session
    #expect(session.database == 0 && session.name == "" && session.protocolVersion == 2)
    #expect(!session.noTouch && session.replyMode == .on && session.authenticated)
  }

  @Test func errorsAreSilencedByClientReplyOffToo() {
    let harness = CommandHarness()
    harness.session.replyMode = .off
    for command in ["NOSUCH", "GET", "GET a", "SELECT x"] { #expect(harness.run(command) == "", "\(command)") }
    harness.session.replyMode = .skipping
    #expect(harness.run("NOSUCH") == "")
    #expect(harness.run("PING") == "+PONG\r\n")
  }

  // MARK: Passwords

  /// A server with the password `secret`.
  private final class GuardedServices: ServerServices {
    let password: [UInt8]? = Array("secret".utf8)
    let redisVersion = "7.0.15"
    let roleName = "replica"
    func readOnlyError() -> String { "READONLY" }
    func feedMonitors(_ line: String) {}
  }

  @Test func nothingButAuthenticationIsAnsweredBeforeIt() {
    let harness = CommandHarness()
    let executor = Executor(store: harness.store, services: GuardedServices())
    let session = Session(id: 7, authenticated: false)
    func run(_ line: String) -> String {
      executor.beginBatch(now: WallClock(milliseconds: 1), tick: Tick(milliseconds: 0), good: .open, takesWrites: true)
      defer { _ = executor.endBatch() }
      executor.reply.protocolVersion = session.protocolVersion
      executor.reply.removeAll()
      _ = executor.execute(ArgumentList(line.split(separator: " ").map { Array($0.utf8) }), session)
      return String(decoding: executor.reply.bytes, as: UTF8.self)
    }
    let noAuth = "-NOAUTH Authentication required.\r\n"
    let helloNoAuth =
      "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option "
      + "can be used to authenticate the client and select the RESP protocol version at the same time\r\n"
    for command in ["PING", "GET a", "GET", "NOSUCH", "MULTI", "EXEC", "WATCH a"] {
      #expect(run(command) == noAuth, "\(command)")
    }
    for command in ["HELLO", "HELLO 3", "HELLO 2 SETNAME x"] { #expect(run(command) == helloNoAuth, "\(command)") }
    #expect(session.protocolVersion == 2)
    for command in [
      "AUTH x", "AUTH secre", "AUTH secretsecret", "AUTH default x", "AUTH u secret", "HELLO 3 AUTH default x",
      "HELLO 3 AUTH u secret",
    ] { #expect(run(command) == Self.wrongPassword, "\(command)") }
    #expect(run("PING") == noAuth)
    #expect(run("AUTH secret") == "+OK\r\n")
    #expect(run("PING") == "+PONG\r\n")
    #expect(run("AUTH x") == Self.wrongPassword)
    #expect(run("PING") == "+PONG\r\n", "a wrong password takes nothing away")
    #expect(run("RESET") == "+RESET\r\n")
    #expect(run("PING") == noAuth)
    #expect(run("HELLO 3 AUTH default secret").hasPrefix("%7\r\n"))
    #expect(run("HELLO").contains("$7\r\nreplica\r\n"))
    #expect(run("PING") == "+PONG\r\n")
  }

  @Test(arguments: [
    ("", "", true), ("a", "", false), ("", "a", false), ("aa", "a", false), ("a", "aa", false), ("ab", "ab", true),
    ("ab", "ac", false),
  ])
  func passwordsAreComparedWhole(_ given: String, _ secret: String, _ isSame: Bool) {
    Array(given.utf8).withUnsafeBytes { #expect(ConnectionCommands.isSame($0, as: Array(secret.utf8)) == isSame) }
  }

  // MARK: MONITOR

  @Test func monitorsSeeCommandsAsRedisShowsThem() {
    let harness = CommandHarness()
    harness.attention = .monitors
    harness.session.address = "127.0.0.1:60866"
    harness.now = 1_339_518_083_107
    for command in [
      "SET a 1", #"ECHO "\x00\xff\"\\\n\r\t\a\b abc""#, "AUTH default secret", "HELLO 2",
      "HELLO 2 AUTH default secret SETNAME x",
      "SELECT 2", "NOSUCH", "GET", "CONFIG GET port", "CLIENT LIST", "OBJECT HELP",
      "MULTI", "GET a", "SET b 1", "CONFIG GET x", "EXEC", "MULTI", "GET a", "DISCARD",
    ] { harness.run(command) }
    let at = "1339518083.107000"
    #expect(
      harness.services.monitorLines == [
        #"\#(at) [0 127.0.0.1:60866] "SET" "a" "1""#,
        #"\#(at) [0 127.0.0.1:60866] "ECHO" "\x00\xff\"\\\n\r\t\a\b abc""#,
        #"\#(at) [0 127.0.0.1:60866] "AUTH" "(redacted)" "(redacted)""#,
        #"\#(at) [0 127.0.0.1:60866] "HELLO" "2""#,
        #"\#(at) [0 127.0.0.1:60866] "HELLO" "2" "AUTH" "(redacted)" "(redacted)" "SETNAME" "x""#,
        #"\#(at) [2 127.0.0.1:60866] "SELECT" "2""#,
        #"\#(at) [2 127.0.0.1:60866] "OBJECT" "HELP""#,
        #"\#(at) [2 127.0.0.1:60866] "MULTI""#,
        #"\#(at) [2 127.0.0.1:60866] "GET" "a""#,
        #"\#(at) [2 127.0.0.1:60866] "SET" "b" "1""#,
        #"\#(at) [2 127.0.0.1:60866] "EXEC""#,
        #"\#(at) [2 127.0.0.1:60866] "MULTI""#,
        #"\#(at) [2 127.0.0.1:60866] "DISCARD""#,
      ])
  }
}
