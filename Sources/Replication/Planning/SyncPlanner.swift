import Core

/// Chooses how a slave is brought up to date. A pure function: what was measured in, a plan that explains itself out.
package enum SyncPlanner {
  /// A full sync is chosen over a possible replay only if it takes less than this part of its time: it makes the slave
  /// build everything anew and hold its data twice, and both times are estimates.
  static let fullMustCostAtMost = 0.8
  /// A delta is chosen over a possible partial sync, which only appends, if it saves at least this part of its time or
  /// bytes.
  static let deltaMustCostAtMost = 0.9
  /// Fewer seconds than these are no reason to send more bytes: nobody notices them, and the estimate is no better.
  static let noticeableSeconds = 0.1
  /// Fewer bytes saved than these are no reason to stage anything.
  static let noticeableBytes: UInt64 = 16 << 10
  /// What a sync takes without any data: its messages, and syncs and a generation where files are swapped in.
  static let partialFixedSeconds = 0.05
  static let deltaFixedSeconds = 0.08
  static let fullFixedSeconds = 0.1
  /// Stands for the time of a plan that would not end while clients write as they do.
  private static let endlessSeconds = 1e12

  /// The last LSN that both hold. O(terms). The caller needs it to fill `logBytesAfterCommon`.
  package static func commonLSN(
    slavePosition: Position, slaveHistory: TermHistory, slaveLineage: NodeID?, masterLast: LSN,
    masterHistory: TermHistory,
    masterLineage: NodeID
  ) -> LSN {
    // Two data sets that began apart may have equal terms and LSNs by chance.
    guard slaveLineage == masterLineage, slavePosition.lsn > .none else { return .none }
    #if PACELINE_PLANTED_BUGS
      if PlantedBug.ignoreTerms.isPlanted { return min(masterLast, slavePosition.lsn) }
    #endif
    return masterHistory.lastCommonLSN(endingAt: masterLast, with: slaveHistory, endingAt: slavePosition.lsn)
  }

  package static func plan(_ input: PlannerInput) -> PlanReport {
    let common = commonLSN(
      slavePosition: input.slavePosition, slaveHistory: input.slaveHistory, slaveLineage: input.slaveLineage,
      masterLast: input.masterLast, masterHistory: input.masterHistory, masterLineage: input.masterLineage)
    let relation = Relation(input, common: common)
    let held = heldBytes(input)
    let partial = partialAlternative(input, relation)
    let delta = deltaAlternative(input, relation)
    let full = fullAlternative(input, held: held)
    let alternatives = [partial, delta, full]
    let (choice, reason) = choose(input, relation, alternatives, held: held)

    let start: LSN
    let logBytes: UInt64
    let resumesLog = resumableStagedLSN(input, held: held)
    switch choice {
    case .sync(.full):
      start = resumesLog?.next ?? max(input.filesLastLSN.next, input.logAfterFilesFrom)
      logBytes = input.logBytesAfterFiles
    case .sync(.delta):
      start = common.next
      logBytes = input.delta?.liveBytes ?? 0
    case .sync(.partial), .refused:
      start = common.next
      logBytes = input.logBytesAfterCommon
    }
    return PlanReport(
      choice: choice, reason: reason, commonLSN: common, isDiverged: relation.isDiverged,
      needsRewind: relation.isDiverged && (choice == .sync(.partial) || choice == .sync(.delta)),
      masterTerm: input.masterTerm,
      startLSN: start,
      barrierLSN: max(min(input.masterCommitted ?? input.masterLast, input.masterLast), start.previous),
      snapshot: input.manifest.snapshot,
      fileCount: input.manifest.files.count, fileBytes: input.manifest.totalBytes, heldBytes: held, logBytes: logBytes,
      alternatives: alternatives)
  }

  /// How the slave's log stands to the master's.
  private enum Relation {
    case empty
    case otherLineage
    case nothingInCommon
    case diverged(common: LSN, tailRecords: UInt64)
    case behind(common: LSN)

    init(_ input: PlannerInput, common: LSN) {
      if input.slavePosition.lsn == .none {
        self = .empty
      } else if input.slaveLineage != input.masterLineage {
        self = .otherLineage
      } else if common == .none {
        self = .nothingInCommon
      } else if input.slavePosition.lsn > common {
        self = .diverged(common: common, tailRecords: input.slavePosition.lsn.value - common.value)
      } else {
        self = .behind(common: common)
      }
    }

    var isEmpty: Bool {
      switch self {
      case .empty: true
      case .otherLineage, .nothingInCommon, .diverged, .behind: false
      }
    }

    var isDiverged: Bool {
      switch self {
      case .diverged: true
      case .empty, .otherLineage, .nothingInCommon, .behind: false
      }
    }
  }

  // MARK: the three alternatives

  private static func partialAlternative(_ input: PlannerInput, _ relation: Relation) -> SyncAlternative {
    let common: LSN
    switch reachable(input, relation) {
    case .success(let lsn): common = lsn
    case .failure(let why): return SyncAlternative(mode: .partial, feasibility: .infeasible(why.text))
    }
    guard input.logRawFrom <= common.next else {
      return SyncAlternative(
        mode: .partial,
        feasibility: .infeasible(
          "the log is complete from LSN \(input.logRawFrom) on, the slave needs it from \(common.next)"))
    }
    let records = input.masterLast.value - min(common.value, input.masterLast.value)
    var cost = timeCost(
      input, bytes: input.logBytesAfterCommon, records: records, fixedSeconds: partialFixedSeconds)
    cost.bytes = WireEstimate(input: input).partial(
      logBytes: input.logBytesAfterCommon, meanwhile: meanwhileBytes(input, cost.idleSeconds))
    return SyncAlternative(mode: .partial, feasibility: .feasible(cost))
  }

  private static func deltaAlternative(_ input: PlannerInput, _ relation: Relation) -> SyncAlternative {
    guard let offer = input.delta else {
      return SyncAlternative(mode: .delta, feasibility: .notAvailable(input.deltaUnavailableReason))
    }
    guard input.isDeltaNegotiated else {
      return SyncAlternative(mode: .delta, feasibility: .notAvailable("the slave's version has no delta sync"))
    }
    let common: LSN
    switch reachable(input, relation) {
    case .success(let lsn): common = lsn
    case .failure(let why): return SyncAlternative(mode: .delta, feasibility: .infeasible(why.text))
    }
    guard offer.tombstonesFrom <= common.next else {
      return SyncAlternative(
        mode: .delta,
        feasibility: .infeasible(
          "deletions before LSN \(offer.tombstonesFrom) are forgotten, the slave is at \(common)"))
    }
    // Its end must be committed, and may wait for this very slave.
    let committed = input.masterCommitted ?? input.masterLast
    guard committed >= common else {
      return SyncAlternative(
        mode: .delta,
        feasibility: .infeasible("the slave is at LSN \(common), which is not committed yet: LSN \(committed) is"))
    }
    var cost = timeCost(
      input, bytes: offer.liveBytes, records: offer.liveRecords, loadBytes: offer.indexBytes,
      fixedSeconds: deltaFixedSeconds)
    // It ends where the log ends: the longer one if clients write on.
    cost.bytes = WireEstimate(input: input).delta(
      liveBytes: offer.liveBytes, meanwhile: meanwhileBytes(input, cost.seconds ?? cost.idleSeconds))
    return SyncAlternative(mode: .delta, feasibility: .feasible(cost))
  }

  private static func fullAlternative(_ input: PlannerInput, held: UInt64) -> SyncAlternative {
    let files = input.manifest.totalBytes
    let toSend = files - min(held, files)
    let records = input.masterLast.value - min(input.filesLastLSN.value, input.masterLast.value)
    var cost = timeCost(
      input, bytes: input.logBytesAfterFiles, records: records, loadBytes: files, fileBytes: toSend,
      fixedSeconds: fullFixedSeconds)
    cost.bytes = WireEstimate(input: input).full(
      held: input.resume?.usableBytes(in: input.manifest) ?? [:], logBytes: input.logBytesAfterFiles,
      meanwhile: meanwhileBytes(input, cost.idleSeconds))
    return SyncAlternative(mode: .full, feasibility: .feasible(cost))
  }

  private struct Why: Error { let text: String }

  /// The LSN from which a replay could go on.
  private static func reachable(_ input: PlannerInput, _ relation: Relation) -> Result<LSN, Why> {
    switch relation {
    case .empty: return .success(.none)
    case .otherLineage: return .failure(Why(text: "the slave holds another data set"))
    case .nothingInCommon: return .failure(Why(text: "the two histories have no record in common"))
    case .diverged(let common, let tail):
      guard let obstacle = rewindObstacle(input, common: common) else { return .success(common) }
      return .failure(
        Why(text: "the slave holds \(tail) records after LSN \(common) that the master does not, and \(obstacle)"))
    case .behind(let common): return .success(common)
    }
  }

  /// Why the slave cannot cut off what it holds after `common`; nil if it can.
  private static func rewindObstacle(_ input: PlannerInput, common: LSN) -> String? {
    guard input.isRewindNegotiated else { return "its version cannot cut its log" }
    guard let floor = input.slaveRewindFloor else { return "it does not offer to cut its log" }
    guard common >= floor else { return "it can cut its log back to LSN \(floor) at the earliest" }
    return nil
  }

  // MARK: costs

  /// The time to send, load and apply, with what is written meanwhile until the slave has caught up. `bytes` is left 0.
  private static func timeCost(
    _ input: PlannerInput, bytes: UInt64, records: UInt64, loadBytes: UInt64 = 0, fileBytes: UInt64 = 0,
    fixedSeconds: Double
  ) -> SyncAlternative.Cost {
    let rates = input.rates.known
    var network = Double(rates.networkBytes)
    if input.syncRateBytesMax > 0 { network = min(network, Double(input.syncRateBytesMax)) }
    let linkBytes = min(network, Double(rates.diskReadBytes))
    let fileSeconds = Double(fileBytes) / linkBytes + Double(loadBytes) / Double(rates.fileLoadBytes)
    // Reading, sending and applying overlap: the slowest of them decides.
    let logSeconds = max(
      Double(bytes) / linkBytes, Double(bytes) / Double(rates.applyBytes), Double(records) / Double(rates.applyRecords))
    let baseSeconds = fixedSeconds + fileSeconds + logSeconds
    // Each second of syncing adds this many seconds of replay; at 1 and more the slave never arrives.
    let load = max(
      Double(input.expectedBytesPerSecond) / min(linkBytes, Double(rates.applyBytes)),
      Double(input.expectedRecordsPerSecond) / Double(rates.applyRecords))
    return SyncAlternative.Cost(
      bytes: 0, records: records, seconds: load < 1 ? baseSeconds / (1 - load) : nil, idleSeconds: baseSeconds)
  }

  private static func meanwhileBytes(_ input: PlannerInput, _ seconds: Double) -> UInt64 {
    let bytes = seconds * Double(input.expectedBytesPerSecond)
    return bytes.isFinite && bytes < 1e18 ? UInt64(bytes) : 1 << 60
  }

  private static func heldBytes(_ input: PlannerInput) -> UInt64 {
    guard let resume = input.resume else { return 0 }
    // Sums of parts of a manifest whose total fits.
    return resume.usableBytes(in: input.manifest).values.reduce(0, &+)
  }

  /// Where the log goes on if a cut full sync had all files and some log behind them; nil if it must begin at the files.
  private static func resumableStagedLSN(_ input: PlannerInput, held: UInt64) -> LSN? {
    guard let resume = input.resume, resume.snapshot == input.manifest.snapshot, held == input.manifest.totalBytes,
      resume.files.count == input.manifest.files.count, resume.stagedLSN > input.filesLastLSN,
      resume.stagedLSN <= min(input.masterLast, input.masterCommitted ?? input.masterLast),
      resume.stagedLSN.next >= input.logRawFrom
    else { return nil }
    return resume.stagedLSN
  }

  // MARK: choice

  private static func choose(
    _ input: PlannerInput, _ relation: Relation, _ alternatives: [SyncAlternative], held: UInt64
  ) -> (PlanReport.Choice, String) {
    if let refusal = divergence(input, relation) { return (.refused(refusal), refusal.message) }
    let forced: SyncMode
    switch input.mode {
    case .auto: return chooseFreely(input, relation, alternatives, held: held)
    case .full: forced = .full
    case .partial: forced = .partial
    case .delta: forced = .delta
    }
    let alternative = alternatives.first { $0.mode == forced }
    switch alternative?.feasibility {
    case .feasible:
      let rewind = forced == .full ? nil : rewindReason(relation, forced)
      return (.sync(forced), "the sync mode is set to \(forced.name)." + (rewind.map { " T" + $0.dropFirst() } ?? ""))
    case .infeasible(let why), .notAvailable(let why):
      let error = ReplicationError(.syncImpossible, "\(forced.name) sync is asked for, but \(why)")
      return (.refused(error), error.message)
    case nil: return (.refused(ReplicationError(.syncImpossible, "no such sync mode")), "no such sync mode")
    }
  }

  /// Why nothing of the slave's log may be replaced, cut or built anew.
  private static func divergence(_ input: PlannerInput, _ relation: Relation) -> ReplicationError? {
    guard case .diverged(let common, let tail) = relation else { return nil }
    guard input.hearsMaster else {
      return ReplicationError(
        .syncImpossible,
        "this node hears no master itself, and the slave would cut \(tail) records for it: nothing is cut before there is one"
      )
    }
    // This node's log is the beginning of the slave's: it has still to get the rest itself.
    if common == input.masterLast {
      return ReplicationError(
        .syncImpossible,
        "this node's log ends at LSN \(common) and the slave holds \(tail) records more of the same: this node must get them first"
      )
    }
    guard !input.slaveAcceptsCut else { return nil }
    return StartDivergence.reign(
      common: common, committed: input.slaveCommitted, slaveLast: input.slavePosition.lsn,
      history: input.masterHistory, endingAt: input.masterLast, starts: input.startReigns,
      own: input.slaveStarts, slave: input.slaveID
    ).map { StartDivergence.error($0, common: common, committed: input.slaveCommitted, slave: input.slaveID) }
  }

  private static func rewindReason(_ relation: Relation, _ mode: SyncMode) -> String? {
    switch relation {
    case .diverged(let common, let tail):
      return "the slave's log left the master's at LSN \(common): it cuts \(tail) records and goes on from there with "
        + (mode == .delta ? "the live records since." : "the log.")
    case .empty, .otherLineage, .nothingInCommon, .behind: return nil
    }
  }

  private static func chooseFreely(
    _ input: PlannerInput, _ relation: Relation, _ alternatives: [SyncAlternative], held: UInt64
  ) -> (PlanReport.Choice, String) {
    func cost(_ mode: SyncMode) -> SyncAlternative.Cost? { alternatives.first { $0.mode == mode }?.cost }
    let full = cost(.full)
    let replay: (mode: SyncMode, cost: SyncAlternative.Cost)?
    switch (cost(.partial), cost(.delta)) {
    case (let partial?, let delta?):
      let savesTime = time(delta) < time(partial) * deltaMustCostAtMost
      let savesBytes = Double(delta.bytes) < Double(partial.bytes) * deltaMustCostAtMost
      // Of a few KB nobody notices the difference, and log replay has nothing to stage.
      let isWorthIt = partial.bytes > delta.bytes + noticeableBytes || time(partial) > time(delta) + noticeableSeconds
      let isDelta = isWorthIt && (savesTime || (savesBytes && time(delta) <= time(partial) + noticeableSeconds))
      replay = isDelta ? (.delta, delta) : (.partial, partial)
    case (let partial?, nil): replay = (.partial, partial)
    case (nil, let delta?): replay = (.delta, delta)
    case (nil, nil): replay = nil
    }
    guard let replay else { return (.sync(.full), fullReason(input, relation, alternatives)) }
    // Whatever it costs: a cut keeps the tail in a file and all other data as it is, a full sync would drop both.
    if let reason = rewindReason(relation, replay.mode) { return (.sync(replay.mode), reason) }
    guard let full else { return (.sync(replay.mode), "nothing else is possible.") }
    if held > 0, full.bytes <= replay.cost.bytes { return (.sync(.full), "a full sync was cut and can be resumed.") }
    if isFullWorthIt(full, insteadOf: cost(.partial), cost(.delta), isEmpty: relation.isEmpty) {
      return (.sync(.full), filesReason(full, insteadOf: replay, relation))
    }
    switch replay.mode {
    case .partial:
      return (.sync(.partial), "the log from the slave's LSN \(commonText(relation)) is there and costs the least.")
    case .delta:
      let instead =
        switch cost(.partial) {
        case let partial?: "the log has \(Readable.bytes(partial.bytes))"
        case nil: "a partial sync is not possible"
        }
      return (
        .sync(.delta),
        "the live records since LSN \(commonText(relation)) (\(Readable.bytes(replay.cost.bytes))) cost the least; \(instead)."
      )
    case .full: preconditionFailure("a full sync is no replay: \(alternatives)")
    }
  }

  private static func time(_ cost: SyncAlternative.Cost) -> Double { cost.seconds ?? endlessSeconds + cost.idleSeconds }

  /// Whether the data files beat whatever else is possible. An empty slave has nothing to build anew and nothing to hold
  /// twice; and files need no filtering, as a delta from LSN 0 does.
  private static func isFullWorthIt(
    _ full: SyncAlternative.Cost, insteadOf partial: SyncAlternative.Cost?, _ delta: SyncAlternative.Cost?,
    isEmpty: Bool
  ) -> Bool {
    let ratio = !isEmpty ? fullMustCostAtMost : partial == nil ? 1 / fullMustCostAtMost : 1
    return [partial, delta].compactMap { $0 }.allSatisfy { other in
      let sendsMore =
        full.bytes > other.bytes + noticeableBytes && Double(other.bytes) < Double(full.bytes) * fullMustCostAtMost
      return time(full) < time(other) * ratio && (!sendsMore || time(full) + noticeableSeconds < time(other))
    }
  }

  private static func filesReason(
    _ full: SyncAlternative.Cost, insteadOf replay: (mode: SyncMode, cost: SyncAlternative.Cost), _ relation: Relation
  ) -> String {
    func figures(_ cost: SyncAlternative.Cost) -> String {
      let time = cost.seconds.map(Readable.seconds) ?? Readable.seconds(cost.idleSeconds) + " if no client wrote"
      return "(\(Readable.bytes(cost.bytes)), \(time))"
    }
    let other =
      "\(replay.mode == .delta ? "a delta" : "the log") since LSN \(commonText(relation)) \(figures(replay.cost))"
    return time(full) < time(replay.cost)
      ? "the data files \(figures(full)) take less time than \(other)."
      : "the data files \(figures(full)) need no filtering and cost little more than \(other)."
  }

  private static func commonText(_ relation: Relation) -> String {
    switch relation {
    case .empty, .otherLineage, .nothingInCommon: "0"
    case .diverged(let common, _), .behind(let common): common.description
    }
  }

  private static func fullReason(
    _ input: PlannerInput, _ relation: Relation, _ alternatives: [SyncAlternative]
  ) -> String {
    switch relation {
    case .empty: return "the slave is empty and the log does not reach back to LSN 1."
    case .otherLineage: return "the slave holds another data set."
    case .nothingInCommon: return "the two histories have no record in common."
    case .diverged(let common, let tail):
      let left = "the slave's log left the master's at LSN \(common) and holds \(tail) records that the master does not"
      if let obstacle = rewindObstacle(input, common: common) { return "\(left); \(obstacle)." }
      return "\(left). It could cut them, but " + (partialReason(alternatives) ?? "nothing leads on from there.")
    case .behind(let common): return partialReason(alternatives) ?? "the log from LSN \(common.next) is gone."
    }
  }

  private static func partialReason(_ alternatives: [SyncAlternative]) -> String? {
    for alternative in alternatives where alternative.mode == .partial {
      switch alternative.feasibility {
      case .infeasible(let why), .notAvailable(let why):
        return "a partial sync is not possible: \(why)." + deltaReason(alternatives)
      case .feasible: break
      }
    }
    return nil
  }

  /// Why not even a delta; empty where nobody would expect one.
  private static func deltaReason(_ alternatives: [SyncAlternative]) -> String {
    for alternative in alternatives where alternative.mode == .delta {
      switch alternative.feasibility {
      case .infeasible(let why): return " A delta is not possible: \(why)."
      case .notAvailable, .feasible: break
      }
    }
    return ""
  }
}
