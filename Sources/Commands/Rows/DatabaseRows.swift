// As Redis 7.0.15 reports them with COMMAND INFO and COMMAND DOCS. Read and write, fast and slow, admin and dangerous
// follow from the flags and are not repeated among the categories.

extension CommandRows {
  /// Commands about whole databases.
  mutating func addDatabaseCommands() {
    group = .server
    command(
      "dbsize", arity: 1, [.readonly, .fast], [.keyspace], since: "1.0.0",
      summary: "Return the number of keys in the selected database",
      complexity: "O(1)",
      tips: [.allShards, .sum],
      run: DatabaseCommands.size)
    command(
      "flushdb", arity: -1, [.write], [.keyspace, .dangerous], since: "1.0.0",
      summary: "Remove all keys from the current database",
      complexity: "O(N) where N is the number of keys in the selected database",
      tips: [.allShards, .allSucceeded],
      run: DatabaseCommands.flush)
    command(
      "flushall", arity: -1, [.write], [.keyspace, .dangerous], since: "1.0.0",
      summary: "Remove all keys from all databases",
      complexity: "O(N) where N is the total number of keys in all databases",
      tips: [.allShards, .allSucceeded],
      run: DatabaseCommands.flushAll)
    command(
      "swapdb", arity: 3, [.write, .fast], [.keyspace, .dangerous], since: "4.0.0",
      summary: "Swaps two Redis databases",
      complexity: "O(N) where N is the count of clients watching or blocking on keys from both databases.",
      run: DatabaseCommands.swap)
  }
}
