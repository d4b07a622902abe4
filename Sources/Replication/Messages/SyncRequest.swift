import Core

// MS_SYNC_SLAVE 1 node-id <40 hex> position <term:LSN> history <t:l,t:l,...|none> lineage <40 hex|none>
//               mode <auto|full|partial|delta> rewind-floor <LSN|none> resume <none | snapshot:staged LSN:number=bytes,number=bytes,...>
//
// The reply is an array of bulk strings; after it the connection carries frames in both directions:
//   1 mode <full|delta|partial> snapshot <16 hex> start <LSN> barrier <LSN> files <n> file-bytes <n> log-bytes <n>
//     rewind-to <LSN|none> held-bytes <n> wire-bytes <estimate> seconds <n> term <n> reason <one sentence> report <lines of the plan, separated by LF>

/// What the user lets the planner choose from (`--sync-mode`).
package enum RequestedSyncMode: String, Hashable, Sendable, CaseIterable {
  case auto, full, partial, delta
}

/// What a slave kept of a full sync that was cut: of which files it has how many bytes, durable and in order from 0.
package struct ResumeState: Hashable, Sendable {
  package static let filesMax = 65_536
  package struct HeldFile: Hashable, Sendable {
    package var number: UInt64
    package var bytes: UInt64
    package init(number: UInt64, bytes: UInt64) {
      self.number = number
      self.bytes = bytes
    }
  }
  package var snapshot: SnapshotID
  /// The last LSN of the log that is durable behind the files; 0 while files are missing.
  package var stagedLSN: LSN
  /// In the order of the manifest. Invariant: no number twice.
  package var files: [HeldFile]
  package init(snapshot: SnapshotID, stagedLSN: LSN = .none, files: [HeldFile]) {
    self.snapshot = snapshot
    self.stagedLSN = stagedLSN
    self.files = files
  }

  init?(text: some StringProtocol) {
    let parts = text.split(separator: ":", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 3, let snapshot = SnapshotID(hex: parts[0]), snapshot != .none,
      let staged = KeyValueArguments.number(parts[1])
    else { return nil }
    var files: [HeldFile] = []
    var seen = Set<UInt64>()
    for item in parts[2].split(separator: ",", maxSplits: Self.filesMax) {
      let sides = item.split(separator: "=", maxSplits: 2, omittingEmptySubsequences: false)
      guard sides.count == 2, files.count < Self.filesMax, let number = KeyValueArguments.number(sides[0]),
        let bytes = KeyValueArguments.number(sides[1]), seen.insert(number).inserted
      else { return nil }
      files.append(HeldFile(number: number, bytes: bytes))
    }
    self.init(snapshot: snapshot, stagedLSN: LSN(staged), files: files)
  }
  var text: String {
    "\(snapshot):\(stagedLSN):" + files.prefix(Self.filesMax).map { "\($0.number)=\($0.bytes)" }.joined(separator: ",")
  }

  /// Bytes that need not be sent again. A file that is not in the manifest, or of which more is held than it has,
  /// counts nothing: it is sent again from its beginning.
  package func usableBytes(in manifest: FileManifest) -> [UInt64: UInt64] {
    guard snapshot == manifest.snapshot else { return [:] }
    var sizes: [UInt64: UInt64] = [:]
    for file in manifest.files { sizes[file.number] = file.bytes }
    var usable: [UInt64: UInt64] = [:]
    for file in files where file.bytes <= sizes[file.number] ?? 0 { usable[file.number] = file.bytes }
    return usable
  }
}

package struct SyncRequest: Hashable, Sendable {
  package var id: NodeID
  package var position: Position
  package var history: TermHistory
  package var lineage: NodeID?
  package var mode: RequestedSyncMode
  package var resume: ResumeState?
  /// The lowest LSN that the slave can cut its log back to; nil: it cannot.
  package var rewindFloor: LSN?
  /// Up to here the slave knows that its log is committed; `none` from an older node.
  package var committedLSN = LSN.none
  /// An operator lets it give up what it holds and the master does not.
  package var acceptsCut = false
  /// Reigns that began by a mere start, as far as it knows.
  package var starts: [StartMark] = []

  package init(
    id: NodeID, position: Position, history: TermHistory, lineage: NodeID?, mode: RequestedSyncMode = .auto,
    resume: ResumeState? = nil, rewindFloor: LSN? = nil
  ) {
    self.id = id
    self.position = position
    self.history = history
    self.lineage = lineage
    self.mode = mode
    self.resume = resume
    self.rewindFloor = rewindFloor
  }

  package init(parsing arguments: [String]) throws(ReplicationError) {
    let pairs = try KeyValueArguments(parsing: arguments)
    id = try pairs.nodeID("node-id")
    position = try pairs.position("position")
    history = try pairs.history("history")
    lineage = try pairs.optionalNodeID("lineage")
    let modeText = pairs.text("mode") ?? "auto"
    guard let mode = RequestedSyncMode(rawValue: modeText) else {
      throw pairs.bad("mode", modeText, "auto, full, partial or delta")
    }
    self.mode = mode
    let resumeText = pairs.text("resume") ?? "none"
    if resumeText != "none" {
      guard let resume = ResumeState(text: resumeText) else {
        throw pairs.bad("resume", resumeText, "snapshot:staged LSN:number=bytes,...")
      }
      self.resume = resume
    }
    rewindFloor = try pairs.optionalLSN("rewind-floor")
    committedLSN = try pairs.optionalLSN("committed") ?? .none
    acceptsCut = try pairs.flag("accepts-cut")
    starts = try pairs.starts("starts")
    guard position == .none || history.reign(of: position.lsn) == position.reign else {
      throw pairs.bad("position", KeyValueArguments.text(position), "a position inside the term history")
    }
  }

  package var arguments: [String] {
    [
      String(KeyValueArguments.protocolVersion), "node-id", id.description, "position",
      KeyValueArguments.text(position), "history",
      KeyValueArguments.text(history), "lineage", lineage?.description ?? "none", "mode", mode.rawValue, "resume",
      resume?.text ?? "none", "rewind-floor", rewindFloor?.description ?? "none",
      "committed", committedLSN.description, "accepts-cut", KeyValueArguments.text(acceptsCut),
      "starts", KeyValueArguments.text(starts),
    ]
  }
}

package struct SyncReply: Hashable, Sendable {
  package var mode: SyncMode
  package var snapshot: SnapshotID
  package var startLSN: LSN
  package var barrierLSN: LSN
  /// The slave cuts its log back to this LSN, the last that both hold, before the sync begins there.
  package var rewindTo: LSN?
  package var fileCount: Int
  package var fileBytes: UInt64
  package var logBytes: UInt64
  /// Of `fileBytes`, what the slave holds from a cut sync.
  package var heldBytes: UInt64
  /// Estimated, until the barrier is sent; 0 from a master that does not say it.
  package var wireBytes: UInt64
  package var seconds: UInt64
  /// The master's; 0 from one that does not say it.
  package var term: Term
  package var reason: String
  package var report: [String]

  package init(
    mode: SyncMode, snapshot: SnapshotID = .none, startLSN: LSN, barrierLSN: LSN, rewindTo: LSN? = nil,
    fileCount: Int = 0,
    fileBytes: UInt64 = 0, logBytes: UInt64 = 0, heldBytes: UInt64 = 0, wireBytes: UInt64 = 0, seconds: UInt64 = 0,
    term: Term = .none, reason: String, report: [String] = []
  ) {
    self.mode = mode
    self.snapshot = snapshot
    self.startLSN = startLSN
    self.barrierLSN = barrierLSN
    self.rewindTo = rewindTo
    self.fileCount = fileCount
    self.fileBytes = fileBytes
    self.logBytes = logBytes
    self.heldBytes = heldBytes
    self.wireBytes = wireBytes
    self.seconds = seconds
    self.term = term
    self.reason = reason
    self.report = report
  }

  package init(parsing elements: [String]) throws(ReplicationError) {
    let pairs = try KeyValueArguments(parsing: elements)
    let modeText = try pairs.required("mode")
    guard let mode = SyncMode(name: modeText) else { throw pairs.bad("mode", modeText, "partial, delta or full") }
    self.mode = mode
    let snapshotText = try pairs.required("snapshot")
    guard let snapshot = SnapshotID(hex: snapshotText) else {
      throw pairs.bad("snapshot", snapshotText, "16 hex digits")
    }
    self.snapshot = snapshot
    startLSN = try pairs.lsn("start")
    barrierLSN = try pairs.lsn("barrier")
    rewindTo = try pairs.optionalLSN("rewind-to")
    let files = try pairs.number("files")
    guard files <= UInt64(FileManifest.filesMax) else {
      throw pairs.bad("files", String(files), "at most \(FileManifest.filesMax)")
    }
    fileCount = Int(files)
    fileBytes = try pairs.number("file-bytes")
    logBytes = try pairs.number("log-bytes")
    heldBytes = try pairs.number("held-bytes")
    wireBytes = pairs.text("wire-bytes") == nil ? 0 : try pairs.number("wire-bytes")
    seconds = try pairs.number("seconds")
    term = try pairs.optionalTerm("term")
    reason = singleLine(pairs.text("reason") ?? "", bytesMax: 1024)
    report = (pairs.text("report") ?? "").split(separator: "\n", maxSplits: 255).map {
      singleLine(String($0), bytesMax: 512)
    }
    guard startLSN > .none else { throw pairs.bad("start", "0", "an LSN") }
  }

  package var elements: [String] {
    [
      String(KeyValueArguments.protocolVersion), "mode", mode.name, "snapshot", snapshot.description, "start",
      startLSN.description, "barrier", barrierLSN.description, "rewind-to", rewindTo?.description ?? "none", "files",
      String(fileCount), "file-bytes",
      String(fileBytes), "log-bytes", String(logBytes), "held-bytes", String(heldBytes), "wire-bytes",
      String(wireBytes),
      "seconds", String(seconds), "term", term.description, "reason", singleLine(reason, bytesMax: 1024), "report",
      report.map { singleLine($0, bytesMax: 512) }.joined(separator: "\n"),
    ]
  }
}
