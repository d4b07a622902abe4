// As Redis 7.0.15 reports them with COMMAND INFO and COMMAND DOCS. Read and write, fast and slow, admin and dangerous
// follow from the flags and are not repeated among the categories.

import Commands

/// Who has the commands about the row: the server, and a node of the simulator.
package protocol RowHost: ServerServices {
  var rowCommands: RowCommands { get }
}

extension HostFunctions<RowCommands> {
  /// The methods of what the host has for the row.
  init() {
    self.init { executor in
      guard let host = executor.services as? any RowHost else { preconditionFailure("a command of a row on no node") }
      return host.rowCommands
    }
  }
}

extension CommandRows {
  /// The commands about the row and its nodes.
  package mutating func addRowCommands() {
    addReplicationCommands()
    addPacelineCommands()
  }

  /// Redis's commands about replication.
  private mutating func addReplicationCommands() {
    let row = HostFunctions<RowCommands>()
    group = .generic
    command(
      "wait", arity: 3, [.noScript, .inPlace], [.connection], since: "3.0.0",
      summary: """
        Wait for the synchronous replication of all the write commands sent in the context of the current connection
        """,
      complexity: "O(1)",
      tips: [.allShards, .minimum],
      run: row(RowCommands.wait))
    group = .server
    command(
      "replicaof", arity: 3, [.admin, .noScript, .stale, .noAsyncLoading, .waits], [], since: "5.0.0",
      summary: "Make the server a replica of another instance, or promote it as master.",
      complexity: "O(1)",
      run: row(RowCommands.replicaOf))
    command(
      "slaveof", arity: 3, [.admin, .noScript, .stale, .noAsyncLoading, .waits], [], since: "1.0.0",
      summary: "Make the server a replica of another instance, or promote it as master.",
      complexity: "O(1)",
      deprecated: "5.0.0", replacedBy: "`REPLICAOF`",
      run: row(RowCommands.replicaOf))
    command(
      "role", arity: 1, [.noScript, .loading, .stale, .fast, .waits], [.admin, .dangerous], since: "2.8.12",
      summary: "Return the role of the instance in the context of replication",
      complexity: "O(1)",
      run: row(RowCommands.role))
    command(
      "failover", arity: -1, [.admin, .noScript, .stale, .neverQueued], [], since: "6.2.0",
      summary: "Start a coordinated failover between a server and one of its replicas.",
      complexity: "O(1)",
      run: row(RowCommands.failOver))
  }

