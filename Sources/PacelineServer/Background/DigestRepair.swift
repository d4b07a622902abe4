import Core
import LogStore
import Logging
import Replication
import Synchronization

/// Repairs what the digests found different on a slave, while both nodes go on, in one thread: asks the master for the sums
/// of all partitions at the digest's LSN, compares the records of those that differ, and changes only what differs. On a
/// master it keeps the sums of the last digests for its slaves.
///
/// A record that is missing from the index is looked for in this node's own log first; what the log has not, or has
/// otherwise, comes from the master and is put into the log before the index points at it.
final class DigestRepair: @unchecked Sendable {
  // Safe to share: all state is behind mutexes; the repair itself is touched by its thread only.
  private unowned let core: ServerCore
  private let work = Signal()
  private let stopping = Atomic<Bool>(false)
  private let thread = Mutex<BackgroundThread?>(nil)
  private let request = Mutex<Request?>(nil)
  private let samples = Mutex<[Sample]>([])
  private let figures = Mutex(Figures())

  /// A difference, with this node's sums at its LSN.
  private struct Request {
    let lsn: LSN
    let own: [Int: PartitionSums]
    let store: LogStore
  }
  private struct Sample {
    let lsn: LSN
    let databases: [PartitionSums]
  }
  private struct Figures {
    var isRepairing = false
    var repairs = 0
    var records = 0
    var bytes = 0
    var error = ""
  }
  private struct Refusal: Error, CustomStringConvertible { let description: String }

  /// Digests are sent every 5 s.
  private static let samplesMax = 6
  private static let attempts = 20
  private static let pauseMilliseconds = 50
  private static let catchUpMilliseconds: UInt64 = 20_000

  init(core: ServerCore) { self.core = core }

  func start() {
    let started = BackgroundThread("pl-digest") { [self] in
      while !stopping.load(ordering: .acquiring) {
        work.wait(milliseconds: 1000)
        guard let request = request.withLock({ $0.take() }) else { continue }
        repair(request)
        figures.withLock { $0.isRepairing = false }
      }
    }
    thread.withLock { $0 = started }
  }

  func stop() {
    stopping.store(true, ordering: .releasing)
    work.raise()
    thread.withLock { $0.take() }?.join()
  }

  // MARK: As a master

  /// The digest of this moment; its sums by partition are kept for the slaves that will compare with it.
  func sample() -> Digest {
    let store = core.store
    store.writeLock.lock()
    let digest = core.node.digestLocked(store)
    let databases = (0..<store.databases).map { database in
      store.keyCount(database) > 0
        ? PartitionSums(store, database) : PartitionSums(table: store.table(database).pointee.id, partitions: [])
    }
    store.writeLock.unlock()
    samples.withLock {
      $0.append(Sample(lsn: digest.lsn, databases: databases))
      if $0.count > Self.samplesMax { $0.removeFirst() }
    }
    return digest
  }

  func sums(at lsn: LSN, database: Int) -> PartitionSums? {
    guard let sample = samples.withLock({ $0.last { $0.lsn == lsn } }) else { return nil }
    var sums = sample.databases[database]
    if sums.partitions.isEmpty {
      sums.partitions = Array(
        repeating: PartitionSum(sum: 0, liveRecords: 0), count: KeyIndex.partitionCount)
    }
    return sums
  }

  // MARK: As a slave

  /// A comparison with the master's digest found a difference. Under the write lock, at that LSN.
  func found(_ ranges: [Digest.RangeID], at lsn: LSN, in store: LogStore) {
    var own: [Int: PartitionSums] = [:]
    for range in ranges where Int(range.database) < store.databases {
      own[Int(range.database)] = PartitionSums(store, Int(range.database))
    }
    request.withLock { $0 = Request(lsn: lsn, own: own, store: store) }
    work.raise()
  }

