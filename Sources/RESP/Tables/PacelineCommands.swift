/// What Redis does not have: positions in the log, and the slaves' side of replication.
func definePacelineCommands(_ table: inout CommandDefinitions) {
  table.group = .server
  table.command(
    .digest, "digest", arity: -1, [.readonly], [], since: "0.1.0",
    summary: "Return the digest of each key range at one position of the log",
    complexity: "O(P) where P is the number of partitions of the key index",
    tips: [.anyOutput])
  table.command(
    .lastlsn, "lastlsn", arity: 1, [.loading, .stale, .fast], [], since: "0.1.0",
    summary: "Return the position of the connection's last write, to be waited for elsewhere",
    complexity: "O(1)",
    tips: [.anyOutput])
  table.command(
    .waitlsn, "waitlsn", arity: 3, [.noScript, .blocking], [.connection], since: "0.1.0",
    summary: "Wait until this node shows a position of the log, or a timeout in milliseconds",
    complexity: "O(1)")
  table.command(
    .msRegisterSlave, "ms_register_slave", arity: -2, [.admin, .noScript, .stale, .noMulti], [], since: "0.1.0",
    summary: "Internal command by which a slave makes itself known to its master",
    complexity: "O(S) where S is the number of slaves",
    isSystem: true)
  table.command(
    .msSyncSlave, "ms_sync_slave", arity: -2, [.admin, .noScript, .stale, .noMulti], [], since: "0.1.0",
    summary: "Internal command by which a slave asks to be brought up to date and then follows the log",
    complexity: "O(N) where N is the number of bytes that the slave misses",
    isSystem: true)
  table.command(
    .msPlan, "ms_plan", arity: -1, [.noScript, .stale, .waits], [.admin, .dangerous], since: "0.1.0",
    summary: "Show what a sync would cost, by every way there is, without starting it",
    complexity: "O(F) where F is the number of files",
    tips: [.anyOutput])
  table.command(
    .msSlaves, "ms_slaves", arity: 1, [.noScript, .loading, .stale, .waits], [.admin, .dangerous], since: "0.1.0",
    summary: "List the slaves that this node knows, with their states and lags",
    complexity: "O(S) where S is the number of slaves",
    tips: [.anyOutput])
  table.command(
    .compact, "compact", arity: -1, [.admin, .noScript, .noMulti], [.dangerous], since: "0.1.0",
    summary: "Rewrite the log without what is dead, and wait until it is done",
    complexity: "O(N) where N is the number of bytes on disk",
    tips: [.anyOutput])
  table.command(
    .msFetchRecords, "ms_fetch_records", arity: 4, [.admin, .noScript, .stale, .noMulti], [], since: "0.1.0",
    summary: "Internal command by which a node fetches records whose own copies are damaged",
    complexity: "O(N) where N is the number of records in the range",
    isSystem: true)
  table.command(
    .scrub, "scrub", arity: 1, [.admin, .noScript, .noMulti, .stale], [.dangerous], since: "0.1.0",
    summary: "Check every sealed file of the log now, repair what another node has, and wait until it is done",
    complexity: "O(N) where N is the number of bytes on disk",
    tips: [.anyOutput])
  table.command(
    .msDigestPartitions, "ms_digest_partitions", arity: 4, [.admin, .noScript, .stale, .noMulti], [], since: "0.1.0",
    summary: "Internal command by which a slave whose digest differs finds the partitions that do",
    complexity: "O(P) where P is the number of partitions of the key index",
    isSystem: true)
  table.command(
    .msPartitionRecords, "ms_partition_records", arity: 5, [.admin, .noScript, .stale, .noMulti], [], since: "0.1.0",
    summary: "Internal command by which a slave compares the records of a partition that differs",
    complexity: "O(N) where N is the number of records in the partition",
    isSystem: true)
  definePacelineCommitCommands(&table)
}

/// What Redis does not have: commit levels, bounds on staleness, and who is the master.
private func definePacelineCommitCommands(_ table: inout CommandDefinitions) {
  table.command(
    .commit, "commit", arity: -2, [.noScript, .loading, .stale, .fast], [.connection], since: "0.1.0",
    summary: "COMMIT LEVEL [async|fullsync[:n]|quorum|default]: show or raise when this connection's writes are good",
    complexity: "O(1)")
  table.command(
    .table, "table", arity: -2, [.noScript, .stale], [.admin, .dangerous], since: "0.1.0",
    summary: "TABLE SET db COMMIT async|fullsync|quorum|default, TABLE LIST: show or raise a database's commit level",
    complexity: "O(1)")
  table.command(
    .read, "read", arity: -2, [.noScript, .loading, .stale, .fast], [.connection], since: "0.1.0",
    summary: "READ MAXLAG n ms|records, READ MAXLAG off: bound how old what this connection reads on a slave may be",
    complexity: "O(1)")
  table.command(
    .waitaof, "waitaof", arity: 4, [.noScript, .blocking], [.connection], since: "0.1.0",
    summary:
      "Wait until this node and so many slaves have the connection's writes on disk, or a timeout in milliseconds",
    complexity: "O(1)")
  table.command(
    .promote, "promote", arity: -1, [.admin, .noScript, .stale, .noMulti], [.dangerous], since: "0.1.0",
    summary: "PROMOTE [FORCE]: make this slave the master because its master is gone",
    complexity: "O(N) where N is the number of nodes that are asked")
  table.command(
    .msVoter, "ms_voter", arity: -3, [.admin, .noScript, .noMulti], [.dangerous], since: "0.1.0",
    summary: "MS_VOTER id [id ...] yes|no [FORCE]: add nodes to those that count for a quorum, or take them out",
    complexity: "O(1)")
  table.command(
    .msNewDataSet, "ms_new_data_set", arity: 1, [.admin, .noScript, .stale, .noMulti], [.dangerous], since: "0.1.0",
    summary: "Decide that this master's data set counts although other nodes hold another: it takes writes again",
    complexity: "O(1)")
  table.command(
    .msReplaced, "ms_replaced", arity: -1, [.admin, .noScript, .stale, .noMulti], [.dangerous], since: "0.1.0",
    summary: "MS_REPLACED LIST, MS_REPLACED REMOVE name|ALL: data that this node gave up and keeps aside",
    complexity: "O(N) where N is the number of files that are removed")
  table.command(
    .msVote, "ms_vote", arity: -2, [.admin, .noScript, .stale, .noMulti], [], since: "0.1.0",
    summary: "Internal command by which a node asks another for its vote",
    complexity: "O(1)", isSystem: true)
  table.command(
    .msState, "ms_state", arity: -1, [.admin, .noScript, .stale, .noMulti], [], since: "0.1.0",
    summary: "Internal command by which a node asks another for its role and position",
    complexity: "O(1)", isSystem: true)
  table.command(
    .msNewMaster, "ms_new_master", arity: -2, [.admin, .noScript, .stale, .noMulti], [], since: "0.1.0",
    summary: "Internal command by which a new master makes itself known",
    complexity: "O(1)", isSystem: true)
  table.command(
    .msForward, "ms_forward", arity: -2, [.admin, .noScript, .loading, .stale, .noMulti], [], since: "0.1.0",
    summary: "Internal command by which a node says that a connection carries what its client asked for",
    complexity: "O(1)", isSystem: true)
  table.group = .server
  table.command(
    .failover, "failover", arity: -1, [.admin, .noScript, .stale], [], since: "6.2.0",
    summary: "Start a coordinated failover between a server and one of its replicas.",
    complexity: "O(1)")
}
