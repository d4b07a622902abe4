import Foundation
import Testing

/// Decisions do no IO, read no clock, start nothing and draw no lots: checked in the source itself.
@Suite struct SourceRulesTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Sources/Replication").resolvingSymlinksInPath()

  // `random:` is the label of NodeID's initialiser, whose bytes come from outside; drawing a number looks like these.
  static let forbidden = [
    "Date(", "Task", "actor ", "Thread", ".random", "random(", "RandomNumberGenerator", "shuffled(",
    "import Foundation",
    "import Glibc", "import Musl", "clock_gettime", "default:", "try!", "DispatchQueue", "fatalError",
  ]

  /// A folder is a room with a door: every file stands in the one of its duty, none beside the doors.
  @Test func everyFileStandsInARoom() throws {
    let here = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
    #expect(here.filter { $0.hasSuffix(".swift") } == [])
  }

  @Test func noSourceFileReachesOutside() throws {
    let files = try FileManager.default.subpathsOfDirectory(atPath: Self.folder.path)
      .filter { $0.hasSuffix(".swift") }.map { Self.folder.appendingPathComponent($0) }
    #expect(files.count > 20)
    for file in files {
      let text = try String(contentsOf: file, encoding: .utf8)
      for word in Self.forbidden { #expect(!text.contains(word), "\(word) in \(file.lastPathComponent)") }
      #expect(text.split(separator: "\n", omittingEmptySubsequences: false).count < 500, "\(file.lastPathComponent)")
    }
  }
}
