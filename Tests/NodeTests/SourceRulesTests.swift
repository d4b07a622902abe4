import Testing

/// Rules of DESIGN, section 7, and of STYLE that a reader of the source can check.
@Suite struct SourceRulesTests {
  /// Modules that decide and do no IO.
  static let decisionModules: Set<String> = [
    "Core", "RESP", "LogStore", "Replication", "Commands", "Connection", "Node", "NodeCommands",
  ]
  /// Where the store meets the system.
  static let systemFiles: Set<String> = [
    "RealFileSystem.swift", "SegmentMemory.swift", "Pages.swift", "WriteLock.swift",
  ]
  static let fileLinesMax = 500

  let sources: [SwiftSource]
  var decisions: [SwiftSource] {
    sources.filter { Self.decisionModules.contains($0.module) && !Self.systemFiles.contains($0.fileName) }
  }

  init() throws { sources = try SwiftSource.sources.get() }

  @Test func decisionsImportNoSurroundings() {
    var offenders: [String] = []
    for source in decisions {
      for module in source.imports.sorted() {
        if module.hasPrefix("NIO") || module.hasPrefix("Foundation") || module == "Dispatch" {
          offenders.append("\(source.path) imports \(module)")
        }
      }
    }
    expectNone(offenders)
  }

  /// Time and randomness are arguments; nothing is started and nothing waited for.
  @Test func decisionsReadNoClockDrawNoLotsStartNothing() {
    expectNone(decisions.flatMap { source in Self.surroundings(in: source.code).map { "\(source.path): \($0)" } })
  }

