import Core
import LogStore
import Logging
import Node
import Replication
import Synchronization

/// Compacts sealed pieces of the log in the background, in one thread, at a bounded rate.
///
/// What is worth compacting is decided in `CompactionPlanner`, what is dead in `CompactionRules`; this is the shell that
/// reads the figures, keeps the rate and writes the generations.
final class CompactionThread: @unchecked Sendable {
  // Safe to share: the thread's own state is touched by it only; the rest is guarded.
  private unowned let core: ServerCore
  private let worker = BackgroundWorker<CompactionReport>("pl-compact")
  private let shared = Mutex(CompactionReport())
  private var bucket: TokenBucket
  /// For this LSN a compaction waited in vain: none waits again before it is settled.
  private var unsettled = LSN.none

  private var quietGeneration: UInt64 = 0
  private var quietSince = Tick(milliseconds: 0)

  private static let stepBytes = 1 << 20
  private static let quietMilliseconds: UInt64 = 10_000
  /// How long a finished file waits for the slaves that follow.
  private static let settleMilliseconds: UInt64 = 5000

  init(core: ServerCore) {
    self.core = core
    bucket = TokenBucket(bytesPerSecond: 0, now: Clocks.monotonic)
  }

  var report: CompactionReport { shared.withLock { $0 } }

  /// Compacts everything that can be, off the caller's thread; then calls `done`.
  func compactAll(_ done: @escaping @Sendable (CompactionReport) -> Void) {
    worker.ask(done)
  }

  func start() {
    worker.start(pass: { [self] in force() }, unfinished: { [self] in report }) { [self] in
      if round(forcedBelow: nil) { return true }
      letGoOfReplacedFiles()
      return false
    }
  }

  func stop() { worker.stop() }

  /// When nothing changes the segments any more, nothing would write the generations that replaced files wait for.
  private func letGoOfReplacedFiles() {
    let store = core.store
    let now = Clocks.monotonic
    guard store.replacedFiles > 0 else {
      quietSince = now
      return
    }
    let generation = core.directory.current.generation
    if generation != quietGeneration { (quietGeneration, quietSince) = (generation, now) }
    guard now.since(quietSince) >= Self.quietMilliseconds else { return }
    core.node.writeGenerationIfCurrent(store)
  }

  // MARK: One round

  private func force() -> CompactionReport {
    let store = core.store
    let before = report
    // Everything written so far becomes a sealed piece first.
    store.writeLock.lock()
    store.closeActiveSegment()
    let revision = store.upcomingRevision
    store.writeLock.unlock()
    core.commitNow()
    core.node.maintainStore()
    while !worker.isStopping, core.store === store, round(forcedBelow: revision) {}
    // The files that were replaced go when no kept generation names them.
    for _ in 0..<DataDirectory.generationsKept where !worker.isStopping {
      core.node.writeGenerationIfCurrent(store)
    }
    return report.since(before)
  }

  /// One piece of work; false when there is none.
  private func round(forcedBelow: UInt32?) -> Bool {
    let configuration = core.configuration
    if forcedBelow == nil, !configuration.compaction { return false }
    let store = core.store
    let rawFrom = forcedBelow == nil ? core.node.rawFrom(store) : LSN(.max)
    let bounds = store.compactionBounds(neededFrom: core.node.neededFrom, rawFrom: rawFrom)
    let lag = store.positions.appended.value - min(store.positions.appended.value, bounds.settled.value)
    if unsettled > store.positions.appended { unsettled = .none }  // of another store
    let waitsToSettle = lag < 100_000 && bounds.settled >= unsettled && !core.replication.holdsForAbsent
    if waitsToSettle { unsettled = .none }
    guard
      let job = store.nextCompaction(
        bounds, garbageRatio: configuration.garbageRatio, waitsToSettle: waitsToSettle, forcedBelow: forcedBelow)
    else { return false }
    shared.withLock { $0.begin(bytes: job.totalBytes) }
    defer { shared.withLock { $0.isRunning = false } }
    do {
      guard try work(job, store, rate: configuration.compactionRateBytes) else { return false }
      let wanted = try job.close()
      guard waitUntilSettled(wanted, store) else {
        // A slave went away or is slow. Until it holds this, only what it holds already counts as replaced.
        core.logger.notice(
          "a compaction was given up: not all slaves hold yet what it needs", metadata: ["lsn": "\(wanted)"])
        unsettled = wanted
        return !worker.isStopping
      }
      guard let result = try core.node.install(job, in: store) else { return false }
      shared.withLock { $0.add(result) }
      core.logger.debug(
        "compacted",
        metadata: [
          "pieces": "\(result.sources)", "bytes.read": "\(result.bytesRead)",
          "bytes.written": "\(result.bytesWritten)", "records.dropped": "\(result.recordsDropped)",
        ])
      return true
    } catch {
      shared.withLock { $0.failed("\(error)") }
      core.logger.error("compaction failed", metadata: ["error": "\(error)"])
      worker.rest(milliseconds: 2000)
      return false
    }
  }

  /// Reads the sources at the rate. false when the server ends or the store was replaced.
  private func work(_ job: CompactionJob, _ store: LogStore, rate: UInt64) throws -> Bool {
    bucket.setRate(bytesPerSecond: rate, now: Clocks.monotonic)
    var isDone = false
    while !isDone {
      // What was read before is paid for first: a job of one step must not be free.
      while case let wait = bucket.waitMilliseconds(now: Clocks.monotonic), wait > 0 {
        if worker.isStopping { return false }
        Clocks.sleep(milliseconds: min(wait, 100))
      }
      if worker.isStopping || core.store !== store { return false }
      let before = job.result.bytesRead
      isDone = try job.step(bytes: Self.stepBytes)
      let read = job.result.bytesRead - before
      shared.withLock { $0.bytesDone += read }
      bucket.take(bytes: read, now: Clocks.monotonic)
    }
    return true
  }

  private func waitUntilSettled(_ wanted: LSN, _ store: LogStore) -> Bool {
    // Where commits do not sync, the next sync may be seconds away.
    if store.positions.durable < wanted { core.commitNow() }
    let begin = Clocks.monotonic
    while !worker.isStopping {
      if store.compactionBounds(neededFrom: core.node.neededFrom).settled >= wanted { return true }
      if Clocks.monotonic.since(begin) > Self.settleMilliseconds { return false }
      Clocks.sleep(milliseconds: 2)
    }
    return false
  }
}

/// What compaction did since the start, and what it is doing: for INFO and COMPACT.
struct CompactionReport: Sendable {
  var runs = 0
  var bytesRead = 0
  var bytesWritten = 0
  var recordsDropped = 0
  var isRunning = false
  /// Of the run going on.
  var bytesDone = 0
  var bytesTotal = 0
  var lastError = ""

  mutating func begin(bytes: Int) {
    isRunning = true
    (bytesDone, bytesTotal) = (0, bytes)
  }
  mutating func add(_ result: CompactionResult) {
    runs += 1
    bytesRead += result.bytesRead
    bytesWritten += result.bytesWritten
    recordsDropped += result.recordsDropped
    lastError = ""
  }
  mutating func failed(_ text: String) { lastError = text }

  func since(_ earlier: CompactionReport) -> CompactionReport {
    var report = self
    report.runs -= earlier.runs
    report.bytesRead -= earlier.bytesRead
    report.bytesWritten -= earlier.bytesWritten
    report.recordsDropped -= earlier.recordsDropped
    return report
  }
}
