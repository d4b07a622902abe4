import Core
import LogStore
import Simulator
import Testing

/// Damage behind the sealed segments: what is told about it, and what a cut leaves.
@Suite struct TailDamageTests {
  private struct Place {
    var path: String
    var offset: Int
    var bytes: Int
    var lsn: UInt64
  }

  /// Sealed segments, filled ones that are not sealed, and an active one, all known to be flushed.
  private func disk(seed: UInt64) throws -> (TestDisk, Model, [Place]) {
    let disk = TestDisk(seed: seed, databases: 2)
    var work = RandomWorkload(seed: seed, databases: 2)
    work.oversizePercent = 0
    let store = try disk.create()
    for step in 0..<160 {
      _ = work.step(store)
      if step < 80 { try disk.settle(store) } else { _ = store.commit(flush: true) }
    }
    _ = store.commit(flush: true)
    _ = store.commit(flush: true)
    disk.files.killProcess()
    let sealed = try #require(disk.generations.last?.segments.last)
    return (disk, work.model, try Self.places(disk).filter { $0.lsn > sealed.lastLSN.value })
  }

  private static func places(_ disk: TestDisk) throws -> [Place] {
    var places: [Place] = []
    for path in disk.files.paths where path.hasSuffix(SegmentFormat.fileSuffix) {
      try #require(disk.files.contents(path)).withUnsafeBytes { raw in
        var at = SegmentFormat.headerBytes
        while at < raw.count {
          let record = RecordView(raw.baseAddress! + at)
          guard record.verify(available: raw.count - at) == .good else { break }
          places.append(Place(path: path, offset: at, bytes: record.recordBytes, lsn: record.lsn))
          at += record.recordBytes
        }
      }
    }
    return places.sorted { $0.lsn < $1.lsn }
  }

  private func unitEnd(_ model: Model, before lsn: UInt64) -> LSN {
    LSN(UInt64(model.history.prefix(Int(lsn) - 1).lastIndex { $0.endsUnit }.map { $0 + 1 } ?? 0))
  }

  private func contents(_ disk: TestDisk) -> [String: [UInt8]] {
    Dictionary(uniqueKeysWithValues: disk.files.paths.map { ($0, disk.files.contents($0)!) })
  }

  @Test(arguments: UInt64(1)...3)
  func everyDamagedRecordIsNamedAndTheLogBeforeItCanBeKept(seed: UInt64) throws {
    let (disk, model, places) = try disk(seed: seed)
    #expect(Set(places.map(\.path)).count >= 3)
    let sealed = try #require(disk.generations.last?.segments.last?.lastLSN)
    for (number, place) in places.enumerated() {
      // The checksum, the LSN, and the last byte of the content.
      for offset in [1, 17, place.bytes - 8] {
        let copy = TestDisk(copying: disk, files: disk.files.copy())
        copy.files.flipBit(place.path, offset: place.offset + offset)
        let before = contents(copy)
        let note = "seed \(seed), LSN \(place.lsn), byte \(offset)"
        let error = #expect(throws: OpenError.self, "\(note)") { try copy.open() }
        #expect(contents(copy) == before, "\(note): nothing is changed")
        let damage = try #require(error?.tail, "\(note)")
        let text = "\(try #require(error))"
        #expect(
          text.contains("\(place.path) is damaged at offset \(place.offset), after LSN \(place.lsn - 1)"), "\(text)")
        let end = unitEnd(model, before: place.lsn)
        #expect(damage.cutTo == max(end, sealed) && damage.needsNewStore == (end < sealed), "\(note)")
        #expect(damage.reached.lsn >= model.last, "\(note)")
        // Only the number of unreadable records at the very end is a guess.
        let most = number < places.count - 1 ? 0 : place.bytes / RecordView.headerBytes + 1
        #expect(damage.reached.lsn.value <= model.last.value + UInt64(most), "\(note)")
        #expect(text.contains("LSNs \(damage.cutTo.next) to \(damage.reached.lsn)"), "\(text)")
        #expect(damage.files.last.map { disk.directory + "/" + $0 } == places.last?.path)
        #expect(damage.files.contains { place.path.hasSuffix($0) })
        if damage.needsNewStore { continue }
        let (store, report) = try LogStore.open(
          fileSystem: copy.files, directory: copy.directory, lineage: copy.lineage, configuration: copy.configuration,
          generation: copy.generations.last!, workers: 1, run: { _, body in body(0) }, cutsDamage: true)
        #expect(store.positions.applied == damage.cutTo && store.positions.durable == damage.cutTo, "\(note)")
        #expect(report.notes.contains { $0.contains("is damaged at offset") }, "\(report.notes)")
        model.check(store, at: damage.cutTo, note)
        store.put("after", "cut")
        _ = store.commit(flush: true)
        copy.files.crash()
        #expect(try copy.open().get("after") == .text("cut"), "\(note)")
      }
    }
  }

  @Test func termsBehindTheDamageCount() throws {
    let disk = TestDisk(segmentBytes: 1 << 16)
    let store = try disk.create()
    _ = store.beginTerm(reign(3))
    store.put("a", "1")
    store.put("b", "2")
    _ = store.beginTerm(reign(8))
    store.put("c", "3")
    _ = store.commit(flush: true)
    _ = store.commit(flush: true)
    let places = try Self.places(disk)
    disk.files.flipBit(places[1].path, offset: places[1].offset)
    let error = #expect(throws: OpenError.self) { try disk.open() }
    #expect(error?.tail?.reached == Position(reign(8), lsn: LSN(5)))
    #expect(error?.tail?.cutTo == LSN(1))
  }

  /// The whole rest is unreadable: as many records may have stood there as fit.
  @Test func whatCannotBeCountedIsCountedAsTooMuch() throws {
    let disk = TestDisk(segmentBytes: 1 << 16)
    let store = try disk.create()
    for i in 0..<20 { store.put("key\(i)", "value") }
    _ = store.commit(flush: true)
    _ = store.commit(flush: true)
    let places = try Self.places(disk)
    for place in places.dropFirst(10) { disk.files.flipBit(place.path, offset: place.offset) }
    let reached = try #require(#expect(throws: OpenError.self) { try disk.open() }?.tail?.reached.lsn.value)
    #expect((20...31).contains(reached), "\(reached)")
  }

  @Test func aMissingFileIsDamageAndAHeaderIsMadeAnew() throws {
    let (disk, model, places) = try disk(seed: 5)
    let paths = Set(places.map(\.path)).sorted()
    for path in paths {
      let first = try #require(places.first { $0.path == path })
      for removes in [true, false] where !removes || path != paths.last {
        let copy = TestDisk(copying: disk, files: disk.files.copy())
        if removes { try copy.files.unlink(path) } else { copy.files.flipBit(path, offset: 10) }
        guard removes else {
          // The records are good, and say what stood there.
          let (store, report) = try copy.openWithReport()
          model.check(store, at: model.last, path)
          #expect(report.notes.contains { $0.contains("\(path) is damaged in its header") }, "\(report.notes)")
          copy.files.crash()
          #expect(try copy.openWithReport().1.notes.allSatisfy { !$0.contains("header") })
          continue
        }
        let error = #expect(throws: OpenError.self) { try copy.open() }
        let damage = try #require(error?.tail, "\(path): \(String(describing: error))")
        #expect(damage.cutTo == unitEnd(model, before: first.lsn), "\(path), removed: \(removes)")
        #expect(damage.reached.lsn >= model.last && damage.reached.lsn.value <= model.last.value + 1)
      }
    }
  }

  @Test func aLostTransactionThatBeganInASealedFileNeedsANewStore() throws {
    let disk = TestDisk()
    let store = try disk.create()
    store.put("before", "1")
    store.withWriteLock { access in
      store.beginUnit(access)
      for i in 0..<20 { store.put(Array("key\(i)".utf8), Array(repeating: 7, count: 400), access) }
      store.endUnit(access)
    }
    store.put("after", "1")
    try disk.settle(store)
    _ = store.commit(flush: true)
    let sealed = try #require(disk.generations.last?.segments.last)
    let places = try Self.places(disk).filter { $0.lsn > sealed.lastLSN.value }
    let first = try #require(places.first { $0.lsn < 21 }, "the unit goes on behind the sealed files")
    disk.files.flipBit(first.path, offset: first.offset + 2)
    let error = #expect(throws: OpenError.self) { try disk.open() }
    #expect(error?.tail?.needsNewStore == true)
  }

  @Test func theCopiesAreTheFilesAsTheyWere() throws {
    let (disk, _, places) = try disk(seed: 6)
    let place = places[2]
    disk.files.flipBit(place.path, offset: place.offset + 5)
    let damage = try #require(#expect(throws: OpenError.self) { try disk.open() }?.tail)
    try disk.files.makeDirectory("data")
    let first = try damage.copyFiles(of: disk.directory, to: "data", disk.files)
    #expect(first == damage.files.map { "data/damaged-\($0)" })
    for (copy, name) in zip(first, damage.files) {
      let bytes = try #require(disk.files.contents("\(disk.directory)/\(name)"))
      let kept = try #require(disk.files.contents(copy))
      #expect(Array(bytes.prefix(kept.count)) == kept && bytes.dropFirst(kept.count).allSatisfy { $0 == 0 })
    }
    // Once more: the same files. Another content: another name.
    #expect(try damage.copyFiles(of: disk.directory, to: "data", disk.files) == first)
    disk.files.flipBit(place.path, offset: place.offset + 6)
    #expect(try damage.copyFiles(of: disk.directory, to: "data", disk.files)[0] == first[0].dropLast(4) + "-2.wal")
    disk.files.crash()
    #expect(disk.files.paths.filter { $0.hasPrefix("data/damaged-") }.count == first.count + 1)
  }
}
