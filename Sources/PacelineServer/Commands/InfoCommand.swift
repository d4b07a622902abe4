import Commands
import Core
import LogStore
import NIOCore
import RESP

/// INFO: Redis's sections and field names, and Paceline's own lines.
extension ServerCore {
  private enum Section: String, CaseIterable {
    case server, clients, memory, persistence, paceline, stats, replication, cpu, modules, errorstats, cluster, keyspace
  }

  /// INFO [section ...]
  func info(_ arguments: borrowing ArgumentList, _ executor: Executor) {
    var wanted: Set<Section> = []
    for i in 1..<max(1, arguments.count) {
      let name = decoded(arguments[i]).lowercased()
      switch name {
      case "all", "default", "everything": wanted.formUnion(Section.allCases)
      default: if let section = Section(rawValue: name) { wanted.insert(section) }
      }
    }
    if arguments.count == 1 { wanted.formUnion(Section.allCases) }
    // Only what is asked for is measured, and all of it at one moment.
    let needsStore = !wanted.isDisjoint(with: [.memory, .paceline, .keyspace])
    let view: StoreView? = needsStore ? still(executor) { StoreView($0, neededFrom: node.neededFrom) } : nil
    var out = ""
    for section in Section.allCases where wanted.contains(section) {
      if !out.isEmpty { out += "\r\n" }
      out += "# \(title(section))\r\n"
      for (name, value) in lines(section, view) { out += "\(name):\(value)\r\n" }
    }
    executor.reply.verbatim(out)
  }

  private func title(_ section: Section) -> String {
    section == .cpu ? "CPU" : section.rawValue.prefix(1).uppercased() + section.rawValue.dropFirst()
  }

  /// What is read of the store, under its lock.
  private struct StoreView {
    let figures: LogStore.Figures
    let keys: [Int]
    let logStart: LSN
    let tombstonesFrom: LSN
    /// Log that slaves with a pin still have to get.
    let pinnedBytes: Int
    init(_ store: LogStore, neededFrom: LSN) {
      figures = store.figures()
      keys = (0..<store.databases).map { store.keyCount($0) }
      logStart = store.logStart
      tombstonesFrom = store.tombstonesFrom
      pinnedBytes = neededFrom > store.positions.appended ? 0 : store.logBytes(from: neededFrom)
    }
  }

  private func lines(_ section: Section, _ view: StoreView?) -> [(String, String)] {
    switch section {
    case .server: serverLines
    case .clients: clientLines
    case .memory: memoryLines
    case .persistence: persistenceLines
    case .paceline: view.map(pacelineLines) ?? []
    case .stats: statsLines
    case .replication: replicationInfo()
    case .cpu: cpuLines
    case .modules: []
    case .errorstats: service.statistics.errors.map { ("errorstat_\($0.code)", "count=\($0.count)") }
    case .cluster: [("cluster_enabled", "0")]
    case .keyspace: view.map(keyspaceLines) ?? []
    }
  }

  private var serverLines: [(String, String)] {
    let settings = configuration
    let seconds = Clocks.monotonic.since(startedAt) / 1000
    return [
      ("redis_version", redisVersion), ("redis_git_sha1", "00000000"), ("redis_git_dirty", "0"),
      ("redis_build_id", "0"), ("redis_mode", "standalone"), ("paceline_version", PacelineVersion.current),
      ("os", ProcessFigures.system), ("arch_bits", String(Int.bitWidth)),
      ("monotonic_clock", "POSIX clock_gettime"), ("multiplexing_api", "epoll"), ("atomicvar_api", "swift-atomics"),
      ("process_id", String(ProcessFigures.id)), ("process_supervised", "no"), ("run_id", directory.node.description),
      ("tcp_port", String(settings.port)), ("server_time_usec", String(Clocks.wallMicroseconds)),
      ("uptime_in_seconds", String(seconds)), ("uptime_in_days", String(seconds / 86_400)), ("hz", "10"),
      ("configured_hz", "10"), ("lru_clock", String(Clocks.wall.milliseconds / 1000 & 0xFF_FFFF)),
      ("executable", ProcessFigures.executable), ("config_file", settings.configurationFile ?? ""),
      ("io_threads_active", workers.count > 1 ? "1" : "0"), ("event_loops", String(workers.count)),
      ("data_directory", settings.dataDirectory),
    ] + (shutdown.millisecondsLeft.map { [("shutdown_in_milliseconds", String($0))] } ?? [])
  }

  private var clientLines: [(String, String)] {
    let entries = service.clients.all()
    return [
      ("connected_clients", String(entries.count { $0.kind == .normal })), ("cluster_connections", "0"),
      ("maxclients", String(configuration.clientsMax)),
      ("client_recent_max_input_buffer", String(entries.map(\.state.queryBytes).max() ?? 0)),
      ("client_recent_max_output_buffer", String(entries.map(\.state.heldBytes).max() ?? 0)),
      ("blocked_clients", String(entries.count { $0.state.isSuspended })), ("tracking_clients", "0"),
      ("clients_in_timeout_table", "0"), ("unauthenticated_bytes", String(service.strangers.heldBytes)),
      ("unauthenticated_refused", String(service.strangers.refusedConnections)),
    ]
  }

