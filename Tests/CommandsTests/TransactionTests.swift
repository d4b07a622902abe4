import Core
import LogStore
import RESP
import Testing

@testable import Commands

extension CommandHarness {
  /// Runs one command as another connection.
  @discardableResult
  func run(_ line: String, as other: Session) -> String {
    executor.beginBatch(
      now: WallClock(milliseconds: now), tick: tick, good: Gate(durable: good, committed: good),
      takesWrites: takesWrites)
    defer { _ = executor.endBatch() }
    executor.reply.protocolVersion = other.protocolVersion
    executor.reply.removeAll()
    _ = executor.execute(ArgumentList(line.split(separator: " ").map { Array($0.utf8) }), other)
    return String(decoding: executor.reply.bytes, as: UTF8.self)
  }
}

@Suite(.storedBothWays) struct TransactionTests {
  private static let aborted = "-EXECABORT Transaction discarded because of previous errors.\r\n"

  @Test(arguments: [
    KeyspaceTests.Script(
      "an empty transaction", [("MULTI", "+OK\r\n"), ("EXEC", "*0\r\n"), ("EXEC", "-ERR EXEC without MULTI\r\n")]),
    .init(
      "the queue runs at EXEC",
      [
        ("MULTI", "+OK\r\n"), ("SET a 1", "+QUEUED\r\n"), ("INCR a", "+QUEUED\r\n"), ("GET a", "+QUEUED\r\n"),
        ("EXEC", "*3\r\n+OK\r\n:2\r\n$1\r\n2\r\n"), ("GET a", "$1\r\n2\r\n"),
      ]),
    .init(
      "DISCARD forgets the queue",
      [
        ("DISCARD", "-ERR DISCARD without MULTI\r\n"), ("MULTI", "+OK\r\n"), ("SET a 1", "+QUEUED\r\n"),
        ("DISCARD", "+OK\r\n"),
        ("GET a", "$-1\r\n"), ("EXEC", "-ERR EXEC without MULTI\r\n"),
      ]),
    .init(
      "a failing command does not stop the others",
      [
        ("MULTI", "+OK\r\n"), ("SET a x", "+QUEUED\r\n"), ("INCR a", "+QUEUED\r\n"), ("SET b 1", "+QUEUED\r\n"),
        ("EXEC", "*3\r\n+OK\r\n-ERR value is not an integer or out of range\r\n+OK\r\n"), ("GET b", "$1\r\n1\r\n"),
      ]),
    .init(
      "MULTI and WATCH inside are refused, and that aborts nothing",
      [
        ("MULTI", "+OK\r\n"), ("MULTI", "-ERR MULTI calls can not be nested\r\n"),
        ("WATCH a", "-ERR WATCH inside MULTI is not allowed\r\n"), ("UNWATCH", "+QUEUED\r\n"),
        ("EXEC", "*1\r\n+OK\r\n"),
      ]),
    .init(
      "an unknown command aborts",
      [
        ("MULTI", "+OK\r\n"), ("SET a 1", "+QUEUED\r\n"),
        ("NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: \r\n"),
        ("SET a 1", "+QUEUED\r\n"), ("EXEC", aborted), ("GET a", "$-1\r\n"),
      ]),
    .init(
      "a wrong number of arguments aborts",
      [
        ("MULTI", "+OK\r\n"), ("GET", "-ERR wrong number of arguments for 'get' command\r\n"), ("EXEC", aborted),
        ("MULTI", "+OK\r\n"), ("WATCH", "-ERR wrong number of arguments for 'watch' command\r\n"), ("EXEC", aborted),
      ]),
    .init(
      "a wrong subcommand aborts",
      [
        ("MULTI", "+OK\r\n"), ("OBJECT x", "-ERR unknown subcommand 'x'. Try OBJECT HELP.\r\n"), ("EXEC", aborted),
        ("MULTI", "+OK\r\n"), ("OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command\r\n"),
        ("EXEC", aborted),
      ]),
    .init(
      "what may not be in a transaction aborts",
      [
        ("MULTI", "+OK\r\n"), ("SHUTDOWN", "-ERR Command not allowed inside a transaction\r\n"), ("EXEC", aborted),
        ("MULTI", "+OK\r\n"), ("SAVE", "-ERR Command not allowed inside a transaction\r\n"), ("DISCARD", "+OK\r\n"),
      ]),
    .init(
      "an EXEC that cannot run ends the transaction",
      [
        ("MULTI", "+OK\r\n"),
        ("EXEC a", "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n"),
        ("EXEC", "-ERR EXEC without MULTI\r\n"),
      ]),
    .init(
      "SELECT holds on after EXEC",
      [
        ("MULTI", "+OK\r\n"), ("SELECT 1", "+QUEUED\r\n"), ("SET a 1", "+QUEUED\r\n"), ("EXEC", "*2\r\n+OK\r\n+OK\r\n"),
        ("DBSIZE", ":1\r\n"), ("SELECT 0", "+OK\r\n"), ("DBSIZE", ":0\r\n"),
      ]),
    .init(
      "RESET discards",
      [
        ("MULTI", "+OK\r\n"), ("SET a 1", "+QUEUED\r\n"), ("RESET", "+RESET\r\n"),
        ("EXEC", "-ERR EXEC without MULTI\r\n"),
      ]),
  ])
  func repliesAreThoseOfRedis(_ script: KeyspaceTests.Script) {
    let harness = CommandHarness()
    for (command, reply) in script.steps { #expect(harness.run(command) == reply, "\(command)") }
  }

  @Test func aTransactionIsOneUnitOfTheLog() {
    let harness = CommandHarness()
    let before = harness.records
    for command in ["MULTI", "SET a 1", "MSET b 1 c 2", "RENAME b d", "DEL a c x", "FLUSHDB", "SET e 1", "EXEC"] {
      harness.run(command)
    }
    #expect(harness.units(after: before) == [9])
    #expect(harness.store.positions.applied.value == harness.records)
    #expect(harness.session.lastWrite == harness.records)
    harness.run("SET f 1")
    #expect(harness.units(after: before) == [9, 1])
  }

  // MARK: WATCH

  struct Watch: Sendable, CustomTestStringConvertible {
    let name: String
    let before: [String]
    let watch: String
    let meanwhile: [String]
    let isTouched: Bool
    var testDescription: String { name }
    init(_ name: String, _ before: [String], _ watch: String, _ meanwhile: [String], touched: Bool) {
      self.name = name
      self.before = before
      self.watch = watch
      self.meanwhile = meanwhile
      isTouched = touched
    }
  }

  @Test(arguments: [
    Watch("nothing happened", ["SET a 1"], "WATCH a", [], touched: false),
    Watch("another key was written", ["SET a 1"], "WATCH a", ["SET b 1"], touched: false),
    Watch("the key was written", ["SET a 1"], "WATCH a", ["SET a 1"], touched: true),
    Watch("the second of two was written", ["SET a 1"], "WATCH b a", ["SET a 1"], touched: true),
    Watch("the key was made", [], "WATCH a", ["SET a 1"], touched: true),
    Watch("the key was deleted", ["SET a 1"], "WATCH a", ["DEL a"], touched: true),
    Watch("the key was deleted and made again", ["SET a 1"], "WATCH a", ["DEL a", "SET a 1"], touched: true),
    Watch("the key got an expiry", ["SET a 1"], "WATCH a", ["EXPIRE a 100"], touched: true),
    Watch("another was renamed to the key", ["SET a 1", "SET b 1"], "WATCH a", ["RENAME b a"], touched: true),
    Watch("the key of another database was written", ["SET a 1"], "WATCH a", ["SELECT 1", "SET a 1"], touched: false),
    Watch("FLUSHDB took the key", ["SET a 1"], "WATCH a", ["FLUSHDB"], touched: true),
    Watch("FLUSHALL found no key", ["SET b 1"], "WATCH a", ["FLUSHALL"], touched: false),
    Watch("FLUSHDB of another database", ["SET a 1"], "WATCH a", ["SELECT 1", "FLUSHDB"], touched: false),
    Watch("SWAPDB took the key away", ["SET a 1"], "WATCH a", ["SWAPDB 0 1"], touched: true),
    Watch("SWAPDB brought the key", ["SELECT 1", "SET a 1", "SELECT 0"], "WATCH a", ["SWAPDB 0 1"], touched: true),
    Watch("SWAPDB there and back", ["SET a 1"], "WATCH a", ["SWAPDB 0 1", "SWAPDB 1 0"], touched: true),
    Watch("SWAPDB without the key", ["SET b 1"], "WATCH a", ["SWAPDB 0 1"], touched: false),
    Watch("watched again after the change", ["SET a 1"], "WATCH a", ["SET a 2", "WATCH-AGAIN"], touched: true),
  ])
  func execIsCalledOffIfAWatchedKeyWasTouched(_ watch: Watch) {
    let harness = CommandHarness()
    for command in watch.before { harness.run(command) }
    #expect(harness.run(watch.watch) == "+OK\r\n")
    let other = Session(id: 2, authenticated: true)
    for command in watch.meanwhile {
      if command == "WATCH-AGAIN" { harness.run(watch.watch) } else { harness.run(command, as: other) }
    }
    harness.run("MULTI")
    harness.run("PING")
    #expect(harness.run("EXEC") == (watch.isTouched ? "*-1\r\n" : "*1\r\n+PONG\r\n"))
    // Nothing is watched any more.
    harness.run("SET a 3", as: other)
    harness.run("MULTI")
    #expect(harness.run("EXEC") == "*0\r\n")
  }

  @Test func anExpiryTouchesAKeyThatWasAliveAtWatch() {
    let harness = CommandHarness()
    harness.run("SET a 1 PX 10")
    harness.run("WATCH a")
    harness.now += 10
    harness.run("MULTI")
    #expect(harness.run("EXEC") == "*-1\r\n")
    harness.run("WATCH a")
    let deleted = harness.store.withWriteLock { access in
      harness.store.expireDue(now: harness.now + 1000, limit: 10, access).deleted
    }
    #expect(deleted == 1)
    harness.run("MULTI")
    #expect(harness.run("EXEC") == "*0\r\n", "it had expired before it was watched")
  }

  @Test(arguments: ["UNWATCH", "DISCARD", "RESET"]) func watchingEndsWith(_ command: String) {
    let harness = CommandHarness()
    harness.run("WATCH a")
    if command == "DISCARD" { harness.run("MULTI") }
    harness.run(command)
    harness.run("SET a 1", as: Session(id: 2, authenticated: true))
    harness.run("MULTI")
    #expect(harness.run("EXEC") == "*0\r\n")
  }

  @Test func aCalledOffExecWaitsForWhatItSaw() {
    let harness = CommandHarness()
    harness.run("WATCH a")
    harness.good = harness.records
    harness.run("SET a 1", as: Session(id: 2, authenticated: true))
    harness.run("MULTI")
    #expect(harness.run("EXEC") == "*-1\r\n")
    #expect(harness.session.gate.durable == harness.records)
  }

  // MARK: Limits and refusals

  @Test func theQueueIsBounded() {
    let harness = CommandHarness()
    harness.run("MULTI")
    let large = [Array("SET".utf8), [0x61], [UInt8](repeating: 0x78, count: 8 << 20)]
    for _ in 0..<7 { #expect(harness.run(large) == "+QUEUED\r\n") }
    #expect(harness.run(large) == "-ERR the transaction is too large: at most 67108864 bytes of commands\r\n")
    #expect(harness.session.transaction?.bytes == 0, "the memory is given back at once")
    #expect(harness.run("EXEC") == Self.aborted)
    #expect(harness.run("EXISTS a") == ":0\r\n")
  }

  @Test func watchedKeysAreBounded() {
    let harness = CommandHarness()
    let key = [UInt8](repeating: 0x6B, count: 60_000)
    let watch = [Array("WATCH".utf8)] + Array(repeating: key, count: 1000)
    #expect(harness.run(watch) == "+OK\r\n")
    #expect(harness.run(watch) == "-ERR too many keys are watched\r\n")
  }

  @Test func aSlaveQueuesReadsAlone() {
    let harness = CommandHarness()
    harness.run("SET a 1")
    harness.takesWrites = false
    for (command, reply) in [
      ("MULTI", "+OK\r\n"), ("GET a", "+QUEUED\r\n"), ("EXEC", "*1\r\n$1\r\n1\r\n"),
      ("MULTI", "+OK\r\n"), ("SET a 2", "-READONLY You can't write against a read only replica.\r\n"),
      ("EXEC", Self.aborted),
    ] { #expect(harness.run(command) == reply, "\(command)") }
  }

  @Test func aNodeThatBecameASlaveCallsTheTransactionOff() {
    let harness = CommandHarness()
    harness.run("MULTI")
    harness.run("SET a 1")
    harness.takesWrites = false
    #expect(
      harness.run("EXEC")
        == "-EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.\r\n")
    #expect(harness.run("EXEC") == "-ERR EXEC without MULTI\r\n")
  }

  @Test func theEmptyKeyCanBeWatched() {
    let harness = CommandHarness()
    harness.run([Array("WATCH".utf8), []])
    harness.run([Array("SET".utf8), [], [0x31]])
    harness.run("MULTI")
    #expect(harness.run("EXEC") == "*-1\r\n")
  }
}
