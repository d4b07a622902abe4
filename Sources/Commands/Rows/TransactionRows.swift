// As Redis 7.0.15 reports them with COMMAND INFO and COMMAND DOCS. Read and write, fast and slow, admin and dangerous
// follow from the flags and are not repeated among the categories.

extension CommandRows {
  /// MULTI and what belongs to it.
  mutating func addTransactionCommands() {
    group = .transactions
    command(
      "multi", arity: 1, [.noScript, .loading, .stale, .fast, .allowBusy, .atOnce], [.transaction], since: "1.2.0",
      summary: "Mark the start of a transaction block",
      complexity: "O(1)",
      run: TransactionCommands.begin)
    command(
      "exec", arity: 1, [.noScript, .loading, .stale, .skipSlowlog, .atOnce, .runsQueue, .endsTransaction],
      [.transaction], since: "1.2.0",
      summary: "Execute all commands issued after MULTI",
      complexity: "Depends on commands in the transaction",
      run: .mayWait(TransactionCommands.execute))
    command(
      "discard", arity: 1, [.noScript, .loading, .stale, .fast, .allowBusy, .atOnce, .unwatches, .endsTransaction],
      [.transaction], since: "2.0.0",
      summary: "Discard all commands issued after MULTI",
      complexity: "O(N), when N is the number of queued commands",
      run: TransactionCommands.discard)
    command(
      "watch", arity: -2, [.noScript, .loading, .stale, .fast, .allowBusy, .atOnce, .watches], [.transaction],
      since: "2.2.0",
      summary: "Watch the given keys to determine execution of the MULTI/EXEC block",
      complexity: "O(1) for every key.",
      keys: [.keys(1, last: -1, step: 1, [.ro])],
      run: TransactionCommands.watch)
    command(
      "unwatch", arity: 1, [.noScript, .loading, .stale, .fast, .allowBusy, .unwatches, .anyNode], [.transaction],
      since: "2.2.0",
      summary: "Forget about all watched keys",
      complexity: "O(1)",
      run: TransactionCommands.unwatch)
  }
}
