import Foundation
import Testing

@testable import PacelineServer

/// INFO's fields: one table, and a document that says the same.
@Suite struct NodeStatusTests {
  static let documents = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("docs")
  static let rows = NodeStatus.Section.allCases.flatMap(\.rows)

  /// What clients and monitoring look for. A name is not changed and not moved; a new one is added here.
  static let names: [(NodeStatus.Section, String)] = [
    (
      .server,
      """
      redis_version redis_git_sha1 redis_git_dirty redis_build_id redis_mode paceline_version os arch_bits \
      monotonic_clock multiplexing_api atomicvar_api process_id process_supervised run_id tcp_port \
      server_time_usec uptime_in_seconds uptime_in_days hz configured_hz lru_clock executable config_file \
      io_threads_active event_loops data_directory shutdown_in_milliseconds
      """
    ),
    (
      .clients,
      """
      connected_clients cluster_connections maxclients client_recent_max_input_buffer \
      client_recent_max_output_buffer blocked_clients tracking_clients clients_in_timeout_table \
      unauthenticated_bytes unauthenticated_refused
      """
    ),
    (
      .memory,
      """
      used_memory used_memory_human used_memory_rss used_memory_rss_human used_memory_peak \
      used_memory_peak_human used_memory_peak_perc total_system_memory total_system_memory_human maxmemory \
      maxmemory_human maxmemory_policy used_memory_startup used_memory_lua number_of_cached_scripts \
      mem_fragmentation_ratio mem_fragmentation_bytes mem_not_counted_for_evict mem_replication_backlog \
      mem_clients_slaves mem_clients_normal mem_cluster_links mem_aof_buffer mem_allocator \
      active_defrag_running lazyfree_pending_objects lazyfreed_objects
      """
    ),
    (
      .persistence,
      """
      loading async_loading rdb_changes_since_last_save rdb_bgsave_in_progress rdb_last_save_time \
      rdb_last_bgsave_status rdb_last_bgsave_time_sec rdb_current_bgsave_time_sec rdb_saves \
      rdb_last_cow_size aof_enabled aof_rewrite_in_progress aof_rewrite_scheduled aof_last_rewrite_time_sec \
      aof_current_rewrite_time_sec aof_last_bgrewrite_status aof_last_write_status module_fork_in_progress \
      durability log_writable log_write_error refetch_to damaged_copies disk_state disk_error \
      damaged_records damaged_places unreadable_pages unreadable_files damaged_files repaired_files \
      repaired_records scrubbed_files scrubbed_bytes damage<n>
      """
    ),
    (
      .paceline,
      """
      index_bytes data_bytes live_bytes dead_bytes pinned_bytes resident_bytes segments data_files \
      replaced_files keys expiring_keys log_start_lsn tombstones_from_lsn compaction_running \
      compaction_runs compaction_bytes_done compaction_bytes_total compaction_bytes_read \
      compaction_bytes_written compaction_last_error generation store_number protocol_errors
      """
    ),
    (
      .stats,
      """
      total_connections_received total_commands_processed instantaneous_ops_per_sec total_net_input_bytes \
      total_net_output_bytes total_net_repl_input_bytes total_net_repl_output_bytes \
      instantaneous_input_kbps instantaneous_output_kbps rejected_connections sync_full sync_partial_ok \
      sync_partial_err expired_keys expired_stale_perc expired_time_cap_reached_count evicted_keys \
      evicted_clients keyspace_hits keyspace_misses pubsub_channels pubsub_patterns pubsubshard_channels \
      latest_fork_usec total_forks migrate_cached_sockets slave_expires_tracked_keys tracking_total_keys \
      unexpected_error_replies total_error_replies total_reads_processed total_writes_processed \
      forwarded_commands forward_errors
      """
    ),
    (
      .replication,
      """
      role master_host master_port master_link_status master_last_io_seconds_ago master_sync_in_progress \
      slave_read_repl_offset slave_repl_offset slave_priority slave_read_only replica_announced \
      master_link_down_since_seconds master_link_down_reason sync_state lag_records last_sync_plan \
      last_sync_reason last_sync_estimated_bytes last_sync_bytes last_sync_seconds last_sync_error syncs \
      diverged_from_master digest_state digest_lsn sync_bytes_done sync_bytes_total master_clock_ahead_ms \
      clock_warning digest_repairs digest_repaired_records digest_repair_bytes digest_error \
      connected_slaves slave<n> master_failover_state master_replid master_replid2 master_repl_offset \
      second_repl_offset repl_backlog_active repl_backlog_size repl_backlog_first_byte_offset \
      repl_backlog_histlen node_id lineage term last_replicaof_error appended_lsn written_lsn durable_lsn \
      committed_lsn applied_lsn log_start_lsn sync_full sync_delta sync_partial_ok sync_bytes_sent \
      databases databases_configured expected_write_rate diverged_slaves records_cut_on_slaves commit_level \
      commit_degraded commit_pending_records commit_pending_bytes writes_refused read_lease voter voters \
      voters_max voters_waiting vote_unsure_up_to_term rewinds lost_records lost_files data_set_confirmed \
      other_data_set other_data_set_node waits_for_peers replaced_stores replaced_stores_bytes
      """
    ),
    (
      .cpu,
      """
      used_cpu_sys used_cpu_user used_cpu_sys_children used_cpu_user_children
      """
    ),
    (
      .commandstats,
      """
      cmdstat_<command>
      """
    ),
    (
      .errorstats,
      """
      errorstat_<CODE>
      """
    ),
    (
      .latencystats,
      """
      latency_percentiles_usec_<command>
      """
    ),
    (
      .cluster,
      """
      cluster_enabled
      """
    ),
    (
      .keyspace,
      """
      db<n>
      """
    ),
  ]

