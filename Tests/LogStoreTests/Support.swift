import Core
import LogStore
import Simulator
import Testing

/// A data directory of one node on a simulated disk, with the generations that a node would write.
final class TestDisk {
  let files: SimulatedFileSystem
  let lineage: NodeID
  let directory = "data/store-1"
  var configuration: StoreConfiguration
  /// The generations on disk, newest last.
  var generations: [DirectoryFile]

  init(seed: UInt64 = 1, segmentBytes: Int = 4096, opsBufferBytes: Int = 1 << 20, databases: Int = 4) {
    files = SimulatedFileSystem(seed: seed)
    lineage = NodeID(random: (0..<20).map { UInt8($0 * 7 + 3) })
    configuration = StoreConfiguration()
    configuration.segmentBytes = segmentBytes
    configuration.opsBufferBytes = opsBufferBytes
    configuration.databases = databases
    generations = [DirectoryFile(node: lineage, lineage: lineage)]
  }

  init(copying other: TestDisk, files: SimulatedFileSystem) {
    self.files = files
    lineage = other.lineage
    configuration = other.configuration
    generations = other.generations
  }

  func create() throws -> LogStore {
    try LogStore.create(fileSystem: files, directory: directory, lineage: lineage, configuration: configuration)
  }
  func openWithReport(generation: DirectoryFile? = nil, workers: Int = 3) throws -> (LogStore, RecoveryReport) {
    try LogStore.open(
      fileSystem: files, directory: directory, lineage: lineage, configuration: configuration,
      generation: generation ?? generations.last!, workers: workers,
      run: { count, body in for i in 0..<count { body(i) } })
  }
  func open() throws -> LogStore { try openWithReport().0 }

  /// What a node does after `maintain` said that the segments changed.
  func writeGeneration(_ store: LogStore) throws {
    var next = generations.last!
    next.generation += 1
    store.describe(&next)
    generations.append(next)
    generations = generations.suffix(3)
    try store.removeDropped(keptGenerations: generations)
  }

  /// Commits, calls what was committed good, and runs the background work.
  func settle(_ store: LogStore, neededFrom: LSN = LSN(.max)) throws {
    let result = store.commit(flush: true)
    store.positions.set(committed: result.durable)
    let maintained = store.maintain(neededFrom: neededFrom)
    if let error = maintained.error { throw error }
    if maintained.segmentsChanged { try writeGeneration(store) }
  }

  func path(_ lsn: LSN, _ suffix: String) -> String { directory + "/" + SegmentFormat.name(lsn, suffix: suffix) }
}

extension LogStore {
  /// One compaction as the server's thread does it; nil when there is nothing worth compacting.
  @discardableResult
  func compactOnce(
    neededFrom: LSN = LSN(.max), garbageRatio: Double = 0.5, forcedBelow: UInt32? = nil, stepBytes: Int = 1 << 20
  ) throws -> CompactionResult? {
    let bounds = compactionBounds(neededFrom: neededFrom)
    guard
      let job = nextCompaction(
        bounds, garbageRatio: garbageRatio, waitsToSettle: neededFrom == LSN(.max), forcedBelow: forcedBelow)
    else { return nil }
    while try !job.step(bytes: stepBytes) {}
    let wanted = try job.close()
    while compactionBounds(neededFrom: neededFrom).settled < wanted {
      positions.set(committed: commit(flush: true).durable)
    }
    return try job.install()
  }

  /// Seals what is there and compacts until nothing is left to do.
  @discardableResult
  func compactAll(_ disk: TestDisk, neededFrom: LSN = LSN(.max)) throws -> CompactionResult {
    let access = writeLock.lock()
    closeActiveSegment(access)
    let revision = upcomingRevision
    writeLock.unlock(access)
    try disk.settle(self, neededFrom: neededFrom)
    var sum = CompactionResult()
    while let result = try compactOnce(neededFrom: neededFrom, forcedBelow: revision) {
      sum.bytesRead += result.bytesRead
      sum.bytesWritten += result.bytesWritten
      sum.recordsDropped += result.recordsDropped
      sum.recordsKept += result.recordsKept
      try disk.writeGeneration(self)
    }
    return sum
  }
}

enum Found: Equatable {
  case value([UInt8], expiry: UInt64)
  case missing
  case damaged
  static func text(_ s: String) -> Found { .value(Array(s.utf8), expiry: 0) }
}

