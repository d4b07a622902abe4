import Core
import LogStore
import Node
import Simulator
import Testing

/// The data directory on a simulated disk.
@Suite struct DataDirectoryTests {
  static let path = "data"

  static func open(_ files: SimulatedFileSystem, seed: UInt64 = 7) throws -> (directory: DataDirectory, notes: [String])
  {
    var random = SplitMix64(seed: seed)
    return try DataDirectory.open(path, fileSystem: files) { count in
      (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }
  }
  static func file(_ generation: UInt64) -> String { "\(path)/\(DirectoryFile.name(generation))" }
  static func generations(_ files: SimulatedFileSystem) -> [UInt64] {
    files.paths.compactMap { DirectoryFile.generation(inName: String($0.dropFirst(path.count + 1))) }
  }
  /// A directory whose generation `n` has the registry `[n]`, up to `newest`.
  static func directory(newest: UInt8, on files: SimulatedFileSystem) throws -> DataDirectory {
    let directory = try open(files).directory
    for n in 2...max(2, newest) { try directory.change { $0.registry = [n] } }
    return directory
  }

  // MARK: Making and opening

  @Test func anEmptyDirectoryGetsItsFirstGenerationDurably() throws {
    let files = SimulatedFileSystem()
    let (directory, notes) = try Self.open(files)
    #expect(notes.isEmpty)
    #expect(directory.node != directory.lineage)
    #expect(directory.current.generation == 1)
    #expect(files.paths == [Self.file(1)])
    files.crash()
    #expect(try Self.open(files, seed: 8).directory.current == directory.current)
  }

  @Test func reopeningKeepsNodeAndLineage() throws {
    let files = SimulatedFileSystem()
    let first = try Self.open(files).directory
    try first.change {
      $0.registry = [1, 2, 3]
      $0.vote = DirectoryFile.Vote(term: Term(4), candidate: $0.node)
      $0.logStart = LSN(17)
    }
    let second = try Self.open(files, seed: 8).directory
    #expect(second.node == first.node)
    #expect(second.lineage == first.lineage)
    #expect(second.current == first.current)
    #expect(try Self.open(SimulatedFileSystem(), seed: 8).directory.node != first.node)
  }

  @Test func leftoversOfACutReplacementAreRemoved() throws {
    let files = SimulatedFileSystem()
    _ = try Self.open(files)
    files.setContents(Self.file(2) + ".tmp", [1, 2, 3])
    _ = try Self.open(files)
    #expect(files.paths == [Self.file(1)])
  }

  // MARK: Generations

  @Test func threeGenerationsAreKept() throws {
    let files = SimulatedFileSystem()
    let directory = try Self.directory(newest: 10, on: files)
    #expect(Self.generations(files) == [8, 9, 10])
    #expect(directory.keptGenerations.map(\.generation) == [10, 9, 8])
    #expect(try Self.open(files).directory.keptGenerations.map(\.registry) == [[10], [9], [8]])
  }

  @Test func generationsOfAnotherStoreKeepNothingOfTheLiveOne() throws {
    let files = SimulatedFileSystem()
    let directory = try Self.directory(newest: 5, on: files)
    try directory.change { $0.storeNumber = 2 }
    #expect(directory.keptGenerations.map(\.generation) == [6])
    #expect(Self.generations(files) == [4, 5, 6])
    try directory.change { $0.registry = [7] }
    #expect(directory.keptGenerations.map(\.generation) == [7, 6])
  }

  @Test func aGenerationOfANewerFormatIsRefusedAndLeftAlone() throws {
    let files = SimulatedFileSystem()
    _ = try Self.directory(newest: 5, on: files)
    var bytes = try #require(files.contents(Self.file(5)))
    let own = bytes[7]
    bytes[7] += 1
    files.setContents(Self.file(5), bytes)
    let before = files.paths.map { files.contents($0) }
    let error = #expect(throws: OpenError.self) { try Self.open(files) }
    let text = "\(try #require(error))"
    #expect(text.contains(DirectoryFile.name(5)), "\(text)")
    #expect(text.contains("newer Paceline (format \(own + 1))") && text.contains("up to format \(own)"), "\(text)")
    #expect(files.paths.map { files.contents($0) } == before)
  }

  /// A generation is in its file twice: a bit in each copy makes it unreadable.
  static func damageBothCopies(_ file: String, in files: SimulatedFileSystem) throws {
    let bytes = try #require(files.contents(file))
    files.flipBit(file, offset: 40)
    files.setContents(
      file, try #require(files.contents(file)).enumerated().map { $0 == bytes.count / 2 + 40 ? $1 ^ 1 : $1 })
  }

  /// Every byte of both copies of the newest one, and every length.
  @Test func aDamagedNewestGenerationFallsBackWithANote() throws {
    let origin = SimulatedFileSystem()
    _ = try Self.directory(newest: 5, on: origin)
    let bytes = try #require(origin.contents(Self.file(5)))
    let half = bytes.count / 2
    // A higher version, the last byte of the magic number, is a newer format: see below.
    func damaged(_ i: Int, of bytes: [UInt8]) -> [UInt8] {
      bytes.enumerated().map { $0 == i ? (i % half == 7 ? 0 : $1 ^ 0x10) : $1 }
    }
    var damages = (0..<half).map { damaged($0 + half, of: damaged($0, of: bytes)) }
    damages += (0..<bytes.count).map { Array(bytes.prefix($0)) }
    damages.append(bytes + [0])
    for (i, damage) in damages.enumerated() {
      let files = origin.copy()
      files.setContents(Self.file(5), damage)
      let (directory, notes) = try Self.open(files)
      #expect(directory.current.registry == [4], "damage \(i)")
      #expect(notes.count == 1 && notes[0].contains(DirectoryFile.name(5)), "damage \(i): \(notes)")
      // The damaged one's number is not used again.
      try directory.change { $0.registry = [6] }
      let next = try Self.open(files).directory.current
      #expect(next.generation == 6 && next.registry == [6], "damage \(i)")
    }
  }

  /// Every byte of either copy.
  @Test func oneDamagedCopyOfAGenerationCostsNothing() throws {
    let origin = SimulatedFileSystem()
    _ = try Self.directory(newest: 5, on: origin)
    let bytes = try #require(origin.contents(Self.file(5)))
    for i in bytes.indices {
      let files = origin.copy()
      files.setContents(Self.file(5), bytes.enumerated().map { $0 == i ? $1 ^ 0x10 : $1 })
      let (directory, notes) = try Self.open(files)
      #expect(
        directory.current.registry == [5] && notes.contains { $0.contains(DirectoryFile.name(5)) },
        "byte \(i): \(notes)")
    }
  }

  @Test func aGenerationUnderAnotherNameIsNotUsed() throws {
    let files = SimulatedFileSystem()
    _ = try Self.directory(newest: 5, on: files)
    files.setContents(Self.file(9), try #require(files.contents(Self.file(3))))
    let (directory, notes) = try Self.open(files)
    #expect(directory.current.registry == [5])
    #expect(notes.count == 1)
  }

  @Test func withAllGenerationsDamagedItIsRefusedWithAdvice() throws {
    let files = SimulatedFileSystem()
    _ = try Self.directory(newest: 5, on: files)
    for generation in Self.generations(files) { try Self.damageBothCopies(Self.file(generation), in: files) }
    let before = files.paths
    let error = #expect(throws: OpenError.self) { try Self.open(files) }
    let text = error?.description ?? ""
    #expect(text.contains("Put a .dir file back from a copy"), "\(text)")
    #expect(text.contains("start with an empty directory as a slave"), "\(text)")
    for generation in 3...5 { #expect(text.contains(DirectoryFile.name(UInt64(generation))), "\(text)") }
    #expect(files.paths == before)
  }

  // MARK: Foreign directories

  @Test func aForeignDirectoryIsRefusedAndLeftAsItIs() throws {
    let files = SimulatedFileSystem()
    files.setContents("data/thesis.txt", [1])
    files.setContents("data/thesis.tmp", [2])
    let before = files.paths
    let error = #expect(throws: OpenError.self) { try Self.open(files) }
    let text = error?.description ?? ""
    #expect(text.contains("thesis.t") && text.contains("--data"), "\(text)")
    #expect(files.paths == before)
  }

  @Test func whatEverySystemPutsThereIsNotForeign() throws {
    let files = SimulatedFileSystem()
    files.setContents("data/lock", [])
    try files.makeDirectory("data/lost+found")
    #expect(try Self.open(files).directory.current.generation == 1)
  }

  // MARK: Power cuts and faults

  /// The calls from the n-th on never happen, then the power goes.
  @Test(arguments: 0..<20 as Range<UInt64>)
  func aPowerCutAtAnyCallOfAChangeLeavesTheOldOrTheNew(seed: UInt64) throws {
    let calls = try Self.forEveryCall(seed: seed) { files in
      try Self.directory(newest: 5, on: files)
    } during: { directory in
      try directory.change { $0.registry = [6] }
    } after: { files, _, n, completed in
      files.crash()
      let directory = try Self.open(files).directory
      let allowed: [[UInt8]] = completed ? [[6]] : [[5], [6]]
      #expect(allowed.contains(directory.current.registry), "call \(n): \(directory.current.registry)")
      try directory.change { $0.registry = [7] }
      files.crash()
      #expect(try Self.open(files).directory.current.registry == [7], "call \(n)")
    }
    #expect(calls >= 5)
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func aPowerCutAtAnyCallOfTheFirstStartCanBeStartedAgain(seed: UInt64) throws {
    let calls = try Self.forEveryCall(seed: seed) {
      $0
    } during: { files in
      _ = try Self.open(files)
    } after: { files, _, n, _ in
      files.crash()
      let directory = try Self.open(files, seed: 8).directory
      #expect(directory.current.generation >= 1, "call \(n)")
      #expect(try Self.open(files, seed: 9).directory.node == directory.node, "call \(n)")
    }
    #expect(calls >= 6)
  }

  @Test func aFailedCallLeavesTheOldInMemoryAndTheNextChangeHolds() throws {
    let calls = try Self.forEveryCall(seed: 1, stays: false) { files in
      try Self.directory(newest: 5, on: files)
    } during: { directory in
      try directory.change { $0.registry = [6] }
    } after: { files, directory, n, completed in
      #expect(directory.current.registry == (completed ? [6] : [5]), "call \(n)")
      try directory.change { $0.registry = [7] }
      files.crash()
      let reopened = try Self.open(files).directory
      #expect(reopened.current.registry == [7], "call \(n)")
      #expect(reopened.current.generation == directory.current.generation, "call \(n)")
    }
    #expect(calls >= 5)
  }

  /// Runs `during` with its n-th call failing, for every n until none fails. Returns how many calls there were.
  static func forEveryCall<Subject>(
    seed: UInt64, stays: Bool = true, prepare: (SimulatedFileSystem) throws -> Subject,
    during: (Subject) throws -> Void, after: (SimulatedFileSystem, Subject, Int, Bool) throws -> Void
  ) throws -> Int {
    var n = 1
    while true {
      let files = SimulatedFileSystem(seed: seed &* 1000 &+ UInt64(n))
      let subject = try prepare(files)
      files.setFault(.init(number: n, errno: SimulatedFileSystem.Fault.inputOutput, stays: stays))
      var completed = true
      do { try during(subject) } catch { completed = false }
      let fired = files.faultFired
      files.setFault(nil)
      try after(files, subject, n, completed)
      if !fired {
        #expect(completed)
        return n - 1
      }
      n += 1
    }
  }

  // MARK: Stores

  /// A process that ended between the renaming of a generation and the sync: the next one removes what that generation no
  /// longer names, so it must not go with the power.
  @Test(arguments: 0..<20 as Range<UInt64>)
  func whatAStartWentByNoPowerCutTakesBack(seed: UInt64) throws {
    for call in 1...6 {
      let files = SimulatedFileSystem(seed: seed &* 10 &+ UInt64(call))
      let directory = try Self.open(files).directory
      for number in UInt32(1)...2 {
        try files.makeDirectory(directory.storePath(number))
        files.setContents("\(directory.storePath(number))/file", [1])
      }
      files.stopProcess(atCall: call) {}
      try? directory.change { $0.storeNumber = 2 }
      files.killProcess()
      let started = try Self.open(files).directory.current
      files.crash()
      let again = try Self.open(files).directory
      #expect(again.current == started)
      #expect(files.exists(again.storePath(again.current.storeNumber)))
    }
  }

  @Test func abandonedStoresAreRemovedButForTheNextOne() throws {
    let files = SimulatedFileSystem()
    let first = try Self.open(files).directory
    try first.change { $0.storeNumber = 4 }
    for number in [1, 3, 4, 5, 6, 40] {
      try files.makeDirectory("data/store-\(number)")
      files.setContents("data/store-\(number)/a.wal", [1])
    }
    files.setContents("data/store-x/a.wal", [1])
    _ = try Self.open(files)
    let stores = files.paths.filter { $0.hasPrefix("data/store-") }
    #expect(stores == ["data/store-4/a.wal", "data/store-5/a.wal", "data/store-x/a.wal"])
    #expect(!files.exists("data/store-6"))
  }

  @Test func theLiveStoreIsOpenedAgainWithWhatWasCommitted() throws {
    let files = SimulatedFileSystem()
    let directory = try Self.open(files).directory
    var configuration = StoreConfiguration()
    configuration.segmentBytes = 4096
    let (store, _) = try directory.openStore(configuration: configuration, workers: 1, run: Self.inTurn)
    let isDone = store.withWriteLock { access in store.beginTerm(reign(1), access) }
    #expect(isDone)
    #expect(store.commit(flush: true).durable == LSN(1))
    files.crash()
    let again = try Self.open(files).directory
    let (reopened, report) = try again.openStore(configuration: configuration, workers: 1, run: Self.inTurn)
    #expect(reopened.lineage == directory.lineage)
    #expect(reopened.positions.durable == LSN(1) && report.records == 1)
  }
  static let inTurn: ParallelRunner = { count, body in for i in 0..<count { body(i) } }
}
