import Core
import LogStore
import Simulator
import Testing

/// A master with a random past, and a slave that is at some LSN of it and is brought up by a delta.
struct DeltaRun {
  var random: SplitMix64
  var work: RandomWorkload
  let disk: TestDisk
  let slaveDisk: TestDisk
  let master: LogStore
  var slave: LogStore
  /// Every record as the master wrote it.
  var raw: [(lsn: UInt64, bytes: [UInt8])] = []
  /// The last LSN of the slave's log.
  private(set) var after: LSN
  private(set) var durableBefore = LSN.none
  private(set) var barrier = LSN.none
  private(set) var compactions = 0
  private(set) var sent = 0
  private(set) var skipped = 0
  let isInsideUnit: Bool
  let isUnapplied: Bool
  private var stage: DeltaStage?
  private let generationPath = "data/newest"

  struct Totals {
    var (installed, forgotten, compacted, insideUnits, unapplied, sent, skipped) = (0, 0, 0, 0, 0, 0, 0)
    mutating func add(_ run: DeltaRun) {
      installed += 1
      compacted += run.compactions > 0 ? 1 : 0
      insideUnits += run.isInsideUnit ? 1 : 0
      unapplied += run.isUnapplied ? 1 : 0
      sent += run.sent
      skipped += run.skipped
    }
  }

  init(seed: UInt64, mayCompactBefore: Bool = true) throws {
    random = SplitMix64(seed: seed)
    let databases = 1 + random.below(3)
    disk = TestDisk(seed: seed, opsBufferBytes: [0, 8192, 1 << 20][random.below(3)], databases: databases)
    slaveDisk = TestDisk(
      seed: seed ^ 1, segmentBytes: 4096 + 8 * random.below(2000), opsBufferBytes: [0, 1 << 20][random.below(2)],
      databases: databases)
    work = RandomWorkload(seed: seed ^ 0xDE17A, databases: databases)
    work.keys = 3 + random.below(60)
    work.valueBytesMax = [30, 200, 1500][random.below(3)]
    master = try disk.create()
    for _ in 0..<20 + random.below(200) { _ = work.step(master) }
    _ = master.commit(flush: true)
    master.positions.set(committed: master.positions.durable)
    raw = try master.records(from: LSN(1), to: master.positions.applied)
    // Where the slave stands.
    let last = Int(master.positions.applied.value)
    var position = random.chance(10) ? 0 : random.below(last + 1)
    // Often inside a transaction.
    if random.chance(30), let open = work.model.history.prefix(position).lastIndex(where: { !$0.endsUnit }) {
      position = open + 1
    }
    after = LSN(UInt64(position))
    slave = try slaveDisk.create()
    slave.setReplica(true)
    let isInsideUnit = position > 0 && !work.model.history[position - 1].endsUnit
    self.isInsideUnit = isInsideUnit
    isUnapplied = random.chance(30) && position > 0
    let limit = isUnapplied ? LSN(UInt64(random.below(position))) : LSN(.max)
    var at = 0
    while at < position {
      let end = min(position, at + 1 + random.below(40))
      try Self.append(raw[at..<end].flatMap(\.bytes), to: slave, applyUpTo: limit)
      at = end
      if random.chance(30) { try settleSlave() }
    }
    _ = slave.commit(flush: true)
    durableBefore = LSN(
      UInt64((work.model.history.prefix(position).lastIndex { $0.endsUnit }).map { $0 + 1 } ?? 0))
    try writeGeneration(slave)
    // Then the master goes on for a while; what it compacts may reach into what the slave misses.
    for _ in 0..<random.below(250) {
      stepMaster()
      if random.chance(5), mayCompactBefore {
        try compactMaster(neededFrom: random.chance(93) ? after.next : LSN(.max))
      }
    }
    try commitMaster()
  }

  static func append(_ bytes: [UInt8], to store: LogStore, applyUpTo limit: LSN) throws {
    try store.withWriteLock { access throws in
      try bytes.withUnsafeBytes { (raw) throws in try store.appendReplicated(raw, access) }
      try store.apply(upTo: limit, access)
    }
  }

  private mutating func stepMaster() { _ = work.step(master) }

  private mutating func commitMaster() throws {
    let from = LSN(UInt64(raw.count) + 1)
    if master.positions.applied >= from { raw += try master.records(from: from, to: master.positions.applied) }
    _ = master.commit(flush: true)
    master.positions.set(committed: master.positions.durable)
  }

  private mutating func compactMaster(neededFrom: LSN) throws {
    try commitMaster()
    let maintained = master.maintain(neededFrom: neededFrom)
    #expect(maintained.error == nil)
    let compacted = try master.compactOnce(
      neededFrom: neededFrom, garbageRatio: 0.2, forcedBelow: random.chance(50) ? .max : nil)
    if compacted != nil { compactions += 1 }
    try disk.writeGeneration(master)
  }

  /// As a server would, with the generation in a file.
  private mutating func writeGeneration(_ store: LogStore) throws {
    try publish { store.describe(&$0) }
    try store.removeDropped(keptGenerations: slaveDisk.generations)
  }

  private func publish(_ describe: (inout DirectoryFile) -> Void) throws(FileError) {
    var next = slaveDisk.generations.last!
    next.generation += 1
    describe(&next)
    try slaveDisk.files.makeDirectory("data")
    try slaveDisk.files.replace(generationPath, in: "data", with: next.encoded())
    slaveDisk.generations = [next]
  }

