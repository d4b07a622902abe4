import Testing

/// One row a command: no other place decides by the name of one.
@Suite struct CommandRowTests {
  let sources: [SwiftSource]
  init() throws { sources = try SwiftSource.sources.get() }

  /// What the flags of rows are for, by its text.
  static func namesCommands(_ code: String) -> [String] {
    let forbidden: [Regex<Substring>] = [
      /\b(?:equalsIgnoringCase|isWord)\(arguments\[0\]/,
      /\brow(?:\([^)]*\))?\.name\s*[!=]=/,
      /\bswitch\s+\w*row\w*\.name\b/,
      /\.contains\(\w*row\w*\.name\)/,
      /\blookup\.find\(\s*"/,
    ]
    return forbidden.flatMap { pattern in code.matches(of: pattern.wordBoundaryKind(.simple)).map { String($0.output) }
    }
  }

  @Test func `only rows name commands`() {
    let modules: Set<String> = ["Commands", "PacelineServer", "Simulator", "Node"]
    let offenders = sources.filter { modules.contains($0.module) }
      .flatMap { source in Self.namesCommands(source.code).map { "\(source.path): \($0)" } }
    #expect(offenders.isEmpty, "\(offenders)")
  }

  @Test(arguments: [
    #"if equalsIgnoringCase(arguments[0], "get") {"#, #"if row.name == "exec" {"#, "switch row.name {",
    "[\"a\"].contains(row.name)", "table.row(command).name != \"x\"",
  ])
  func `what names commands is found`(code: String) { #expect(!Self.namesCommands(code).isEmpty) }

  @Test func `no type is spread over the families of commands`() {
    let commands = sources.filter { $0.path.hasPrefix("Sources/Commands/Families/") }
    #expect(!commands.isEmpty)
    #expect(
      commands.filter { $0.code.contains("extension Executor") || $0.code.contains("extension KeyAccess") }.isEmpty)
  }
}
