import Core
import LogStore
import Testing

/// An index that lost its way is put right from a good node's, record by record: the state and its digest are what they were.
@Suite struct IndexRepairTests {
  private struct Pair {
    let disk: TestDisk
    let store: LogStore
    let peer: LogStore
    let model: Model
  }

  /// Two stores with the same log.
  private func pair(compacted: Bool = false) throws -> Pair {
    let disk = TestDisk(opsBufferBytes: 0, databases: 2)
    var work = RandomWorkload(seed: 12, databases: 2)
    work.keys = 30
    work.oversizePercent = 0
    let first = try disk.create()
    for step in 0..<120 {
      _ = work.step(first)
      try disk.settle(first)
      if compacted, step == 60 { try first.compactAll(disk) }
    }
    for i in 0..<90 {
      let key = Array("more-\(i % 40)".utf8)
      let value = [UInt8](repeating: UInt8(i), count: 90)
      first.put(key, value)
      work.model.add(.put(db: 0, key: key, value: value, expiry: 0))
      if i % 11 == 10, first.remove(key) { work.model.add(.delete(db: 0, key: key)) }
      try disk.settle(first)
    }
    _ = first.commit(flush: true)
    disk.files.killProcess()
    let good = TestDisk(copying: disk, files: disk.files.copy())
    return Pair(disk: disk, store: try open(disk), peer: try open(good), model: work.model)
  }

  private func open(_ disk: TestDisk) throws -> LogStore {
    let store = try disk.open()
    store.positions.set(committed: store.positions.applied)
    return store
  }

  private func drop(_ key: [UInt8], _ database: Int, _ store: LogStore, silently: Bool = false) -> Bool {
    return store.withWriteLock { access in
      return key.withUnsafeBytes { store.breakIndex(dropping: $0, database: database, silently: silently, access) }
    }
  }

  private func point(at lsn: UInt64, _ store: LogStore) -> Bool {
    return store.withWriteLock { access in store.breakIndex(pointingAt: LSN(lsn), access) }
  }

  private func views(_ store: LogStore, _ database: Int) throws -> [PartitionView] {
    var views: [PartitionView] = []
    for partition in 0..<1024 {
      var from: UInt64 = 0
      repeat {
        let view = try store.partitionView(
          database: database, partition: partition, from: from, to: nil, recordsMax: 2)
        views.append(view)
        from = view.next
      } while from != 0
    }
    return views
  }

  private func records(_ store: LogStore, _ database: Int) throws -> [PartitionRecord] {
    try views(store, database).flatMap(\.records).sorted { $0.lsn < $1.lsn }
  }

  /// What the server's thread does with two listings. Returns what could not be done now.
  @discardableResult
  private func repair(_ pair: Pair, _ database: Int, disk: TestDisk) throws -> Int {
    let (store, peer) = (pair.store, pair.peer)
    let right = try records(peer, database)
    let mine = try records(store, database)
    let table = store.withWriteLock { _ in store.table(database).pointee.id }
    let lsn = peer.positions.applied
    let missing = right.filter { !mine.contains($0) }
    var open = 0
    var copies: [RestoreJob.Copy] = []
    for (lsn, finding) in store.find(missing) {
      guard case .absent = finding else { continue }
      let record = try #require(missing.first { $0.lsn == lsn })
      let bytes = try #require(peer.fetchRecords(from: lsn, to: lsn, bytesMax: 1)?.records.first)
      copies.append(.init(record: record, bytes: bytes))
    }
    while !copies.isEmpty {
      let job = try #require(RestoreJob(store: store, copies: copies, table: table, aliveAt: lsn))
      try job.build()
      try job.install()
      copies.removeAll { job.records.contains($0.record.lsn) }
      try disk.writeGeneration(store)
    }
    for (found, finding) in store.find(missing) {
      let record = try #require(missing.first { $0.lsn == found })
      guard case .here(let place) = finding else {
        open += 1
        continue
      }
      if store.putBack(record, at: place, database: database, table: table, aliveAt: lsn) != .done { open += 1 }
    }
    for record in try records(store, database) where !right.contains(record) {
      if store.takeOut(record, database: database, table: table, deadAt: lsn) != .done { open += 1 }
    }
    for partition in 0..<1024 { _ = try store.recount(database: database, partition: partition) }
    return open
  }

  private func isRight(_ pair: Pair, _ note: String) throws {
    pair.model.check(pair.store, at: pair.model.last, note)
    #expect(pair.store.digests() == pair.peer.digests(), "\(note)")
    pair.disk.files.killProcess()
    pair.model.check(try pair.disk.open(), at: pair.model.last, "\(note), opened again")
  }

  @Test func aPartitionInPartsIsTheWholePartition() throws {
    let pair = try pair()
    let whole = try pair.store.partitionView(database: 0, partition: 3, from: 0, to: nil, recordsMax: 1 << 20)
    #expect(whole.next == 0 && whole.lsn == pair.store.positions.applied)
    let state = pair.model.state(at: pair.model.last)
    for database in 0..<2 {
      let listed = try records(pair.store, database)
      #expect(listed.map(\.lsn.value).sorted() == state[database].values.map(\.lsn).sorted())
      let sums = pair.store.withWriteLock { access in pair.store.partitionSums(database, access).sums }
      for (partition, sum) in sums.enumerated() {
        let view = try pair.store.partitionView(
          database: database, partition: partition, from: 0, to: nil, recordsMax: 1 << 20)
        #expect(view.records.count == Int(sum.keys))
        let digest = view.records.reduce(UInt64(0)) {
          $0 &+ RecordView.digest(lsn: $1.lsn.value, contentHash: $1.contentHash)
        }
        #expect(digest == sum.sum)
      }
    }
  }

