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
    .msPlan, "ms_plan", arity: -1, [.noScript, .stale], [.admin, .dangerous], since: "0.1.0",
    summary: "Show what a sync would cost, by every way there is, without starting it",
    complexity: "O(F) where F is the number of files",
    tips: [.anyOutput])
  table.command(
    .msSlaves, "ms_slaves", arity: 1, [.noScript, .loading, .stale], [.admin, .dangerous], since: "0.1.0",
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
}
