import ArgumentParser
import Foundation
import Testing
import paceline

/// The documents name files that exist and flags that the program has.
@Suite struct DocumentsTests {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// The project's Markdown files: those at the root, and all below `docs`.
  static let documents: [(path: String, text: String)] = {
    let files = FileManager.default
    let top = (try? files.contentsOfDirectory(atPath: root.path)) ?? []
    let below = (try? files.subpathsOfDirectory(atPath: root.path + "/docs")) ?? []
    return (top + below.map { "docs/" + $0 }).filter { $0.hasSuffix(".md") }.sorted().compactMap { path in
      (try? String(contentsOfFile: root.path + "/" + path, encoding: .utf8)).map { (path, $0) }
    }
  }()

  /// Flags of other programs, which the documents show in use.
  static let foreign: Set<String> = [
    "--filter", "--product", "--pipe",  // swift, redis-cli
    "--check", "--strict", "--only", "--quick", "--commit-seconds", "--commit-rounds", "--commit-parts", "--records",
  ]

  @Test func everyRelativeLinkLeadsToAFile() {
    #expect(Self.documents.contains { $0.path == "README.md" })
    for (path, text) in Self.documents {
      let folder = Self.root.appendingPathComponent(path).deletingLastPathComponent()
      for match in text.matches(of: /\]\(([^)#:\s]+)(?:#[^)]*)?\)/) {
        let target = folder.appendingPathComponent(String(match.1)).path
        #expect(FileManager.default.fileExists(atPath: target), "\(path) links to \(match.1)")
      }
    }
  }

  @Test func everyFlagInTheDocumentsExists() {
    let helps = [Paceline.self] + Paceline.configuration.subcommands
    let known = helps.reduce(into: Self.foreign) { known, command in
      for match in Paceline.helpMessage(for: command, includeHidden: true).matches(of: /--[a-z][a-z-]*/) {
        known.insert(String(match.output))
      }
    }
    for (path, text) in Self.documents {
      for match in text.matches(of: /(?:^|[^-\w])(--[a-z][a-z-]*)/.anchorsMatchLineEndings()) {
        #expect(known.contains(String(match.1)), "\(path) names \(match.1), which no command has")
      }
    }
  }
}
