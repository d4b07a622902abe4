// As Redis 7.0.15 reports them with COMMAND INFO and COMMAND DOCS. Read and write, fast and slow, admin and dangerous
// follow from the flags and are not repeated among the categories.

import Commands

extension CommandRows {
  /// Commands about the server as a whole.
  mutating func addServerCommands() {
    let server = HostFunctions<ServerCore>()
    group = .server
    command(
      "command", arity: -1, [.loading, .stale], [.connection], since: "2.8.13",
      summary: "Get array of Redis command details",
      complexity: "O(N) where N is the total number of Redis commands",
      tips: [.anyOrder],
      help: """
        (no subcommand)
            Return details about all Redis commands.
        """,
      run: server(ServerCore.listCommands))
    subcommand(
      "command|count", arity: 2, [.loading, .stale], [.connection], since: "2.8.13",
      summary: "Get total number of Redis commands",
      complexity: "O(1)",
      help: """
        COUNT
            Return the total number of commands in this Redis server.
        """,
      run: server(ServerCore.commandCount))
    subcommand(
      "command|list", arity: -2, [.loading, .stale], [.connection], since: "7.0.0",
      summary: "Get an array of Redis command names",
      complexity: "O(N) where N is the total number of Redis commands",
      tips: [.anyOrder],
      help: """
        LIST
            Return a list of all commands in this Redis server.
        """,
      run: server(ServerCore.commandList))
    subcommand(
      "command|info", arity: -2, [.loading, .stale], [.connection], since: "2.8.13",
      summary: "Get array of specific Redis command details, or all when no argument is given.",
      complexity: "O(N) where N is the number of commands to look up",
      tips: [.anyOrder],
      help: """
        INFO [<command-name> ...]
            Return details about multiple Redis commands.
            If no command names are given, documentation details for all
            commands are returned.
        """,
      run: server(ServerCore.commandInfo))
    subcommand(
      "command|docs", arity: -2, [.loading, .stale], [.connection], since: "7.0.0",
      summary: "Get array of specific Redis command documentation",
      complexity: "O(N) where N is the number of commands to look up",
      tips: [.anyOrder],
      help: """
        DOCS [<command-name> ...]
            Return documentation details about multiple Redis commands.
            If no command names are given, documentation details for all
            commands are returned.
        """,
      run: server(ServerCore.commandDocs))
    subcommand(
      "command|getkeys", arity: -4, [.loading, .stale], [.connection], since: "2.8.13",
      summary: "Extract keys given a full Redis command",
      complexity: "O(N) where N is the number of arguments to the command",
      help: """
        GETKEYS <full-command>
            Return the keys from a full Redis command.
        """,
      run: server(ServerCore.commandKeys))
    subcommand(
      "command|getkeysandflags", arity: -4, [.loading, .stale], [.connection], since: "7.0.0",
      summary: "Extract keys and access flags given a full Redis command",
      complexity: "O(N) where N is the number of arguments to the command",
      help: """
        GETKEYSANDFLAGS <full-command>
            Return the keys and the access flags from a full Redis command.
        """,
      run: server(ServerCore.commandKeysAndFlags))
    subcommand(
      "command|help", arity: 2, [.loading, .stale], [.connection], since: "5.0.0",
      summary: "Show helpful text about the different subcommands",
      complexity: "O(1)",
      run: .help)
    command(
      "config", arity: -2, [], [], since: "2.0.0",
      summary: "A container for server configuration commands",
      complexity: "Depends on subcommand.",
      secrets: [.behind("requirepass", count: 1), .behind("masterauth", count: 1)],
      run: .container)
    subcommand(
      "config|get", arity: -3, [.admin, .noScript, .loading, .stale], [], since: "2.0.0",
      summary: "Get the values of configuration parameters",
      complexity: "O(N) when N is the number of configuration parameters provided",
      help: """
        GET <pattern>
            Return parameters matching the glob-like <pattern> and their values.
        """,
      run: server(ServerCore.configGet))
    subcommand(
      "config|set", arity: -4, [.admin, .noScript, .loading, .stale, .waits], [], since: "2.0.0",
      summary: "Set configuration parameters to the given values",
      complexity: "O(N) when N is the number of configuration parameters provided",
      tips: [.allNodes, .allSucceeded],
      help: """
        SET <directive> <value>
            Set the configuration <directive> to <value>.
        """,
      run: server(ServerCore.configSet))
    subcommand(
      "config|resetstat", arity: 2, [.admin, .noScript, .loading, .stale, .waits], [], since: "2.0.0",
      summary: "Reset the stats returned by INFO",
      complexity: "O(1)",
      help: """
        RESETSTAT
            Reset statistics reported by the INFO command.
        """,
      run: server(ServerCore.resetStatistics))
    subcommand(
      "config|rewrite", arity: 2, [.admin, .noScript, .loading, .stale, .waits], [], since: "2.8.0",
      summary: "Rewrite the configuration file with the in memory configuration",
      complexity: "O(1)",
      help: """
        REWRITE
            Rewrite the configuration file.
        """,
      run: server(ServerCore.configRewrite))
    subcommand(
      "config|help", arity: 2, [.loading, .stale], [], since: "5.0.0",
      summary: "Show helpful text about the different subcommands",
      complexity: "O(1)",
      run: .help)
    command(
      "info", arity: -1, [.loading, .stale, .waits], [.dangerous], since: "1.0.0",
      summary: "Get information and statistics about the server",
      complexity: "O(1)",
      tips: [.anyOutput, .allShards, .specialResponse],
      run: server(ServerCore.info))
    command(
      "time", arity: 1, [.loading, .stale, .fast, .anyNode], [], since: "2.6.0",
      summary: "Return the current server time",
      complexity: "O(1)",
      tips: [.anyOutput],
      run: server(ServerCore.time))
    command(
      "lastsave", arity: 1, [.loading, .stale, .fast], [.admin, .dangerous], since: "1.0.0",
      summary: "Get the UNIX time stamp of the last successful save to disk",
      complexity: "O(1)",
      tips: [.anyOutput],
      run: server(ServerCore.lastSave))
    command(
      "debug", arity: -2, [.admin, .noScript, .loading, .stale, .waits], [], since: "1.0.0",
      summary: "A container for debugging commands",
      complexity: "Depends on subcommand.",
      isSystem: true,
      run: server(ServerCore.debug))
    command(
      "shutdown", arity: -1, [.admin, .noScript, .loading, .stale, .noMulti, .allowBusy], [], since: "1.0.0",
      summary: "Synchronously save the dataset to disk and then shut down the server",
      complexity: """
        O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)
        """,
      run: server(ServerCore.shutDown))
    command(
      "save", arity: 1, [.admin, .noScript, .noAsyncLoading, .noMulti], [], since: "1.0.0",
      summary: "Synchronously save the dataset to disk",
      complexity: "O(N) where N is the total number of keys in all databases",
      run: server(ServerCore.save))
    command(
      "bgsave", arity: -1, [.admin, .noScript, .noAsyncLoading], [], since: "1.0.0",
      summary: "Asynchronously save the dataset to disk",
      complexity: "O(1)",
      run: server(ServerCore.backgroundSave))
    command(
      "bgrewriteaof", arity: 1, [.admin, .noScript, .noAsyncLoading], [], since: "1.0.0",
      summary: "Asynchronously rewrite the append-only file",
      complexity: "O(1)",
      run: server(ServerCore.rewriteLog))
    group = .generic
    command(
      "migrate", arity: -6, [.write, .neverQueued], [.keyspace, .dangerous], since: "2.6.0",
      summary: "Atomically transfer a key from a Redis instance to another one.",
      complexity: """
        This command actually executes a DUMP+DEL in the source instance, and a RESTORE in the target instance. See the \
        pages of these commands for time complexity. Also an O(N) data transfer between the two instances is performed.
        """,
      keys: [
        .key(3, [.rw, .access, .delete], isIncomplete: true), .behind("KEYS", from: -2, [.rw, .access, .delete]),
      ],
      tips: [.anyOutput],
      secrets: [.behind("auth", count: 1), .behind("auth2", count: 2)],
      run: server(ServerCore.migrate))
    group = .server
    command(
      "monitor", arity: 1, [.admin, .noScript, .loading, .stale], [], since: "1.0.0",
      summary: "Listen for all requests received by the server in real time",
      complexity: "",
      run: server(ServerCore.monitor))
  }
}