  /// What Redis does not have: positions to wait for, slaves, voters, data sets, and what nodes ask each other.
  private mutating func addPacelineCommands() {
    let row = HostFunctions<RowCommands>()
    group = .server
    command(
      "waitlsn", arity: 3, [.noScript, .blocking, .inPlace], [.connection], since: "0.1.0",
      summary: "Wait until this node shows a position of the log, or a timeout in milliseconds",
      complexity: "O(1)",
      run: row(RowCommands.waitLSN))
    command(
      "waitaof", arity: 4, [.noScript, .blocking, .inPlace], [.connection], since: "0.1.0",
      summary:
        "Wait until this node and so many slaves have the connection's writes on disk, or a timeout in milliseconds",
      complexity: "O(1)",
      run: row(RowCommands.waitDisks))
    command(
      "promote", arity: -1, [.admin, .noScript, .stale, .noMulti], [.dangerous], since: "0.1.0",
      summary: "PROMOTE [FORCE]: make this slave the master because its master is gone",
      complexity: "O(N) where N is the number of nodes that are asked",
      run: row(RowCommands.promote))
    command(
      "ms_plan", arity: -1, [.noScript, .stale, .waits], [.admin, .dangerous], since: "0.1.0",
      summary: "Show what a sync would cost, by every way there is, without starting it",
      complexity: "O(F) where F is the number of files",
      tips: [.anyOutput],
      run: row(RowCommands.plan))
    command(
      "ms_slaves", arity: 1, [.noScript, .loading, .stale, .waits], [.admin, .dangerous], since: "0.1.0",
      summary: "List the slaves that this node knows, with their states and lags",
      complexity: "O(S) where S is the number of slaves",
      tips: [.anyOutput],
      run: row(RowCommands.slaves))
    command(
      "ms_voter", arity: -3, [.admin, .noScript, .noMulti], [.dangerous], since: "0.1.0",
      summary: "MS_VOTER id [id ...] yes|no [FORCE]: add nodes to those that count for a quorum, or take them out",
      complexity: "O(1)",
      run: row(RowCommands.changeVoter))
    command(
      "ms_new_data_set", arity: 1, [.admin, .noScript, .stale, .noMulti], [.dangerous], since: "0.1.0",
      summary: "Decide that this master's data set counts although other nodes hold another: it takes writes again",
      complexity: "O(1)",
      run: row(RowCommands.declareDataSet))
    command(
      "ms_replaced", arity: -1, [.admin, .noScript, .stale, .noMulti], [.dangerous], since: "0.1.0",
      summary: "MS_REPLACED LIST, MS_REPLACED REMOVE name|ALL: data that this node gave up and keeps aside",
      complexity: "O(N) where N is the number of files that are removed",
      run: row(RowCommands.replaced))
    command(
      "ms_register_slave", arity: -2, [.admin, .noScript, .stale, .noMulti], [], since: "0.1.0",
      summary: "Internal command by which a slave makes itself known to its master",
      complexity: "O(S) where S is the number of slaves",
      isSystem: true,
      run: row(RowCommands.registerSlave))
    command(
      "ms_sync_slave", arity: -2, [.admin, .noScript, .stale, .noMulti], [], since: "0.1.0",
      summary: "Internal command by which a slave asks to be brought up to date and then follows the log",
      complexity: "O(N) where N is the number of bytes that the slave misses",
      isSystem: true,
      run: row(RowCommands.syncSlave))
    command(
      "ms_vote", arity: -2, [.admin, .noScript, .stale, .noMulti], [], since: "0.1.0",
      summary: "Internal command by which a node asks another for its vote",
      complexity: "O(1)", isSystem: true,
      run: row(RowCommands.vote))
    command(
      "ms_state", arity: -1, [.admin, .noScript, .stale, .noMulti], [], since: "0.1.0",
      summary: "Internal command by which a node asks another for its role and position",
      complexity: "O(1)", isSystem: true,
      run: row(RowCommands.state))
    command(
      "ms_new_master", arity: -2, [.admin, .noScript, .stale, .noMulti], [], since: "0.1.0",
      summary: "Internal command by which a new master makes itself known",
      complexity: "O(1)", isSystem: true,
      run: row(RowCommands.newMaster))
    command(
      "ms_fetch_records", arity: 4, [.admin, .noScript, .stale, .noMulti], [], since: "0.1.0",
      summary: "Internal command by which a node fetches records whose own copies are damaged",
      complexity: "O(N) where N is the number of records in the range",
      isSystem: true,
      run: row(RowCommands.fetchRecords))
    command(
      "ms_digest_partitions", arity: 4, [.admin, .noScript, .stale, .noMulti], [], since: "0.1.0",
      summary: "Internal command by which a slave whose digest differs finds the partitions that do",
      complexity: "O(P) where P is the number of partitions of the key index",
      isSystem: true,
      run: row(RowCommands.digestPartitions))
    command(
      "ms_partition_records", arity: 5, [.admin, .noScript, .stale, .noMulti], [], since: "0.1.0",
      summary: "Internal command by which a slave compares the records of a partition that differs",
      complexity: "O(N) where N is the number of records in the partition",
      isSystem: true,
      run: row(RowCommands.partitionRecords))
    command(
      "ms_forward", arity: -2, [.admin, .noScript, .loading, .stale, .noMulti], [], since: "0.1.0",
      summary: "Internal command by which a node says that a connection carries what its client asked for",
      complexity: "O(1)",
      isSystem: true,
      run: row(RowCommands.forwards))
  }
}
