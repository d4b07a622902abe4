// As Redis 7.0.15 reports them with COMMAND INFO and COMMAND DOCS. Read and write, fast and slow, admin and dangerous
// follow from the flags and are not repeated among the categories.

/// Commands that look into the server.
func defineDiagnosticCommands(_ table: inout CommandDefinitions) {
  table.group = .server
  table.command(
    .memory, "memory", arity: -2, [], [], since: "4.0.0",
    summary: "A container for memory diagnostics commands",
    complexity: "Depends on subcommand.")
  table.subcommand(
    .memoryDoctor, "memory|doctor", arity: 2, [], [], since: "4.0.0",
    summary: "Outputs memory problems report",
    complexity: "O(1)",
    tips: [.anyOutput, .allShards, .specialResponse])
  table.subcommand(
    .memoryHelp, "memory|help", arity: 2, [.loading, .stale], [], since: "4.0.0",
    summary: "Show helpful text about the different subcommands",
    complexity: "O(1)")
  table.subcommand(
    .memoryMallocStats, "memory|malloc-stats", arity: 2, [], [], since: "4.0.0",
    summary: "Show allocator internal stats",
    complexity: "Depends on how much memory is allocated, could be slow",
    tips: [.anyOutput, .allShards, .specialResponse])
  table.subcommand(
    .memoryPurge, "memory|purge", arity: 2, [], [], since: "4.0.0",
    summary: "Ask the allocator to release memory",
    complexity: "Depends on how much memory is allocated, could be slow",
    tips: [.allShards, .allSucceeded])
  table.subcommand(
    .memoryStats, "memory|stats", arity: 2, [], [], since: "4.0.0",
    summary: "Show memory usage details",
    complexity: "O(1)",
    tips: [.anyOutput, .allShards, .specialResponse])
  table.subcommand(
    .memoryUsage, "memory|usage", arity: -3, [.readonly], [], since: "4.0.0",
    summary: "Estimate the memory usage of a key",
    complexity: "O(N) where N is the number of samples.",
    keys: [.key(2, [.ro])])
  table.command(
    .slowlog, "slowlog", arity: -2, [], [], since: "2.2.12",
    summary: "A container for slow log commands",
    complexity: "Depends on subcommand.")
  table.subcommand(
    .slowlogGet, "slowlog|get", arity: -2, [.admin, .loading, .stale], [], since: "2.2.12",
    summary: "Get the slow log's entries",
    complexity: "O(N) where N is the number of entries returned",
    tips: [.allNodes, .anyOutput])
  table.subcommand(
    .slowlogHelp, "slowlog|help", arity: 2, [.loading, .stale], [], since: "6.2.0",
    summary: "Show helpful text about the different subcommands",
    complexity: "O(1)")
  table.subcommand(
    .slowlogLen, "slowlog|len", arity: 2, [.admin, .loading, .stale], [], since: "2.2.12",
    summary: "Get the slow log's length",
    complexity: "O(1)",
    tips: [.allNodes, .sum, .anyOutput])
  table.subcommand(
    .slowlogReset, "slowlog|reset", arity: 2, [.admin, .loading, .stale], [], since: "2.2.12",
    summary: "Clear all entries from the slow log",
    complexity: "O(N) where N is the number of entries in the slowlog",
    tips: [.allNodes, .allSucceeded])
  table.command(
    .latency, "latency", arity: -2, [], [], since: "2.8.13",
    summary: "A container for latency diagnostics commands",
    complexity: "Depends on subcommand.")
  table.subcommand(
    .latencyDoctor, "latency|doctor", arity: 2, [.admin, .noScript, .loading, .stale], [], since: "2.8.13",
    summary: "Return a human readable latency analysis report.",
    complexity: "O(1)",
    tips: [.anyOutput, .allNodes, .specialResponse])
  table.subcommand(
    .latencyGraph, "latency|graph", arity: 3, [.admin, .noScript, .loading, .stale], [], since: "2.8.13",
    summary: "Return a latency graph for the event.",
    complexity: "O(1)",
    tips: [.anyOutput, .allNodes, .specialResponse])
  table.subcommand(
    .latencyHelp, "latency|help", arity: 2, [.loading, .stale], [], since: "2.8.13",
    summary: "Show helpful text about the different subcommands.",
    complexity: "O(1)")
  table.subcommand(
    .latencyHistogram, "latency|histogram", arity: -2, [.admin, .noScript, .loading, .stale], [], since: "7.0.0",
    summary: "Return the cumulative distribution of latencies of a subset of commands or all.",
    complexity: "O(N) where N is the number of commands with latency information being retrieved.",
    tips: [.anyOutput, .allNodes, .specialResponse])
  table.subcommand(
    .latencyHistory, "latency|history", arity: 3, [.admin, .noScript, .loading, .stale], [], since: "2.8.13",
    summary: "Return timestamp-latency samples for the event.",
    complexity: "O(1)",
    tips: [.anyOutput, .allNodes, .specialResponse])
  table.subcommand(
    .latencyLatest, "latency|latest", arity: 2, [.admin, .noScript, .loading, .stale], [], since: "2.8.13",
    summary: "Return the latest latency samples for all events.",
    complexity: "O(1)",
    tips: [.anyOutput, .allNodes, .specialResponse])
  table.subcommand(
    .latencyReset, "latency|reset", arity: -2, [.admin, .noScript, .loading, .stale], [], since: "2.8.13",
    summary: "Reset latency data for one or more events.",
    complexity: "O(1)",
    tips: [.allNodes, .allSucceeded])
}
