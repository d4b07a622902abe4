// As Redis 7.0.15 reports them with COMMAND INFO and COMMAND DOCS. Read and write, fast and slow, admin and dangerous
// follow from the flags and are not repeated among the categories.

/// Commands about the connection itself.
func defineConnectionCommands(_ table: inout CommandDefinitions) {
  table.group = .connection
  table.command(
    .ping, "ping", arity: -1, [.fast], [.connection], since: "1.0.0",
    summary: "Ping the server",
    complexity: "O(1)",
    tips: [.allShards, .allSucceeded])
  table.command(
    .echo, "echo", arity: 2, [.loading, .stale, .fast], [.connection], since: "1.0.0",
    summary: "Echo the given string",
    complexity: "O(1)")
  table.command(
    .quit, "quit", arity: -1, [.noScript, .loading, .stale, .fast, .noAuth, .allowBusy], [.connection],
    since: "1.0.0",
    summary: "Close the connection",
    complexity: "O(1)")
  table.command(
    .reset, "reset", arity: 1, [.noScript, .loading, .stale, .fast, .noAuth, .allowBusy], [.connection],
    since: "6.2.0",
    summary: "Reset the connection",
    complexity: "O(1)")
  table.command(
    .hello, "hello", arity: -1, [.noScript, .loading, .stale, .fast, .noAuth, .allowBusy], [.connection],
    since: "6.0.0",
    summary: "Handshake with Redis",
    complexity: "O(1)")
  table.command(
    .auth, "auth", arity: -2, [.noScript, .loading, .stale, .fast, .noAuth, .allowBusy], [.connection],
    since: "1.0.0",
    summary: "Authenticate to the server",
    complexity: "O(N) where N is the number of passwords defined for the user")
  table.command(
    .select, "select", arity: 2, [.loading, .stale, .fast], [.connection], since: "1.0.0",
    summary: "Change the selected database for the current connection",
    complexity: "O(1)")
  table.command(
    .client, "client", arity: -2, [], [], since: "2.4.0",
    summary: "A container for client connection commands",
    complexity: "Depends on subcommand.")
  table.subcommand(
    .clientCaching, "client|caching", arity: 3, [.noScript, .loading, .stale], [.connection], since: "6.0.0",
    summary: "Instruct the server about tracking or not keys in the next request",
    complexity: "O(1)")
  table.subcommand(
    .clientGetname, "client|getname", arity: 2, [.noScript, .loading, .stale], [.connection], since: "2.6.9",
    summary: "Get the current connection name",
    complexity: "O(1)")
  table.subcommand(
    .clientGetredir, "client|getredir", arity: 2, [.noScript, .loading, .stale], [.connection], since: "6.0.0",
    summary: "Get tracking notifications redirection client ID if any",
    complexity: "O(1)")
  table.subcommand(
    .clientHelp, "client|help", arity: 2, [.loading, .stale], [.connection], since: "5.0.0",
    summary: "Show helpful text about the different subcommands",
    complexity: "O(1)")
  table.subcommand(
    .clientId, "client|id", arity: 2, [.noScript, .loading, .stale], [.connection], since: "5.0.0",
    summary: "Returns the client ID for the current connection",
    complexity: "O(1)")
  table.subcommand(
    .clientInfo, "client|info", arity: 2, [.noScript, .loading, .stale], [.connection], since: "6.2.0",
    summary: "Returns information about the current client connection.",
    complexity: "O(1)",
    tips: [.anyOutput])
  table.subcommand(
    .clientKill, "client|kill", arity: -3, [.admin, .noScript, .loading, .stale, .waits], [.connection], since: "2.4.0",
    summary: "Kill the connection of a client",
    complexity: "O(N) where N is the number of client connections")
  table.subcommand(
    .clientList, "client|list", arity: -2, [.admin, .noScript, .loading, .stale, .waits], [.connection], since: "2.4.0",
    summary: "Get the list of client connections",
    complexity: "O(N) where N is the number of client connections",
    tips: [.anyOutput])
  table.subcommand(
    .clientNoEvict, "client|no-evict", arity: 3, [.admin, .noScript, .loading, .stale], [.connection], since: "7.0.0",
    summary: "Set client eviction mode for the current connection",
    complexity: "O(1)")
  table.subcommand(
    .clientNoTouch, "client|no-touch", arity: 3, [.noScript, .loading, .stale], [.connection], since: "7.2.0",
    summary: "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
    complexity: "O(1)")
  table.subcommand(
    .clientPause, "client|pause", arity: -3, [.admin, .noScript, .loading, .stale, .waits], [.connection],
    since: "2.9.50",
    summary: "Stop processing commands from clients for some time",
    complexity: "O(1)")
  table.subcommand(
    .clientReply, "client|reply", arity: 3, [.noScript, .loading, .stale], [.connection], since: "3.2.0",
    summary: "Instruct the server whether to reply to commands",
    complexity: "O(1)")
  table.subcommand(
    .clientSetinfo, "client|setinfo", arity: 4, [.noScript, .loading, .stale], [.connection], since: "7.2.0",
    summary: "Sets information specific to the client or connection.",
    complexity: "O(1)",
    tips: [.allNodes, .allSucceeded])
  table.subcommand(
    .clientSetname, "client|setname", arity: 3, [.noScript, .loading, .stale], [.connection], since: "2.6.9",
    summary: "Set the current connection name",
    complexity: "O(1)")
  table.subcommand(
    .clientTracking, "client|tracking", arity: -3, [.noScript, .loading, .stale], [.connection], since: "6.0.0",
    summary: "Enable or disable server assisted client side caching support",
    complexity: "O(1). Some options may introduce additional complexity.")
  table.subcommand(
    .clientTrackinginfo, "client|trackinginfo", arity: 2, [.noScript, .loading, .stale], [.connection], since: "6.2.0",
    summary: "Return information about server assisted client side caching for the current connection",
    complexity: "O(1)")
  table.subcommand(
    .clientUnblock, "client|unblock", arity: -3, [.admin, .noScript, .loading, .stale, .waits], [.connection],
    since: "5.0.0",
    summary: "Unblock a client blocked in a blocking command from a different connection",
    complexity: "O(log N) where N is the number of client connections")
  table.subcommand(
    .clientUnpause, "client|unpause", arity: 2, [.admin, .noScript, .loading, .stale], [.connection], since: "6.2.0",
    summary: "Resume processing of clients that were paused",
    complexity: "O(N) Where N is the number of paused clients")
}
