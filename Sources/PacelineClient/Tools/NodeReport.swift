/// What `paceline status` knows about one node: its own `INFO`, or why there is none, and what its master says about it.
package struct NodeReport: Sendable {
  package enum Answer: Sendable, Equatable {
    case info(InfoText)
    case unreachable(reason: String)
  }

  /// Bytes of a sync that is under way. A rate or an ETA that nobody measured yet is nil.
  package struct SyncProgress: Sendable, Equatable {
    package let bytesDone: UInt64
    package let bytesTotal: UInt64
    package let bytesPerSecond: UInt64?
    package let remainingMilliseconds: UInt64?
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

  private var info: InfoText? {
    if case .info(let info) = answer { return info }
    return nil
  }

  package var isReachable: Bool { info != nil }
  package var isMaster: Bool { info?["role"] == "master" }
  package var role: String? { info?["role"] ?? (lineAtMaster == nil ? nil : "slave") }
  /// The same however the node is addressed; nil if unknown.
  package var identity: String? { info?["run_id"] ?? lineAtMaster?["node"] }
  /// A slave's master.
  package var master: NodeAddress? { info?.address(host: "master_host", port: "master_port") }
  package var slaves: [InfoText.SlaveLine] { info?.slaves ?? [] }

  /// The lag as the master sees it; a number it does not give is nil.
  package var lag: (records: UInt64?, bytes: UInt64?, milliseconds: UInt64?) {
    (lineAtMaster?.integer("lag_records"), lineAtMaster?.integer("lag_bytes"), lineAtMaster?.integer("lag_ms"))
  }

  /// The sync under way, as the slave counts it, else as its master does; nil when there is none.
  package var syncProgress: SyncProgress? {
    func progress(_ integer: (String) -> UInt64?) -> SyncProgress? {
      guard let done = integer("sync_bytes_done"), let total = integer("sync_bytes_total"), done < total else {
        return nil
      }
      return SyncProgress(
        bytesDone: done, bytesTotal: total, bytesPerSecond: integer("sync_rate"),
        remainingMilliseconds: integer("sync_eta_ms"))
    }
    if let own = info.flatMap({ progress($0.integer) }) { return own }
    return lineAtMaster.flatMap { progress($0.integer) }
  }

  package var plan: String? { info?["last_sync_plan"] ?? lineAtMaster?["plan"] }
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
    func text(_ name: String) -> TextTable.Cell { .init(info?[name] ?? "-") }
    func lagCell(_ value: String?, behind: Bool) -> TextTable.Cell { .init(value ?? "-", behind ? .warning : .plain) }
    let lag = lag
    return [
      .init(address.description, isMaster ? .bold : .plain), .init(role ?? "-"), text("term"), text("appended_lsn"),
      text("durable_lsn"), text("committed_lsn"), text("applied_lsn"),
      lagCell(lag.records.map(HumanText.count), behind: lag.records ?? 0 > 0),
      lagCell(lag.bytes.map(HumanText.bytes), behind: false),
      lagCell(lag.milliseconds.map(HumanText.count), behind: lag.milliseconds ?? 0 >= 1000),
      text("instantaneous_ops_per_sec"), .init(info.map { HumanText.count($0.keyCount) } ?? "-"),
      .init(info?.integer("used_memory").map(HumanText.bytes) ?? "-"), state,
    ]
  }

  /// What this node is doing, the worst first, and what was cut off its log and still waits for somebody to look at it.
  private var state: TextTable.Cell {
    let now = work
    var notes = [("CUT OFF ITS LOG", "lost_files"), ("DATA SET ASIDE", "replaced_stores")].compactMap { text, name in
      info?[name].flatMap { $0.isEmpty ? nil : "\(text): \($0.replacing(";", with: ", "))" }
    }
    if let clocks = clockDifference { notes.append(clocks) }
    guard !notes.isEmpty else { return now }
    return .init(([now.text] + notes).joined(separator: "; "), now.style == .bad ? .bad : .warning)
  }

  /// At a promotion the new master's clock decides what has expired.
  private var clockDifference: String? {
    guard info?["clock_warning"] == "1", let ahead = info?["master_clock_ahead_ms"].flatMap({ Int64($0) }) else {
      return nil
    }
    let seconds = HumanText.milliseconds(ahead.magnitude)
    return "CLOCKS DIFFER: the master's is \(seconds) \(ahead > 0 ? "ahead" : "behind")"
  }

  private var work: TextTable.Cell {
    let info: InfoText
    switch answer {
    case .unreachable(let reason): return .init("unreachable: \(reason)", .bad)
    case .info(let answered): info = answered
    }
    if info.integer("loading") == 1 { return .init("loading its data", .warning) }
    if let disk = info["disk_state"], disk != "ok" {
      return .init("DISK \(disk.uppercased()): \(info["disk_error"] ?? "")", .bad)
    }
    if let damaged = info.integer("damaged_records"), damaged > 0 {
      return .init("DAMAGED: \(info["damaged_places"] ?? "")", .bad)
    }
    if let pages = info.integer("unreadable_pages"), pages > 0 {
      return .init("FILES CANNOT BE READ: \(info["unreadable_files"] ?? "")", .bad)
    }
    if let wanted = info["refetch_to"], wanted != "none" {
      return .init("FETCHING AGAIN what damage took, up to \(wanted)", .bad)
    }
    if let waits = info["waits_for_peers"], !waits.isEmpty { return .init("WAITS \(waits)", .bad) }
    if let reason = info["master_link_down_reason"], reason.hasPrefix("OTHERDATASET") {
      return .init("OTHER DATA SET: \(reason.dropFirst("OTHERDATASET ".count))", .bad)
    }
    if let term = info.integer("vote_unsure_up_to_term"), term > 0, info["voter"] == "1" {
      return .init("VOTE LOST: gives no vote in terms up to \(term)", .warning)
    }
    if let slaves = info["diverged_slaves"], !slaves.isEmpty {
      return .init(
        "SLAVES HOLD COMMITTED RECORDS THAT THIS MASTER DOES NOT: \(slaves.replacing(";", with: ", ")); PROMOTE one, or "
          + "REPLICAOF there", .bad)
    }
    if info.integer("diverged_from_master") == 1 {
      return .init(
        "DIVERGED: holds committed records that its master does not; PROMOTE it, or REPLICAOF here gives them up", .bad)
    }
    if isMaster {
      if let obstacle = commitObstacle(info) { return obstacle }
      let count = slaves.count
      return .init(count == 0 ? "no slaves" : "\(count) slave\(count == 1 ? "" : "s")", count == 0 ? .plain : .good)
    }
    let digest = info["digest_state"] == "different" ? "; DATA DIFFERS from the master's" : ""
    if let syncProgress { return .init(syncProgress.description(plan: plan) + digest, .warning) }
    guard info["master_link_status"] == "up" else {
      let master = master.map { " to \($0)" } ?? ""
      return .init("link\(master) is \(info["master_link_status"] ?? "unknown")" + digest, .bad)
    }
    let state = info["sync_state"] ?? lineAtMaster?["state"] ?? "up"
    let equal = info["digest_state"] == "equal" ? ", digest equal" : ""
    return .init(state + equal + digest, digest.isEmpty ? .good : .bad)
  }
}

