import RESP
import Testing

@testable import Commands

/// The table and its lookup, on the rows of the commands on keys and connections.
struct CommandTableTests {
  private let table = CommandTable.data
  private func find(_ name: String) -> Command? { withBytes(name) { table.lookup.find($0) } }
  private func words(_ text: String) -> ArgumentList { ArgumentList(text.split(separator: " ").map { Array($0.utf8) }) }

  private func resolve(_ call: String, from first: Int = 0) -> CommandRow? { table.resolve(words(call), from: first) }

  private func keys(_ row: CommandRow, _ call: String, from first: Int = 0) -> [CommandRow.KeyPosition] {
    row.keys(in: words(call), from: first)
  }

  /// Runs `body` on the bytes of `text`.
  private func withBytes<Result>(_ text: String, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    Array(text.utf8).withUnsafeBytes { body($0) }
  }

  private func reply(version: UInt8 = 2, _ write: (inout ReplyBuffer) -> Void) -> String {
    var buffer = ReplyBuffer(capacity: 0, protocolVersion: version)
    write(&buffer)
    return String(decoding: buffer.bytes, as: UTF8.self)
  }

  private static let nothing: CommandFunction.Answer = { _, _, _ in }

  @Test(arguments: CommandTable.data.rows.map(\.name))
  func `a command is found in any mixture of cases`(name: String) {
    let mixed = String(name.enumerated().map { $0.offset % 2 == 0 ? Character($0.element.uppercased()) : $0.element })
    for form in [name, name.uppercased(), mixed] {
      #expect(find(form).map { table.row($0).name } == name)
    }
    for other in [name + "x", "x" + name, String(name.dropLast()) + "\0", name + "\0", " " + name] {
      #expect(find(other) == nil)
    }
  }

