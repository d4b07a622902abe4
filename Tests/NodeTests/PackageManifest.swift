import Foundation

/// What `Package.swift` says of its targets, read from its text.
struct PackageManifest {
  struct Target {
    let kind: String
    let name: String
    /// Own targets and products of other packages, by module name.
    let dependencies: Set<String>
  }
  private(set) var targets: [String: Target] = [:]

  /// - Parameter text: the manifest. Lists of dependencies may be shared through `let name = [...]` and `name + [...]`.
  init(_ text: String) {
    let code = text.split(separator: "\n", omittingEmptySubsequences: false)
      .map { line in
        line.range(of: "//").map { line[..<$0.lowerBound].hasSuffix(":") ? line : line[..<$0.lowerBound] } ?? line
      }
      .joined(separator: "\n")
    var shared: [String: Set<String>] = [:]
    for line in code.ranges(of: /let (\w+) = \[/) {
      let name = code[line].split(separator: " ")[1]
      let list = Self.balanced(code[code.index(before: line.upperBound)...])
      shared[String(name)] = Self.names(in: list)
    }
    for match in code.matches(of: /\.(target|executableTarget|testTarget|systemLibrary)\(/) {
      let body = Self.balanced(code[code.index(before: match.range.upperBound)...])
      guard let name = body.firstMatch(of: /name: "(\w+)"/) else { continue }
      var dependencies: Set<String> = []
      if let start = body.range(of: "dependencies:") {
        let rest = body[start.upperBound...]
        guard let bracket = rest.firstIndex(where: { $0 == "[" || $0 == "," || $0 == ")" }) else { continue }
        for word in rest[..<bracket].split(whereSeparator: { !$0.isLetter }) {
          dependencies.formUnion(shared[String(word)] ?? [])
        }
        if rest[bracket] == "[" { dependencies.formUnion(Self.names(in: Self.balanced(rest[bracket...]))) }
      }
      let target = Target(kind: String(match.1), name: String(name.1), dependencies: dependencies)
      targets[target.name] = target
    }
  }

  /// From an opening bracket to the one that closes it.
  private static func balanced(_ text: Substring) -> Substring {
    var depth = 0
    for i in text.indices {
      if "([".contains(text[i]) { depth += 1 }
      if ")]".contains(text[i]) {
        depth -= 1
        if depth == 0 { return text[...i] }
      }
    }
    return text
  }

  /// Target names as they stand, products by their name.
  private static func names(in list: Substring) -> Set<String> {
    let withoutPackages = list.replacing(/package: "[^"]*"/, with: "")
    return Set(withoutPackages.matches(of: /"([^"]+)"/).map { String($0.1) })
  }
}