extension NodeReport {
  /// What keeps a master's writes, or with a lease its reads too, from being good.
  private func commitObstacle(_ info: InfoText) -> TextTable.Cell? {
    let level = info["commit_level"] ?? "async"
    let waiting = info["voters_waiting"].flatMap { $0.isEmpty ? nil : $0 }
    if info["read_lease"] == "ended" {
      let why = waiting.map { ": \($0)" } ?? ""
      return .init("NO MAJORITY of the voters is heard of: it answers nothing" + why, .bad)
    }
    if info.integer("commit_degraded") == 1 {
      return .init("WITHOUT ITS SLAVES: goes on as if async, not \(level)", .bad)
    }
    switch info["writes_refused"] {
    case "min-slaves": return .init("TAKES NO WRITES: fewer slaves keep up than --min-slaves", .bad)
    case "other-data-set":
      return .init(
        "TAKES NO WRITES: \(info["other_data_set_node"] ?? "a node") holds another data set, \(info["other_data_set"] ?? ""), "
          + "and claims its place; MS_NEW_DATA_SET keeps this one, REPLICAOF follows the other", .bad)
    case "queue": return .init("TAKES NO WRITES: too many wait for slaves", .bad)
    default: break
    }
    return level.contains("quorum") || info["read_lease"] != "none" ? waiting.map { .init($0, .warning) } : nil
  }
}