  private var memoryLines: [(String, String)] {
    let memory = ProcessFigures.memory
    let peak = service.statistics.memoryPeak(atLeast: memory.used)
    let system = ProcessFigures.systemMemory
    var lines: [(String, String)] = []
    func bytes(_ name: String, _ value: UInt64) {
      lines.append((name, String(value)))
      lines.append((name + "_human", human(value)))
    }
    bytes("used_memory", memory.used)
    bytes("used_memory_rss", memory.resident)
    bytes("used_memory_peak", peak)
    lines.append(("used_memory_peak_perc", percent(memory.used, of: peak)))
    bytes("total_system_memory", system)
    bytes("maxmemory", 0)
    lines.append(contentsOf: [
      ("maxmemory_policy", "noeviction"), ("used_memory_startup", "0"), ("used_memory_lua", "0"),
      ("number_of_cached_scripts", "0"),
      ("mem_fragmentation_ratio", fixed(Double(memory.resident) / Double(max(1, memory.used)), 2)),
      ("mem_fragmentation_bytes", String(memory.resident > memory.used ? memory.resident - memory.used : 0)),
      ("mem_not_counted_for_evict", "0"), ("mem_replication_backlog", "0"), ("mem_clients_slaves", "0"),
      ("mem_clients_normal", "0"), ("mem_cluster_links", "0"), ("mem_aof_buffer", "0"), ("mem_allocator", "libc"),
      ("active_defrag_running", "0"), ("lazyfree_pending_objects", "0"), ("lazyfreed_objects", "0"),
    ])
    return lines
  }

  private var persistenceLines: [(String, String)] {
    let saves = service.statistics.saves
    let store = self.store
    let positions = store.positions
    let isWritable = store.writeRefusal == nil
    return [
      ("loading", "0"), ("async_loading", "0"),
      (
        "rdb_changes_since_last_save",
        String(positions.appended.value &- min(positions.durable.value, positions.appended.value))
      ),
      ("rdb_bgsave_in_progress", saves.isRunning ? "1" : "0"),
      ("rdb_last_save_time", String(node.lastSave.load(ordering: .relaxed))),
      ("rdb_last_bgsave_status", saves.succeeded ? "ok" : "err"),
      ("rdb_last_bgsave_time_sec", String(saves.seconds)), ("rdb_current_bgsave_time_sec", "-1"),
      ("rdb_saves", String(saves.count)), ("rdb_last_cow_size", "0"), ("aof_enabled", "1"),
      ("aof_rewrite_in_progress", "0"), ("aof_rewrite_scheduled", "0"), ("aof_last_rewrite_time_sec", "-1"),
      ("aof_current_rewrite_time_sec", "-1"), ("aof_last_bgrewrite_status", "ok"),
      ("aof_last_write_status", isWritable ? "ok" : "err"), ("module_fork_in_progress", "0"),
      ("durability", durability.rawValue), ("log_writable", isWritable ? "1" : "0"),
      ("log_write_error", store.writeRefusal.map { "\($0)" } ?? ""),
      ("refetch_to", directory.current.refetchTo.map { "\($0)" } ?? "none"),
      ("damaged_copies", directory.damagedCopies.joined(separator: ";")),
    ] + node.disk.lines(store, node.scrub.damage, hold: isMaster ? nil : replication.upstream.view.hold)
      + node.scrub.lines
  }

  private func pacelineLines(_ view: StoreView) -> [(String, String)] {
    let figures = view.figures
    let keys = view.keys.reduce(0, +)
    let compaction = node.compaction.report
    return [
      ("index_bytes", String(figures.indexBytes)), ("data_bytes", String(figures.dataBytes)),
      ("live_bytes", String(figures.liveBytes)), ("dead_bytes", String(figures.deadBytes)),
      ("pinned_bytes", String(view.pinnedBytes)), ("resident_bytes", String(figures.residentBytes)),
      ("segments", String(figures.segments)), ("data_files", String(figures.dataFiles)),
      ("replaced_files", String(figures.replacedFiles)), ("keys", String(keys)),
      ("expiring_keys", String(figures.expiring)),
      ("log_start_lsn", view.logStart.description), ("tombstones_from_lsn", view.tombstonesFrom.description),
      ("compaction_running", compaction.isRunning ? "1" : "0"), ("compaction_runs", String(compaction.runs)),
      ("compaction_bytes_done", String(compaction.isRunning ? compaction.bytesDone : 0)),
      ("compaction_bytes_total", String(compaction.isRunning ? compaction.bytesTotal : 0)),
      ("compaction_bytes_read", String(compaction.bytesRead)),
      ("compaction_bytes_written", String(compaction.bytesWritten)),
      ("compaction_last_error", compaction.lastError), ("generation", String(directory.current.generation)),
      ("store_number", String(directory.current.storeNumber)),
      ("protocol_errors", String(service.statistics.protocolErrors)),
    ]
  }

