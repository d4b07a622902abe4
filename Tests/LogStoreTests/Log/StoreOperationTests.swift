import Core
import LogStore
import Simulator
import Testing

@Suite struct StoreOperationTests {
  @Test func aPutKeyIsFoundAndAnOverwrittenOneHasTheNewValue() throws {
    let store = try TestDisk().create()
    #expect(store.get("a") == .missing)
    #expect(store.put("a", "1"))
    #expect(store.get("a") == .text("1"))
    #expect(store.put("a", "22"))
    #expect(store.get("a") == .text("22"))
    #expect(store.get("b") == .missing)
    #expect(store.get("a", db: 1) == .missing)
    #expect(store.keyCount(0) == 1)
    #expect(store.positions.appended == LSN(2))
  }

  @Test func emptyKeysAndEmptyValuesAreKept() throws {
    let disk = TestDisk()
    let store = try disk.create()
    #expect(store.put("", "empty key"))
    #expect(store.put("empty value", ""))
    #expect(store.get("") == .text("empty key"))
    #expect(store.get("empty value") == .text(""))
    _ = store.commit(flush: true)
    let again = try disk.open()
    #expect(again.get("") == .text("empty key"))
    #expect(again.get("empty value") == .text(""))
  }

  @Test func keysAndValuesOfEveryLengthAroundTheWordSizeAreKept() throws {
    let store = try TestDisk().create()
    for n in 0..<70 {
      for m in 0..<20 {
        let key = [UInt8](repeating: UInt8(m), count: n) + [UInt8(m)]
        #expect(store.put(key, [UInt8](repeating: UInt8(n), count: m)))
      }
    }
    for n in 0..<70 {
      for m in 0..<20 {
        let key = [UInt8](repeating: UInt8(m), count: n) + [UInt8(m)]
        #expect(store.get(key) == .value([UInt8](repeating: UInt8(n), count: m), expiry: 0))
      }
    }
  }

  @Test func aDeletedKeyIsMissingAndCanComeBack() throws {
    let store = try TestDisk().create()
    store.put("a", "1")
    #expect(store.remove("a"))
    #expect(!store.remove("a"))
    #expect(store.get("a") == .missing)
    store.put("a", "2")
    #expect(store.get("a") == .text("2"))
  }

  @Test func aMissAfterADeleteNamesTheDeletesLSN() throws {
    let store = try TestDisk().create()
    store.put("a", "1")
    store.remove("a")
    let key = Array("a".utf8)
    key.withUnsafeBytes { key in
      guard case .missing(let lsn) = store.find(store.table(0), store.hash(key), key) else {
        Issue.record("found")
        return
      }
      #expect(lsn == 2)
    }
  }

  @Test func flushEmptiesOneDatabaseAndSwapExchangesTwo() throws {
    let disk = TestDisk()
    let store = try disk.create()
    store.put("a", "zero", db: 0)
    store.put("a", "one", db: 1)
    store.put("a", "two", db: 2)
    #expect(store.swapDatabases(0, 1))
    #expect(store.get("a", db: 0) == .text("one"))
    #expect(store.get("a", db: 1) == .text("zero"))
    #expect(store.flushDatabase(0))
    #expect(store.get("a", db: 0) == .missing)
    #expect(store.get("a", db: 1) == .text("zero"))
    store.put("a", "new", db: 0)
    _ = store.commit(flush: true)
    let again = try disk.open()
    #expect(again.get("a", db: 0) == .text("new"))
    #expect(again.get("a", db: 1) == .text("zero"))
    #expect(again.get("a", db: 2) == .text("two"))
    #expect(again.flushAll())
    for db in 0..<4 { #expect(again.get("a", db: db) == .missing && again.keyCount(db) == 0) }
  }

  @Test func aUnitBecomesVisibleWhenItEnds() throws {
    let disk = TestDisk()
    let store = try disk.create()
    store.put("before", "x")
    store.withWriteLock { access in
      store.beginUnit(access)
      store.put(Array("a".utf8), [1], access)
      store.put(Array("b".utf8), [2], access)
      #expect(store.positions.applied == LSN(1))
      store.endUnit(access)
      store.beginUnit(access)
      store.endUnit(access)
    }
    #expect(store.positions.applied == LSN(3))
    _ = store.commit(flush: true)
    let flags = try store.records(from: LSN(1), to: LSN(3)).map { $0.bytes[11] & RecordFlag.unitContinues != 0 }
    #expect(flags == [false, true, false])
  }

  /// A generation may know a reign whose records were lost before the log went on in another one of that term.
  @Test func theLogKnowsBetterThanTheGenerationWhoseATermIs() throws {
    for isSealed in [false, true] {
      let disk = TestDisk()
      let store = try disk.create()
      _ = store.beginTerm(reign(1))
      store.put("a", "1")
      _ = store.beginTerm(reign(3, of: 2))
      for i in 0..<20 { store.put("key\(i)", String(repeating: "v", count: isSealed ? 3000 : 10)) }
      if isSealed {
        try disk.settle(store)
        #expect(disk.files.contents(disk.path(LSN(1), ".idx")) != nil)
      }
      _ = store.commit(flush: true)
      var generation = disk.generations[0]
      generation.terms = try #require(
        TermHistory([.init(reign(1), firstLSN: LSN(1)), .init(reign(3, of: 1), firstLSN: LSN(9))]))
      let again = try disk.openWithReport(generation: generation).0
      #expect(again.terms == store.terms)
      #expect(again.newestReign == reign(3, of: 2))
      again.put("c", "1")
      #expect(try again.records(from: LSN(24), to: LSN(24))[0].bytes[24] == 3)
    }
  }