extension NodeReport.SyncProgress {
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

// MARK: As JSON

extension NodeReport {
  /// One object; what the node does not tell is null.
  package var json: JSONText {
    var members: [(String, JSONText)] = [("node", .string(address.description)), ("reachable", .boolean(isReachable))]
    if case .unreachable(let reason) = answer { members.append(("error", .string(reason))) }
    members.append(("id", JSONText(identity)))
    members.append(("role", JSONText(role)))
    members.append(("master", JSONText(master?.description)))
    for name in ["term", "appended_lsn", "durable_lsn", "committed_lsn", "applied_lsn"] {
      members.append((name, JSONText(info?.integer(name))))
    }
    members.append(("lag_records", JSONText(lag.records)))
    members.append(("lag_bytes", JSONText(lag.bytes)))
    members.append(("lag_ms", JSONText(lag.milliseconds)))
    members.append(("master_link_status", JSONText(info?["master_link_status"])))
    members.append(("sync_state", JSONText(info?["sync_state"] ?? lineAtMaster?["state"])))
    members.append(("sync_plan", JSONText(plan)))
    members.append(("last_sync_reason", JSONText(info?["last_sync_reason"])))
    members.append(("sync", syncProgress?.json ?? .null))
    members.append(("digest_state", JSONText(info?["digest_state"])))
    members.append(("master_clock_ahead_ms", JSONText(info?["master_clock_ahead_ms"].flatMap { Double($0) })))
    members.append(("disk_state", JSONText(info?["disk_state"])))
    members.append(("disk_error", JSONText(info?["disk_error"])))
    members.append(("ops_per_second", JSONText(info?.number("instantaneous_ops_per_sec"))))
    members.append(("keys", JSONText(info?.keyCount)))
    members.append(("commit_level", JSONText(info?["commit_level"])))
    members.append(("commit_degraded", info?.integer("commit_degraded").map { .boolean($0 == 1) } ?? .null))
    members.append(("commit_pending_records", JSONText(info?.integer("commit_pending_records"))))
    members.append(("read_lease", JSONText(info?["read_lease"])))
    members.append(("voters_waiting", JSONText(info?["voters_waiting"])))
    members.append(("lost_records", JSONText(info?.integer("lost_records"))))
    members.append(
      ("lost_files", .array((info?["lost_files"] ?? "").split(separator: ";").map { .string(String($0)) })))
    members.append(("master_link_down_reason", JSONText(info?["master_link_down_reason"])))
    members.append(("writes_refused", JSONText(info?["writes_refused"])))
    members.append(("lineage", JSONText(info?["lineage"])))
    members.append(("other_data_set", JSONText(info?["other_data_set"])))
    members.append(("waits_for_peers", JSONText(info?["waits_for_peers"])))
    members.append(
      ("replaced_stores", .array((info?["replaced_stores"] ?? "").split(separator: ";").map { .string(String($0)) })))
    members.append(("replaced_stores_bytes", JSONText(info?.integer("replaced_stores_bytes"))))
    for name in ["used_memory", "index_bytes", "data_bytes"] { members.append((name, JSONText(info?.integer(name)))) }
    return .object(members)
  }
}

extension NodeReport.SyncProgress {
  fileprivate var json: JSONText {
    .object([
      ("bytes_done", .integer(bytesDone)), ("bytes_total", .integer(bytesTotal)),
      ("bytes_per_second", JSONText(bytesPerSecond)), ("eta_ms", JSONText(remainingMilliseconds)),
    ])
  }
}
