/// What `paceline status` knows about one node: its own `INFO`, or why there is none, and what its master says about it.
package struct NodeReport: Sendable {
  package enum Answer: Sendable, Equatable {
    case status(ReportedStatus)
    case unreachable(reason: String)
  }

  package let address: NodeAddress
  package let answer: Answer
  /// This node's line in its master's `INFO`; nil for a master, or when the master was not reached.
  package var lineAtMaster: InfoText.Pairs?

  package init(address: NodeAddress, answer: Answer, lineAtMaster: InfoText.Pairs? = nil) {
    self.address = address
    self.answer = answer
    self.lineAtMaster = lineAtMaster
  }

  private var status: ReportedStatus? {
    if case .status(let status) = answer { return status }
    return nil
  }

  package var isReachable: Bool { status != nil }
  package var isMaster: Bool { status?.isMaster ?? false }
  package var role: String? { status?.role ?? (lineAtMaster == nil ? nil : "slave") }
  /// The same however the node is addressed; nil if unknown.
  package var identity: String? { status?.identity ?? lineAtMaster?["node"] }
  /// A slave's master.
  package var master: NodeAddress? { status?.upstream.master }
  package var slaves: [InfoText.SlaveLine] { status?.slaves ?? [] }

  /// The lag as the master sees it; a number it does not give is nil.
  package var lag: (records: UInt64?, bytes: UInt64?, milliseconds: UInt64?) {
    (lineAtMaster?.integer("lag_records"), lineAtMaster?.integer("lag_bytes"), lineAtMaster?.integer("lag_ms"))
  }

  /// The sync under way, as the slave counts it, else as its master does; nil when there is none.
  package var syncProgress: SyncProgress? {
    status?.upstream.progress ?? lineAtMaster.flatMap { SyncProgress($0.integer) }
  }

  package var plan: String? { status?.upstream.lastPlan ?? lineAtMaster?["plan"] }
}

extension NodeReport {
  /// Whether a node that answered is a master.
  package static func hasMaster(_ reports: [NodeReport]) -> Bool { reports.contains(where: \.isMaster) }

  /// What is to be said below the table when no node that answered is a master.
  package static func missingMaster(_ reports: [NodeReport]) -> String? {
    let answering = reports.filter(\.isReachable)
    guard !answering.isEmpty, !hasMaster(reports) else { return nil }
    let named = Set(answering.compactMap(\.master)).map(\.description).sorted().joined(separator: ", ")
    return
      "NO MASTER: none of the \(answering.count) nodes that answer takes writes; they name \(named.isEmpty ? "nobody" : named)"
  }
}

// MARK: As a table

extension NodeReport {
  /// The table for a terminal of `widthMax` columns. What a node does moves to a line of its own if there is no room
  /// beside the numbers; then the numbers that matter least are left out until the rest fits.
  package static func lines(_ reports: [NodeReport], colour: Bool, widthMax: Int = .max) -> [String] {
    let full = table(reports)
    guard full.width > widthMax else { return full.lines(colour: colour) }
    var narrow = full.without("state")
    for title in ["memory", "keys", "durable", "committed", "term", "ops/s", "appended", "lag bytes"]
    where narrow.width > widthMax {
      narrow = narrow.without(title)
    }
    let numbers = narrow.lines(colour: colour, widthMax: widthMax)
    var lines = [numbers[0]]
    for (report, line) in zip(reports, numbers.dropFirst()) {
      var state = TextTable([("", .left)])
      state.add([.init("    " + report.state.text, report.state.style)])
      lines += [line, state.lines(colour: colour, widthMax: widthMax)[1]]
    }
    return lines
  }

  package static func table(_ reports: [NodeReport]) -> TextTable {
    var table = TextTable([
      ("node", .left), ("role", .left), ("term", .right), ("appended", .right), ("durable", .right),
      ("committed", .right), ("applied", .right), ("lag rec", .right), ("lag bytes", .right), ("lag ms", .right),
      ("ops/s", .right), ("keys", .right), ("memory", .right), ("state", .left),
    ])
    for report in reports { table.add(report.row) }
    return table
  }

  private var row: [TextTable.Cell] {
    func number(_ value: UInt64?) -> TextTable.Cell { .init(value.map { String($0) } ?? "-") }
    func lagCell(_ value: String?, behind: Bool) -> TextTable.Cell { .init(value ?? "-", behind ? .warning : .plain) }
    let lag = lag
    return [
      .init(address.description, isMaster ? .bold : .plain), .init(role ?? "-"), number(status?.term),
      number(status?.log.appended), number(status?.log.durable), number(status?.log.committed),
      number(status?.log.applied),
      lagCell(lag.records.map(HumanText.count), behind: lag.records ?? 0 > 0),
      lagCell(lag.bytes.map(HumanText.bytes), behind: false),
      lagCell(lag.milliseconds.map(HumanText.count), behind: lag.milliseconds ?? 0 >= 1000),
      number(status?.load.opsPerSecond.flatMap { UInt64(exactly: $0) }),
      .init(status.map { HumanText.count($0.load.keys) } ?? "-"),
      .init(status?.load.memoryBytes.map(HumanText.bytes) ?? "-"), state,
    ]
  }

  /// What this node is doing, the worst first, and what was cut off its log and still waits for somebody to look at it.
  private var state: TextTable.Cell {
    let now = work
    var notes: [String] = []
    if let data = status?.dataSet {
      if !data.lostFiles.isEmpty { notes.append("CUT OFF ITS LOG: \(data.lostFiles.joined(separator: ", "))") }
      if !data.replaced.isEmpty { notes.append("DATA SET ASIDE: \(data.replaced.joined(separator: ", "))") }
    }
    if let clocks = clockDifference { notes.append(clocks) }
    guard !notes.isEmpty else { return now }
    return .init(([now.text] + notes).joined(separator: "; "), now.style == .bad ? .bad : .warning)
  }

