import Core

/// One way to bring a slave up to date, with its cost or the reason why it is none.
package struct SyncAlternative: Hashable, Sendable {
  package struct Cost: Hashable, Sendable {
    /// On the wire, from the first frame until the barrier was sent; compression and frame headers are counted.
    package var bytes: UInt64
    package var records: UInt64
    /// nil = never: clients write faster than this can catch up.
    package var seconds: Double?
    /// The same if clients wrote nothing meanwhile: tells two plans apart of which neither would end.
    package var idleSeconds: Double
    package init(bytes: UInt64, records: UInt64, seconds: Double?, idleSeconds: Double = 0) {
      self.bytes = bytes
      self.records = records
      self.seconds = seconds
      self.idleSeconds = idleSeconds
    }
  }
  package enum Feasibility: Hashable, Sendable {
    case feasible(Cost)
    case infeasible(String)
    /// The store does not offer it.
    case notAvailable(String)
  }
  package let mode: SyncMode
  package let feasibility: Feasibility
  package var cost: Cost? {
    switch feasibility {
    case .feasible(let cost): cost
    case .infeasible, .notAvailable: nil
    }
  }

  package var line: String {
    switch feasibility {
    case .feasible(let cost):
      let time = cost.seconds.map(Readable.seconds) ?? "never (clients write faster than this sends)"
      return "\(mode.name): \(Readable.bytes(cost.bytes)), \(cost.records) records, \(time)"
    case .infeasible(let reason): return "\(mode.name): not possible: \(reason)"
    case .notAvailable(let reason): return "\(mode.name): not available: \(reason)"
    }
  }
}

/// The planner's answer, kept per slave and shown by MS_PLAN.
package struct PlanReport: Hashable, Sendable {
  package enum Choice: Hashable, Sendable {
    case sync(SyncMode)
    case refused(ReplicationError)
  }
  package let choice: Choice
  /// One sentence.
  package let reason: String
  /// The last LSN that both hold; `none` if they share nothing.
  package let commonLSN: LSN
  /// The slave holds records after `commonLSN` that the master does not.
  package let isDiverged: Bool
  /// partial, delta: the slave cuts its log back to `commonLSN` first.
  package let needsRewind: Bool
  package let masterTerm: Term
  package let startLSN: LSN
  /// delta: at least this; it ends where the log ends when the walk arrives there.
  package let barrierLSN: LSN
  package let snapshot: SnapshotID
  package let fileCount: Int
  package let fileBytes: UInt64
  package let heldBytes: UInt64
  package let logBytes: UInt64
  /// partial, delta, full: always the three, in this order.
  package let alternatives: [SyncAlternative]

  /// Where the slave cuts its log before the sync begins; nil: nowhere.
  package var rewindTo: LSN? { needsRewind ? commonLSN : nil }

  package var refusal: ReplicationError? {
    switch choice {
    case .sync: nil
    case .refused(let error): error
    }
  }

  package var mode: SyncMode? {
    switch choice {
    case .sync(let mode): mode
    case .refused: nil
    }
  }

  package var chosenCost: SyncAlternative.Cost? {
    guard let mode else { return nil }
    return alternatives.first { $0.mode == mode }?.cost
  }

  /// One line for a log or a status row.
  package var summary: String {
    switch choice {
    case .sync(let mode):
      let cost = chosenCost
      let time = cost?.seconds.map(Readable.seconds) ?? "no end in sight"
      return "\(mode.name) sync from LSN \(startLSN), barrier \(barrierLSN), "
        + "\(Readable.bytes(cost?.bytes ?? 0)), \(time): \(reason)"
    case .refused(let error): return "refused: \(error)"
    }
  }

  /// What MS_PLAN prints.
  package var lines: [String] {
    var lines = alternatives.map(\.line)
    switch choice {
    case .sync(let mode): lines.append("choice: \(mode.name), because \(reason)")
    case .refused(let error): lines.append("choice: none, \(error)")
    }
    let barrier = mode == .delta ? "\(barrierLSN) or later" : "\(barrierLSN)"
    lines.append("last common LSN \(commonLSN), start LSN \(startLSN), barrier LSN \(barrier)")
    if let rewindTo { lines.append("the slave cuts its log back to LSN \(rewindTo) first") }
    if heldBytes > 0 {
      lines.append(
        "resumes snapshot \(snapshot): \(Readable.bytes(heldBytes)) of \(Readable.bytes(fileBytes)) are there")
    }
    return lines
  }

  /// The reply to MS_SYNC_SLAVE; nil if the plan is a refusal.
  package var reply: SyncReply? {
    guard let mode else { return nil }
    let hasFiles = mode == .full
    return SyncReply(
      mode: mode, snapshot: hasFiles ? snapshot : .none, startLSN: startLSN, barrierLSN: barrierLSN,
      rewindTo: rewindTo, fileCount: hasFiles ? fileCount : 0, fileBytes: hasFiles ? fileBytes : 0, logBytes: logBytes,
      heldBytes: hasFiles ? heldBytes : 0, wireBytes: chosenCost?.bytes ?? 0,
      seconds: Readable.wholeSeconds(chosenCost?.seconds), term: masterTerm, reason: reason, report: lines)
  }
}

/// A finished sync beside its estimate, kept per slave and shown by MS_PLAN, MS_SLAVES and INFO.
package struct SyncRecord: Hashable, Sendable {
  package var mode: SyncMode
  package var estimatedBytes: UInt64
  /// On the wire, counted as the estimate is.
  package var bytes: UInt64
  package var seconds: Double
  package init(mode: SyncMode, estimatedBytes: UInt64, bytes: UInt64, seconds: Double) {
    self.mode = mode
    self.estimatedBytes = estimatedBytes
    self.bytes = bytes
    self.seconds = seconds
  }

  package var line: String {
    "\(mode.name), \(Readable.bytes(bytes)) sent, \(Readable.bytes(estimatedBytes)) estimated, \(Readable.seconds(seconds))"
  }
}

/// Numbers as people read them. No Foundation here, so by hand; never traps on a strange double.
enum Readable {
  static func bytes(_ count: UInt64) -> String {
    let units = ["B", "KB", "MB", "GB", "TB", "PB", "EB"]
    var unit = 0
    var whole = count
    var tenths: UInt64 = 0
    while whole >= 1000, unit < units.count - 1 {
      tenths = whole % 1000 / 100
      whole /= 1000
      unit += 1
    }
    return unit == 0 ? "\(whole) B" : "\(whole).\(tenths) \(units[unit])"
  }
  static func wholeSeconds(_ seconds: Double?) -> UInt64 {
    guard let seconds, seconds.isFinite, seconds > 0 else { return 0 }
    return seconds >= 1e15 ? 1_000_000_000_000_000 : UInt64(seconds.rounded(.up))
  }
  static func seconds(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e12 else { return "no end in sight" }
    let tenths = UInt64(max(0, seconds) * 10 + 0.5)
    if tenths < 1200 { return "\(tenths / 10).\(tenths % 10) s" }
    let minutes = tenths / 600
    return minutes < 120 ? "\(minutes) min" : "\(minutes / 60) h \(minutes % 60) min"
  }
}
