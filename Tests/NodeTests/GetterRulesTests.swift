import Testing

/// A getter has no effect: whoever reads a value must not bring a log to disk, change a file or an atomic, or start work.
@Suite struct GetterRulesTests {
  static let modules: Set<String> = ["Core", "LogStore", "Replication", "Commands", "Node", "PacelineServer"]

  @Test func noGetterWrites() throws {
    let sources = try SwiftSource.sources.get().filter { Self.modules.contains($0.module) }
    expectNone(
      sources.flatMap { source in
        Self.getters(in: source.code).flatMap { getter in
          Self.effects(in: getter.body).map { "\(source.path): \(getter.name): \($0)" }
        }
      })
  }

  /// Properties that are computed, and functions whose name is a question.
  static func getters(in code: String) -> [(name: String, body: Substring)] {
    let property = /\bvar\s+(\w+)\s*:[^={}\n]*\{/.wordBoundaryKind(.simple)
    let question = /\bfunc\s+((?:is|has|can|knows|hears|holds)[A-Z]\w*)[^{}\n]*\{/.wordBoundaryKind(.simple)
    let found =
      code.matches(of: property).map { ($0.output.1, $0.range.upperBound) }
      + code.matches(of: question).map { ($0.output.1, $0.range.upperBound) }
    return found.compactMap { name, start in
      let body = block(code, from: start)
      let writes = body.contains(/\b(?:didSet|willSet|_modify|set)\b\s*(?:\(\w+\)\s*)?\{/.wordBoundaryKind(.simple))
      return writes ? nil : (String(name), body)
    }
  }

  /// Up to the brace that closes the one before `start`.
  private static func block(_ code: String, from start: String.Index) -> Substring {
    var depth = 1
    var end = start
    while end < code.endIndex {
      if code[end] == "{" { depth += 1 }
      if code[end] == "}" { depth -= 1 }
      if depth == 0 { break }
      end = code.index(after: end)
    }
    return code[start..<end]
  }

  static func effects(in body: some StringProtocol) -> [String] {
    let effects: [(String, Regex<Substring>)] = [
      ("brings the log to disk", /\bcommitNow\s*\(|\.commit\s*\(/),
      ("changes a generation", /\bdirectory\.(?:change|write|forgot)\b|\bpersist\s*\(/),
      ("writes a file", /\.(?:pwrite|truncate|unlink|rename|flushDirectory)\s*\(|\bfile\.sync\s*\(/),
      (
        "changes an atomic",
        /\.(?:store|exchange|compareExchange|add|subtract|wrappingAdd|wrappingSubtract|max|min)\s*\([^\n]*ordering:/
      ),
      ("starts work", /\.(?:execute|schedule|submit)\s*[({]/),
    ]
    let text = String(body)
    return effects.flatMap { what, pattern in
      text.matches(of: pattern.wordBoundaryKind(.simple)).map { "\(what): \($0.output)" }
    }
  }

  @Test(arguments: [
    "var a: Int { commitNow(); return 1 }", "var isQuorum: Bool {\n  store.commit(flush: true)\n  return a { b } }",
    "func isHiding(_ a: Int) -> Bool { flag.store(false, ordering: .releasing); return true }",
    "package var a: [Int] { try? directory.change { $0.a = 1 }; return [] }",
  ])
  func writingGettersAreFound(code: String) {
    #expect(Self.getters(in: code).contains { !Self.effects(in: $0.body).isEmpty })
  }

  @Test(arguments: [
    "var a: Int { b.load(ordering: .acquiring) }", "func review() { flag.store(false, ordering: .releasing) }",
    "var a: Int { didSet { flag.store(1, ordering: .relaxed) } }", "let a: Int\nfunc b() { commitNow() }",
  ])
  func othersAreNot(code: String) {
    #expect(!Self.getters(in: code).contains { !Self.effects(in: $0.body).isEmpty })
  }
}
