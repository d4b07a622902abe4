// As Redis 7.0.15 reports them with COMMAND INFO and COMMAND DOCS. Read and write, fast and slow, admin and dangerous
// follow from the flags and are not repeated among the categories.

/// Commands about the server as a whole.
func defineServerCommands(_ table: inout CommandDefinitions) {
  table.group = .server
  table.command(
    .command, "command", arity: -1, [.loading, .stale], [.connection], since: "2.8.13",
    summary: "Get array of Redis command details",
    complexity: "O(N) where N is the total number of Redis commands",
    tips: [.anyOrder])
  table.subcommand(
    .commandCount, "command|count", arity: 2, [.loading, .stale], [.connection], since: "2.8.13",
    summary: "Get total number of Redis commands",
    complexity: "O(1)")
  table.subcommand(
    .commandDocs, "command|docs", arity: -2, [.loading, .stale], [.connection], since: "7.0.0",
    summary: "Get array of specific Redis command documentation",
    complexity: "O(N) where N is the number of commands to look up",
    tips: [.anyOrder])
  table.subcommand(
    .commandGetkeys, "command|getkeys", arity: -4, [.loading, .stale], [.connection], since: "2.8.13",
    summary: "Extract keys given a full Redis command",
    complexity: "O(N) where N is the number of arguments to the command")
  table.subcommand(
    .commandGetkeysandflags, "command|getkeysandflags", arity: -4, [.loading, .stale], [.connection], since: "7.0.0",
    summary: "Extract keys and access flags given a full Redis command",
    complexity: "O(N) where N is the number of arguments to the command")
  table.subcommand(
    .commandHelp, "command|help", arity: 2, [.loading, .stale], [.connection], since: "5.0.0",
    summary: "Show helpful text about the different subcommands",
    complexity: "O(1)")
  table.subcommand(
    .commandInfo, "command|info", arity: -2, [.loading, .stale], [.connection], since: "2.8.13",
    summary: "Get array of specific Redis command details, or all when no argument is given.",
    complexity: "O(N) where N is the number of commands to look up",
    tips: [.anyOrder])
  table.subcommand(
    .commandList, "command|list", arity: -2, [.loading, .stale], [.connection], since: "7.0.0",
    summary: "Get an array of Redis command names",
    complexity: "O(N) where N is the total number of Redis commands",
    tips: [.anyOrder])
  table.command(
    .config, "config", arity: -2, [], [], since: "2.0.0",
    summary: "A container for server configuration commands",
    complexity: "Depends on subcommand.")
  table.subcommand(
    .configGet, "config|get", arity: -3, [.admin, .noScript, .loading, .stale], [], since: "2.0.0",
    summary: "Get the values of configuration parameters",
    complexity: "O(N) when N is the number of configuration parameters provided")
  table.subcommand(
    .configHelp, "config|help", arity: 2, [.loading, .stale], [], since: "5.0.0",
    summary: "Show helpful text about the different subcommands",
    complexity: "O(1)")
  table.subcommand(
    .configResetstat, "config|resetstat", arity: 2, [.admin, .noScript, .loading, .stale], [], since: "2.0.0",
    summary: "Reset the stats returned by INFO",
    complexity: "O(1)")
  table.subcommand(
    .configRewrite, "config|rewrite", arity: 2, [.admin, .noScript, .loading, .stale, .waits], [], since: "2.8.0",
    summary: "Rewrite the configuration file with the in memory configuration",
    complexity: "O(1)")
  table.subcommand(
    .configSet, "config|set", arity: -4, [.admin, .noScript, .loading, .stale, .waits], [], since: "2.0.0",
    summary: "Set configuration parameters to the given values",
    complexity: "O(N) when N is the number of configuration parameters provided",
    tips: [.allNodes, .allSucceeded])
  table.command(
    .info, "info", arity: -1, [.loading, .stale, .waits], [.dangerous], since: "1.0.0",
    summary: "Get information and statistics about the server",
    complexity: "O(1)",
    tips: [.anyOutput, .allShards, .specialResponse])
  table.command(
    .dbsize, "dbsize", arity: 1, [.readonly, .fast], [.keyspace], since: "1.0.0",
    summary: "Return the number of keys in the selected database",
    complexity: "O(1)",
    tips: [.allShards, .sum])
  table.command(
    .time, "time", arity: 1, [.loading, .stale, .fast], [], since: "2.6.0",
    summary: "Return the current server time",
    complexity: "O(1)",
    tips: [.anyOutput])
  table.command(
    .lastsave, "lastsave", arity: 1, [.loading, .stale, .fast], [.admin, .dangerous], since: "1.0.0",
    summary: "Get the UNIX time stamp of the last successful save to disk",
    complexity: "O(1)",
    tips: [.anyOutput])
  table.command(
    .debug, "debug", arity: -2, [.admin, .noScript, .loading, .stale, .waits], [], since: "1.0.0",
    summary: "A container for debugging commands",
    complexity: "Depends on subcommand.",
    isSystem: true)
  table.command(
    .shutdown, "shutdown", arity: -1, [.admin, .noScript, .loading, .stale, .noMulti, .allowBusy], [], since: "1.0.0",
    summary: "Synchronously save the dataset to disk and then shut down the server",
    complexity: """
      O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)
      """)
  table.command(
    .save, "save", arity: 1, [.admin, .noScript, .noAsyncLoading, .noMulti], [], since: "1.0.0",
    summary: "Synchronously save the dataset to disk",
    complexity: "O(N) where N is the total number of keys in all databases")
  table.command(
    .bgsave, "bgsave", arity: -1, [.admin, .noScript, .noAsyncLoading], [], since: "1.0.0",
    summary: "Asynchronously save the dataset to disk",
    complexity: "O(1)")
  table.command(
    .flushdb, "flushdb", arity: -1, [.write], [.keyspace, .dangerous], since: "1.0.0",
    summary: "Remove all keys from the current database",
    complexity: "O(N) where N is the number of keys in the selected database",
    tips: [.allShards, .allSucceeded])
  table.command(
    .flushall, "flushall", arity: -1, [.write], [.keyspace, .dangerous], since: "1.0.0",
    summary: "Remove all keys from all databases",
    complexity: "O(N) where N is the total number of keys in all databases",
    tips: [.allShards, .allSucceeded])
  table.command(
    .swapdb, "swapdb", arity: 3, [.write, .fast], [.keyspace, .dangerous], since: "4.0.0",
    summary: "Swaps two Redis databases",
    complexity: "O(N) where N is the count of clients watching or blocking on keys from both databases.")
  table.command(
    .replicaof, "replicaof", arity: 3, [.admin, .noScript, .stale, .noAsyncLoading, .waits], [], since: "5.0.0",
    summary: "Make the server a replica of another instance, or promote it as master.",
    complexity: "O(1)")
  table.command(
    .slaveof, "slaveof", arity: 3, [.admin, .noScript, .stale, .noAsyncLoading, .waits], [], since: "1.0.0",
    summary: "Make the server a replica of another instance, or promote it as master.",
    complexity: "O(1)",
    deprecated: "5.0.0", replacedBy: "`REPLICAOF`")
  table.command(
    .role, "role", arity: 1, [.noScript, .loading, .stale, .fast, .waits], [.admin, .dangerous], since: "2.8.12",
    summary: "Return the role of the instance in the context of replication",
    complexity: "O(1)")
  table.command(
    .monitor, "monitor", arity: 1, [.admin, .noScript, .loading, .stale], [], since: "1.0.0",
    summary: "Listen for all requests received by the server in real time",
    complexity: "")
  table.command(
    .bgrewriteaof, "bgrewriteaof", arity: 1, [.admin, .noScript, .noAsyncLoading], [], since: "1.0.0",
    summary: "Asynchronously rewrite the append-only file",
    complexity: "O(1)")
}