  @Test func theNamesAndTheirOrderStay() {
    for (section, names) in Self.names {
      #expect(section.rows.map(\.name) == names.split(separator: " ").map(String.init), "\(section)")
    }
    #expect(Self.names.map(\.0) == NodeStatus.Section.allCases.filter { !$0.rows.isEmpty })
  }

  @Test func aNameStandsOnceInItsSection() {
    for section in NodeStatus.Section.allCases {
      let names = section.rows.map(\.name)
      #expect(Set(names).count == names.count, "\(section)")
    }
  }

  @Test func everyFieldSaysWhatItTells() {
    for row in Self.rows { #expect(!row.help.isEmpty && !row.help.contains("|"), "\(row.name)") }
  }

  /// `PACELINE_REWRITE=1` writes the document's tables anew.
  @Test func theDocumentHasTheTablesOfTheCode() throws {
    let file = Self.documents.appendingPathComponent("INFO.md")
    let text = try String(contentsOf: file, encoding: .utf8)
    let begin = try #require(text.range(of: "\n## Server"))
    let head = String(text[..<begin.lowerBound])
    if ProcessInfo.processInfo.environment["PACELINE_REWRITE"] != nil {
      try (head + NodeStatus.document).write(to: file, atomically: true, encoding: .utf8)
    }
    #expect(try String(contentsOf: file, encoding: .utf8) == head + NodeStatus.document)
  }

  /// OPERATIONS explains the fields that an operator watches: each of them exists.
  @Test func theFieldsOfTheOperatorsTablesExist() throws {
    let text = try String(contentsOf: Self.documents.appendingPathComponent("OPERATIONS.md"), encoding: .utf8)
    let known = Set(Self.rows.map(\.name))
    var isFieldTable = false
    var found = 0
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("| field |") { isFieldTable = true }
      if !line.hasPrefix("|") { isFieldTable = false }
      guard isFieldTable, let first = line.split(separator: "|").first else { continue }
      for match in first.matches(of: /`([a-z_0-9]+)(?::\.\.\.)?`/) {
        let name = String(match.1)
        #expect(known.contains(name) || known.contains(name.replacing("slave0", with: "slave<n>")), "\(name)")
        found += 1
      }
    }
    #expect(found > 50)
  }

  // MARK: Rendering

  private struct Part: Sendable {
    var lsn: UInt64 = .max
    var below = -1
    var ratio = 1.5
    var isOn = true
    var names = ["a", "b"]
    var absent: String?
  }
  private static let fields: [StatusField<Part>] = [
    .init("lsn", .lsn, "a") { .number($0.lsn) }, .init("below", .count, "b") { .count($0.below) },
    .init("ratio", .none, "c") { .decimal($0.ratio, digits: 2) }, .init("on", .none, "d") { .flag($0.isOn) },
    .init("names", .none, "e") { .list($0.names) }, .init("absent", .none, "f") { $0.absent.map { .text($0) } },
    .init(each: "n<n>", "g") { part in part.names.enumerated().map { ("n\($0)", .text($1)) } },
    .constant("always", "so"),
  ]

  @Test func valuesReadAsInfoHasThem() {
    let lines = StatusRow.rows(Self.fields) { _ in Part() }
      .flatMap { $0.values(NodeStatus()) }.map { "\($0.name):\($0.value.infoText)" }
    #expect(
      lines == [
        "lsn:18446744073709551615", "below:-1", "ratio:1.50", "on:1", "names:a;b", "n0:a", "n1:b", "always:so",
      ])
  }

  @Test func aPartThatWasNotMeasuredTellsNothing() {
    let rows = StatusRow.rows(Self.fields) { _ in Part?.none }
    #expect(rows.allSatisfy { $0.values(NodeStatus()).isEmpty })
    #expect(NodeStatus().info([.memory, .cluster]) == "# Memory\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n")
  }

  @Test func sectionsAreAskedForByName() {
    #expect(
      NodeStatus.sections(named: [])
        == Set(NodeStatus.Section.allCases).subtracting([.commandstats, .latencystats]))
    #expect(NodeStatus.sections(named: ["default"]) == NodeStatus.sections(named: []))
    #expect(NodeStatus.sections(named: ["CPU", "nonsense", "stats"]) == [.cpu, .stats])
    #expect(NodeStatus.sections(named: ["nonsense"]) == [])
    #expect(NodeStatus.sections(named: ["everything"]) == Set(NodeStatus.Section.allCases))
  }
}