  @Test func aTermBeginsWithANoOpAndIsKeptInTheHistory() throws {
    let disk = TestDisk()
    let store = try disk.create()
    #expect(store.beginTerm(reign(1)))
    store.put("a", "1")
    #expect(store.beginTerm(reign(4)))
    store.put("b", "1")
    #expect(store.terms.entries == [.init(reign(1), firstLSN: LSN(1)), .init(reign(4), firstLSN: LSN(3))])
    _ = store.commit(flush: true)
    let again = try disk.open()
    #expect(again.terms == store.terms)
    again.put("c", "1")
    let terms = try again.records(from: LSN(1), to: LSN(5)).map { $0.bytes[24] }
    #expect(terms == [1, 1, 4, 4, 4])
  }

  @Test func aSlaveForgetsExpiriesOfRecordsThatAreGoneAndKeepsThoseItMayHaveToDelete() throws {
    let store = try TestDisk().create()
    for i in 0..<50 { store.put("k\(i)", "v", expiry: 10_000) }
    for i in 0..<40 { store.put("k\(i)", "again") }
    #expect(store.reviewExpiries(now: 20_000, limit: 1000) == 50)
    #expect(store.figures().expiring == 10)
    #expect(store.expireDue(now: 90_000, limit: 1000).deleted == 10)
    #expect(store.keyCount(0) == 40)
  }

  @Test func dueKeysAreDeletedByRecordsAndOthersStay() throws {
    let disk = TestDisk()
    let store = try disk.create()
    for i in 0..<100 { store.put("k\(i)", "v", expiry: UInt64(10_000 + i * 1000)) }
    store.put("stays", "v")
    store.put("k0", "again")  // no longer expires
    store.put("k1", "again", expiry: 900_000_000)
    #expect(store.expireDue(now: 9_999, limit: 1000).deleted == 0)
    #expect(store.expireDue(now: 59_000, limit: 10).deleted <= 10)
    store.expireAll(now: 59_000)
    #expect(store.get("k49") == .missing)
    #expect(store.get("k50") == .value(Array("v".utf8), expiry: 60_000))
    #expect(store.get("k0") == .text("again"))
    #expect(store.keyCount(0) == 53)
    try disk.settle(store)
    let again = try disk.open()
    again.expireAll(now: 1_000_000)
    #expect(again.keyCount(0) == 3)
    #expect(again.get("k1") == .value(Array("again".utf8), expiry: 900_000_000))
    again.expireAll(now: 900_001_000)
    #expect(again.keyCount(0) == 2)
  }

  @Test func recordsLargerThanASegmentGetTheirOwn() throws {
    let disk = TestDisk(opsBufferBytes: 0)
    var store = try disk.create()
    let big = [UInt8](repeating: 7, count: 20_000)
    store.put("small", "1")
    store.put(Array("big".utf8), big)
    store.put("after", "2")
    for _ in 0..<2 {
      try disk.settle(store)
      #expect(store.get("big") == .value(big, expiry: 0))
      #expect(store.get("small") == .text("1"))
      #expect(store.get("after") == .text("2"))
      #expect(try store.records(from: LSN(1), to: LSN(3), buffer: 64).map(\.lsn) == [1, 2, 3])
      store = try disk.open()
    }
  }

  @Test func configurationLimitsAreChecked() {
    var configuration = StoreConfiguration()
    #expect(configuration.validate() == nil)
    configuration.segmentBytes = 4095
    #expect(configuration.validate() != nil)
    configuration = StoreConfiguration()
    configuration.databases = 0
    #expect(configuration.validate() != nil)
  }
}
