import Commands
import Core
import LogStore
import Node

/// The log and the index, and the compaction of the log. Read under the store's lock, all at one moment.
struct StoreStatus: Sendable {
  let figures: LogStore.Figures
  /// By database.
  let keys: [Int]
  let logStart: LSN
  let tombstonesFrom: LSN
  /// Log that slaves with a pin still have to get.
  let pinnedBytes: Int
  let compaction: CompactionReport
  let generation: UInt64
  let storeNumber: Int
  let protocolErrors: UInt64

  init(_ server: ServerCore, _ executor: Executor) {
    let neededFrom = server.node.neededFrom
    (figures, keys, logStart, tombstonesFrom, pinnedBytes) = server.still(executor) { store, access in
      (
        store.figures(access), (0..<store.databases).map { store.keyCount($0) }, store.logStart, store.tombstonesFrom,
        neededFrom > store.positions.appended ? 0 : store.logBytes(from: neededFrom, access)
      )
    }
    compaction = server.node.compaction.report
    generation = UInt64(server.directory.current.generation)
    storeNumber = Int(server.directory.current.storeNumber)
    protocolErrors = server.service.statistics.protocolErrors
  }

  static let fields: [StatusField<StoreStatus>] = [
    .init("index_bytes", .bytes, "memory of the index") { .count($0.figures.indexBytes) },
    .init("data_bytes", .bytes, "size of the log") { .count($0.figures.dataBytes) },
    .init("live_bytes", .bytes, "of it, records that count") { .count($0.figures.liveBytes) },
    .init("dead_bytes", .bytes, "of it, what was overwritten, deleted or has expired, and tombstones") {
      .count($0.figures.deadBytes)
    },
    .init("pinned_bytes", .bytes, "of it, what slaves with a pin still have to get") { .count($0.pinnedBytes) },
    .init("resident_bytes", .bytes, "of it, what is in the log's own memory (`--ops-buffer`)") {
      .count($0.figures.residentBytes)
    },
    .init("segments", .count, "files of the log") { .count($0.figures.segments) },
    .init("data_files", .count, "of them, compacted ones") { .count($0.figures.dataFiles) },
    .init("replaced_files", .count, "files that only older generations still name") {
      .count($0.figures.replacedFiles)
    },
    .init("keys", .count, "keys in all databases") { .count($0.keys.reduce(0, +)) },
    .init("expiring_keys", .count, "of them, keys with a time to live") { .count($0.figures.expiring) },
    .init("log_start_lsn", .lsn, "the first record of the log that is kept") { .number($0.logStart.value) },
    .init("tombstones_from_lsn", .lsn, "deletions from here on are remembered: a slave that has this can get a delta") {
      .number($0.tombstonesFrom.value)
    },
    .init("compaction_running", .none, "1 while files are compacted") { .flag($0.compaction.isRunning) },
    .init("compaction_runs", .count, "compactions since the start") { .count($0.compaction.runs) },
    .init("compaction_bytes_done", .bytes, "read by the one that runs") {
      .count($0.compaction.isRunning ? $0.compaction.bytesDone : 0)
    },
    .init("compaction_bytes_total", .bytes, "what it will have read") {
      .count($0.compaction.isRunning ? $0.compaction.bytesTotal : 0)
    },
    .init("compaction_bytes_read", .bytes, "read by all since the start") { .count($0.compaction.bytesRead) },
    .init("compaction_bytes_written", .bytes, "written by all since the start") { .count($0.compaction.bytesWritten) },
    .init("compaction_last_error", .none, "why the last one failed; empty if it did not") {
      .text($0.compaction.lastError)
    },
    .init("generation", .none, "the number of the newest `.dir` file") { .number($0.generation) },
    .init("store_number", .none, "n of the directory `store-<n>` that is in use") { .count($0.storeNumber) },
    .init("protocol_errors", .count, "connections whose bytes were no commands") { .number($0.protocolErrors) },
  ]

  static let keyspaceFields: [StatusField<StoreStatus>] = [
    .init(each: "db<n>", "a database with keys: how many, and how many of them have a time to live") { $0.databases }
  ]

  /// The number of keys with a time to live is known for the whole store: with several databases it is shared out by their
  /// keys, an estimate.
  private var databases: [(name: String, value: StatusValue)] {
    let total = max(1, keys.reduce(0, +))
    let filled = keys.indices.filter { keys[$0] > 0 }
    return filled.map { database in
      let count = keys[database]
      let share = filled.count == 1 ? figures.expiring : Int(Double(figures.expiring) * Double(count) / Double(total))
      return ("db\(database)", .text("keys=\(count),expires=\(min(count, share)),avg_ttl=0"))
    }
  }
}