  @Test func `no other name is found`() {
    for name in ["", "x", "g", "ge", "gett", "G\0T", "@ET", "`et", "{et", "getget", "ms_register_slavf", "configget"] {
      #expect(find(name) == nil)
    }
    #expect(find(String(repeating: "a", count: 70_000)) == nil)
    // Bytes that only differ in the bit between the cases are not letters.
    #expect(find("mS\u{7F}pLAN") == nil)
    var state: UInt64 = 3
    func draw(_ bound: UInt64) -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) % bound
    }
    for _ in 0..<20_000 {
      let bytes = (0..<1 + draw(20)).map { _ in UInt8(draw(256)) }
      let found = bytes.withUnsafeBytes { table.lookup.find($0) }
      if let found { #expect(String(decoding: bytes, as: UTF8.self).lowercased() == table.row(found).name) }
    }
  }

  @Test func `the raw rules are those of the table`() throws {
    let lookup = table.lookup
    for row in table.rows {
      #expect(lookup.flags(row.command) == row.flags)
      #expect(lookup.arity(row.command) == row.arity)
      for count in 0...6 {
        let accepts = lookup.accepts(row.command, argumentCount: count)
        #expect(accepts == row.accepts(argumentCount: count))
        #expect(accepts == (row.arity > 0 ? count == row.arity : count >= -row.arity))
      }
    }
    func shown(_ name: String) throws -> CommandFlags { lookup.flags(try #require(find(name))).intersection(.shown) }
    #expect(try shown("set") == [.write, .denyOOM])
    #expect(try shown("get") == [.readonly, .fast])
    #expect(try shown("auth").contains(.noAuth))
    #expect(table.rows.filter { $0.flags.contains(.noAuth) }.map(\.name) == ["quit", "reset", "hello", "auth"])
  }

  @Test func `a table has room for more commands than a byte has numbers`() {
    let names = (0..<1000).map { "command\($0)" } + (0..<100).map { "a-command-of-a-long-name-\($0)" }
    let large = CommandTable { rows in
      for name in names {
        rows.command(name, arity: 1, [], [], since: "0", summary: "x", complexity: "", run: Self.nothing)
      }
    }
    #expect(large.rows.map(\.name) == names)
    for name in names {
      #expect(withBytes(name.uppercased()) { large.lookup.find($0) }.map { large.row($0).name } == name)
    }
    #expect(withBytes("command1000") { large.lookup.find($0) } == nil)
  }

  @Test func `a subcommand is found in any mixture of cases`() {
    for row in table.rows.flatMap(\.subcommands) {
      let parts = row.name.split(separator: "|").map(String.init)
      let container = find(parts[0]).map { table.row($0) }
      #expect(withBytes(parts[1].uppercased()) { container?.subcommand(named: $0) } === row)
      #expect(withBytes(row.name.uppercased()) { table.row(named: $0) } === row)
    }
    let object = find("object").map { table.row($0) }
    #expect(withBytes("nothing") { object?.subcommand(named: $0) } == nil)
    #expect(withBytes("") { object?.subcommand(named: $0) } == nil)
    #expect(withBytes("object|") { table.row(named: $0) } == nil)
    #expect(withBytes("|get") { table.row(named: $0) } == nil)
    #expect(withBytes("GET") { table.row(named: $0) }?.name == "get")
  }

  @Test func `a call is resolved to its subcommand`() {
    #expect(resolve("object freq x")?.name == "object|freq")
    #expect(resolve("OBJECT")?.name == "object")
    #expect(resolve("OBJECT nothing") == nil)
    #expect(resolve("command getkeys object encoding k", from: 2)?.name == "object|encoding")
    #expect(resolve("nothing") == nil)
    #expect(resolve("get", from: 1) == nil)
  }

  @Test(arguments: [
    ("get k", [1]), ("mset a 1 b 2", [1, 3]), ("mget a b c", [1, 2, 3]), ("bitop and d s1 s2", [2, 3, 4]),
    ("rename a b", [1, 2]),
    ("copy a b replace", [1, 2]), ("lcs a b", [1, 2]), ("ping", []), ("object encoding k", [2]), ("set k v get", [1]),
    ("mset a", [1]), ("get", []), ("del", []),
  ])
  func `the keys of a command`(call: String, expected: [Int]) throws {
    let info = try #require(resolve(call))
    #expect(keys(info, call).map(\.index) == expected)
    #expect(keys(info, "command getkeys " + call, from: 2).map(\.index) == expected.map { $0 + 2 })
  }

  @Test func `SET reads its key only when asked to`() throws {
    let info = try #require(resolve("set"))
    #expect(keys(info, "set k v GET")[0].flags == [.rw, .access, .update])
    #expect(keys(info, "set k get")[0].flags == [.ow, .update])
  }

  @Test func `errors have Redis's words`() {
    func unknown(_ arguments: [[UInt8]]) -> String { reply { $0.unknownCommand(ArgumentList(arguments)) } }
    func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
    func expected(_ name: String, _ arguments: String) -> String {
      "-ERR unknown command '\(name)', with args beginning with: \(arguments)\r\n"
    }
    #expect(unknown([bytes("x"), bytes("a"), bytes("b")]) == expected("x", "'a' 'b' "))
    #expect(unknown([[]]) == expected("", ""))
    #expect(unknown([bytes("fo\r\nba")]) == expected("fo  ba", ""))
    let name = String(repeating: "n", count: 300)
    #expect(unknown([bytes(name)]) == expected(String(name.prefix(128)), ""))
    let long = String(repeating: "a", count: 100)
    let cut = String(repeating: "a", count: 25)
    #expect(unknown([bytes("x"), bytes(long), bytes(long), bytes(long)]) == expected("x", "'\(long)' '\(cut)' "))
    let subcommand = reply { $0.unknownSubcommand(ArgumentList([bytes("config"), bytes("x\r\ny")])) }
    #expect(subcommand == "-ERR unknown subcommand 'x  y'. Try CONFIG HELP.\r\n")
    #expect(unknown([bytes("x"), [0x61, 0, 0x62]]) == expected("x", "'a' "))
    let wrongCount = reply { $0.wrongArgumentCount(of: "config|get") }
    #expect(wrongCount == "-ERR wrong number of arguments for 'config|get' command\r\n")
    let quoting = reply { buffer in withBytes("a\nb") { buffer.error("ERR bad '", quoting: $0, "'") } }
    #expect(quoting == "-ERR bad 'a b'\r\n")
  }

  @Test func `COMMAND INFO has ten elements as in Redis`() throws {
    let get = try #require(resolve("get"))
    let ping = try #require(resolve("ping"))
    #expect(
      reply { $0.commandInfo(get) }
        == "*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n"
        + "*3\r\n+@read\r\n+@string\r\n+@fast\r\n*0\r\n"
        + "*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n"
        + "*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n"
        + "$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n"
        + "$5\r\nlimit\r\n:0\r\n*0\r\n")
    #expect(
      reply(version: 3) { $0.commandDocs(ping) }
        == "$4\r\nping\r\n%4\r\n$7\r\nsummary\r\n$15\r\nPing the server\r\n$5\r\nsince\r\n$5\r\n1.0.0\r\n"
        + "$5\r\ngroup\r\n$10\r\nconnection\r\n$10\r\ncomplexity\r\n$4\r\nO(1)\r\n")
  }
}