/// What an executor does, for one key at a time.
extension LogStore {
  @discardableResult
  func put(_ key: [UInt8], _ value: [UInt8], db: Int = 0, expiry: UInt64 = 0) -> Bool {
    withWriteLock { access in put(key, value, db: db, expiry: expiry, access) }
  }
  @discardableResult
  func put(
    _ key: [UInt8], _ value: [UInt8], db: Int = 0, expiry: UInt64 = 0, _ access: borrowing WriteAccess
  ) -> Bool {
    let table = table(db)
    return key.withUnsafeBytes { key in
      let target = locate(table, hash(key), key)
      guard !target.damaged, let place = beginPut(table, key: key, valueBytes: value.count, expiry: expiry, access)
      else {
        return false
      }
      value.withUnsafeBytes { if let base = $0.baseAddress { place.copyMemory(from: base, byteCount: $0.count) } }
      endPut(target, access)
      return true
    }
  }
  @discardableResult
  func remove(_ key: [UInt8], db: Int = 0) -> Bool {
    withWriteLock { access in remove(key, db: db, access) }
  }
  @discardableResult
  func remove(_ key: [UInt8], db: Int = 0, _ access: borrowing WriteAccess) -> Bool {
    key.withUnsafeBytes { key in
      let target = locate(table(db), hash(key), key)
      return target.old == nil ? false : delete(target, key: key, access)
    }
  }
  func get(_ key: [UInt8], db: Int = 0) -> Found {
    key.withUnsafeBytes { key in
      switch find(table(db), hash(key), key) {
      case .found(let record): .value([UInt8](record.value), expiry: record.expiry)
      case .missing: .missing
      case .damaged: .damaged
      }
    }
  }
  @discardableResult
  func put(_ key: String, _ value: String, db: Int = 0, expiry: UInt64 = 0) -> Bool {
    put(Array(key.utf8), Array(value.utf8), db: db, expiry: expiry)
  }
  @discardableResult func remove(_ key: String, db: Int = 0) -> Bool { remove(Array(key.utf8), db: db) }
  func get(_ key: String, db: Int = 0) -> Found { get(Array(key.utf8), db: db) }

  /// Deletes everything that is due, some at a time.
  func expireAll(now: UInt64) {
    withWriteLock { access in
      for _ in 0...figures(access).expiring / 7 { _ = expireDue(now: now, limit: 7, access) }
    }
  }

  /// Every key by SCAN.
  func scanAll(db: Int = 0, count: Int = 10) -> [[UInt8]] {
    var keys: [[UInt8]] = []
    var cursor: UInt64 = 0
    repeat {
      cursor = scan(table(db), cursor: cursor, count: count) { keys.append([UInt8]($0.key)) }
    } while cursor != 0
    return keys
  }

  /// Every record from `from` to `limit`, copied out in pieces of `buffer` bytes.
  func records(from: LSN, to limit: LSN, buffer: Int = 1 << 16) throws -> [(lsn: UInt64, bytes: [UInt8])] {
    var cursor = LogCursor(startingAt: from)
    var out: [(lsn: UInt64, bytes: [UInt8])] = []
    var size = buffer
    while true {
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 8)
      defer { memory.deallocate() }
      var needed = 0
      guard let run = try read(&cursor, upTo: limit, into: memory, bytesNeeded: &needed) else {
        guard needed > 0 else { return out }
        size = max(size, needed)
        continue
      }
      var at = 0
      while at < run.bytes {
        let record = RecordView(UnsafeRawPointer(memory.baseAddress! + at))
        out.append((record.lsn, Array(UnsafeRawBufferPointer(rebasing: memory[at..<at + record.recordBytes]))))
        at += record.recordBytes
      }
    }
  }
}

/// The state of a store as a plain dictionary, after any LSN.
struct Model {
  struct Item: Equatable {
    var value: [UInt8]
    var expiry: UInt64
    var lsn: UInt64
  }
  enum Change {
    case put(db: Int, key: [UInt8], value: [UInt8], expiry: UInt64)
    case delete(db: Int, key: [UInt8])
    case flush(db: Int)
    case flushAll
    case swap(Int, Int)
    case noop
  }
  /// The change of LSN i + 1, and whether its unit ends with it.
  var history: [(change: Change, endsUnit: Bool)] = []
  let databases: Int

  init(databases: Int) { self.databases = databases }

  mutating func add(_ change: Change, endsUnit: Bool = true) { history.append((change, endsUnit)) }
  mutating func cut(to lsn: LSN) { history.removeSubrange(Int(lsn.value)...) }
  var last: LSN { LSN(UInt64(history.count)) }