  private func repair(_ request: Request) {
    guard case .slave(let master) = core.role, request.store === core.store else { return }
    figures.withLock { $0.isRepairing = true }
    let began = Clocks.monotonic
    var records = 0
    var partitions = 0
    var bytes = 0
    do {
      let peer = try PeerRecords(
        master, password: core.configuration.masterPassword ?? core.configuration.password)
      defer { bytes = peer.bytesReceived }
      for (database, own) in request.own.sorted(by: { $0.key < $1.key }) {
        let answer = try peer.ask([
          "MS_DIGEST_PARTITIONS", core.directory.lineage.description, request.lsn.description, String(database),
        ])
        let theirs = try PartitionSums(decoding: answer.records.first ?? [])
        guard let differing = own.differing(from: theirs) else {
          throw Refusal(description: "database \(database) is not the same table here and there; a full sync mends it")
        }
        core.logger.notice(
          "comparing records with the master",
          metadata: [
            "digest.lsn": "\(request.lsn)", "digest.database": "\(database)",
            "digest.partitions": "\(differing.count)",
          ])
        for partition in differing {
          records += try repair(database, partition, request.store, peer)
          partitions += 1
        }
      }
      figures.withLock { $0.error = "" }
      core.logger.notice(
        "a difference from the master is repaired",
        metadata: [
          "digest.lsn": "\(request.lsn)", "digest.partitions": "\(partitions)", "digest.records": "\(records)",
          "digest.wire.bytes": "\(peer.bytesReceived)", "digest.ms": "\(Clocks.monotonic.since(began))",
        ])
    } catch {
      figures.withLock { $0.error = "\(error)" }
      core.logger.error(
        "A DIFFERENCE FROM THE MASTER IS NOT REPAIRED",
        metadata: ["digest.lsn": "\(request.lsn)", "digest.error": "\(error)"])
    }
    figures.withLock { [records, bytes] in
      $0.repairs += records > 0 ? 1 : 0
      $0.records += records
      $0.bytes += bytes
    }
  }

  /// Makes one partition the master's. Returns how many records were put back or taken out.
  private func repair(
    _ database: Int, _ partition: Int, _ store: LogStore, _ peer: PeerRecords
  ) throws -> Int {
    var changed = 0
    var tag: UInt64 = 0
    repeat {
      var attempt = 0
      var next: UInt64 = 0
      while true {
        let step = try look(database, partition, from: tag, store, peer)
        changed += step.changed
        next = step.next
        guard let open = step.open else { break }
        attempt += 1
        guard attempt < Self.attempts else { throw Refusal(description: open) }
        try pause()
      }
      tag = next
    } while tag != 0
    while true {
      do throws(PartitionFailure) {
        if try store.recount(database: database, partition: partition) { changed = max(changed, 1) }
        return changed
      } catch {
        guard error == .tooManyReaders else { throw error }
        try pause()
      }
    }
  }

  private func pause() throws {
    guard !stopping.load(ordering: .acquiring) else { throw Refusal(description: "the server ends") }
    work.wait(milliseconds: Self.pauseMilliseconds)
  }

  /// Compares one part of a partition with the master's and changes what differs.
  /// - Returns: `open`: why another look is needed, nil when this part is equal.
  private func look(
    _ database: Int, _ partition: Int, from tag: UInt64, _ store: LogStore, _ peer: PeerRecords
  ) throws -> (changed: Int, next: UInt64, open: String?) {
    let answer = try peer.ask([
      "MS_PARTITION_RECORDS", core.directory.lineage.description, String(database), String(partition), String(tag),
    ])
    let theirs = try PartitionListing(decoding: answer.records.first ?? [])
    let next = answer.next.value
    guard next == 0 || next > tag && next < 1 << 24 else { throw Refusal(description: "a bad tag from the master") }
    try reach(theirs.lsn, store)
    let view = try store.partitionView(
      database: database, partition: partition, from: tag, to: next == 0 ? 1 << 24 : next, recordsMax: 0)
    guard
      let difference = PartitionComparison(
        own: PartitionListing(view), lastRemoval: view.lastRemoval, master: theirs)
    else { return (0, next, "the master's table or term changed") }
    guard !difference.isEqual else { return (0, next, nil) }
    var open: String? = difference.undecided > 0 ? "keys of the partition are being deleted" : nil
    var changed = 0
    var unsettled: Set<UInt64> = []
    var wanted: [ListedRecord] = difference.contentDiffers
    let findings = store.find(difference.missing.map { PartitionRecord($0) })
    for record in difference.missing {
      switch findings[record.lsn] {
      case .here(let place):
        switch store.putBack(
          PartitionRecord(record), at: place, database: database, table: theirs.table, aliveAt: theirs.lsn)
        {
        case .done: changed += 1
        case .unchanged: break
        case .notNow:
          open = "LSN \(record.lsn) cannot be put back into the index now"
          unsettled.insert(record.hash)
        }
      case .damaged(let name):
        store.suspect(name)
        open = "LSN \(record.lsn) is damaged in this node's log"
        unsettled.insert(record.hash)
      case .absent, .other:
        wanted.append(record)
        unsettled.insert(record.hash)
      case nil: open = "\(PartitionFailure.tooManyReaders)"
      }
    }
    for record in difference.extra where !unsettled.contains(record.hash) {
      switch store.takeOut(PartitionRecord(record), database: database, table: theirs.table, deadAt: theirs.lsn) {
      case .done: changed += 1
      case .unchanged: break
      case .notNow: open = "LSN \(record.lsn) cannot be taken out of the index now"
      }
    }
    if !wanted.isEmpty {
      open = try restore(wanted, aliveAt: theirs.lsn, table: theirs.table, store, peer)
      // The others are counted when the index follows.
      changed += difference.contentDiffers.count
    }
    return (changed, next, open)
  }

