/// The memory of the process.
struct MemoryStatus: Sendable {
  let used: UInt64
  let resident: UInt64
  let peak: UInt64
  let system: UInt64

  init(_ server: ServerCore) {
    let memory = ProcessFigures.memory
    (used, resident) = (memory.used, memory.resident)
    peak = server.service.statistics.memoryPeak(atLeast: memory.used)
    system = ProcessFigures.systemMemory
  }

  static let fields: [StatusField<MemoryStatus>] = [
    .init("used_memory", .bytes, "allocated by the process, without mapped files") { .number($0.used) },
    .init("used_memory_human", .none, "the same to read") { .text(human($0.used)) },
    .init("used_memory_rss", .bytes, "in the machine's memory, with what is there of mapped files") {
      .number($0.resident)
    },
    .init("used_memory_rss_human", .none, "the same to read") { .text(human($0.resident)) },
    .init("used_memory_peak", .bytes, "the most that was allocated") { .number($0.peak) },
    .init("used_memory_peak_human", .none, "the same to read") { .text(human($0.peak)) },
    .init("used_memory_peak_perc", .percent, "what is allocated now, of the most") {
      .text(percent($0.used, of: $0.peak))
    },
    .init("total_system_memory", .bytes, "memory of the machine") { .number($0.system) },
    .init("total_system_memory_human", .none, "the same to read") { .text(human($0.system)) },
    .constant("maxmemory", "0"),
    .constant("maxmemory_human", "0B"),
    .constant("maxmemory_policy", "noeviction"),
    .constant("used_memory_startup", "0"),
    .constant("used_memory_lua", "0"),
    .constant("number_of_cached_scripts", "0"),
    .init("mem_fragmentation_ratio", .none, "resident memory, of what is allocated") {
      .decimal(Double($0.resident) / Double(max(1, $0.used)), digits: 2)
    },
    .init("mem_fragmentation_bytes", .bytes, "resident memory beyond what is allocated") {
      .number($0.resident > $0.used ? $0.resident - $0.used : 0)
    },
    .constant("mem_not_counted_for_evict", "0"),
    .constant("mem_replication_backlog", "0"),
    .constant("mem_clients_slaves", "0"),
    .constant("mem_clients_normal", "0"),
    .constant("mem_cluster_links", "0"),
    .constant("mem_aof_buffer", "0"),
    .constant("mem_allocator", "libc"),
    .constant("active_defrag_running", "0"),
    .constant("lazyfree_pending_objects", "0"),
    .constant("lazyfreed_objects", "0"),
  ]
}
