/// Every command that Paceline answers, by its number in the tables.
///
/// The names, arities and flags are in `Tables`; `CommandLookup.find` turns a client's bytes into a case.
public enum Command: UInt8, CaseIterable, Sendable {
  // string
  case get, set, setnx, setex, psetex, getset, getdel, getex, mget, mset, msetnx, append, strlen, getrange
  case substr, setrange, incr, decr, incrby, decrby, incrbyfloat, lcs
  // bitmap
  case getbit, setbit, bitcount, bitpos, bitop
  // generic
  case object, move, del, unlink, exists, touch, type, keys, scan, randomkey, rename, renamenx, copy, expire
  case pexpire, expireat, pexpireat, ttl, pttl, expiretime, pexpiretime, persist, wait
  // transactions
  case multi, exec, discard, watch, unwatch
  // connection
  case ping, echo, quit, reset, hello, auth, select, client
  // server
  case command, config, info, dbsize, time, lastsave, memory, slowlog, latency, debug, shutdown, save
  case bgsave, flushdb, flushall, swapdb, replicaof, slaveof, role, monitor, bgrewriteaof
  // Paceline's own
  case digest, lastlsn, waitlsn, msRegisterSlave, msSyncSlave, msPlan, msSlaves, msFetchRecords, compact, scrub
  case commit, table, read, waitaof, failover, promote, msVoter, msVote, msState, msNewMaster
  case msDigestPartitions, msPartitionRecords, msNewDataSet, msReplaced, msForward
}

/// The second word of the commands that have one: `configGet` is `CONFIG GET`.
public enum Subcommand: UInt8, CaseIterable, Sendable {
  case clientCaching, clientGetname, clientGetredir, clientHelp, clientId, clientInfo, clientKill
  case clientList, clientNoEvict, clientPause, clientReply, clientSetname, clientTracking
  case clientTrackinginfo, clientUnblock, clientUnpause
  // Newer than Redis 7.0; client libraries send them when they connect.
  case clientSetinfo, clientNoTouch
  case commandCount, commandDocs, commandGetkeys, commandGetkeysandflags, commandHelp, commandInfo
  case commandList
  case configGet, configHelp, configResetstat, configRewrite, configSet
  case memoryDoctor, memoryHelp, memoryMallocStats, memoryPurge, memoryStats, memoryUsage
  case objectEncoding, objectFreq, objectHelp, objectIdletime, objectRefcount
  case slowlogGet, slowlogHelp, slowlogLen, slowlogReset
  case latencyDoctor, latencyGraph, latencyHelp, latencyHistogram, latencyHistory, latencyLatest
  case latencyReset
}
