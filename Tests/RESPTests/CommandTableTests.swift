import RESP
import Testing

struct CommandTableTests {
  private func find(_ name: String) -> Command? { withBytes(name) { CommandLookup.shared.find($0) } }
  private func words(_ text: String) -> ArgumentList { ArgumentList(text.split(separator: " ").map { Array($0.utf8) }) }

  private func resolve(_ call: String, from first: Int = 0) -> CommandInfo? {
    CommandTable.resolve(words(call), from: first)
  }

  private func keys(_ info: CommandInfo, _ call: String, from first: Int = 0) -> [CommandTable.KeyPosition] {
    CommandTable.keys(of: info, arguments: words(call), from: first)
  }

  @Test(arguments: CommandTable.all.map(\.name))
  func `a command is found in any mixture of cases`(name: String) {
    let mixed = String(name.enumerated().map { $0.offset % 2 == 0 ? Character($0.element.uppercased()) : $0.element })
    for form in [name, name.uppercased(), mixed] {
      #expect(find(form).map { CommandTable.info($0).name } == name)
    }
    for other in [name + "x", "x" + name, String(name.dropLast()) + "\0", name + "\0", " " + name] {
      #expect(find(other) == nil)
    }
  }

  @Test func `no other name is found`() {
    for name in ["", "x", "g", "ge", "gett", "G\0T", "@ET", "`et", "{et", "getget", "ms_register_slavf", "configget"] {
      #expect(find(name) == nil)
    }
    #expect(withBytes(String(repeating: "a", count: 70_000)) { CommandLookup.shared.find($0) } == nil)
    // Bytes that only differ in the bit between the cases are not letters.
    #expect(find("mS\u{7F}pLAN") == nil)
    var random = SeededGenerator(seed: 3)
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 1...20, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      let found = bytes.withUnsafeBytes { CommandLookup.shared.find($0) }
      if let found { #expect(String(decoding: bytes, as: UTF8.self).lowercased() == CommandTable.info(found).name) }
    }
  }

  @Test func `the raw rules are those of the table`() {
    let lookup = CommandLookup.shared
    for info in CommandTable.all {
      #expect(lookup.flags(info.command) == info.flags)
      #expect(lookup.arity(info.command) == info.arity)
      for count in 0...6 {
        let accepts = lookup.accepts(info.command, argumentCount: count)
        #expect(accepts == info.accepts(argumentCount: count))
        #expect(accepts == (info.arity > 0 ? count == info.arity : count >= -info.arity))
      }
    }
    #expect(lookup.flags(.set) == [.write, .denyOOM])
    #expect(lookup.flags(.get) == [.readonly, .fast])
    #expect(lookup.flags(.auth).contains(.noAuth))
    #expect(Command.allCases.filter { lookup.flags($0).contains(.noAuth) } == [.quit, .reset, .hello, .auth])
  }

  @Test func `every subcommand is defined once and found`() {
    let all = CommandTable.all.flatMap(\.subcommands)
    #expect(Set(all.compactMap(\.subcommand)) == Set(Subcommand.allCases))
    #expect(all.count == Subcommand.allCases.count)
    for info in all {
      let name = String(info.name.split(separator: "|")[1])
      let found = withBytes(name.uppercased()) { CommandTable.subcommand(of: info.command, named: $0) }
      #expect(found?.subcommand == info.subcommand)
      #expect(withBytes(info.name.uppercased()) { CommandTable.info(named: $0) }?.subcommand == info.subcommand)
    }
    #expect(withBytes("nothing") { CommandTable.subcommand(of: .config, named: $0) } == nil)
    #expect(withBytes("") { CommandTable.subcommand(of: .config, named: $0) } == nil)
    #expect(withBytes("config|") { CommandTable.info(named: $0) } == nil)
    #expect(withBytes("|get") { CommandTable.info(named: $0) } == nil)
    #expect(withBytes("GET") { CommandTable.info(named: $0) }?.command == .get)
  }

  @Test func `a call is resolved to its subcommand`() {
    #expect(resolve("config get x")?.subcommand == .configGet)
    #expect(resolve("CONFIG")?.command == .config)
    #expect(resolve("CONFIG nothing") == nil)
    #expect(resolve("command getkeys object encoding k", from: 2)?.subcommand == .objectEncoding)
    #expect(resolve("nothing") == nil)
    #expect(resolve("get", from: 1) == nil)
  }

  @Test(arguments: [
    ("get k", [1]), ("mset a 1 b 2", [1, 3]), ("mget a b c", [1, 2, 3]), ("bitop and d s1 s2", [2, 3, 4]),
    ("rename a b", [1, 2]),
    ("copy a b replace", [1, 2]), ("lcs a b", [1, 2]), ("ping", []), ("object encoding k", [2]), ("set k v get", [1]),
    ("mset a", [1]), ("get", []), ("del", []), ("memory usage k samples 3", [2]),
  ])
  func `the keys of a command`(call: String, expected: [Int]) throws {
    let info = try #require(resolve(call))
    #expect(keys(info, call).map(\.index) == expected)
    #expect(keys(info, "command getkeys " + call, from: 2).map(\.index) == expected.map { $0 + 2 })
  }

  @Test func `SET reads its key only when asked to`() {
    let info = CommandTable.info(.set)
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
    #expect(unknown([bytes("config"), bytes("x\r\ny")]) == "-ERR unknown subcommand 'x  y'. Try CONFIG HELP.\r\n")
    #expect(unknown([bytes("x"), [0x61, 0, 0x62]]) == expected("x", "'a' "))
    #expect(reply { $0.wrongArgumentCount(Command.get) } == "-ERR wrong number of arguments for 'get' command\r\n")
    let configGet = resolve("config get")
    let wrongCount = reply { buffer in configGet.map { buffer.wrongArgumentCount($0) } }
    #expect(wrongCount == "-ERR wrong number of arguments for 'config|get' command\r\n")
    let quoting = reply { buffer in withBytes("a\nb") { buffer.error("ERR bad '", quoting: $0, "'") } }
    #expect(quoting == "-ERR bad 'a b'\r\n")
  }

  @Test func `COMMAND INFO has ten elements as in Redis`() {
    #expect(
      reply { $0.commandInfo(CommandTable.info(.get)) }
        == "*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n"
        + "*3\r\n+@read\r\n+@string\r\n+@fast\r\n*0\r\n"
        + "*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n"
        + "*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n"
        + "$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n"
        + "$5\r\nlimit\r\n:0\r\n*0\r\n")
    #expect(
      reply(version: 3) { $0.commandDocs(CommandTable.info(.ping)) }
        == "$4\r\nping\r\n%4\r\n$7\r\nsummary\r\n$15\r\nPing the server\r\n$5\r\nsince\r\n$5\r\n1.0.0\r\n"
        + "$5\r\ngroup\r\n$10\r\nconnection\r\n$10\r\ncomplexity\r\n$4\r\nO(1)\r\n")
  }
}
