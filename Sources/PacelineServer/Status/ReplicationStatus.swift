import Core
import LogStore
import Node
import Replication

/// This node in its row: its role, its master, its slaves, its log, and when a write is good.
struct ReplicationStatus: Sendable {
  let isMaster: Bool
  /// nil on a master.
  let upstream: UpstreamStatus?
  let slaves: [SlaveStatus]
  let failoverState: String
  let node: NodeID
  let lineage: NodeID
  let term: Term
  let replicaOfError: String
  let log: LogStatus
  let syncs: SyncStatus
  let commit: CommitStatus
  let dataSet: DataSetStatus

  init(_ server: ServerCore) {
    switch server.role {
    case .master: (isMaster, upstream) = (true, nil)
    case .slave(let master): (isMaster, upstream) = (false, UpstreamStatus(server, master))
    }
    slaves = SlaveStatus.all(server)
    failoverState = server.node.succession.view.failover.rawValue
    node = server.directory.node
    lineage = server.directory.lineage
    term = server.node.term
    replicaOfError = server.node.replicaOfError.withLock { $0 }
    log = LogStatus(server)
    syncs = SyncStatus(server)
    commit = CommitStatus(server)
    dataSet = DataSetStatus(server)
  }

  static var rows: [StatusRow] {
    StatusRow.rows(roleFields) { $0.replication }
      + StatusRow.rows(UpstreamStatus.fields) { $0.replication?.upstream }
      + StatusRow.rows(slaveFields) { $0.replication }
      + StatusRow.rows(fields) { $0.replication }
      + StatusRow.rows(LogStatus.fields) { $0.replication?.log }
      + StatusRow.rows(SyncStatus.fields) { $0.replication?.syncs }
      + StatusRow.rows(CommitStatus.fields) { $0.replication?.commit }
      + StatusRow.rows(DataSetStatus.fields) { $0.replication?.dataSet }
  }

  static let roleFields: [StatusField<ReplicationStatus>] = [
    .init("role", .none, "`master` or `slave`") { .text($0.isMaster ? "master" : "slave") }
  ]

  static let slaveFields: [StatusField<ReplicationStatus>] = [
    .init("connected_slaves", .count, "slaves that are connected") { .count($0.slaves.count { $0.isConnected }) },
    .init(
      each: "slave<n>",
      "one slave: state, lag in records, bytes, ms, vote, plan with reason, last sync, sync progress, rate, time left"
    ) { status in
      status.slaves.enumerated().map { number, slave in ("slave\(number)", .text(slave.line)) }
    },
  ]

  static let fields: [StatusField<ReplicationStatus>] = [
    .init("master_failover_state", .none, "how far a FAILOVER is") { .text($0.failoverState) },
    .init("master_replid", .none, "the id of the data set") { .text($0.lineage.description) },
    .constant("master_replid2", String(repeating: "0", count: 40)),
    .init("master_repl_offset", .lsn, "as `appended_lsn`") { .number($0.log.appended.value) },
    .constant("second_repl_offset", "-1"),
    .constant("repl_backlog_active", "1"),
    .init("repl_backlog_size", .bytes, "`--wal-keep`") { .count($0.log.keptBytes) },
    .init("repl_backlog_first_byte_offset", .lsn, "as `log_start_lsn`") { .number($0.log.start.value) },
    .init("repl_backlog_histlen", .records, "records of the log that are kept") {
      .number($0.log.appended.value &- $0.log.start.previous.value)
    },
    .init("node_id", .none, "the node's id") { .text($0.node.description) },
    .init("lineage", .none, "the id of the data set") { .text($0.lineage.description) },
    .init("term", .term, "the term that this node is in") { .text($0.term.description) },
    .init("last_replicaof_error", .none, "why the last REPLICAOF was undone; empty if it was not") {
      .text($0.replicaOfError)
    },
  ]
}

/// How far the log is: appended, written, durable, committed and applied are five values.
struct LogStatus: Sendable {
  let appended: LSN
  let written: LSN
  let durable: LSN
  let committed: LSN
  let applied: LSN
  /// The first record that is kept.
  let start: LSN
  let keptBytes: Int

  init(_ server: ServerCore) {
    let store = server.store
    let positions = store.positions
    (appended, written, durable) = (positions.appended, positions.written, positions.durable)
    (committed, applied) = (positions.committed, positions.applied)
    start = store.firstRetainedLSN
    keptBytes = server.configuration.walKeepBytes
  }

  static let fields: [StatusField<LogStatus>] = [
    .init("appended_lsn", .lsn, "the newest record in the log's memory") { .number($0.appended.value) },
    .init("written_lsn", .lsn, "the newest that was handed to the system") { .number($0.written.value) },
    .init("durable_lsn", .lsn, "the newest that is on disk") { .number($0.durable.value) },
    .init("committed_lsn", .lsn, "the newest up to which all are good at their level") { .number($0.committed.value) },
    .init("applied_lsn", .lsn, "the newest that reads here show") { .number($0.applied.value) },
    .init("log_start_lsn", .lsn, "the first record of the log that is kept") { .number($0.start.value) },
  ]
}

/// What this node served to slaves since its start.
struct SyncStatus: Sendable {
  let full: UInt64
  let delta: UInt64
  let partial: UInt64
  let bytesSent: UInt64
  let databases: Int
  let databasesConfigured: Int
  let expectedBytesPerSecond: String
  let divergedSlaves: [String]
  let recordsCut: UInt64

  init(_ server: ServerCore) {
    let replication = server.replication
    full = UInt64(clamping: replication.counters.full.load(ordering: .relaxed))
    delta = UInt64(clamping: replication.counters.delta.load(ordering: .relaxed))
    partial = UInt64(clamping: replication.counters.partial.load(ordering: .relaxed))
    bytesSent = UInt64(clamping: replication.wireBytesSent.load(ordering: .relaxed))
    databases = server.store.databases
    databasesConfigured = server.configuration.databases
    expectedBytesPerSecond = String(replication.expectedBytesPerSecond)
    divergedSlaves = replication.divergedSlaves.map(\.description)
    recordsCut = UInt64(clamping: replication.recordsCutOnSlaves.load(ordering: .relaxed))
  }

  static let fields: [StatusField<SyncStatus>] = [
    .init("sync_full", .count, "full syncs that this node served") { .number($0.full) },
    .init("sync_delta", .count, "delta syncs that this node served") { .number($0.delta) },
    .init("sync_partial_ok", .count, "partial syncs that this node served") { .number($0.partial) },
    .init("sync_bytes_sent", .bytes, "sent to slaves") { .number($0.bytesSent) },
    .init("databases", .count, "how many databases the data set has") { .count($0.databases) },
    .init("databases_configured", .count, "what this node was started with") { .count($0.databasesConfigured) },
    .init("expected_write_rate", .bytesPerSecond, "what the planner expects clients to write while a sync goes on") {
      .text($0.expectedBytesPerSecond)
    },
    .init(
      "diverged_slaves", .none, "slaves that hold committed records which this master does not: a person chooses"
    ) { .list($0.divergedSlaves) },
    .init(
      "records_cut_on_slaves", .records,
      "records that slaves gave up since this node's start because it did not have them"
    ) { .number($0.recordsCut) },
  ]
}