  private mutating func settleSlave() throws {
    slave.positions.set(committed: slave.commit(flush: true).durable)
    let maintained = slave.maintain(neededFrom: LSN(.max))
    if let error = maintained.error { throw error }
    if maintained.segmentsChanged { try writeGeneration(slave) }
  }

  // MARK: The delta

  /// Reads and stages; the master goes on meanwhile. false if deletions that the slave needs are forgotten.
  mutating func receive() throws -> Bool {
    let forgotten = master.withWriteLock { _ in master.tombstonesFrom > after.next }
    if forgotten { return false }
    let reader = DeltaReader(store: master, after: after)
    let staged = DeltaStage(store: slave, after: after)
    stage = staged
    (sent, skipped) = (0, 0)
    var size = 64 + random.below(5000)
    while true {
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
      defer { buffer.deallocate() }
      let run = try reader.read(upTo: master.positions.committed, into: buffer)
      if reader.bytesNeeded > 0 { size = max(size, reader.bytesNeeded) }
      if run.records > 0 {
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[0..<run.bytes])
        try staged.append(bytes, first: run.first, last: run.last, term: run.term)
        sent += run.records
      }
      if run.reachedEnd {
        barrier = run.scannedTo
        break
      }
      if random.chance(40) { for _ in 0..<random.below(6) { stepMaster() } }
      if random.chance(40) { try commitMaster() }
      if random.chance(20) { try compactMaster(neededFrom: after.next) }
    }
    skipped = Int(barrier.value - after.value) - sent
    #expect(staged.checksum == reader.checksum)
    try staged.finish(barrier: barrier)
    return true
  }

  func abandon() { stage?.discard() }

  mutating func install() throws {
    guard let stage else { return }
    let terms = try #require(TermHistory(master.terms.entries.filter { $0.firstLSN <= barrier }))
    let disk = slaveDisk
    let path = generationPath
    try Self.install(stage, barrier, terms, slave) { (describe) throws(FileError) in
      var next = disk.generations.last!
      next.generation += 1
      describe(&next)
      try disk.files.replace(path, in: "data", with: next.encoded())
      disk.generations = [next]
    }
    #expect(slave.terms == terms && slave.positions.durable == barrier && slave.positions.applied == barrier)
    work.model.check(slave, at: barrier, "installed after \(after) up to \(barrier)")
  }

  static func install(
    _ stage: DeltaStage, _ barrier: LSN, _ terms: TermHistory, _ slave: LogStore,
    publish: ((inout DirectoryFile) -> Void) throws(FileError) -> Void
  ) throws {
    _ = slave.commit(flush: true)
    slave.withWriteLock { access in slave.closeLog(access) }
    _ = slave.commit(flush: true)
    let maintained = slave.maintain(neededFrom: LSN(1))
    if let error = maintained.error { throw error }
    if let refusal = slave.writeRefusal { throw OpenError("\(refusal)") }
    let installation = try #require(try slave.prepare(stage, barrier: barrier, terms: terms, progress: {}))
    try installation.commit(publish: publish)
    installation.noteExpiries()
  }

  // MARK: Afterwards

  /// The raw log behind the barrier, restarts, compaction.
  mutating func followToTheEnd() throws {
    try checkCounters("installed")
    for _ in 0..<20 { stepMaster() }
    try commitMaster()
    let tail = raw[Int(slave.positions.appended.value)...]
    try Self.append(tail.flatMap(\.bytes), to: slave, applyUpTo: LSN(.max))
    work.model.check(slave, at: master.positions.applied, "the log after \(barrier)")
    try settleSlave()
    random.chance(50) ? slaveDisk.files.crash() : slaveDisk.files.killProcess()
    _ = try reopen()
    #expect(slave.terms == master.terms)
    work.model.check(slave, at: master.positions.applied, "opened again after \(barrier)")
    try settleSlave()
    if try slave.compactOnce(forcedBelow: .max) != nil { try writeGeneration(slave) }
    work.model.check(slave, at: master.positions.applied, "compacted after \(barrier)")
  }

  /// Live and kept bytes are what a start would count.
  private mutating func checkCounters(_ note: String) throws {
    let counted = slave.withWriteLock { access in
      (slave.figures(access).liveBytes, slave.deltaFigures(after: .none, access), slave.figures(access).expiring)
    }
    let copy = TestDisk(copying: slaveDisk, files: slaveDisk.files.copy())
    let again = try copy.open()
    let recounted = again.deltaFigures(after: .none)
    #expect(again.figures().liveBytes == counted.0, "\(note)")
    #expect(recounted.bytes == counted.1.bytes && recounted.records == counted.1.records, "\(note)")
    #expect(counted.2 >= again.figures().expiring, "\(note): every expiry is known")
  }

  mutating func reopen() throws -> LSN {
    let bytes = try slaveDisk.files.readAll(generationPath)
    slaveDisk.generations = [try DirectoryFile(decoding: bytes)]
    slave = try slaveDisk.open()
    slave.setReplica(true)
    stage = nil
    return slave.positions.applied
  }

  mutating func continueFromOldMoment(_ moment: LSN) throws {
    after = moment
    #expect(try receive())
    try install()
    try followToTheEnd()
  }
}
