import Core
import LogStore
import Logging
import Replication
import Synchronization

/// Reads every sealed file of the log once in `--scrub-interval` and checks it, and repairs what is damaged from another node,
/// in one thread. What reads and compaction find damaged is checked and repaired at once.
final class ScrubThread: @unchecked Sendable {
  // Safe to share: the thread's own state is touched by it only; the rest is guarded.
  private unowned let core: ServerCore
  private let worker = BackgroundWorker<ScrubReport>("pl-scrub")
  private let registry = Mutex(DamageRegistry())
  private let sums = Mutex(ScrubReport())
  private var plan = ScrubPlan(intervalMilliseconds: 0)
  private var retryAt = Tick(milliseconds: 0)
  private weak var watched: LogStore?

  private static let stepBytes = 256 << 10
  private static let retryMilliseconds: UInt64 = 5000

  init(core: ServerCore) { self.core = core }

  var damage: DamageRegistry { registry.withLock { $0 } }
  var report: ScrubReport { sums.withLock { $0 } }

  /// Checks everything off the caller's thread; then calls `done`.
  func scrubAll(_ done: @escaping @Sendable (ScrubReport) -> Void) {
    worker.ask(done)
  }

  func start() {
    worker.start(pass: { [self] in all() }, unfinished: { [self] in report }) { [self] in
      round()
      return false
    }
  }

  func stop() { worker.stop() }

  /// A transfer or the applier met damage in this file: it is checked, and repaired if that can be, at once.
  func damageMet(in file: String, of store: LogStore) {
    guard store.suspect(file: file) else { return }
    worker.wake()
  }

  // MARK: Checking

  private func all() -> ScrubReport {
    let store = core.store
    let before = report
    for piece in store.sealedPieces { check(piece.name, in: store, rate: 0) }
    repair(store)
    return report.since(before)
  }

  /// One file that is due, everything that others met, and what waits for a repair.
  private func round() {
    let store = core.store
    if watched !== store {
      // What was known of the old store's files says nothing about these.
      watched = store
      registry.withLock { $0 = DamageRegistry() }
    }
    let now = Clocks.monotonic
    let pieces = store.sealedPieces
    registry.withLock { $0.keep(Set(pieces.map(\.name))) }
    let met = news(store)
    for name in met { check(name, in: store, rate: 0) }
    plan.intervalMilliseconds = UInt64(core.configuration.scrubIntervalSeconds) * 1000
    if let due = plan.next(pieces, now: now) {
      check(due, in: store, rate: plan.bytesPerSecond(totalBytes: pieces.reduce(0) { $0 + $1.bytes }))
      plan.checked(due, now: Clocks.monotonic)
    }
    if !damage.items.isEmpty, !met.isEmpty || now >= retryAt {
      repair(store)
      retryAt = Clocks.monotonic.advanced(by: Self.retryMilliseconds)
    }
  }

  /// Pieces in which others met damage that is not known yet.
  private func news(_ store: LogStore) -> [LogFileName] {
    let known = Set(damage.items.map(\.name))
    return store.suspectPieces.filter { !known.contains($0) }
  }

  private func check(_ name: LogFileName, in store: LogStore, rate: UInt64) {
    guard !worker.isStopping, let check = PieceCheck(store: store, name: name) else { return }
    var bucket = TokenBucket(bytesPerSecond: rate, now: Clocks.monotonic)
    var read = 0
    while !check.step(bytes: Self.stepBytes) {
      // A request and damage that was met do not wait for a slow round.
      if worker.isStopping || core.store !== store { return }
      bucket.take(bytes: check.report.bytesRead - read, now: Clocks.monotonic)
      read = check.report.bytesRead
      let wait = bucket.waitMilliseconds(now: Clocks.monotonic)
      if wait > 0, !worker.isAsked, news(store).allSatisfy({ $0 == name }) {
        worker.rest(milliseconds: Int(min(wait, 1000)))
      }
    }
    let report = check.report
    sums.withLock {
      $0.files += 1
      $0.bytes += report.bytesRead
      $0.damagedFiles += report.isGood ? 0 : 1
      $0.damagedRecords += report.damaged.count
    }
    if report.isIndexRebuilt {
      core.logger.warning(
        "a damaged index file was made anew from its records", metadata: ["log.file": "\(report.file)"])
    }
    if report.isGood { store.clearSuspicion(of: name) }
    if let found = registry.withLock({ $0.note(report, now: Clocks.wall) }) {
      core.logger.error("A FILE OF THE LOG IS DAMAGED", metadata: ["log.damage": "\(found.line)"])
    }
  }

