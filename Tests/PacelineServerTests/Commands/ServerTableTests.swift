import Foundation
import RESP
import Testing

@testable import Commands
@testable import PacelineServer

/// What must be so of every row of the server's table.
struct ServerTableTests {
  private static let rows = CommandTable.server.rows
  private static let subcommands = rows.flatMap(\.subcommands)

  private func resolve(_ call: String) -> CommandRow? {
    CommandTable.server.resolve(ArgumentList(call.split(separator: " ").map { Array($0.utf8) }))
  }

  @Test func `every row says what it is and does something`() {
    for row in Self.rows + Self.subcommands {
      #expect(!row.summary.isEmpty && !row.since.isEmpty, "\(row.name)")
      if case .container = row.function { #expect(!row.subcommands.isEmpty, "\(row.name) does nothing") }
      if case .help = row.function { #expect(row.name.hasSuffix("|help"), "\(row.name)") }
    }
  }

  @Test func `every subcommand has lines in its container's HELP, and every container has a HELP`() {
    for row in Self.rows where !row.subcommands.isEmpty {
      #expect(row.subcommands.last?.name == row.name + "|help")
      for subcommand in row.subcommands.dropLast() {
        let word = subcommand.name.dropFirst(row.name.count + 1).uppercased()
        #expect(subcommand.help.hasPrefix(word), "\(subcommand.name)")
      }
    }
    #expect(Self.subcommands.allSatisfy { $0.name.hasSuffix("|help") || !$0.help.isEmpty })
  }

  @Test func `every command stands in the documentation`() throws {
    let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().pathComponents.dropLast(4).joined(
      separator: "/")
    let text = try String(contentsOfFile: root + "/docs/COMMANDS.md", encoding: .utf8)
    let words = Set(text.split { !$0.isLetter && !$0.isNumber && $0 != "_" }.map(String.init))
    for row in Self.rows {
      #expect(words.contains(row.name.uppercased()), "\(row.name) is missing in docs/COMMANDS.md")
    }
  }

  @Test func `the second word decides`() {
    #expect(resolve("config get x")?.name == "config|get")
    #expect(resolve("CONFIG")?.name == "config")
    #expect(resolve("CONFIG nothing") == nil)
    let usage = resolve("memory usage k samples 3")
    let arguments = ArgumentList(["memory", "usage", "k"].map { Array($0.utf8) })
    #expect(usage?.keys(in: arguments).map(\.index) == [2])
  }

  /// The words of flags that no client sees are of one meaning: a row with one of them has what it rests on.
  @Test func `flags do not contradict each other`() {
    for row in Self.rows + Self.subcommands {
      let flags = row.flags
      #expect(!flags.isSuperset(of: [.write, .readonly]), "\(row.name)")
      #expect(!flags.isSuperset(of: [.waits, .noMulti]), "\(row.name) is never queued, so it does not wait in EXEC")
      #expect(!flags.isSuperset(of: [.waits, .inPlace]), "\(row.name)")
      if flags.contains(.inPlace) { #expect(flags.contains(.served), "\(row.name)") }
      if flags.contains(.nodeBound) { #expect(flags.contains(.readonly), "\(row.name)") }
    }
    #expect(Self.rows.filter { $0.flags.contains(.runsQueue) }.map(\.name) == ["exec"])
    #expect(Self.rows.filter { $0.flags.contains(.watches) }.map(\.name) == ["watch"])
  }

  @Test func `secrets are shown to nobody`() throws {
    func secrets(_ call: String) throws -> [String] {
      let arguments = ArgumentList(call.split(separator: " ").map { Array($0.utf8) })
      let row = CommandTable.server.row(try #require(CommandTable.server.lookup.find(arguments[0])))
      var finder = SecretFinder(row)
      return (0..<arguments.count).filter { finder.isSecret(arguments[$0]) }.map {
        String(decoding: arguments[$0], as: UTF8.self)
      }
    }
    #expect(try secrets("auth a b") == ["a", "b"])
    #expect(try secrets("hello 3 AUTH user p setname x") == ["user", "p"])
    #expect(try secrets("hello auth x") == [])
    #expect(try secrets("config set requirepass p masterauth q port 1") == ["p", "q"])
    #expect(try secrets("get auth") == [])
  }
}