  private var statsLines: [(String, String)] {
    let figures = service.statistics.since(totals)
    let rates = service.statistics.rates
    let errors = service.statistics.errors.reduce(0) { $0 + $1.count }
    return [
      ("total_connections_received", String(figures.connections)),
      ("total_commands_processed", String(figures.commands)),
      ("instantaneous_ops_per_sec", String(rates.commandsPerSecond)), ("total_net_input_bytes", String(figures.input)),
      ("total_net_output_bytes", String(figures.output)), ("total_net_repl_input_bytes", "0"),
      ("total_net_repl_output_bytes", String(replication.wireBytesSent.load(ordering: .relaxed))),
      ("instantaneous_input_kbps", fixed(rates.inputBytesPerSecond / 1024, 2)),
      ("instantaneous_output_kbps", fixed(rates.outputBytesPerSecond / 1024, 2)),
      ("rejected_connections", String(figures.rejected)),
      ("sync_full", String(replication.counters.full.load(ordering: .relaxed))),
      ("sync_partial_ok", String(replication.counters.partial.load(ordering: .relaxed))), ("sync_partial_err", "0"),
      ("expired_keys", String(node.expiredKeys.load(ordering: .relaxed))), ("expired_stale_perc", "0.00"),
      ("expired_time_cap_reached_count", "0"), ("evicted_keys", "0"), ("evicted_clients", "0"),
      ("keyspace_hits", String(figures.hits)), ("keyspace_misses", String(figures.misses)), ("pubsub_channels", "0"),
      ("pubsub_patterns", "0"), ("pubsubshard_channels", "0"), ("latest_fork_usec", "0"), ("total_forks", "0"),
      ("migrate_cached_sockets", "0"), ("slave_expires_tracked_keys", "0"), ("tracking_total_keys", "0"),
      ("unexpected_error_replies", "0"), ("total_error_replies", String(errors)),
      ("total_reads_processed", String(figures.reads)), ("total_writes_processed", String(figures.writes)),
      ("forwarded_commands", String(figures.forwarded)), ("forward_errors", String(figures.forwardErrors)),
    ]
  }

  private var cpuLines: [(String, String)] {
    let cpu = ProcessFigures.cpu
    return [
      ("used_cpu_sys", fixed(cpu.system, 6)), ("used_cpu_user", fixed(cpu.user, 6)),
      ("used_cpu_sys_children", "0.000000"), ("used_cpu_user_children", "0.000000"),
    ]
  }

  /// The number of keys with an expiry is known for the whole store: with several databases it is shared out by their
  /// keys, an estimate.
  private func keyspaceLines(_ view: StoreView) -> [(String, String)] {
    let total = max(1, view.keys.reduce(0, +))
    let filled = view.keys.indices.filter { view.keys[$0] > 0 }
    return filled.map { database in
      let keys = view.keys[database]
      let share =
        filled.count == 1 ? view.figures.expiring : Int(Double(view.figures.expiring) * Double(keys) / Double(total))
      return ("db\(database)", "keys=\(keys),expires=\(min(keys, share)),avg_ttl=0")
    }
  }

  // MARK: Figures

  /// Sums over all loops since the start.
  var totals: ServerFigures {
    var sum = workers.reduce(into: ServerFigures()) { $0 = $0 + $1.counters.figures }
    sum.connections = UInt64(clamping: accepted.load(ordering: .relaxed))
    sum.rejected = UInt64(clamping: rejected.load(ordering: .relaxed))
    return sum
  }

  /// Starts what the commands of the server need regularly. Once, when the loops are there.
  func startService() {
    configureSlowLog(configuration)
    workers.first?.eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { [weak self] task in
      guard let self else { return task.cancel() }
      service.statistics.sample(totals, memory: ProcessFigures.memory.used, now: Clocks.monotonic)
    }
  }
}

// MARK: Numbers as Redis prints them

/// `1.02M`
func human(_ bytes: UInt64) -> String {
  if bytes < 1024 { return "\(bytes)B" }
  var value = Double(bytes)
  for unit in ["K", "M", "G", "T", "P"] {
    value /= 1024
    if value < 1024 { return fixed(value, 2) + unit }
  }
  return "\(bytes)B"
}

/// A number that is not negative, with so many digits behind the point.
func fixed(_ value: Double, _ digits: Int) -> String {
  guard value.isFinite, value >= 0, value < 1e12 else { return "0" }
  var scale: UInt64 = 1
  for _ in 0..<digits { scale *= 10 }
  let rounded = UInt64((value * Double(scale)).rounded())
  let fraction = String(rounded % scale)
  return "\(rounded / scale)." + String(repeating: "0", count: digits - fraction.utf8.count) + fraction
}

func percent(_ part: UInt64, of whole: UInt64) -> String {
  fixed(whole == 0 ? 0 : Double(part) * 100 / Double(whole), 2) + "%"
}