  /// The uses of clock, chance, tasks and threads in a piece of code.
  static func surroundings(in code: String) -> [String] {
    let forbidden: [(String, Regex<Substring>)] = [
      ("a date", /\bDate\s*\(/),
      ("a task", /\bTask\s*[{.(<]/),
      ("a task", /\bwith(?:Throwing)?(?:Discarding)?TaskGroup\b|\bawait\b/),
      ("an actor", /\bactor\s+\w|@MainActor|@globalActor/),
      ("a thread", /\bThread\b|\bpthread_create\b|\bDispatchQueue\b/),
      ("a global generator", /\.random\s*\(\s*\)|\bSystemRandomNumberGenerator\b/),
      ("a global generator", /\barc4random|\bgetrandom\b|\bgetentropy\b/),
      ("a global generator", /\.(?:shuffle|shuffled|randomElement)\s*\(\s*\)/),
      ("a clock", /\bclock_gettime|\bgettimeofday\b|\bmach_absolute_time\b|\btime\s*\(\s*nil/),
      ("a clock", /\b(?:Continuous|Suspending)Clock\b|\bDispatchTime\b/),
      ("a wait", /\b(?:sleep|usleep|nanosleep)\s*\(/),
    ]
    var found: [String] = []
    for (what, pattern) in forbidden {
      // Unicode sees no end of a word before the dot in `Thread.sleep`.
      for match in code.matches(of: pattern.wordBoundaryKind(.simple)) { found.append("\(what): \(match.output)") }
    }
    for match in code.matches(of: /\.random\s*\(\s*in:[^\n]*/) where !match.output.contains("using:") {
      found.append("a global generator: \(match.output)")
    }
    return found
  }

  @Test(arguments: [
    "let now = Date()", "Task { f() }", "try Task.checkCancellation()", "let t = Task<Void, Never>.detached {}",
    "await f()", "package actor Store {", "Thread.sleep(1)", "Int.random(in: 0..<3)", "Bool.random()",
    "keys.shuffled()",
    "ContinuousClock.now", "clock_gettime(CLOCK_MONOTONIC, &t)", "var g = SystemRandomNumberGenerator()",
  ])
  func surroundingsAreFound(code: String) { #expect(!Self.surroundings(in: code).isEmpty) }

  @Test(arguments: [
    "Int.random(in: 0..<3, using: &random)", "keys.shuffled(using: &random)", "let updated = UpDate(1)",
    "case .time(until: tick)", "let factor = 3", "BackgroundTask(1)", "NodeID(random: bytes)",
  ])
  func argumentsAreNoSurroundings(code: String) { #expect(Self.surroundings(in: code).isEmpty) }

  @Test func rawMemoryIsAnnouncedInTheFirstLine() {
    let pattern = /\bUnsafe(?:Mutable)?(?:Raw)?(?:Buffer)?Pointer\b|\bunsafe(?:BitCast|Downcast)\b|\bUnmanaged\b/
      .wordBoundaryKind(.simple)
    expectNone(
      sources.filter { $0.code.contains(pattern) && $0.lines.first?.hasPrefix("// Raw memory: ") != true }.map(\.path))
  }

  /// Entries, digests and live counts are kept in step in one place: `Keyspace`. See decision 0040.
  @Test func onlyItsRoomFollowsATableToItsIndex() {
    expectNone(
      sources.filter { !$0.path.contains("LogStore/Index/") && $0.code.contains("pointee.index") }.map(\.path))
  }

  @Test func whatTheCompilerDoesNotCheckHasItsReason() {
    var offenders: [String] = []
    for source in sources {
      for (i, line) in source.lines.enumerated() {
        guard line.contains("@unchecked Sendable") || line.contains("nonisolated(unsafe)"),
          !line.drop(while: { $0 == " " }).hasPrefix("//")
        else { continue }
        let around = source.lines[max(0, i - 3)...min(source.lines.count - 1, i + 3)]
        if !around.contains(where: { $0.contains("//") && $0.contains("Safe to share") }) {
          offenders.append("\(source.path):\(i + 1)")
        }
      }
    }
    expectNone(offenders)
  }

  /// "Sync" alone is a slave's catching up; the store knows files, which are flushed.
  @Test func theStoreFlushesAndNeverSyncs() {
    var offenders: [String] = []
    for source in sources where source.module == "LogStore" {
      for (i, line) in source.lines.enumerated() where line.contains(/\b[sS]ync(s|ed)?\b/) {
        offenders.append("\(source.path):\(i + 1)")
      }
    }
    expectNone(offenders)
  }

  /// A weak reference makes every count of references to its object slower, for good: 13 percent of a pipelined SET, where it is
  /// the store. `StoreIdentity` is in its place.
  @Test func nobodyReferencesAStoreWeakly() {
    var offenders: [String] = []
    for source in sources {
      for (i, line) in source.lines.enumerated()
      where line.contains(/\bweak var \w+: LogStore\b/) || source.module == "LogStore" && line.contains("[weak ") {
        offenders.append("\(source.path):\(i + 1)")
      }
    }
    expectNone(offenders)
  }

  /// One reader and one writer of RESP: nobody else puts a length before a string. (The store is on RESP's floor and writes
  /// lost files, which are commands, itself.)
  @Test func onlyTheProtocolModuleFramesStrings() {
    var offenders: [String] = []
    for source in sources where source.module != "RESP" && source.fileName != "LostRecords.swift" {
      for (i, line) in source.lines.enumerated() where line.contains(/"[$*](?:\\\(|\d+\\r)/) {
        offenders.append("\(source.path):\(i + 1)")
      }
    }
    expectNone(offenders)
  }

  /// One way to connect: nobody else opens a socket to a node.
  @Test func onlyTheDialerConnects() {
    expectNone(sources.filter { $0.module != "Sockets" && $0.code.contains("ClientBootstrap") }.map(\.path))
  }

  @Test func noFileOutgrowsItsDuty() throws {
    let all = try sources + SwiftSource.all(below: "Tests") + SwiftSource.all(below: "Benchmarks")
    expectNone(all.filter { $0.lineCount > Self.fileLinesMax }.map { "\($0.path) has \($0.lineCount) lines" })
  }

  @Test func nothingIsLeftForLater() throws {
    var offenders: [String] = []
    let word = "TO" + "DO"
    let other = "FIX" + "ME"
    for source in try sources + SwiftSource.all(below: "Tests") {
      for (i, line) in source.lines.enumerated() where line.contains(word) || line.contains(other) {
        offenders.append("\(source.path):\(i + 1)")
      }
    }
    expectNone(offenders)
  }

  /// What the rules above rest on.
  @Test func literalsAndCommentsAreNotCode() {
    let source = SwiftSource(
      path: "Sources/Core/A.swift",
      text: """
        import Core // import NIO
        @testable import struct RESP.Thing
        let a = "Date( \\(f("Task {", g(x))) actor" /* Thread /* */ Thread */ + b
        let c = #"a " \\( Task. "# + d
        """)
    #expect(source.imports == ["Core", "RESP"])
    let code = source.code
    for word in ["Date", "Task", "actor", "Thread", "NIO"] { #expect(!code.contains(word), "\(word) in \(code)") }
    for word in ["g(x)", "+ b", "+ d"] { #expect(code.contains(word), "\(word) in \(code)") }
  }
}

/// Fails with every offender on a line of its own.
func expectNone(_ offenders: [String], location: SourceLocation = #_sourceLocation) {
  #expect(offenders.isEmpty, "\n\(offenders.joined(separator: "\n"))", sourceLocation: location)
}
