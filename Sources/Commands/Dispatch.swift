import RESP

extension Executor {
  /// From a command to its function, by family.
  func dispatch(_ command: Command, _ arguments: borrowing ArgumentList, _ session: Session) throws(CommandFailure)
    -> Outcome
  {
    switch command {
    case .get, .set, .setnx, .setex, .psetex, .getset, .getdel, .getex, .mget, .mset, .msetnx, .append, .strlen,
      .getrange,
      .substr, .setrange, .incr, .decr, .incrby, .decrby, .incrbyfloat, .lcs:
      try stringCommand(command, arguments, session)
    case .getbit, .setbit, .bitcount, .bitpos, .bitop:
      try bitCommand(command, arguments, session)
    case .object, .move, .del, .unlink, .exists, .touch, .type, .keys, .scan, .randomkey, .rename, .renamenx, .copy,
      .dbsize, .flushdb, .flushall, .swapdb:
      try keyspaceCommand(command, arguments, session)
    case .expire, .pexpire, .expireat, .pexpireat, .ttl, .pttl, .expiretime, .pexpiretime, .persist:
      try expiryCommand(command, arguments, session)
    case .multi, .exec, .discard, .watch, .unwatch:
      return try transactionCommand(command, arguments, session)
    case .ping, .echo, .quit, .reset, .hello, .auth, .select:
      try connectionCommand(command, arguments, session)
    case .commit: try commitCommand(arguments, session)
    case .table: try tableCommand(arguments, session)
    case .read: try readCommand(arguments, session)
    case .wait, .waitlsn, .lastlsn, .digest, .client, .command, .config, .info, .time, .lastsave, .memory, .slowlog,
      .latency, .debug, .shutdown, .save, .bgsave, .replicaof, .slaveof, .role, .monitor, .bgrewriteaof,
      .msRegisterSlave,
      .msSyncSlave, .msPlan, .msSlaves, .msFetchRecords, .compact, .scrub, .waitaof, .failover, .promote, .msVoter,
      .msVote,
      .msState, .msNewMaster, .msDigestPartitions, .msPartitionRecords, .msNewDataSet, .msReplaced,
      .msForward:
      releaseLock()
      return try services.serve(command, arguments, self, session)
    }
    return .done
  }

  /// What the server answers, and not the executor.
  static func isServed(_ command: Command) -> Bool {
    switch command {
    case .wait, .waitlsn, .lastlsn, .digest, .client, .command, .config, .info, .time, .lastsave, .memory, .slowlog,
      .latency, .debug, .shutdown, .save, .bgsave, .replicaof, .slaveof, .role, .monitor, .bgrewriteaof,
      .msRegisterSlave,
      .msSyncSlave, .msPlan, .msSlaves, .msFetchRecords, .compact, .scrub, .waitaof, .failover, .promote, .msVoter,
      .msVote,
      .msState, .msNewMaster, .msDigestPartitions, .msPartitionRecords, .msForward:
      true
    default: false
    }
  }
}