  /// Gets records from the master and puts them into this node's log. What is left to do, in words: the index follows with
  /// the next look.
  private func restore(
    _ wanted: [ListedRecord], aliveAt: LSN, table: UInt32, _ store: LogStore, _ peer: PeerRecords
  ) throws -> String {
    let lsns = wanted.map(\.lsn)
    let bytes = try peer.records(lsns.map { $0...$0 }, lineage: core.directory.lineage.description)
    var copies = wanted.compactMap { record in
      bytes[record.lsn].map { RestoreJob.Copy(record: PartitionRecord(record), bytes: $0) }
    }
    guard copies.count == wanted.count else {
      return "the master has no copy of \(wanted.count - copies.count) of \(wanted.count) records"
    }
    // What stands in the newest part of the log is changed when that is sealed.
    let findings = store.find(copies.map(\.record))
    let isUnsealed = findings.values.contains { finding in
      if case .other(let isSealed) = finding { return !isSealed }
      return false
    }
    if isUnsealed || store.sealedPieces.isEmpty {
      store.writeLock.lock()
      store.closeActiveSegment()
      store.writeLock.unlock()
      core.commitNow()
      core.node.maintainStore()
    }
    while !copies.isEmpty {
      guard let job = RestoreJob(store: store, copies: copies, table: table, aliveAt: aliveAt) else {
        return "LSN \(copies[0].record.lsn) cannot be put into the log now: its piece is not sealed, or in use"
      }
      do throws(RepairFailure) { try job.build() } catch {
        if case .missing(let damaged) = error, let name = store.pieceName(of: damaged.first ?? .none) {
          store.suspect(name)
        }
        throw error
      }
      guard try core.node.install(job, in: store) else { throw Refusal(description: "the data was replaced meanwhile") }
      let done = Set(job.records)
      copies.removeAll { done.contains($0.record.lsn) }
    }
    return "the index does not know the restored records yet"
  }

  /// Waits until this node shows what the master's listing shows.
  private func reach(_ lsn: LSN, _ store: LogStore) throws {
    let began = Clocks.monotonic
    while store.positions.applied < lsn {
      guard Clocks.monotonic.since(began) < Self.catchUpMilliseconds, store === core.store else {
        throw Refusal(description: "LSN \(lsn) did not arrive in time")
      }
      try pause()
    }
  }

  // MARK: For INFO

  /// What is said of the digest: a difference that is being repaired is no less a difference.
  func state(_ compared: String) -> String {
    compared == "different" && figures.withLock({ $0.isRepairing }) ? "repairing" : compared
  }

  var lines: [(String, String)] {
    let figures = figures.withLock { $0 }
    return [
      ("digest_repairs", String(figures.repairs)), ("digest_repaired_records", String(figures.records)),
      ("digest_repair_bytes", String(figures.bytes)), ("digest_error", singleLine(figures.error, bytesMax: 512)),
    ]
  }
}

extension PartitionSums {
  /// Under the write lock.
  init(_ store: LogStore, _ database: Int) {
    let (table, sums) = store.partitionSums(database)
    self.init(table: table, partitions: sums.map { PartitionSum(sum: $0.sum, liveRecords: $0.keys) })
  }
}
