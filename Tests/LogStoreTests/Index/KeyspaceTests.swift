import Core
import LogStore
import Simulator
import Testing

/// Whatever is done to keys, in whatever order: all that hangs on an entry of the index goes with it.
@Suite struct KeyspaceTests {
  /// The content of a store, as a dictionary has it.
  private struct Naive {
    struct Item {
      var value: [UInt8]
      var expiry: UInt64
      var lsn: UInt64
    }
    var databases: [[[UInt8]: Item]]

    func check(_ store: LogStore, _ note: String) {
      let census = store.census()
      #expect(census.differences.isEmpty, "\(note): \(census.differences.prefix(3))")
      #expect(census.expiring == databases.joined().count { $0.value.expiry != 0 }, "\(note): keys that expire")
      for digest in store.digests() {
        let items = databases[digest.database]
        #expect(digest.keys == items.count, "\(note): keys of database \(digest.database)")
        let sum = Model.digest(items.mapValues { Model.Item(value: $0.value, expiry: $0.expiry, lsn: $0.lsn) })
        #expect(digest.sum == sum, "\(note): digest of database \(digest.database)")
        for (key, item) in items {
          #expect(store.get(key, db: digest.database) == .value(item.value, expiry: item.expiry), "\(note): \(key)")
        }
      }
    }
  }

  /// One random step on the store and on the dictionary; its name.
  private func step(
    _ disk: TestDisk, _ store: inout LogStore, _ naive: inout Naive, _ random: inout SplitMix64, _ now: inout UInt64
  ) throws -> String {
    let db = random.below(naive.databases.count)
    let key = [UInt8(ascii: "k"), UInt8(random.below(40))]
    switch random.below(100) {
    case 0..<55:
      let value = [UInt8](repeating: UInt8(random.below(256)), count: random.below(300))
      let expiry = random.below(4) == 0 ? now + UInt64(1 + random.below(8_000_000)) : 0
      store.put(key, value, db: db, expiry: expiry)
      naive.databases[db][key] = .init(value: value, expiry: expiry, lsn: store.lastAppended)
      return "put"
    case 55..<70:
      store.remove(key, db: db)
      naive.databases[db][key] = nil
      return "remove"
    case 70..<78:
      now += UInt64(random.below(4_000_000))
      store.expireAll(now: now)
      // Hints are kept by the second.
      let due = now / 1000 * 1000
      for db in naive.databases.indices {
        naive.databases[db] = naive.databases[db].filter { $0.value.expiry == 0 || $0.value.expiry > due }
      }
      return "expire"
    case 78..<88:
      try disk.settle(store)
      return "settle"
    case 88..<94:
      try disk.settle(store)
      try store.compactAll(disk)
      try disk.settle(store)
      return "compact"
    case 94..<96:
      #expect(store.flushDatabase(db))
      naive.databases[db] = [:]
      return "flush"
    case 96:
      #expect(store.flushAll())
      for db in naive.databases.indices { naive.databases[db] = [:] }
      return "flush all"
    case 97:
      let other = random.below(naive.databases.count)
      #expect(store.swapDatabases(db, other))
      naive.databases.swapAt(db, other)
      return "swap"
    default:
      try disk.settle(store)
      store = try disk.open()
      store.wallClock = now
      return "open"
    }
  }

  @Test(arguments: 0..<(6 * TestScale.factor))
  func whatHangsOnAnEntryGoesWithIt(seed: UInt64) throws {
    let disk = TestDisk(seed: seed, opsBufferBytes: seed % 2 == 0 ? 0 : 1 << 20, databases: 3)
    var store = try disk.create()
    var naive = Naive(databases: Array(repeating: [:], count: 3))
    var random = SplitMix64(seed: seed)
    var now: UInt64 = 1_700_000_000_000
    store.wallClock = now
    for round in 0..<150 {
      let done = try step(disk, &store, &naive, &random, &now)
      naive.check(store, "seed \(seed), step \(round), \(done)")
    }
  }

  /// A slave lets its index follow the master's log: the same door, from the other side.
  @Test func aSlavesIndexFollowsTheLog() throws {
    let master = try TestDisk(seed: 1).create()
    let slave = try TestDisk(seed: 2).create()
    slave.setReplica(true)
    var work = RandomWorkload(seed: 11, databases: 4)
    master.beginTerm(reign(1))
    var first = LSN(1)
    for round in 0..<40 {
      for _ in 0..<10 { _ = work.step(master) }
      for record in try master.records(from: first, to: master.positions.appended) {
        try record.bytes.withUnsafeBytes { bytes in
          try slave.appendReplicated(bytes)
        }
      }
      first = master.positions.appended.next
      let applied = try slave.apply(upTo: slave.positions.appended)
      let census = slave.census()
      #expect(census.differences.isEmpty, "round \(round): \(census.differences.prefix(3))")
      if applied == master.positions.applied { #expect(slave.digests() == master.digests(), "round \(round)") }
    }
  }
}
