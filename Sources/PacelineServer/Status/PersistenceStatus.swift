import Core
import LogStore
import Node
import Replication

/// The disk: what is on it, what it refuses, what of it is damaged.
struct PersistenceStatus: Sendable {
  let appended: LSN
  let durable: LSN
  let saves: ServerStatistics.Saves
  /// Seconds since 1970.
  let lastSave: UInt64
  let durability: Durability
  /// Why the log takes no records.
  let refusal: String?
  let refetchTo: Position?
  let damagedCopies: [String]
  let disk: DiskStatus
  let damage: DamageRegistry
  let scrub: ScrubReport

  init(_ server: ServerCore) {
    let store = server.store
    (appended, durable) = (store.positions.appended, store.positions.durable)
    saves = server.service.statistics.saves
    lastSave = UInt64(clamping: server.node.lastSave.load(ordering: .relaxed))
    durability = server.durability
    refusal = store.writeRefusal.map { "\($0)" }
    refetchTo = server.directory.current.refetchTo
    damagedCopies = server.directory.damagedCopies
    damage = server.node.scrub.damage
    scrub = server.node.scrub.report
    disk = server.node.disk.status(
      store, damage, hold: server.isMaster ? nil : server.replication.upstream.view.hold)
  }

  static var rows: [StatusRow] {
    StatusRow.rows(fields) { $0.persistence } + StatusRow.rows(diskFields) { $0.persistence?.disk }
      + StatusRow.rows(scrubFields) { $0.persistence }
  }

  static let fields: [StatusField<PersistenceStatus>] = [
    .constant("loading", "0"),
    .constant("async_loading", "0"),
    .init("rdb_changes_since_last_save", .records, "records that are not on disk yet") {
      .number($0.appended.value &- min($0.durable.value, $0.appended.value))
    },
    .init("rdb_bgsave_in_progress", .none, "1 while SAVE or BGSAVE runs") { .flag($0.saves.isRunning) },
    .init("rdb_last_save_time", .time, "the last SAVE or BGSAVE that was done, or the start") { .number($0.lastSave) },
    .init("rdb_last_bgsave_status", .none, "`ok`, or `err` when the last one failed") {
      .text($0.saves.succeeded ? "ok" : "err")
    },
    .init("rdb_last_bgsave_time_sec", .seconds, "how long the last one took; -1: there was none") {
      .count(Int($0.saves.seconds))
    },
    .constant("rdb_current_bgsave_time_sec", "-1"),
    .init("rdb_saves", .count, "how many were done") { .number($0.saves.count) },
    .constant("rdb_last_cow_size", "0"),
    .constant("aof_enabled", "1"),
    .constant("aof_rewrite_in_progress", "0"),
    .constant("aof_rewrite_scheduled", "0"),
    .constant("aof_last_rewrite_time_sec", "-1"),
    .constant("aof_current_rewrite_time_sec", "-1"),
    .constant("aof_last_bgrewrite_status", "ok"),
    .init("aof_last_write_status", .none, "`ok`, or `err` while the log takes no records") {
      .text($0.refusal == nil ? "ok" : "err")
    },
    .constant("module_fork_in_progress", "0"),
    .init("durability", .none, "`--durability`") { .text($0.durability.rawValue) },
    .init("log_writable", .none, "whether the log takes records") { .flag($0.refusal == nil) },
    .init("log_write_error", .none, "why it does not; empty otherwise") { .text($0.refusal ?? "") },
    .init("refetch_to", .none, "the position (term:LSN) up to which this node still fetches what damage took") {
      .text($0.refetchTo.map { "\($0)" } ?? "none")
    },
    .init("damaged_copies", .none, "damaged files that were set aside") { .list($0.damagedCopies) },
  ]

  static let diskFields: [StatusField<DiskStatus>] = [
    .init("disk_state", .none, "`ok`; `full`: goes on by itself when there is room; `failed`: needs a restart") {
      .text($0.state.rawValue)
    },
    .init("disk_error", .none, "which call failed on which file, and why") {
      .text(singleLine($0.errors.joined(separator: "; "), bytesMax: 1024))
    },
    .init("damaged_records", .records, "damaged now and not repaired") { .count($0.damagedRecords) },
    .init("damaged_places", .none, "their files, offsets, LSNs") {
      .text(singleLine($0.damagedPlaces.joined(separator: ";"), bytesMax: 4096))
    },
    .init("unreadable_pages", .count, "parts of mapped log files that could not be read since the start") {
      .number($0.unreadablePages)
    },
    .init("unreadable_files", .none, "the files that they are in") {
      .text(singleLine($0.unreadableFiles.joined(separator: ";"), bytesMax: 4096))
    },
  ]

  static let scrubFields: [StatusField<PersistenceStatus>] = [
    .init("damaged_files", .count, "files that are damaged now") { .count($0.damage.items.count) },
    .init("repaired_files", .count, "files that were repaired since the start") { .count($0.damage.filesRepaired) },
    .init("repaired_records", .records, "records in them that were fetched or saved") {
      .count($0.damage.recordsRepaired)
    },
    .init("scrubbed_files", .count, "files that were checked since the start") { .count($0.scrub.files) },
    .init("scrubbed_bytes", .bytes, "their size") { .count($0.scrub.bytes) },
    .init(each: "damage<n>", "one damaged file: where, since when, what is done about it; the first 16") { status in
      status.damage.items.prefix(16).enumerated().map { number, item in
        ("damage\(number)", .text(singleLine(item.line, bytesMax: 1024)))
      }
    },
  ]
}
