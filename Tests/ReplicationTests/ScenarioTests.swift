import Core
import Foundation
import Testing

@testable import Replication

/// Scripts with golden output, in the manner of etcd raft's testdata. A script is a list of blocks, separated by blank
/// lines: commands, a line `----`, and what the machines answered. `PACELINE_REWRITE=1` writes the answers anew; then
/// read the difference before you commit it. Lines that begin with # are comments. See `ScenarioRunner` for the commands.
@Suite struct ScenarioTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Scenarios")

  static func scripts() -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(".txt") }.sorted()
  }

  @Test func everyMachineHasTwoScripts() {
    for machine in ["planner", "relay", "applier", "commit", "handover", "promotion", "reign"] {
      #expect(Self.scripts().count { $0.hasPrefix(machine) } >= 2, "\(machine)")
    }
  }

  @Test(arguments: scripts()) func theMachinesAnswerAsTheScriptSays(name: String) throws {
    let file = Self.folder.appendingPathComponent(name)
    let text = try String(contentsOf: file, encoding: .utf8)
    let runner = ScenarioRunner()
    var answered: [String] = []
    for block in text.components(separatedBy: "\n\n") {
      let lines = block.split(separator: "\n").map(String.init)
      guard !lines.isEmpty else { continue }
      let commands = Array(lines.prefix { $0 != "----" })
      var output: [String] = []
      for command in commands where !command.hasPrefix("#") { output += runner.run(command) }
      let hasCommands = commands.contains { !$0.hasPrefix("#") }
      answered.append(
        (hasCommands ? commands + ["----"] + (output.isEmpty ? ["nothing"] : output) : commands).joined(separator: "\n")
      )
    }
    let result = answered.joined(separator: "\n\n") + "\n"
    if ProcessInfo.processInfo.environment["PACELINE_REWRITE"] == "1" {
      try result.write(to: file, atomically: true, encoding: .utf8)
      return
    }
    let wanted = text.split(separator: "\n", omittingEmptySubsequences: false)
    let found = result.split(separator: "\n", omittingEmptySubsequences: false)
    guard wanted != found else { return }
    let index =
      zip(wanted, found).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? min(wanted.count, found.count)
    Issue.record(
      """
      \(name), line \(index + 1):
        script:   \(index < wanted.count ? String(wanted[index]) : "(nothing)")
        machines: \(index < found.count ? String(found[index]) : "(nothing)")
      """)
  }
}

/// One line of a script: words, and `key=value`.
struct ScenarioCommand {
  let words: [String]
  private let values: [String: String]

  init(_ line: String) {
    var words: [String] = []
    var values: [String: String] = [:]
    for word in line.split(separator: " ").map(String.init) {
      if let sign = word.firstIndex(of: "=") {
        values[String(word[..<sign])] = String(word[word.index(after: sign)...])
      } else {
        words.append(word)
      }
    }
    self.words = words
    self.values = values
  }

  func has(_ key: String) -> Bool { values[key] != nil }
  func text(_ key: String, _ missing: String = "") -> String { values[key] ?? missing }
  func flag(_ key: String) -> Bool { values[key] == "yes" }
  func number(_ key: String, _ missing: UInt64 = 0) -> UInt64 { values[key].flatMap { UInt64($0) } ?? missing }
  func lsn(_ key: String, _ missing: UInt64 = 0) -> LSN { LSN(number(key, missing)) }
  func optionalLSN(_ key: String) -> LSN? { values[key].flatMap { UInt64($0) }.map { LSN($0) } }
  func term(_ key: String, _ missing: UInt32 = 0) -> Term { Term(UInt32(number(key, UInt64(missing)))) }
  /// `term=3`, of node 1; `term-owner=n2` names another.
  func reign(_ key: String, _ missing: Reign) -> Reign {
    guard has(key) else { return missing }
    return Reign(term: term(key), owner: nodes("\(key)-owner").first ?? node(1))
  }
  func position(_ key: String, _ missing: Position = .none) -> Position {
    values[key].flatMap { KeyValueArguments.position($0, missingOwner: node(1)) } ?? missing
  }
  func history(_ key: String, _ missing: TermHistory) -> TermHistory {
    guard let text = values[key] else { return missing }
    return TermHistory(
      text.split(separator: ",").compactMap { KeyValueArguments.position($0, missingOwner: node(1)) }.map {
        TermHistory.Entry($0.reign, firstLSN: $0.lsn)
      }) ?? missing
  }
  /// Nodes are n1, n2, ...; node n listens on 10.0.0.1:7400+n.
  func nodes(_ key: String) -> [NodeID] {
    values[key]?.split(separator: ",").compactMap { Self.number($0) }.map { node($0) } ?? []
  }
  func number(ofNode key: String) -> UInt8 { values[key].flatMap { Self.number($0) } ?? 0 }
  static func number(_ name: some StringProtocol) -> UInt8? { name.first == "n" ? UInt8(name.dropFirst()) : nil }
  /// `n2:5,n3:9`
  func acks(_ key: String) -> [SlaveAck] {
    values[key]?.split(separator: ",").compactMap { item in
      let sides = item.split(separator: ":")
      guard sides.count == 2, let n = Self.number(sides[0]), let lsn = UInt64(sides[1]) else { return nil }
      return SlaveAck(id: node(n), durableLSN: LSN(lsn))
    } ?? []
  }
}
