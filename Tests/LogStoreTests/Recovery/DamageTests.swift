import Core
import LogStore
import Simulator
import Testing

/// One flipped bit anywhere: never a wrong value, and never "not found" for a key that is there.
@Suite struct DamageTests {
  /// Sealed segments with index files and an active one whose end is known to be flushed.
  private func disk(compacted: Bool = false) throws -> (TestDisk, Model) {
    let disk = TestDisk(opsBufferBytes: 0, databases: 2)
    var work = RandomWorkload(seed: 12, databases: 2)
    work.keys = 12
    work.valueBytesMax = 300
    work.oversizePercent = 0
    let store = try disk.create()
    for step in 0..<70 {
      _ = work.step(store)
      try disk.settle(store)
      // A data file first, then sealed segments, then the active one.
      if compacted, step == 30 { try store.compactAll(disk) }
    }
    _ = store.commit(flush: true)
    disk.files.killProcess()
    #expect(store.sealedSegments.count >= 2)
    #expect(disk.files.paths.contains { $0.hasSuffix(DataFileFormat.fileSuffix) } == compacted)
    return (disk, work.model)
  }

  /// Whatever files there are: log, data and index files.
  @Test(arguments: [false, true]) func noFlippedBitOfAFileGivesAWrongAnswer(compacted: Bool) throws {
    let (disk, model) = try disk(compacted: compacted)
    let state = model.state(at: model.last)
    var refused = 0
    var damaged = 0
    for path in disk.files.paths {
      let size = try #require(disk.files.contents(path)).count
      for offset in stride(from: 0, to: size, by: TestScale.flipStep) {
        let copy = TestDisk(copying: disk, files: disk.files.copy())
        copy.files.flipBit(path, offset: offset, bit: offset % 8)
        let store: LogStore
        do { store = try copy.open() } catch {
          refused += 1
          #expect(error is OpenError, "\(path) at \(offset): \(error)")
          continue
        }
        #expect(store.positions.applied == model.last, "\(path) at \(offset): acknowledged records are cut")
        for db in state.indices {
          for (key, item) in state[db] {
            switch store.get(key, db: db) {
            case .damaged: damaged += 1
            case let found where found == .value(item.value, expiry: item.expiry): break
            case let found: Issue.record("\(path) at \(offset): db \(db) \(key) is \(found), not \(item)")
            }
          }
          for n in 0..<12 where state[db][Array("key-\(n)".utf8)] == nil {
            let found = store.get("key-\(n)", db: db)
            if found != .missing && found != .damaged {
              Issue.record("\(path) at \(offset): key-\(n) of db \(db) came back as \(found)")
            }
          }
        }
      }
    }
    #expect(refused > 0 && damaged > 0)
  }

  @Test func aDamagedOrMissingIndexFileIsRebuilt() throws {
    let (disk, model) = try disk()
    for segment in try #require(disk.generations.last).segments {
      let path = disk.path(segment.firstLSN, ".idx")
      // Byte 7 is the version, which a newer program may have raised: only with its checksum.
      for offset in [0, 7, 9, 40, 52, 63, 64, 90] {
        let copy = TestDisk(copying: disk, files: disk.files.copy())
        let before = try #require(disk.files.contents(path))
        if offset == 63 { try copy.files.unlink(path) } else { copy.files.flipBit(path, offset: offset) }
        let (store, report) = try copy.openWithReport()
        #expect(report.rebuiltIndexes.count == 1)
        #expect(copy.files.contents(path) == before)
        model.check(store, at: model.last, "\(path) at \(offset)")
      }
    }
  }

  @Test func theLogReaderNamesTheDamagedPlace() throws {
    let (disk, model) = try disk()
    let sealed = try #require(disk.generations.last?.segments.first)
    let path = disk.path(sealed.firstLSN, ".wal")
    disk.files.flipBit(path, offset: Int(sealed.bytes) - 9)
    let store = try disk.open()
    #expect(throws: LogReadError.self) { try store.records(from: sealed.firstLSN, to: model.last) }
    #expect(try store.records(from: sealed.lastLSN.next, to: model.last).last?.lsn == model.last.value)
  }

  @Test func filesOfANewerFormatAreNeitherReadNorReplaced() throws {
    let (disk, model) = try disk()
    let sealed = try #require(disk.generations.last?.segments.first)
    let active = try #require(disk.files.paths.last { $0.hasSuffix(SegmentFormat.fileSuffix) })
    for path in [disk.path(sealed.firstLSN, ".wal"), disk.path(sealed.firstLSN, ".idx"), active] {
      let copy = TestDisk(copying: disk, files: disk.files.copy())
      var bytes = try #require(disk.files.contents(path))
      bytes[7] += 1
      if path.hasSuffix(".idx") { putChecksum(&bytes) }
      copy.files.setContents(path, bytes)
      let before = copy.files.paths.map { copy.files.contents($0) }
      let error = #expect(throws: OpenError.self) { try copy.open() }
      let text = "\(try #require(error))"
      #expect(text.contains(path) && text.contains("newer Paceline (format \(bytes[7]))"), "\(text)")
      #expect(text.contains("up to format \(bytes[7] - 1)"), "\(text)")
      #expect(copy.files.paths.map { copy.files.contents($0) } == before)
      bytes[7] -= 1
      if path.hasSuffix(".idx") { putChecksum(&bytes) }
      copy.files.setContents(path, bytes)
      model.check(try copy.open(), at: model.last, path)
    }
  }

  /// Of an index file's header.
  private func putChecksum(_ bytes: inout [UInt8]) {
    let checksum = CRC32C.checksum(Array(bytes[..<60]))
    for i in 0..<4 { bytes[60 + i] = UInt8(truncatingIfNeeded: checksum >> (8 * UInt32(i))) }
  }

  @Test func noFlippedBitOfADirectoryFileIsRead() throws {
    let (disk, _) = try disk()
    let generation = try #require(disk.generations.last)
    let bytes = generation.encoded()
    #expect(try DirectoryFile(decoding: bytes) == generation)
    for offset in bytes.indices {
      for bit in 0..<8 {
        var flipped = bytes
        flipped[offset] ^= 1 << UInt8(bit)
        // The other copy says the same, and that this one is damaged.
        let read = try DirectoryFile.decode(flipped)
        #expect(read.file == generation && read.damage != nil, "byte \(offset)")
        flipped[(offset + bytes.count / 2) % bytes.count] ^= 1 << UInt8(bit)
        #expect(throws: DirectoryFile.Unreadable.self) { try DirectoryFile(decoding: flipped) }
      }
    }
    for count in bytes.indices {
      #expect(throws: DirectoryFile.Unreadable.self) { try DirectoryFile(decoding: Array(bytes.prefix(count))) }
    }
    #expect(throws: DirectoryFile.Unreadable.self) { try DirectoryFile(decoding: bytes + [0]) }
  }
}
