import Core
import LogStore
import Node
import Simulator
import Testing

/// A start from an older generation when a file that only the newest one names is damaged or gone.
@Suite struct OlderGenerationTests {
  private static let configuration: StoreConfiguration = {
    var configuration = StoreConfiguration()
    configuration.segmentBytes = 4096
    configuration.opsBufferBytes = 0
    configuration.databases = 2
    return configuration
  }()

  private func openStore(_ directory: DataDirectory) throws -> (store: LogStore, report: RecoveryReport) {
    try directory.openStore(configuration: Self.configuration, workers: 2) { count, body in
      for i in 0..<count { body(i) }
    }
  }

  private func put(_ store: LogStore, _ key: String, _ value: String) {
    store.withWriteLock { access in
      let table = store.table(0)
      Array(key.utf8).withUnsafeBytes { key in
        let target = store.locate(table, store.hash(key), key)
        let bytes = Array(value.utf8)
        guard let place = store.beginPut(table, key: key, valueBytes: bytes.count, expiry: 0, access) else {
          Issue.record("no room")
          return
        }
        place.copyMemory(from: bytes, byteCount: bytes.count)
        store.endPut(target, access)
      }
    }
  }

  private func get(_ store: LogStore, _ key: String) -> String? {
    Array(key.utf8).withUnsafeBytes { key in
      if case .found(let record) = store.find(store.table(0), store.hash(key), key) {
        return String(decoding: record.value, as: UTF8.self)
      }
      return nil
    }
  }

  private func settle(_ store: LogStore, _ directory: DataDirectory) throws {
    store.positions.set(committed: store.commit(flush: true).durable)
    if store.maintain(neededFrom: LSN(.max)).segmentsChanged { try name(store, directory) }
  }
  private func name(_ store: LogStore, _ directory: DataDirectory) throws {
    try directory.change { store.describe(&$0) }
    try store.removeDropped(keptGenerations: directory.keptGenerations)
  }

  /// A node whose newest generation is the only one that names its data file, and what it holds.
  private func node() throws -> (files: SimulatedFileSystem, data: [String: String], newest: DirectoryFile) {
    let files = SimulatedFileSystem()
    let directory = try DataDirectoryTests.open(files).directory
    let store = try openStore(directory).store
    var data: [String: String] = [:]
    for round in 0..<6 {
      for key in 0..<30 where key < 20 || round == 0 {
        let value = "value \(round) of \(key) " + String(repeating: "x", count: 60)
        put(store, "key-\(key)", value)
        data["key-\(key)"] = value
      }
      try settle(store, directory)
    }
    try directory.change { $0.vote = .init(term: Term(7), candidate: $0.node) }
    let bounds = store.compactionBounds(neededFrom: LSN(.max))
    let job = try #require(store.nextCompaction(bounds, garbageRatio: 0.5, waitsToSettle: false, forcedBelow: 1 << 20))
    while try !job.step(bytes: 1 << 20) {}
    _ = try job.close()
    _ = try job.install()
    try name(store, directory)
    // The log goes on after the newest generation.
    put(store, "key-1", "newest")
    data["key-1"] = "newest"
    store.positions.set(committed: store.commit(flush: true).durable)
    files.killProcess()
    return (files, data, directory.current)
  }

  private func check(_ files: SimulatedFileSystem, _ data: [String: String], _ newest: DirectoryFile, _ what: String)
    throws
  {
    let (directory, _) = try DataDirectoryTests.open(files)
    let (store, report) = try openStore(directory)
    for (key, value) in data { #expect(get(store, key) == value, "\(what): \(key)") }
    #expect(directory.current.vote == newest.vote, "\(what)")
    #expect(directory.current.generation >= newest.generation, "\(what): a number is used again")
    _ = report
    // It goes on from there: the next generation is good and the data is still there after it.
    put(store, "after", what)
    try settle(store, directory)
    try name(store, directory)
    files.killProcess()
    let again = try openStore(try DataDirectoryTests.open(files).directory)
    #expect(again.report.notes.isEmpty, "\(what): \(again.report.notes)")
    for (key, value) in data { #expect(get(again.store, key) == value, "\(what): \(key), after another start") }
    #expect(get(again.store, "after") == what)
  }

  @Test func aDamagedFileThatOnlyTheNewestNamesCostsNothing() throws {
    let (files, data, newest) = try node()
    let compacted = try #require(newest.segments.first { $0.name.isData })
    let file = "data/store-1/" + compacted.name.records
    let size = try #require(files.contents(file)).count
    var damages: [(String, (SimulatedFileSystem) throws -> Void)] = [
      ("gone", { try $0.unlink(file) }), ("empty", { $0.setContents(file, []) }),
      ("longer", { $0.setContents(file, files.contents(file)! + [0]) }),
    ]
    for count in stride(from: 1, to: size, by: 211) {
      damages.append(("\(count) bytes", { $0.setContents(file, Array(files.contents(file)!.prefix(count))) }))
    }
    for (what, damage) in damages {
      let copy = files.copy()
      try damage(copy)
      let (directory, _) = try DataDirectoryTests.open(copy)
      let report = try openStore(directory).report
      #expect(report.notes.count >= 2 && report.notes[0].contains("generation \(newest.generation) cannot be used"))
      #expect(report.notes[1].contains("started from generation"), "\(what): \(report.notes)")
      let other = files.copy()
      try damage(other)
      try check(other, data, newest, what)
    }
  }

  @Test func aDamagedHeaderIsMadeAnew() throws {
    let (files, data, newest) = try node()
    for segment in newest.segments {
      let file = "data/store-1/" + segment.name.records
      for offset in 0..<32 {
        let copy = files.copy()
        copy.flipBit(file, offset: offset, bit: 3)
        let (store, report) = try openStore(try DataDirectoryTests.open(copy).directory)
        for (key, value) in data { #expect(get(store, key) == value, "\(file), byte \(offset): \(key)") }
        #expect(report.notes.contains { $0.contains("\(file) is damaged in its header") }, "\(report.notes)")
        #expect(store.suspectPieces == [segment.name])
      }
    }
  }

  @Test func aDamagedIndexOrGenerationOfTheNewestCostsNothing() throws {
    let (files, data, newest) = try node()
    let compacted = try #require(newest.segments.first { $0.name.isData })
    for file in ["data/store-1/" + compacted.name.index, DataDirectoryTests.file(newest.generation)] {
      let size = try #require(files.contents(file)).count
      for offset in stride(from: 0, to: size, by: 13) where offset != 7 {
        let copy = files.copy()
        copy.flipBit(file, offset: offset, bit: offset % 8)
        try check(copy, data, newest, "\(file) at \(offset)")
      }
    }
  }

  @Test func withoutAnyUsableGenerationTheNewestOnesReasonIsGiven() throws {
    let (files, _, newest) = try node()
    for name in try files.list("data/store-1") where LogFileName(records: name) != nil && name.hasSuffix(".wal") {
      files.setContents("data/store-1/\(name)", [])
    }
    let compacted = try #require(newest.segments.first { $0.name.isData })
    try files.unlink("data/store-1/" + compacted.name.records)
    let before = files.paths
    let directory = try DataDirectoryTests.open(files).directory
    let error = #expect(throws: OpenError.self) { try openStore(directory) }
    #expect("\(try #require(error))".contains(compacted.name.records))
    #expect(files.paths == before, "nothing is removed by a start that fails")
  }
}
