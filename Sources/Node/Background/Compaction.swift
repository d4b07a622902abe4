import Core
import LogStore
import Logging
import Replication
import Synchronization

/// Compacts sealed pieces of the log, one after the other, at a bounded rate.
///
/// `CompactionPlanner` decides what is worth compacting, `CompactionRules` what is dead; this machine keeps the rate, waits
/// until a finished file may take its place, and names it in a generation.
package final class Compaction: BackgroundWork, @unchecked Sendable {
  // Safe to share: one thread makes the steps and owns their state; what others touch is in `shared`.
  private unowned let node: NodeCore
  private let shared = Mutex(Shared())
  private var state = State.idle
  /// COMPACT: somebody waits until everything is done that can be.
  private var pass: Pass?
  private var bucket = TokenBucket(bytesPerSecond: 0, now: Tick(milliseconds: 0))
  /// For this LSN a compaction waited in vain: none waits again before it is settled.
  private var unsettled = LSN.none
  /// The newest generation, and since when it has been that.
  private var quiet = (generation: UInt64(0), since: Tick(milliseconds: 0))

  package typealias Answer = @Sendable (CompactionReport) -> Void

  private struct Shared {
    var report = CompactionReport()
    var requests: [Answer] = []
  }

  private enum State {
    case idle
    /// Reads the sources and writes the new file.
    case reading(Run)
    /// The file is whole. It takes its place when everything up to this LSN is durable, committed and held by the slaves that
    /// follow: until then what it dropped may still be needed.
    case settling(Run, upTo: LSN, since: Tick)
  }
  private struct Run {
    let job: CompactionJob
    let store: LogStore
  }
  private struct Pass {
    let store: LogStore
    /// Pieces of a lower revision are compacted, whatever it frees.
    let below: UInt32
    let before: CompactionReport
    let answers: [Answer]
    /// The files that were replaced go when no kept generation names them.
    var generationsLeft = DataDirectory.generationsKept
    var isCompacted = false
  }

  private static let quietMilliseconds: UInt64 = 10_000
  /// How long a finished file waits for the slaves that follow.
  private static let settleMilliseconds: UInt64 = 5000
  private static let failedMilliseconds: UInt64 = 2000
  /// Beyond so many records behind, waiting would be in vain.
  private static let unsettledRecordsMax: UInt64 = 100_000

  init(_ node: NodeCore) { self.node = node }

  package var report: CompactionReport { shared.withLock { $0.report } }
  /// Somebody waits for a pass that has not begun yet.
  package var isAsked: Bool { shared.withLock { !$0.requests.isEmpty } }

  /// Compacts everything that can be, off the caller's thread; then calls `done`.
  package func compactAll(_ done: @escaping Answer) {
    shared.withLock { $0.requests.append(done) }
    node.host.wake(.compaction)
  }

  package func end() {
    let answers = (pass?.answers ?? []) + takeRequests()
    (state, pass) = (.idle, nil)
    for answer in answers { answer(report) }
  }

  private func takeRequests() -> [Answer] {
    shared.withLock { shared in
      defer { shared.requests = [] }
      return shared.requests
    }
  }

  // MARK: Steps

  package func step(now: Tick) -> UInt64 {
    switch state {
    case .idle: begin(now)
    case .reading(let run): read(run, now)
    case .settling(let run, let lsn, let since): settle(run, upTo: lsn, since, now)
    }
  }

  private func begin(_ now: Tick) -> UInt64 {
    // A record that the repair has put back into the log, and not yet into the index, would be taken for dead.
    if node.digestRepair.repairs.isRepairing { return node.configuration.compaction.idleMilliseconds }
    if pass == nil { beginPass() }
    if let run = nextRun() {
      bucket.setRate(bytesPerSecond: node.configuration.compaction.rateBytes, now: now)
      shared.withLock { $0.report.begin(bytes: run.job.totalBytes) }
      state = .reading(run)
      return 0
    }
    if pass != nil { return goOnWithPass() }
    letGoOfReplacedFiles(now)
    return node.configuration.compaction.idleMilliseconds
  }

  private func read(_ run: Run, _ now: Tick) -> UInt64 {
    guard node.store === run.store else { return stop() }
    // What was read before is paid for first: a job of one step must not be free.
    let wait = bucket.waitMilliseconds(now: now)
    if wait > 0 { return min(wait, 100) }
    do {
      let before = run.job.result.bytesRead
      let isDone = try run.job.step(bytes: node.configuration.compaction.stepBytes)
      let read = run.job.result.bytesRead - before
      shared.withLock { $0.report.read(bytes: read) }
      bucket.take(bytes: read, now: now)
      guard isDone else { return 0 }
      let wanted = try run.job.close()
      // Where commits do not flush, the next flush may be seconds away.
      if run.store.positions.durable < wanted { node.commitNow() }
      state = .settling(run, upTo: wanted, since: now)
      return 0
    } catch {
      return fail(error)
    }
  }

  private func settle(_ run: Run, upTo lsn: LSN, _ since: Tick, _ now: Tick) -> UInt64 {
    guard node.store === run.store else { return stop() }
    guard run.store.compactionBounds(neededFrom: node.neededFrom).settled >= lsn else {
      if now.since(since) <= Self.settleMilliseconds { return 2 }
      // A slave went away or is slow. Until it holds this, only what it holds already counts as replaced.
      node.logger.notice(
        "a compaction was given up: not all slaves hold yet what it needs", metadata: ["lsn": "\(lsn)"])
      unsettled = lsn
      endRun()
      return 0
    }
    do {
      guard let result = try node.install(run.job, in: run.store) else { return stop() }
      shared.withLock { $0.report.add(result) }
      node.logger.debug(
        "compacted",
        metadata: [
          "pieces": "\(result.sources)", "bytes.read": "\(result.bytesRead)",
          "bytes.written": "\(result.bytesWritten)", "records.dropped": "\(result.recordsDropped)",
        ])
      endRun()
      return 0
    } catch {
      return fail(error)
    }
  }

  private func endRun() {
    state = .idle
    shared.withLock { $0.report.end() }
  }

  /// The store was replaced meanwhile.
  private func stop() -> UInt64 {
    endRun()
    pass?.isCompacted = true
    return 0
  }

  private func fail(_ error: any Error) -> UInt64 {
    endRun()
    pass?.isCompacted = true
    shared.withLock { $0.report.failed("\(error)") }
    node.logger.error("compaction failed", metadata: ["error": "\(error)"])
    return Self.failedMilliseconds
  }

  /// What is to be compacted next; nil: nothing.
  private func nextRun() -> Run? {
    let setting = node.configuration.compaction
    guard pass.map({ !$0.isCompacted }) ?? setting.isOn else { return nil }
    let store = node.store
    if let pass, pass.store !== store { return nil }
    let rawFrom = pass == nil ? node.rawFrom(store) : LSN(.max)
    let bounds = store.compactionBounds(neededFrom: node.neededFrom, rawFrom: rawFrom)
    let appended = store.positions.appended
    let lag = appended.value - min(appended.value, bounds.settled.value)
    if unsettled > appended { unsettled = .none }  // of another store
    let waitsToSettle =
      lag < Self.unsettledRecordsMax && bounds.settled >= unsettled && !node.replication.holdsForAbsent
    if waitsToSettle { unsettled = .none }
    return store.nextCompaction(
      bounds, garbageRatio: setting.garbageRatio, waitsToSettle: waitsToSettle, forcedBelow: pass?.below
    ).map { Run(job: $0, store: store) }
  }

  // MARK: COMPACT

  /// Everything written so far becomes a sealed piece first.
  private func beginPass() {
    let answers = takeRequests()
    guard !answers.isEmpty else { return }
    let store = node.store
    let revision = store.withWriteLock { access in
      store.closeActiveSegment(access)
      return store.upcomingRevision
    }
    node.commitNow()
    node.maintainStore()
    pass = Pass(store: store, below: revision, before: report, answers: answers)
  }

  private func goOnWithPass() -> UInt64 {
    guard var pass else { return 0 }
    pass.isCompacted = true
    if pass.generationsLeft > 0 {
      pass.generationsLeft -= 1
      node.writeGenerationIfCurrent(pass.store)
      self.pass = pass
    } else {
      self.pass = nil
      let report = report.since(pass.before)
      for answer in pass.answers { answer(report) }
    }
    return 0
  }

  /// When nothing changes the segments any more, nothing would write the generations that replaced files wait for.
  private func letGoOfReplacedFiles(_ now: Tick) {
    let store = node.store
    guard store.replacedFiles > 0 else {
      quiet.since = now
      return
    }
    let generation = node.directory.current.generation
    if generation != quiet.generation { quiet = (generation, now) }
    guard now.since(quiet.since) >= Self.quietMilliseconds else { return }
    node.writeGenerationIfCurrent(store)
  }
}

/// `--compaction`, `--garbage-ratio`, `--compaction-rate`, and how large the steps are.
package struct CompactionSetting: Hashable, Sendable {
  package var isOn = true
  package var garbageRatio = 0.3
  /// Read so many bytes a second; 0 = no limit.
  package var rateBytes: UInt64 = 0
  package var stepBytes = 1 << 20
  /// Until it is looked again for something to do.
  package var idleMilliseconds: UInt64 = 500
  package init() {}
}
