// As Redis 7.0.15 reports them with COMMAND INFO and COMMAND DOCS. Read and write, fast and slow, admin and dangerous
// follow from the flags and are not repeated among the categories.

extension CommandRows {
  /// Commands about the connection itself.
  mutating func addConnectionCommands() {
    group = .connection
    command(
      "ping", arity: -1, [.fast, .anyNode], [.connection], since: "1.0.0",
      summary: "Ping the server",
      complexity: "O(1)",
      tips: [.allShards, .allSucceeded],
      run: ConnectionCommands.ping)
    command(
      "echo", arity: 2, [.loading, .stale, .fast, .anyNode], [.connection], since: "1.0.0",
      summary: "Echo the given string",
      complexity: "O(1)",
      run: ConnectionCommands.echo)
    command(
      "quit", arity: -1, [.noScript, .loading, .stale, .fast, .noAuth, .allowBusy, .atOnce, .unwatches], [.connection],
      since: "1.0.0",
      summary: "Close the connection",
      complexity: "O(1)",
      run: ConnectionCommands.quit)
    command(
      "reset", arity: 1, [.noScript, .loading, .stale, .fast, .noAuth, .allowBusy, .atOnce, .unwatches], [.connection],
      since: "6.2.0",
      summary: "Reset the connection",
      complexity: "O(1)",
      run: ConnectionCommands.reset)
    command(
      "hello", arity: -1, [.noScript, .loading, .stale, .fast, .noAuth, .allowBusy], [.connection],
      since: "6.0.0",
      summary: "Handshake with Redis",
      complexity: "O(1)",
      secrets: [.behind("auth", count: 2)],
      run: ConnectionCommands.hello)
    command(
      "auth", arity: -2, [.noScript, .loading, .stale, .fast, .noAuth, .allowBusy], [.connection],
      since: "1.0.0",
      summary: "Authenticate to the server",
      complexity: "O(N) where N is the number of passwords defined for the user",
      secrets: [.all],
      run: ConnectionCommands.authenticate)
    command(
      "select", arity: 2, [.loading, .stale, .fast], [.connection], since: "1.0.0",
      summary: "Change the selected database for the current connection",
      complexity: "O(1)",
      run: ConnectionCommands.select)
  }
}