  func state(at lsn: LSN) -> [[[UInt8]: Item]] {
    var dbs = Array(repeating: [[UInt8]: Item](), count: databases)
    for (i, item) in history.prefix(Int(lsn.value)).enumerated() {
      switch item.change {
      case .put(let db, let key, let value, let expiry):
        dbs[db][key] = Item(value: value, expiry: expiry, lsn: UInt64(i + 1))
      case .delete(let db, let key): dbs[db][key] = nil
      case .flush(let db): dbs[db] = [:]
      case .flushAll: for db in dbs.indices { dbs[db] = [:] }
      case .swap(let a, let b): dbs.swapAt(a, b)
      case .noop: break
      }
    }
    return dbs
  }

  static func digest(_ items: [[UInt8]: Item]) -> UInt64 {
    items.reduce(0) { sum, item in
      var content = ByteWriter()
      if item.value.expiry != 0 { content.u64(item.value.expiry) }
      content.raw(item.key)
      content.raw(item.value.value)
      return sum &+ RecordView.digest(lsn: item.value.lsn, contentHash: CRC32C.checksum(content.bytes))
    }
  }

  /// Everything that the store says about its content, against the dictionary.
  func check(_ store: LogStore, at lsn: LSN, _ note: String, location: SourceLocation = #_sourceLocation) {
    let state = state(at: lsn)
    let digests = store.digests()
    for db in 0..<databases {
      #expect(store.keyCount(db) == state[db].count, "\(note): keys of db \(db)", sourceLocation: location)
      #expect(digests[db].sum == Self.digest(state[db]), "\(note): digest of db \(db)", sourceLocation: location)
      for (key, item) in state[db] {
        let found = store.get(key, db: db)
        if found != .value(item.value, expiry: item.expiry) {
          Issue.record("\(note): db \(db) key \(key) is \(found), not \(item)", sourceLocation: location)
        }
      }
      let scanned = store.scanAll(db: db, count: 3)
      if scanned.count != state[db].count || Set(scanned) != Set(state[db].keys) {
        Issue.record(
          "\(note): scan of db \(db) gives \(scanned.count) of \(state[db].count) keys", sourceLocation: location)
      }
    }
  }
}

/// One random client: does to the store and to the model the same things.
struct RandomWorkload {
  var random: SplitMix64
  var model: Model
  var keys = 40
  var valueBytesMax = 200
  /// Percent of steps that are oversize values.
  var oversizePercent = 1

  init(seed: UInt64, databases: Int) {
    random = SplitMix64(seed: seed)
    model = Model(databases: databases)
  }

  private mutating func key() -> [UInt8] { Array("key-\(random.below(keys))".utf8) }
  private mutating func value() -> [UInt8] {
    let count = random.chance(oversizePercent) ? 5000 + random.below(5000) : random.below(valueBytesMax)
    var out: [UInt8] = []
    while out.count < count { withUnsafeBytes(of: random.next()) { out.append(contentsOf: $0) } }
    return Array(out.prefix(count))
  }

  /// One command, or a transaction of several. false if the store took no more.
  mutating func step(_ store: LogStore) -> Bool {
    guard store.isWritable else { return false }
    return store.withWriteLock { access in
      let kind = random.below(100)
      switch kind {
      case 0:
        let db = random.below(model.databases)
        guard store.flushDatabase(db, access) else { return false }
        model.add(.flush(db: db))
      case 1:
        let (a, b) = (random.below(model.databases), random.below(model.databases))
        guard store.swapDatabases(a, b, access) else { return false }
        model.add(.swap(a, b))
      case 2:
        guard store.beginTerm(reign((store.terms.last?.term.value ?? 0) + 1), access) else { return false }
        model.add(.noop)
      case 3 where random.chance(20):
        guard store.flushAll(access) else { return false }
        model.add(.flushAll)
      case 4..<14:
        let before = model.history.count
        store.beginUnit(access)
        for _ in 0..<random.below(12) { single(store, access) }
        store.endUnit(access)
        for i in before..<model.history.count { model.history[i].endsUnit = i == model.history.count - 1 }
      default:
        single(store, access)
      }
      return true
    }
  }

  private mutating func single(_ store: LogStore, _ access: borrowing WriteAccess) {
    let db = random.below(model.databases)
    let key = key()
    if random.chance(25) {
      if store.remove(key, db: db, access) { model.add(.delete(db: db, key: key)) }
    } else {
      let value = value()
      let expiry: UInt64 = random.chance(15) ? 1_000_000 + UInt64(random.below(1_000_000)) : 0
      if store.put(key, value, db: db, expiry: expiry, access) {
        model.add(.put(db: db, key: key, value: value, expiry: expiry))
      }
    }
  }
}

/// Of node n, whose id is that byte 20 times.
func reign(_ term: UInt32, of n: UInt8 = 1) -> Reign {
  Reign(term: Term(term), owner: NodeID(random: [UInt8](repeating: n, count: NodeID.byteCount)))
}
