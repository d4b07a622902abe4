extension CommandRows {
  /// What Redis does not have: commit levels and bounds on staleness.
  mutating func addLevelCommands() {
    group = .server
    command(
      "commit", arity: -2, [.noScript, .loading, .stale, .fast, .changesLevel], [.connection], since: "0.1.0",
      summary: "COMMIT LEVEL [async|fullsync[:n]|quorum|default]: show or raise when this connection's writes are good",
      complexity: "O(1)",
      run: LevelCommands.commit)
    command(
      "table", arity: -2, [.noScript, .stale, .changesLevel], [.admin, .dangerous], since: "0.1.0",
      summary: "TABLE SET db COMMIT async|fullsync|quorum|default, TABLE LIST: show or raise a database's commit level",
      complexity: "O(1)",
      run: LevelCommands.table)
    command(
      "read", arity: -2, [.noScript, .loading, .stale, .fast], [.connection], since: "0.1.0",
      summary: "READ MAXLAG n ms|records, READ MAXLAG off: bound how old what this connection reads on a slave may be",
      complexity: "O(1)",
      run: LevelCommands.read)
  }
}
