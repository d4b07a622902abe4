import Core
import LogStore
import Testing

/// Compressed records in log, index, digest and on slaves.
@Suite struct CompressedStoreTests {
  private let compressor = ValueCompressor()

  private func text(_ i: Int) -> [UInt8] {
    Array(String(repeating: "value \(i) of some text; ", count: 10 + i % 20).utf8)
  }

  /// What an executor does for a value that pays.
  private func putCompressed(
    _ store: LogStore, _ key: String, _ value: [UInt8], db: Int = 0, expiry: UInt64 = 0,
    _ method: ValueMethod = .lz4, dictionary: ValueDictionary? = nil
  ) throws {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: value.count, alignment: 8)
    defer { room.deallocate() }
    let count = try #require(
      value.withUnsafeBytes { compressor.compress(method, $0, dictionary: dictionary, into: room) })
    let stored = UnsafeRawBufferPointer(rebasing: room[..<count])
    let isDone = store.withWriteLock { access in
      Array(key.utf8).withUnsafeBytes { key in
        let target = store.locate(store.table(db), store.hash(key), key)
        return value.withUnsafeBytes { raw in
          store.putCompressed(target, key: key, method: method, stored: stored, raw: raw, expiry: expiry, access)
        }
      }
    }
    #expect(isDone)
  }

  private func find(_ store: LogStore, _ key: String, db: Int = 0, _ body: (RecordView, Int) throws -> Void) throws {
    try Array(key.utf8).withUnsafeBytes { bytes in
      let table = store.table(db)
      guard case .found(let record) = store.find(table, store.hash(bytes), bytes) else {
        Issue.record("\(key) is missing")
        return
      }
      try body(record, try #require(store.slot(of: record, table, store.hash(bytes))))
    }
  }

  private func value(_ store: LogStore, _ key: String, db: Int = 0) throws -> [UInt8] {
    var found: [UInt8] = []
    try find(store, key, db: db) { record, slot in
      guard record.isCompressed else { return found = [UInt8](record.value) }
      let room = UnsafeMutableRawBufferPointer.allocate(
        byteCount: try #require(ValueExpander.expandedBytes(record)), alignment: 8)
      defer { room.deallocate() }
      let dictionary = store.dictionary(forSlot: slot, table: record.table)
      found = [UInt8](try ValueExpander().expand(record, dictionary: dictionary, into: room).value)
    }
    return found
  }

  private func fill(_ store: LogStore, compressed: Bool) throws {
    for i in 0..<160 {
      let expiry: UInt64 = i % 5 == 0 ? 1_900_000_000_000 : 0
      if compressed {
        try putCompressed(store, "k\(i % 140)", text(i), db: i % 2, expiry: expiry, i % 3 == 0 ? .zstd : .lz4)
      } else {
        store.put("k\(i % 140)", String(decoding: text(i), as: UTF8.self), db: i % 2, expiry: expiry)
      }
      if i % 11 == 0 { store.remove("k\(i % 140)", db: i % 2) }
    }
  }

  @Test func theDigestIsThatOfTheSameValuesUncompressed() throws {
    let small = try TestDisk().create()
    let plain = try TestDisk().create()
    try fill(small, compressed: true)
    try fill(plain, compressed: false)
    #expect(small.digests() == plain.digests())
    #expect(small.figures().dataBytes < plain.figures().dataBytes * 3 / 4)
    let before = small.digests()
    try putCompressed(small, "k1", text(1000), db: 1)
    #expect(small.digests() != before)
  }

  @Test func compressedRecordsSurviveSealingAndARestart() throws {
    let disk = TestDisk()
    let store = try disk.create()
    try fill(store, compressed: true)
    for _ in 0..<4 { try disk.settle(store) }
    let digests = store.digests()
    let kept = try value(store, "k31", db: 1)
    let again = try disk.open()
    #expect(again.digests() == digests && again.sealedSegments.count > 1)
    #expect(kept == text(31))
    #expect(try value(again, "k31", db: 1) == kept)
    #expect(try value(again, "k10") == text(150))
  }

  @Test func compactionMovesThemAsTheyAre() throws {
    let disk = TestDisk()
    let store = try disk.create()
    for round in 0..<3 {
      // A part of every file stays alive: otherwise files are dropped as a whole.
      for i in 0..<100 where i % 3 >= round { try putCompressed(store, "k\(i)", text(i), i % 2 == 0 ? .lz4 : .zstd) }
      try disk.settle(store)
    }
    let digests = store.digests()
    let result = try store.compactAll(disk)
    #expect(result.recordsDropped > 50 && result.recordsKept >= 100, "\(result)")
    let again = try disk.open()
    for store in [store, again] {
      #expect(store.digests() == digests)
      for i in 0..<100 { #expect(try value(store, "k\(i)") == text(i)) }
    }
  }

  @Test func aSlaveTakesThemOverByteForByte() throws {
    let master = try TestDisk().create()
    try fill(master, compressed: true)
    let slave = try TestDisk().create()
    slave.setReplica(true)
    for record in try master.records(from: LSN(1), to: master.positions.appended) {
      try record.bytes.withUnsafeBytes { try slave.appendReplicated($0) }
    }
    #expect(try slave.apply(upTo: master.positions.appended) == master.positions.appended)
    #expect(slave.digests() == master.digests())
    for i in 140..<160 where i % 11 != 0 { #expect(try value(slave, "k\(i - 140)", db: i % 2) == text(i)) }
    let mine = try master.records(from: LSN(1), to: master.positions.appended).map(\.bytes)
    #expect(try slave.records(from: LSN(1), to: slave.positions.appended).map(\.bytes) == mine)
    // A damaged one is refused as any other.
    var bad = mine[mine.count - 1]
    bad[bad.count / 2] ^= 1
    #expect(throws: ReplicaRefusal.self) { try bad.withUnsafeBytes { try slave.appendReplicated($0) } }
  }

  @Test func aDamagedFileIsNoticedBeforeAnythingIsExpanded() throws {
    let disk = TestDisk(opsBufferBytes: 0)
    let store = try disk.create()
    try fill(store, compressed: true)
    for _ in 0..<4 { try disk.settle(store) }
    let again = try disk.open()
    // The newest record of the key lies in a mapped file.
    try find(again, "k35", db: 1) { record, _ in
      #expect(record.isCompressed && record.verify(available: record.recordBytes) == .good)
      var copy = [UInt8](UnsafeRawBufferPointer(start: record.base, count: record.recordBytes))
      for at in copy.indices {
        copy[at] ^= 4
        #expect(copy.withUnsafeBytes { RecordView($0.baseAddress!).verify(available: $0.count) } != .good, "byte \(at)")
        copy[at] ^= 4
      }
    }
  }

  @Test func theLastRecordOfAUnitKeepsItsChecksum() throws {
    let store = try TestDisk().create()
    store.beginUnit()
    try putCompressed(store, "a", text(1))
    try putCompressed(store, "b", text(2))
    store.endUnit()
    let records = try store.records(from: LSN(1), to: LSN(2))
    #expect(records.map { $0.bytes[11] & RecordFlag.unitContinues != 0 } == [true, false])
    for record in records {
      #expect(record.bytes.withUnsafeBytes { RecordView($0.baseAddress!).verify(available: $0.count) } == .good)
    }
  }

  @Test func aDictionaryBelongsToASlotAndATable() throws {
    var trainer = DictionaryTrainer()
    let values = (0..<3000).map {
      Array(
        "{\"id\": \($0), \"name\": \"user number \($0 % 97)\", \"tags\": [\"a\", \"b\"], \"country\": \"\($0 % 7)\"}"
          .utf8)
    }
    for value in values { value.withUnsafeBytes { trainer.add($0) } }
    let dictionary = try #require(trainer.train(totalValueBytes: 10 << 20)).dictionary
    let store = try TestDisk().create()
    try putCompressed(store, "k", values[5], .zstd, dictionary: dictionary)
    var slot = 0
    var table: UInt32 = 0
    try find(store, "k") {
      slot = $1
      table = $0.table
      #expect(ValueExpander.needsDictionary($0))
    }
    #expect(throws: ExpandFailure.dictionaryMissing) { try value(store, "k") }
    store.setDictionaries([table: dictionary], slot: slot)
    #expect(try value(store, "k") == values[5])
    #expect(store.dictionary(forSlot: slot, table: table + 1) == nil)
    #expect(store.dictionary(forSlot: slot + 1, table: table) == nil)

    // What a reader holds in its epoch stays until it has left.
    let reader = try #require(store.epochs.join())
    store.epochs.enter(reader)
    store.clearDictionaries(slot: slot)
    #expect(store.dictionary(forSlot: slot, table: table) == nil)
    store.epochs.collect()
    #expect(store.epochs.retiredCount == 1)
    store.epochs.leave(reader)
    store.epochs.collect()
    #expect(store.epochs.retiredCount == 0)
    store.epochs.resign(reader)
  }

  @Test func aRecordThatTheIndexLeftHasNoSlot() throws {
    let store = try TestDisk().create()
    try putCompressed(store, "k", text(1))
    let key = Array("k".utf8)
    key.withUnsafeBytes { key in
      let table = store.table(0)
      guard case .found(let old) = store.find(table, store.hash(key), key) else {
        Issue.record("k is missing")
        return
      }
      store.put("k", "newer")
      #expect(store.slot(of: old, table, store.hash(key)) == nil)
    }
  }

  @Test func theSettingIsThatOfTheStore() throws {
    let disk = TestDisk()
    disk.configuration.compression = .zstd
    let store = try disk.create()
    #expect(store.compression == .zstd && store.compressesValues)
    for setting in ValueCompression.allCases {
      store.compression = setting
      #expect(store.compression == setting && store.compressesValues == (setting != .none))
    }
  }
}