  /// At a promotion the new master's clock decides what has expired.
  private var clockDifference: String? {
    guard let upstream = status?.upstream, upstream.clocksDiffer, let ahead = upstream.clockAheadMilliseconds else {
      return nil
    }
    let seconds = HumanText.milliseconds(ahead.magnitude)
    return "CLOCKS DIFFER: the master's is \(seconds) \(ahead > 0 ? "ahead" : "behind")"
  }

  private var work: TextTable.Cell {
    let status: ReportedStatus
    switch answer {
    case .unreachable(let reason): return .init("unreachable: \(reason)", .bad)
    case .status(let told): status = told
    }
    if status.isLoading { return .init("loading its data", .warning) }
    if let trouble = status.disk.trouble ?? status.trouble { return trouble }
    if status.isMaster {
      if let obstacle = status.commit.obstacle(status.dataSet) { return obstacle }
      let count = slaves.count
      return .init(count == 0 ? "no slaves" : "\(count) slave\(count == 1 ? "" : "s")", count == 0 ? .plain : .good)
    }
    let upstream = status.upstream
    let digest = upstream.digest == "different" ? "; DATA DIFFERS from the master's" : ""
    if let syncProgress { return .init(syncProgress.description(plan: plan) + digest, .warning) }
    guard upstream.linkStatus == "up" else {
      let master = master.map { " to \($0)" } ?? ""
      return .init("link\(master) is \(upstream.linkStatus ?? "unknown")" + digest, .bad)
    }
    let state = upstream.syncState ?? lineAtMaster?["state"] ?? "up"
    let equal = upstream.digest == "equal" ? ", digest equal" : ""
    return .init(state + equal + digest, digest.isEmpty ? .good : .bad)
  }
}

extension ReportedStatus.Disk {
  fileprivate var trouble: TextTable.Cell? {
    if let state, state != "ok" { return .init("DISK \(state.uppercased()): \(error ?? "")", .bad) }
    if damagedRecords > 0 { return .init("DAMAGED: \(damagedPlaces ?? "")", .bad) }
    if unreadablePages > 0 { return .init("FILES CANNOT BE READ: \(unreadableFiles ?? "")", .bad) }
    return refetchTo.map { .init("FETCHING AGAIN what damage took, up to \($0)", .bad) }
  }
}

extension ReportedStatus {
  /// What a person has to look at, whatever the role.
  fileprivate var trouble: TextTable.Cell? {
    if let waits = dataSet.waitsForPeers { return .init("WAITS \(waits)", .bad) }
    if let other = upstream.otherDataSet { return .init("OTHER DATA SET: \(other)", .bad) }
    if let term = commit.voteUnsureUpTo, term > 0, commit.mayVote {
      return .init("VOTE LOST: gives no vote in terms up to \(term)", .warning)
    }
    if !dataSet.divergedSlaves.isEmpty {
      return .init(
        "SLAVES HOLD COMMITTED RECORDS THAT THIS MASTER DOES NOT: \(dataSet.divergedSlaves.joined(separator: ", ")); "
          + "PROMOTE one, or REPLICAOF there", .bad)
    }
    guard upstream.isDiverged else { return nil }
    return .init(
      "DIVERGED: holds committed records that its master does not; PROMOTE it, or REPLICAOF here gives them up", .bad)
  }
}

extension ReportedStatus.Commit {
  /// What keeps a master's writes, or with a lease its reads too, from being good.
  fileprivate func obstacle(_ data: ReportedStatus.DataSet) -> TextTable.Cell? {
    let level = level ?? "async"
    if readLease == "ended" {
      let why = votersWaiting.map { ": \($0)" } ?? ""
      return .init("NO MAJORITY of the voters is heard of: it answers nothing" + why, .bad)
    }
    if isDegraded == true { return .init("WITHOUT ITS SLAVES: goes on as if async, not \(level)", .bad) }
    switch refusal {
    case .fewSlaves: return .init("TAKES NO WRITES: fewer slaves keep up than --min-slaves", .bad)
    case .otherDataSet:
      return .init(
        "TAKES NO WRITES: \(data.otherNode ?? "a node") holds another data set, \(data.other ?? ""), "
          + "and claims its place; MS_NEW_DATA_SET keeps this one, REPLICAOF follows the other", .bad)
    case .queueFull: return .init("TAKES NO WRITES: too many wait for slaves", .bad)
    case nil: break
    }
    return level.contains("quorum") || readLease != "none" ? votersWaiting.map { .init($0, .warning) } : nil
  }
}

extension SyncProgress {
  /// `delta sync [####----] 52% 1.2 GiB of 2.4 GiB, 80.0 MiB/s, ETA 15.0 s`
  func description(plan: String?) -> String {
    let percent = bytesTotal == 0 ? 0 : Int(Double(bytesDone) / Double(bytesTotal) * 100)
    var text =
      "\(plan.map { $0 + " " } ?? "")sync \(HumanText.bar(done: bytesDone, total: bytesTotal, width: 16)) \(percent)%"
    text += " \(HumanText.bytes(bytesDone)) of \(HumanText.bytes(bytesTotal))"
    if let bytesPerSecond { text += ", \(HumanText.bytes(bytesPerSecond))/s" }
    if let remainingMilliseconds { text += ", ETA \(HumanText.milliseconds(remainingMilliseconds))" }
    return text
  }
}
