/// What a node tells of itself by INFO, typed, as far as `paceline status` shows it. Made once of the text; nobody else
/// looks for names in it. What a node does not tell (an older version, another server) is nil or empty.
package struct ReportedStatus: Sendable, Equatable {
  package let isMaster: Bool
  package let role: String?
  /// The same however the node is addressed.
  package let identity: String?
  package let isLoading: Bool
  package let term: UInt64?
  package let log: Log
  package let load: Load
  package let upstream: Upstream
  /// A master's lines about its slaves.
  package let slaves: [InfoText.SlaveLine]
  package let commit: Commit
  package let disk: Disk
  package let dataSet: DataSet

  /// How far the log is.
  package struct Log: Sendable, Equatable {
    package let appended: UInt64?
    package let durable: UInt64?
    package let committed: UInt64?
    package let applied: UInt64?
  }

  package struct Load: Sendable, Equatable {
    package let opsPerSecond: Double?
    package let keys: UInt64
    package let memoryBytes: UInt64?
    package let indexBytes: UInt64?
    package let dataBytes: UInt64?
  }

  /// A slave's link to its master.
  package struct Upstream: Sendable, Equatable {
    package let master: NodeAddress?
    /// `up` or `down`.
    package let linkStatus: String?
    package let downReason: String?
    package let syncState: String?
    package let lastPlan: String?
    package let lastReason: String?
    package let progress: SyncProgress?
    package let digest: String?
    package let clockAheadMilliseconds: Int64?
    package let clocksDiffer: Bool
    package let isDiverged: Bool

    /// The text behind `OTHERDATASET`, when the link is down because the master holds another data set.
    package var otherDataSet: Substring? {
      downReason.flatMap { $0.hasPrefix("OTHERDATASET") ? $0.dropFirst("OTHERDATASET ".count) : nil }
    }
  }

  /// When writes are good, and who votes.
  package struct Commit: Sendable, Equatable {
    package enum Refusal: String, Sendable {
      case fewSlaves = "min-slaves"
      case otherDataSet = "other-data-set"
      case queueFull = "queue"
    }
    package let level: String?
    package let isDegraded: Bool?
    package let pendingRecords: UInt64?
    /// As it was told: `no`, or a reason.
    package let writesRefused: String?
    package let readLease: String?
    package let mayVote: Bool
    package let votersWaiting: String?
    package let voteUnsureUpTo: UInt64?

    package var refusal: Refusal? { writesRefused.flatMap(Refusal.init) }
  }

  package struct Disk: Sendable, Equatable {
    package let state: String?
    package let error: String?
    package let damagedRecords: UInt64
    package let damagedPlaces: String?
    package let unreadablePages: UInt64
    package let unreadableFiles: String?
    package let refetchTo: String?
  }

  /// Which data the node holds, what it waits for, and what it gave up.
  package struct DataSet: Sendable, Equatable {
    package let lineage: String?
    package let other: String?
    package let otherNode: String?
    package let waitsForPeers: String?
    package let replaced: [String]
    package let replacedBytes: UInt64?
    package let lostRecords: UInt64?
    package let lostFiles: [String]
    package let divergedSlaves: [String]
  }

  package init(_ info: InfoText) {
    func list(_ name: String) -> [String] { (info[name] ?? "").split(separator: ";").map(String.init) }
    func flag(_ name: String) -> Bool { info.integer(name) == 1 }
    role = info["role"]
    isMaster = role == "master"
    identity = info["run_id"]
    isLoading = flag("loading")
    term = info.integer("term")
    log = Log(
      appended: info.integer("appended_lsn"), durable: info.integer("durable_lsn"),
      committed: info.integer("committed_lsn"), applied: info.integer("applied_lsn"))
    load = Load(
      opsPerSecond: info.number("instantaneous_ops_per_sec"), keys: info.keyCount,
      memoryBytes: info.integer("used_memory"), indexBytes: info.integer("index_bytes"),
      dataBytes: info.integer("data_bytes"))
    upstream = Upstream(
      master: info.address(host: "master_host", port: "master_port"), linkStatus: info["master_link_status"],
      downReason: info["master_link_down_reason"], syncState: info["sync_state"], lastPlan: info["last_sync_plan"],
      lastReason: info["last_sync_reason"], progress: SyncProgress(info.integer), digest: info["digest_state"],
      clockAheadMilliseconds: info["master_clock_ahead_ms"].flatMap { Int64($0) }, clocksDiffer: flag("clock_warning"),
      isDiverged: flag("diverged_from_master"))
    slaves = info.slaves
    commit = Commit(
      level: info["commit_level"], isDegraded: info.integer("commit_degraded").map { $0 == 1 },
      pendingRecords: info.integer("commit_pending_records"), writesRefused: info["writes_refused"],
      readLease: info["read_lease"], mayVote: flag("voter"), votersWaiting: info["voters_waiting"],
      voteUnsureUpTo: info.integer("vote_unsure_up_to_term"))
    disk = Disk(
      state: info["disk_state"], error: info["disk_error"], damagedRecords: info.integer("damaged_records") ?? 0,
      damagedPlaces: info["damaged_places"], unreadablePages: info.integer("unreadable_pages") ?? 0,
      unreadableFiles: info["unreadable_files"],
      refetchTo: info["refetch_to"].flatMap { $0 == "none" ? nil : $0 })
    dataSet = DataSet(
      lineage: info["lineage"], other: info["other_data_set"], otherNode: info["other_data_set_node"],
      waitsForPeers: info["waits_for_peers"], replaced: list("replaced_stores"),
      replacedBytes: info.integer("replaced_stores_bytes"), lostRecords: info.integer("lost_records"),
      lostFiles: list("lost_files"), divergedSlaves: list("diverged_slaves"))
  }
}

/// Bytes of a sync that is under way. A rate or an ETA that nobody measured yet is nil.
package struct SyncProgress: Sendable, Equatable {
  package let bytesDone: UInt64
  package let bytesTotal: UInt64
  package let bytesPerSecond: UInt64?
  package let remainingMilliseconds: UInt64?

  /// By the names that INFO has for a slave's own sync and for each of a master's; nil when there is none under way.
  init?(_ integer: (String) -> UInt64?) {
    guard let done = integer("sync_bytes_done"), let total = integer("sync_bytes_total"), done < total else {
      return nil
    }
    bytesDone = done
    bytesTotal = total
    bytesPerSecond = integer("sync_rate")
    remainingMilliseconds = integer("sync_eta_ms")
  }
}
