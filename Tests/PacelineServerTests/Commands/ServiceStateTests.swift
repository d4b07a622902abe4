import Commands
import Core
import NIOEmbedded
import RESP
import Testing

@testable import PacelineServer

struct ServiceStateTests {
  private func tick(_ milliseconds: UInt64) -> Tick { Tick(milliseconds: milliseconds) }
  private func words(_ text: String) -> ArgumentList { ArgumentList(text.split(separator: " ").map { Array($0.utf8) }) }
  /// The row of the command, which for a container is not that of the subcommand.
  private func row(of arguments: borrowing ArgumentList) throws -> CommandRow {
    let table = CommandTable.server
    return table.row(try #require(table.lookup.find(arguments[0])))
  }
  private let session = Session(id: 7, authenticated: true)

  @Test func `a pause is never made shorter or weaker`() {
    let pause = ClientPause()
    #expect(!pause.holdsBack(writes: true, now: tick(1)))
    pause.begin(until: tick(100), all: false, now: tick(1))
    #expect(pause.holdsBack(writes: true, now: tick(50)))
    #expect(!pause.holdsBack(writes: false, now: tick(50)))
    pause.begin(until: tick(60), all: true, now: tick(50))
    #expect(pause.holdsBack(writes: false, now: tick(99)))
    #expect(!pause.holdsBack(writes: true, now: tick(100)))
    // A new pause after the end does not inherit.
    pause.begin(until: tick(300), all: false, now: tick(200))
    #expect(!pause.holdsBack(writes: false, now: tick(250)))
    pause.end()
    #expect(!pause.holdsBack(writes: true, now: tick(250)))
  }

  @Test func `attention is a set that several share`() {
    let service = ServiceState()
    service.watch(.paused)
    service.watch(.monitors)
    service.ignore(.paused)
    #expect(service.attention == .monitors)
  }

  @Test func `a pause that ends leaves the server's own reasons to hold writes back`() {
    let service = ServiceState()
    service.beginPause(until: tick(100), all: true, now: tick(0))
    service.hold(.handover)
    service.hold(.shutdown)
    service.endPause(now: tick(1))
    #expect(service.attention == .paused)
    #expect(service.holdsBack(writes: true, now: tick(1)))
    #expect(!service.holdsBack(writes: false, now: tick(1)))
    service.release(.handover)
    #expect(service.holdsBack(writes: true, now: tick(2)))
    service.release(.shutdown)
    // The first command that asks ends the asking.
    #expect(service.attention == .paused)
    #expect(!service.holdsBack(writes: true, now: tick(3)))
    #expect(service.attention.isEmpty)
  }

  @Test func `what strangers hold is counted together and given back`() {
    let all = Strangers()
    var one = Stranger()
    var other = Stranger()
    #expect(one.holds(100, at: tick(5), all) == 100)
    #expect(other.holds(50, at: tick(6), all) == 150)
    #expect(one.holds(30, at: tick(7), all) == 80)
    #expect(!one.isOverdue(at: tick(1004), afterMilliseconds: 1000))
    #expect(one.isOverdue(at: tick(1005), afterMilliseconds: 1000))
    #expect(!one.isOverdue(at: tick(1005), afterMilliseconds: 0))
    one.left(all)
    #expect(all.heldBytes == 50)
    #expect(!one.isOverdue(at: tick(99_999), afterMilliseconds: 1000))
    other.left(all)
    other.left(all)
    #expect(all.heldBytes == 0)
  }

  @Test func `the slow log keeps the newest and cuts what is long`() throws {
    let log = SlowLog()
    let get = try row(of: words("get"))
    let del = try row(of: words("del"))
    log.configure(thresholdMicroseconds: 100, entriesMax: 2)
    let wall = WallClock(milliseconds: 5000)
    log.note(get, words("get fast"), session, microseconds: 99, wall: wall)
    #expect(log.count == 0)
    for i in 0..<3 { log.note(get, words("get k\(i)"), session, microseconds: 100, wall: wall) }
    #expect(log.newest(10).map(\.id) == [2, 1])
    let many = Array(repeating: Array("x".utf8), count: 40) + [Array(repeating: 0x61, count: 200)]
    log.note(del, ArgumentList(many), session, microseconds: 100, wall: wall)
    let entry = try #require(log.newest(1).first)
    #expect(entry.arguments.count == 32)
    #expect(entry.arguments.last == Array("... (10 more arguments)".utf8))
    log.note(
      get, ArgumentList([Array("get".utf8), Array(repeating: 0x61, count: 200)]), session, microseconds: 100,
      wall: wall)
    #expect(log.newest(1)[0].arguments[1].count == 128 + "... (72 more bytes)".utf8.count)
    log.configure(thresholdMicroseconds: -1, entriesMax: 2)
    log.reset()
    log.note(get, words("get k"), session, microseconds: 1_000_000, wall: wall)
    #expect(log.count == 0)
  }

  @Test(arguments: [
    "auth secret", "hello 3 auth default secret", "config set requirepass secret",
  ])
  func `the slow log never holds a password`(call: String) throws {
    let log = SlowLog()
    log.configure(thresholdMicroseconds: 0, entriesMax: 8)
    log.note(try row(of: words(call)), words(call), session, microseconds: 1, wall: WallClock(milliseconds: 0))
    #expect(log.newest(1)[0].arguments.last == Array("(redacted)".utf8))
  }

  @Test func `errors are counted by their code, the codes are bounded`() {
    let statistics = ServerStatistics()
    func note(_ line: String) { Array(line.utf8).withUnsafeBytes { statistics.noteError($0) } }
    note("-ERR no\r\n")
    note("-ERR other\r\n")
    note("-WRONGPASS\r\n")
    #expect(statistics.errors.map(\.code) == ["ERR", "WRONGPASS"])
    #expect(statistics.errors.map(\.count) == [2, 1])
    for i in 0..<1000 { note("-E\(i) x\r\n") }
    #expect(statistics.errors.count <= 129)
    statistics.reset(ServerFigures())
    #expect(statistics.errors.isEmpty)
  }

  @Test func `figures begin anew with RESETSTAT and rates come from two samples`() {
    let statistics = ServerStatistics()
    statistics.sample(ServerFigures(commands: 100), memory: 5, now: tick(1000))
    statistics.sample(ServerFigures(commands: 600, input: 1024), memory: 9, now: tick(3000))
    #expect(statistics.rates.commandsPerSecond == 250)
    #expect(statistics.rates.inputBytesPerSecond == 512)
    #expect(statistics.memoryPeak(atLeast: 3) == 9)
    statistics.reset(ServerFigures(commands: 600))
    #expect(statistics.since(ServerFigures(commands: 650)).commands == 50)
  }

  @Test func `an attack is warned of once a minute`() {
    let statistics = ServerStatistics()
    #expect(statistics.noteProtocolError(isAttack: true, now: tick(1000)))
    #expect(!statistics.noteProtocolError(isAttack: true, now: tick(60_999)))
    #expect(statistics.noteProtocolError(isAttack: true, now: tick(61_000)))
    #expect(!statistics.noteProtocolError(isAttack: false, now: tick(200_000)))
    #expect(statistics.protocolErrors == 4)
  }

  @Test func `a client's line has Redis's fields in Redis's order`() {
    var entry = ClientDirectory.Entry(
      id: 3, address: "127.0.0.1:5", localAddress: "127.0.0.1:6", descriptor: 8, createdAt: tick(1000),
      channel: EmbeddedChannel())
    entry.state.lastActive = tick(4000)
    entry.state.queued = 2
    entry.state.command = "client|list"
    let line = entry.line(now: tick(11_000))
    let names = line.split(separator: " ").map { $0.prefix { $0 != "=" } }
    #expect(
      names.joined(separator: " ") == """
        id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem rbs rbp obl oll \
        omem tot-mem events cmd user redir resp lib-name lib-ver
        """)
    #expect(line.contains(" age=10 idle=7 flags=x db=0 "))
    #expect(line.contains(" multi=2 ") && line.contains(" cmd=client|list "))
  }

  @Test func `numbers are printed as Redis prints them`() {
    #expect(human(0) == "0B" && human(1023) == "1023B" && human(1024) == "1.00K" && human(1_064_480) == "1.02M")
    #expect(fixed(0.001063, 6) == "0.001063" && fixed(2, 2) == "2.00" && fixed(9.999, 2) == "10.00")
    #expect(fixed(.nan, 2) == "0" && percent(1, of: 0) == "0.00%" && percent(1, of: 3) == "33.33%")
  }
}
