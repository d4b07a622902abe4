import Core
import LogStore
import Logging
import Replication
import Synchronization

/// Reads every sealed file of the log once in `--scrub-interval` and checks it, and repairs what is damaged from another node.
/// What reads and compaction find damaged is checked and repaired at once.
package final class Scrub: BackgroundWork, @unchecked Sendable {
  // Safe to share: one thread makes the steps and owns their state; what others touch is in `shared`.
  private unowned let node: NodeCore
  private let shared = Mutex(Shared())
  private var state = State.idle
  private var round: Round?
  private var plan = ScrubPlan(intervalMilliseconds: 0)
  private var retryAt = Tick(milliseconds: 0)
  private var watched: StoreIdentity?

  package typealias Answer = @Sendable (ScrubReport) -> Void

  private struct Shared {
    var registry = DamageRegistry()
    var sums = ScrubReport()
    var requests: [Answer] = []
  }

  private enum State {
    case idle
    /// A file is read, at most so fast.
    case checking(PieceCheck, Piece, TokenBucket)
    /// Copies for a damaged file are on their way from other nodes.
    case repairing(DamageRegistry.Item, CopySearch)
  }
  private struct Piece {
    let name: LogFileName
    /// Bytes a second; 0: as fast as can be.
    var rate: UInt64 = 0
    /// It was its turn in the interval.
    var isDue = false
  }
  /// Files to check, then damaged ones to repair.
  private struct Round {
    let store: LogStore
    var pieces: ArraySlice<Piece>
    /// Damage was met, so a repair does not wait for its time.
    var isUrgent: Bool
    /// nil until the checks are over.
    var damaged: ArraySlice<DamageRegistry.Item>?
    /// SCRUB: who waits, and the figures before.
    var answers: [Answer] = []
    var before = ScrubReport()
  }

  private static let waitMilliseconds: UInt64 = 1000
  private static let stepBytes = 256 << 10

  init(_ node: NodeCore) { self.node = node }

  package var damage: DamageRegistry { shared.withLock { $0.registry } }
  package var report: ScrubReport { shared.withLock { $0.sums } }
  private var isAsked: Bool { shared.withLock { !$0.requests.isEmpty } }

  /// Checks everything off the caller's thread; then calls `done`.
  package func scrubAll(_ done: @escaping Answer) {
    shared.withLock { $0.requests.append(done) }
    node.host.wake(.scrub)
  }

  /// A transfer or the applier met damage in this file: it is checked, and repaired if that can be, at once.
  func damageMet(in file: String, of store: LogStore) {
    guard store.suspect(file: file) else { return }
    node.host.wake(.scrub)
  }

  package func end() {
    let answers = (round?.answers ?? []) + takeRequests()
    (round, state) = (nil, .idle)
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
    // The store was replaced meanwhile: what is left of the round is about files of the old one.
    if let round, round.store !== node.store { return finish(round) }
    switch state {
    case .idle: return goOn(now)
    case .checking(let check, let piece, let bucket): return read(check, piece, bucket, now)
    case .repairing(let item, var search):
      guard search.step() else {
        state = .repairing(item, search)
        return Self.waitMilliseconds
      }
      state = .idle
      repair(item, search)
      return 0
    }
  }

  private func goOn(_ now: Tick) -> UInt64 {
    guard var round = round ?? nextRound(now) else { return node.configuration.scrub.idleMilliseconds }
    if let piece = round.pieces.popFirst() {
      self.round = round
      if let check = PieceCheck(store: round.store, name: piece.name) {
        state = .checking(check, piece, TokenBucket(bytesPerSecond: piece.rate, now: now))
      }
      return 0
    }
    if round.damaged == nil {
      let isTime = round.isUrgent || now >= retryAt
      let items = isTime ? damage.items : []
      if !items.isEmpty { retryAt = now.advanced(by: node.configuration.scrub.retryMilliseconds) }
      round.damaged = items[...]
    }
    guard let item = round.damaged?.popFirst() else { return finish(round) }
    self.round = round
    let nodes = item.records.isEmpty ? [] : node.nodesWithCopies
    // What this node still has itself comes first.
    state = .repairing(
      item,
      CopySearch(
        item.records.map(\.lsn), copies: round.store.recordsInReplacedFiles(item.ranges),
        of: node.directory.lineage, from: nodes, host: node.host, duty: .scrub))
    return 0
  }

  private func finish(_ round: Round) -> UInt64 {
    (self.round, state) = (nil, .idle)
    let report = report.since(round.before)
    for answer in round.answers { answer(report) }
    return round.answers.isEmpty ? node.configuration.scrub.idleMilliseconds : 0
  }

  /// What is to be done now: all that somebody asked for, or one file that is due and everything that others met; nil: nothing.
  private func nextRound(_ now: Tick) -> Round? {
    let store = node.store
    if watched !== store.identity {
      // What was known of the old store's files says nothing about these.
      watched = store.identity
      shared.withLock { $0.registry = DamageRegistry() }
    }
    let pieces = store.sealedPieces
    let answers = takeRequests()
    guard answers.isEmpty else {
      return Round(
        store: store, pieces: pieces.map { Piece(name: $0.name) }[...], isUrgent: true, answers: answers, before: report
      )
    }
    shared.withLock { $0.registry.keep(Set(pieces.map(\.name))) }
    var checks = news(store).map { Piece(name: $0) }
    let isUrgent = !checks.isEmpty
    plan.intervalMilliseconds = node.configuration.scrub.intervalMilliseconds
    if let due = plan.next(pieces, now: now) {
      checks.append(
        Piece(name: due, rate: plan.bytesPerSecond(totalBytes: pieces.reduce(0) { $0 + $1.bytes }), isDue: true))
    }
    guard !checks.isEmpty || !damage.items.isEmpty && now >= retryAt else { return nil }
    return Round(store: store, pieces: checks[...], isUrgent: isUrgent)
  }

  /// Pieces in which others met damage that is not known yet.
  private func news(_ store: LogStore) -> [LogFileName] {
    let known = Set(damage.items.map(\.name))
    return store.suspectPieces.filter { !known.contains($0) }
  }

  // MARK: Checking

  private func read(_ check: PieceCheck, _ piece: Piece, _ bucket: TokenBucket, _ now: Tick) -> UInt64 {
    guard let store = round?.store else { return 0 }
    var bucket = bucket
    let wait = bucket.waitMilliseconds(now: now)
    // A request and damage that was met do not wait for a slow round.
    if wait > 0, !isAsked, news(store).allSatisfy({ $0 == piece.name }) { return min(wait, Self.waitMilliseconds) }
    let before = check.report.bytesRead
    let isDone = check.step(bytes: Self.stepBytes)
    bucket.take(bytes: check.report.bytesRead - before, now: now)
    guard isDone else {
      state = .checking(check, piece, bucket)
      return 0
    }
    state = .idle
    if piece.isDue { plan.checked(piece.name, now: now) }
    note(check.report, of: piece.name, in: store)
    return 0
  }

  private func note(_ report: PieceReport, of name: LogFileName, in store: LogStore) {
    let found = shared.withLock { shared in
      shared.sums.files += 1
      shared.sums.bytes += report.bytesRead
      shared.sums.damagedFiles += report.isGood ? 0 : 1
      shared.sums.damagedRecords += report.damaged.count
      return shared.registry.note(report, now: node.host.wall)
    }
    if report.isIndexRebuilt {
      node.logger.warning(
        "a damaged index file was made anew from its records", metadata: ["log.file": "\(report.file)"])
    }
    if report.isGood { store.clearSuspicion(of: name) }
    if let found { node.logger.error("A FILE OF THE LOG IS DAMAGED", metadata: ["log.damage": "\(found.line)"]) }
  }

  // MARK: Repairing

  private func repair(_ item: DamageRegistry.Item, _ search: CopySearch) {
    guard let store = round?.store else { return }
    do {
      guard let job = RepairJob(store: store, name: item.name) else { return }
      try job.build(copies: search.copies, bounds: store.compactionBounds(neededFrom: node.neededFrom))
      guard try node.install(job, in: store) else { return }
      shared.withLock {
        $0.registry.repaired(item.name, records: item.records.count)
        $0.sums.repairedRecords += item.records.count
      }
      store.clearSuspicion(of: item.name)
      node.logger.notice(
        "a damaged file of the log was repaired",
        metadata: ["log.file": "\(item.file)", "log.records": "\(item.records.count)"])
    } catch {
      var reasons = search.reasons
      if !item.records.isEmpty, node.nodesWithCopies.isEmpty { reasons.append("no other node to ask") }
      let why = "\(error)" + (reasons.isEmpty ? "" : "; " + reasons.joined(separator: "; "))
      let isNew = shared.withLock { shared in
        defer { shared.registry.set(why, of: item.name) }
        return shared.registry.items.first { $0.name == item.name }?.state != why
      }
      if isNew {
        node.logger.error(
          "a damaged file of the log cannot be repaired yet",
          metadata: ["log.file": "\(item.file)", "log.reason": "\(why)"])
      }
    }
  }
}

/// `--scrub-interval`, and how often is looked for something to do.
package struct ScrubSetting: Hashable, Sendable {
  /// Every file is checked once in so long; 0 = not by itself.
  package var intervalMilliseconds: UInt64 = 0
  /// Until it is looked again for something to do.
  package var idleMilliseconds: UInt64 = 500
  /// Until a repair that failed is tried again.
  package var retryMilliseconds: UInt64 = 5000
  package init() {}
}
