import Core
import LogStore
import Replication
import Simulator
import Testing

@testable import Node

/// A store that was given up, on a simulated disk: whatever ends the process, it is in its place or the live one.
@Suite struct SetAsideTests {
  static let path = DataDirectoryTests.path

  /// A directory with a live store of one file; gives it with the number of the store.
  private func directory(_ files: SimulatedFileSystem) throws -> DataDirectory {
    let directory = try DataDirectoryTests.open(files).directory
    files.setContents("\(directory.storePath(1))/a.wal", [1, 2, 3])
    try directory.change {
      $0.role = "10.0.0.1/7400"
      $0.startRole = "self"
      $0.dataSet.ordered = $0.lineage
    }
    return directory
  }
  private static let last = Position(Reign(term: Term(3), owner: .unknown), lsn: LSN(77))

  /// The new store takes the place of the old one.
  private func replace(_ directory: DataDirectory, _ files: SimulatedFileSystem) throws {
    let aside = try directory.beginSettingAside(last: Self.last, atSeconds: 1000)
    files.setContents("\(directory.storePath(2))/b.wal", [4])
    try directory.change {
      $0.storeNumber = 2
      $0.lineage = NodeID(random: [UInt8](repeating: 9, count: 20))
    }
    _ = try directory.finishSettingAside(aside)
  }

  @Test func itIsADataDirectoryOfItsOwn() throws {
    let files = SimulatedFileSystem()
    let directory = try directory(files)
    let before = directory.current
    try replace(directory, files)
    let kept = try #require(directory.replacedStores.first)
    #expect(directory.replacedStores.count == 1 && kept.bytes > 3)
    #expect(kept.name == "replaced-\(before.lineage)-3-77-1000")
    #expect(files.contents("\(Self.path)/\(kept.name)/store-1/a.wal") == [1, 2, 3])
    #expect(!files.exists(directory.storePath(1)))
    var random = SplitMix64(seed: 9)
    let again = try DataDirectory.open("\(Self.path)/\(kept.name)", fileSystem: files) { count in
      (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }.directory
    #expect(again.lineage == before.lineage && again.node == before.node && again.current.storeNumber == 1)
    #expect(
      again.current.role == "" && again.current.dataSet == DataSetState(), "it is started as its start command says")
    #expect(files.exists("\(Self.path)/\(kept.name)/store-1/a.wal"))
    // The same again in the same second gets another name.
    let second = try directory.beginSettingAside(last: Self.last, atSeconds: 1000)
    #expect(second.lineage != kept.lineage || second.atSeconds == 1001)
  }

  @Test(arguments: [false, true]) func whateverEndsItTheDataIsInOneOfTwoPlaces(losesPower: Bool) throws {
    var call = 1
    var outcomes: Set<String> = []
    while true {
      let files = SimulatedFileSystem(seed: UInt64(call))
      let node = try directory(files)
      let before = node.lineage
      // Safe to share: a test has one thread.
      nonisolated(unsafe) var isStopped = false
      files.stopProcess(atCall: call) { isStopped = true }
      do { try replace(node, files) } catch {}
      if !isStopped { break }
      if losesPower { files.crash() } else { files.killProcess() }
      let reopened = try DataDirectoryTests.open(files, seed: 8).directory
      if reopened.lineage == before {
        #expect(files.contents("\(reopened.storePath(1))/a.wal") == [1, 2, 3], "call \(call)")
        #expect(reopened.replacedStores.isEmpty, "call \(call)")
        #expect(!files.paths.contains { $0.contains("replaced-") }, "call \(call)")
        outcomes.insert("old")
      } else {
        let kept = try #require(reopened.replacedStores.first, "call \(call)")
        #expect(files.contents("\(Self.path)/\(kept.name)/store-1/a.wal") == [1, 2, 3], "call \(call)")
        outcomes.insert("new")
      }
      call += 1
    }
    #expect(outcomes == ["old", "new"] && call > 5)
  }

  @Test func removingIsOneStep() throws {
    var call = 1
    while true {
      let files = SimulatedFileSystem(seed: UInt64(call))
      let node = try directory(files)
      try replace(node, files)
      let kept = try #require(node.replacedStores.first)
      // Safe to share: a test has one thread.
      nonisolated(unsafe) var isStopped = false
      files.stopProcess(atCall: call) { isStopped = true }
      try? node.removeReplaced(kept)
      files.killProcess()
      let reopened = try DataDirectoryTests.open(files, seed: 8).directory
      if reopened.replacedStores.isEmpty {
        #expect(!files.paths.contains { $0.contains("replaced-") })
      } else {
        #expect(files.contents("\(Self.path)/\(kept.name)/store-1/a.wal") == [1, 2, 3], "call \(call)")
      }
      if !isStopped { break }
      call += 1
    }
    #expect(call > 3)
  }
}
