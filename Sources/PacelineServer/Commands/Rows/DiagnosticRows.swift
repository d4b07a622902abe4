// As Redis 7.0.15 reports them with COMMAND INFO and COMMAND DOCS. Read and write, fast and slow, admin and dangerous
// follow from the flags and are not repeated among the categories.

import Commands

extension CommandRows {
  /// Commands that look into the server.
  mutating func addDiagnosticCommands() {
    let server = HostFunctions<ServerCore>()
    group = .server
    command(
      "memory", arity: -2, [], [], since: "4.0.0",
      summary: "A container for memory diagnostics commands",
      complexity: "Depends on subcommand.",
      run: .container)
    subcommand(
      "memory|doctor", arity: 2, [], [], since: "4.0.0",
      summary: "Outputs memory problems report",
      complexity: "O(1)",
      tips: [.anyOutput, .allShards, .specialResponse],
      help: """
        DOCTOR
            Return memory problems reports.
        """,
      run: server(ServerCore.memoryDoctor))
    subcommand(
      "memory|malloc-stats", arity: 2, [], [], since: "4.0.0",
      summary: "Show allocator internal stats",
      complexity: "Depends on how much memory is allocated, could be slow",
      tips: [.anyOutput, .allShards, .specialResponse],
      help: """
        MALLOC-STATS
            Return internal statistics report from the memory allocator.
        """,
      run: server(ServerCore.allocatorStatistics))
    subcommand(
      "memory|purge", arity: 2, [], [], since: "4.0.0",
      summary: "Ask the allocator to release memory",
      complexity: "Depends on how much memory is allocated, could be slow",
      tips: [.allShards, .allSucceeded],
      help: """
        PURGE
            Attempt to purge dirty pages for reclamation by the allocator.
        """,
      run: server(ServerCore.memoryPurge))
    subcommand(
      "memory|stats", arity: 2, [], [], since: "4.0.0",
      summary: "Show memory usage details",
      complexity: "O(1)",
      tips: [.anyOutput, .allShards, .specialResponse],
      help: """
        STATS
            Return information about the memory usage of the server.
        """,
      run: server(ServerCore.memoryStatistics))
    subcommand(
      "memory|usage", arity: -3, [.readonly, .nodeBound], [], since: "4.0.0",
      summary: "Estimate the memory usage of a key",
      complexity: "O(N) where N is the number of samples.",
      keys: [.key(2, [.ro])],
      help: """
        USAGE <key> [SAMPLES <count>]
            Return memory in bytes used by <key> and its value. Nested values are
            sampled up to <count> times (default: 5, 0 means sample all).
        """,
      run: server(ServerCore.memoryUsage))
    subcommand(
      "memory|help", arity: 2, [.loading, .stale], [], since: "4.0.0",
      summary: "Show helpful text about the different subcommands",
      complexity: "O(1)",
      run: .help)
    command(
      "slowlog", arity: -2, [], [], since: "2.2.12",
      summary: "A container for slow log commands",
      complexity: "Depends on subcommand.",
      run: .container)
    subcommand(
      "slowlog|get", arity: -2, [.admin, .loading, .stale], [], since: "2.2.12",
      summary: "Get the slow log's entries",
      complexity: "O(N) where N is the number of entries returned",
      tips: [.allNodes, .anyOutput],
      help: """
        GET [<count>]
            Return top <count> entries from the slowlog (default: 10, -1 mean all).
            Entries are made of:
            id, timestamp, time in microseconds, arguments array, client IP and port,
            client name
        """,
      run: server(ServerCore.slowLogEntries))
    subcommand(
      "slowlog|len", arity: 2, [.admin, .loading, .stale], [], since: "2.2.12",
      summary: "Get the slow log's length",
      complexity: "O(1)",
      tips: [.allNodes, .sum, .anyOutput],
      help: """
        LEN
            Return the length of the slowlog.
        """,
      run: server(ServerCore.slowLogLength))
    subcommand(
      "slowlog|reset", arity: 2, [.admin, .loading, .stale], [], since: "2.2.12",
      summary: "Clear all entries from the slow log",
      complexity: "O(N) where N is the number of entries in the slowlog",
      tips: [.allNodes, .allSucceeded],
      help: """
        RESET
            Reset the slowlog.
        """,
      run: server(ServerCore.resetSlowLog))
    subcommand(
      "slowlog|help", arity: 2, [.loading, .stale], [], since: "6.2.0",
      summary: "Show helpful text about the different subcommands",
      complexity: "O(1)",
      run: .help)
    command(
      "latency", arity: -2, [], [], since: "2.8.13",
      summary: "A container for latency diagnostics commands",
      complexity: "Depends on subcommand.",
      run: .container)
    subcommand(
      "latency|doctor", arity: 2, [.admin, .noScript, .loading, .stale], [], since: "2.8.13",
      summary: "Return a human readable latency analysis report.",
      complexity: "O(1)",
      tips: [.anyOutput, .allNodes, .specialResponse],
      help: """
        DOCTOR
            Return a human readable latency analysis report.
        """,
      run: server(ServerCore.latencyDoctor))
    subcommand(
      "latency|graph", arity: 3, [.admin, .noScript, .loading, .stale], [], since: "2.8.13",
      summary: "Return a latency graph for the event.",
      complexity: "O(1)",
      tips: [.anyOutput, .allNodes, .specialResponse],
      help: """
        GRAPH <event>
            Return an ASCII latency graph for the <event> class.
        """,
      run: server(ServerCore.latencyGraph))
    subcommand(
      "latency|history", arity: 3, [.admin, .noScript, .loading, .stale], [], since: "2.8.13",
      summary: "Return timestamp-latency samples for the event.",
      complexity: "O(1)",
      tips: [.anyOutput, .allNodes, .specialResponse],
      help: """
        HISTORY <event>
            Return time-latency samples for the <event> class.
        """,
      run: server(ServerCore.latencyEvents))
    subcommand(
      "latency|latest", arity: 2, [.admin, .noScript, .loading, .stale], [], since: "2.8.13",
      summary: "Return the latest latency samples for all events.",
      complexity: "O(1)",
      tips: [.anyOutput, .allNodes, .specialResponse],
      help: """
        LATEST
            Return the latest latency samples for all events.
        """,
      run: server(ServerCore.latencyEvents))
    subcommand(
      "latency|reset", arity: -2, [.admin, .noScript, .loading, .stale], [], since: "2.8.13",
      summary: "Reset latency data for one or more events.",
      complexity: "O(1)",
      tips: [.allNodes, .allSucceeded],
      help: """
        RESET [<event> ...]
            Reset latency data of one or more <event> classes.
            (default: reset all data for all event classes)
        """,
      run: server(ServerCore.resetLatency))
    subcommand(
      "latency|histogram", arity: -2, [.admin, .noScript, .loading, .stale], [], since: "7.0.0",
      summary: "Return the cumulative distribution of latencies of a subset of commands or all.",
      complexity: "O(N) where N is the number of commands with latency information being retrieved.",
      tips: [.anyOutput, .allNodes, .specialResponse],
      help: """
        HISTOGRAM [COMMAND ...]
            Return a cumulative distribution of latencies in the format of a histogram for the specified command names.
            If no commands are specified then all histograms are replied.
        """,
      run: server(ServerCore.latencyHistogram))
    subcommand(
      "latency|help", arity: 2, [.loading, .stale], [], since: "2.8.13",
      summary: "Show helpful text about the different subcommands.",
      complexity: "O(1)",
      run: .help)
  }
}
