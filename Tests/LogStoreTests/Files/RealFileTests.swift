// Raw memory: cuts a mapped file short and reads its memory.
import Core
import LogStore
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The file system of the machine, where the simulated one cannot stand in for it.
@Suite(.serialized) struct RealFileTests {
  private let files = RealFileSystem()
  private let directory: String

  init() throws {
    var template = Array("/tmp/paceline-files-XXXXXX".utf8CString)
    let made = mkdtemp(&template)
    directory = String(cString: try #require(made))
  }

  private func end() {
    for name in (try? files.list(directory)) ?? [] { try? files.unlink(directory + "/" + name) }
    try? files.removeDirectory(directory)
  }

  @Test func aMappedFileThatWasCutReadsAsZerosAndIsNamed() throws {
    defer { end() }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let path = directory + "/cut"
    let file = try files.open(path, .create)
    try file.write([UInt8](repeating: 7, count: 4 * page), at: 0)
    let mapped = try files.map(path)
    let other = try files.map(path)
    #expect(mapped.bytes[3 * page] == 7)
    let before = RealFileSystem.unreadablePages.count
    try file.truncate(UInt64(page + 10))
    #expect(mapped.bytes[page - 1] == 7 && mapped.bytes[page + 9] == 7, "what is there is read as ever")
    #expect(mapped.bytes[page + 10] == 0)
    for offset in [2 * page, 2 * page + 1, 4 * page - 1] { #expect(mapped.bytes[offset] == 0) }
    #expect(other.bytes[2 * page] == 0, "every mapping of the file is guarded")
    let after = RealFileSystem.unreadablePages
    #expect(after.count == before + 3)
    #expect(after.files.contains(path))
    withExtendedLifetime((mapped, other)) {}
    file.close()
  }

  @Test func guardsAreGivenBack() throws {
    defer { end() }
    let path = directory + "/many"
    let file = try files.open(path, .create)
    try file.write([1], at: 0)
    // More than the table has places; every one is the only one.
    for _ in 0..<70_000 {
      let mapped = try files.map(path)
      withExtendedLifetime(mapped) { if mapped.bytes[0] != 1 { Issue.record("the mapping is not the file's") } }
    }
    #expect(RealFileSystem.unreadablePages.files.allSatisfy { $0 != path })
    file.close()
  }

  @Test func aStoreAnswersDamageForACutFile() throws {
    defer { end() }
    var configuration = StoreConfiguration()
    configuration.segmentBytes = 64 << 10
    configuration.opsBufferBytes = 0
    let node = NodeID(random: (0..<20).map { UInt8($0) })
    let store = try LogStore.create(
      fileSystem: files, directory: directory, lineage: node, configuration: configuration)
    for i in 0..<600 { store.put("key\(i)", String(repeating: "\(i % 10)", count: 1000)) }
    store.positions.set(committed: store.commit(flush: true).durable)
    #expect(store.maintain(neededFrom: .none).segmentsChanged)
    let first = try #require(store.sealedSegments.first)
    let path = directory + "/" + SegmentFormat.name(first.firstLSN, suffix: SegmentFormat.fileSuffix)
    #expect(truncate(path, 8192) == 0)
    var damaged = 0
    for i in 0..<600 {
      switch store.get("key\(i)") {
      case .damaged: damaged += 1
      case let found: #expect(found == .text(String(repeating: "\(i % 10)", count: 1000)), "key\(i)")
      }
    }
    #expect(damaged > 40 && damaged < 70)
    let places = store.damagedPlaces
    #expect(!places.isEmpty && places.allSatisfy { $0.file == path && $0.offset > 4096 }, "\(places)")
    #expect(throws: LogReadError.self) { try store.records(from: first.firstLSN, to: first.lastLSN) }
    store.put("key0", "again")
    #expect(store.get("key0") == .damaged || store.get("key0") == .text("again"))
  }

  @Test func failuresAreToldApart() throws {
    defer { end() }
    let none = #expect(throws: FileError.self) { _ = try files.open(directory + "/none", .read) }
    #expect(none?.errno == ENOENT && none?.isPassing == false)
    #expect(FileError(operation: "write", path: "p", errno: ENOSPC, reason: "").isNoSpace)
    #expect(FileError(operation: "open", path: "p", errno: EMFILE, reason: "").isPassing)
    #expect(!FileError(operation: "flush", path: "p", errno: EIO, reason: "").isPassing)
    #expect("\(try #require(none))".contains("cannot open \(directory)/none"))
  }
}