  // MARK: Repairing

  private func repair(_ store: LogStore) {
    let items = damage.items
    guard !items.isEmpty, !worker.isStopping else { return }
    var copies: [LSN: [UInt8]] = [:]
    var reasons: [String] = []
    let needed = items.contains { !$0.records.isEmpty }
    let peers = needed ? core.node.nodesWithCopies : []
    if needed, peers.isEmpty { reasons.append("no other node to ask") }
    for item in items {
      // What this node still has itself comes first.
      copies = store.recordsInReplacedFiles(item.ranges)
      for peer in peers where copies.count < item.records.count {
        do {
          let connection = try PeerRecords(
            peer, password: core.configuration.masterPassword ?? core.configuration.password)
          let ranges = item.ranges.filter { range in
            item.records.contains { range.contains($0.lsn) && copies[$0.lsn] == nil }
          }
          copies.merge(try connection.records(ranges, lineage: core.directory.lineage.description)) { first, _ in first
          }
        } catch {
          reasons.append("\(peer): \(error)")
        }
      }
      do {
        guard let job = RepairJob(store: store, name: item.name) else { continue }
        try job.build(
          copies: copies, bounds: store.compactionBounds(neededFrom: core.node.neededFrom))
        guard try core.node.install(job, in: store) else { continue }
        registry.withLock { $0.repaired(item.name, records: item.records.count) }
        sums.withLock { $0.repairedRecords += item.records.count }
        store.clearSuspicion(of: item.name)
        core.logger.notice(
          "a damaged file of the log was repaired",
          metadata: ["log.file": "\(item.file)", "log.records": "\(item.records.count)"])
      } catch {
        let why = "\(error)" + (reasons.isEmpty ? "" : "; " + reasons.joined(separator: "; "))
        let isNew = registry.withLock { registry in
          defer { registry.set(why, of: item.name) }
          return registry.items.first { $0.name == item.name }?.state != why
        }
        if isNew {
          core.logger.error(
            "a damaged file of the log cannot be repaired yet",
            metadata: ["log.file": "\(item.file)", "log.reason": "\(why)"])
        }
      }
    }
  }

  /// For INFO.
  var lines: [(String, String)] {
    let damage = self.damage
    let report = self.report
    return [
      ("damaged_files", String(damage.items.count)), ("repaired_files", String(damage.filesRepaired)),
      ("repaired_records", String(damage.recordsRepaired)), ("scrubbed_files", String(report.files)),
      ("scrubbed_bytes", String(report.bytes)),
    ]
      + damage.items.prefix(16).enumerated().map { ("damage\($0)", singleLine($1.line, bytesMax: 1024)) }
  }
}

/// What was checked and repaired since the start.
struct ScrubReport: Sendable {
  var files = 0
  var bytes = 0
  var damagedFiles = 0
  var damagedRecords = 0
  var repairedRecords = 0

  func since(_ earlier: ScrubReport) -> ScrubReport {
    var report = self
    report.files -= earlier.files
    report.bytes -= earlier.bytes
    report.damagedFiles -= earlier.damagedFiles
    report.damagedRecords -= earlier.damagedRecords
    report.repairedRecords -= earlier.repairedRecords
    return report
  }
}