  @Test(arguments: [false, true], [false, true]) func lostEntriesArePutBack(silently: Bool, compacted: Bool) throws {
    let pair = try pair(compacted: compacted)
    let state = pair.model.state(at: pair.model.last)
    for key in state[0].keys.sorted(by: { $0.lexicographicallyPrecedes($1) }).prefix(9) {
      #expect(drop(key, 0, pair.store, silently: silently))
      #expect(pair.store.get(key) == .missing)
    }
    #expect((pair.store.digests() == pair.peer.digests()) == silently)
    #expect(try repair(pair, 0, disk: pair.disk) == 0)
    try isRight(pair, "lost entries")
  }

  @Test func whatCompactionDroppedInErrorIsPutBackIntoTheLog() throws {
    let pair = try pair()
    let state = pair.model.state(at: pair.model.last)
    var dropped = 0
    for database in 0..<2 {
      for (number, key) in state[database].keys.sorted(by: { $0.lexicographicallyPrecedes($1) }).enumerated()
      where number % 3 != 0 {
        #expect(drop(key, database, pair.store))
        dropped += 1
      }
    }
    #expect(dropped > 10)
    try pair.store.compactAll(pair.disk)
    var absent = 0
    for database in 0..<2 {
      let right = try records(pair.peer, database)
      for case .absent in pair.store.find(right).values { absent += 1 }
      #expect(try repair(pair, database, disk: pair.disk) == 0)
    }
    #expect(absent > 10)
    try isRight(pair, "dropped records")
  }

  @Test func olderRecordsAndDeletedKeysGo() throws {
    let pair = try pair()
    let state = pair.model.state(at: pair.model.last)
    var stale = 0
    for (i, item) in pair.model.history.enumerated() {
      guard case .put(0, let key, _, _) = item.change, state[0][key]?.lsn != UInt64(i + 1), stale < 12 else { continue }
      if point(at: UInt64(i + 1), pair.store) { stale += 1 }
    }
    #expect(stale > 3 && pair.store.digests() != pair.peer.digests())
    for database in 0..<2 { #expect(try repair(pair, database, disk: pair.disk) == 0) }
    try isRight(pair, "stale entries")
  }

  @Test func whatChangedMeanwhileCountsMore() throws {
    let pair = try pair()
    let keys = pair.model.state(at: pair.model.last)[0].keys.sorted { $0.lexicographicallyPrecedes($1) }
    let (kept, deleted) = (keys[0], keys[1])
    let right = try records(pair.peer, 0)
    let then = pair.peer.positions.applied
    let table = pair.store.table(0).pointee.id
    let before = try records(pair.store, 0)
    #expect(before == right)
    pair.store.put(kept, [1, 2, 3])
    pair.store.remove(deleted)
    let now = pair.store.digests()
    for record in right {
      guard case .here(let place)? = pair.store.find([record])[record.lsn] else {
        Issue.record("LSN \(record.lsn) is not in the log")
        continue
      }
      let fix = pair.store.putBack(record, at: place, database: 0, table: table, aliveAt: then)
      #expect(fix == .unchanged || fix == .notNow)
    }
    #expect(pair.store.digests() == now)
    #expect(pair.store.get(kept) == .value([1, 2, 3], expiry: 0) && pair.store.get(deleted) == .missing)
  }

  @Test func wrongCopiesAreNotTaken() throws {
    let pair = try pair()
    let key = try #require(pair.model.state(at: pair.model.last)[0].min { $0.value.lsn < $1.value.lsn }?.key)
    #expect(drop(key, 0, pair.store))
    try pair.store.compactAll(pair.disk)
    let right = try records(pair.peer, 0)
    let absent = try #require(
      right.first {
        if case .absent? = pair.store.find([$0])[$0.lsn] { return true }
        return false
      })
    let good = try #require(pair.peer.fetchRecords(from: absent.lsn, to: absent.lsn, bytesMax: 1)?.records.first)
    let other = try #require(right.first { $0.lsn != absent.lsn })
    let wrong = try #require(pair.peer.fetchRecords(from: other.lsn, to: other.lsn, bytesMax: 1)?.records.first)
    var flipped = good
    flipped[40] ^= 4
    let paths = pair.disk.files.paths
    for bytes in [[], wrong, flipped, Array(good.dropLast(8)), good + [0, 0, 0, 0, 0, 0, 0, 0]] {
      let job = try #require(
        RestoreJob(
          store: pair.store, copies: [.init(record: absent, bytes: bytes)], table: pair.store.table(0).pointee.id,
          aliveAt: pair.peer.positions.applied))
      #expect(throws: RepairFailure.self) { try job.build() }
    }
    #expect(pair.disk.files.paths == paths)
  }
}
