// As Redis 7.0.15 reports them with COMMAND INFO and COMMAND DOCS. Read and write, fast and slow, admin and dangerous
// follow from the flags and are not repeated among the categories.

/// Commands about keys of any type.
func defineGenericCommands(_ table: inout CommandDefinitions) {
  table.group = .generic
  table.command(
    .object, "object", arity: -2, [], [], since: "2.2.3",
    summary: "A container for object introspection commands",
    complexity: "Depends on subcommand.")
  table.subcommand(
    .objectEncoding, "object|encoding", arity: 3, [.readonly], [.keyspace], since: "2.2.3",
    summary: "Inspect the internal encoding of a Redis object",
    complexity: "O(1)",
    keys: [.key(2, [.ro])],
    tips: [.anyOutput])
  table.subcommand(
    .objectFreq, "object|freq", arity: 3, [.readonly], [.keyspace], since: "4.0.0",
    summary: "Get the logarithmic access frequency counter of a Redis object",
    complexity: "O(1)",
    keys: [.key(2, [.ro])],
    tips: [.anyOutput])
  table.subcommand(
    .objectHelp, "object|help", arity: 2, [.loading, .stale], [.keyspace], since: "6.2.0",
    summary: "Show helpful text about the different subcommands",
    complexity: "O(1)")
  table.subcommand(
    .objectIdletime, "object|idletime", arity: 3, [.readonly], [.keyspace], since: "2.2.3",
    summary: "Get the time since a Redis object was last accessed",
    complexity: "O(1)",
    keys: [.key(2, [.ro])],
    tips: [.anyOutput])
  table.subcommand(
    .objectRefcount, "object|refcount", arity: 3, [.readonly], [.keyspace], since: "2.2.3",
    summary: "Get the number of references to the value of the key",
    complexity: "O(1)",
    keys: [.key(2, [.ro])],
    tips: [.anyOutput])
  table.command(
    .move, "move", arity: 3, [.write, .fast], [.keyspace], since: "1.0.0",
    summary: "Move a key to another database",
    complexity: "O(1)",
    keys: [.key(1, [.rw, .access, .update])])
  table.command(
    .del, "del", arity: -2, [.write], [.keyspace], since: "1.0.0",
    summary: "Delete a key",
    complexity: """
      O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than a string, \
      the individual complexity for this key is O(M) where M is the number of elements in the list, set, sorted set or \
      hash. Removing a single key that holds a string value is O(1).
      """,
    keys: [.keys(1, last: -1, step: 1, [.rm, .delete])],
    tips: [.multiShard, .sum])
  table.command(
    .unlink, "unlink", arity: -2, [.write, .fast], [.keyspace], since: "4.0.0",
    summary: "Delete a key asynchronously in another thread. Otherwise it is just as DEL, but non blocking.",
    complexity: """
      O(1) for each key removed regardless of its size. Then the command does O(N) work in a different thread in order \
      to reclaim memory, where N is the number of allocations the deleted objects where composed of.
      """,
    keys: [.keys(1, last: -1, step: 1, [.rm, .delete])],
    tips: [.multiShard, .sum])
  table.command(
    .exists, "exists", arity: -2, [.readonly, .fast], [.keyspace], since: "1.0.0",
    summary: "Determine if a key exists",
    complexity: "O(N) where N is the number of keys to check.",
    keys: [.keys(1, last: -1, step: 1, [.ro])],
    tips: [.multiShard, .sum])
  table.command(
    .touch, "touch", arity: -2, [.readonly, .fast], [.keyspace], since: "3.2.1",
    summary: "Alters the last access time of a key(s). Returns the number of existing keys specified.",
    complexity: "O(N) where N is the number of keys that will be touched.",
    keys: [.keys(1, last: -1, step: 1, [.ro])],
    tips: [.multiShard, .sum])
  table.command(
    .type, "type", arity: 2, [.readonly, .fast], [.keyspace], since: "1.0.0",
    summary: "Determine the type stored at key",
    complexity: "O(1)",
    keys: [.key(1, [.ro])])
  table.command(
    .keys, "keys", arity: 2, [.readonly], [.keyspace, .dangerous], since: "1.0.0",
    summary: "Find all keys matching the given pattern",
    complexity: """
      O(N) with N being the number of keys in the database, under the assumption that the key names in the database \
      and the given pattern have limited length.
      """,
    tips: [.allShards, .anyOrder])
  table.command(
    .scan, "scan", arity: -2, [.readonly], [.keyspace], since: "2.8.0",
    summary: "Incrementally iterate the keys space",
    complexity: """
      O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back \
      to 0. N is the number of elements inside the collection.
      """,
    tips: [.anyOutput, .specialRequest])
  table.command(
    .randomkey, "randomkey", arity: 1, [.readonly], [.keyspace], since: "1.0.0",
    summary: "Return a random key from the keyspace",
    complexity: "O(1)",
    tips: [.allShards, .anyOutput])
  table.command(
    .rename, "rename", arity: 3, [.write], [.keyspace], since: "1.0.0",
    summary: "Rename a key",
    complexity: "O(1)",
    keys: [.key(1, [.rw, .access, .delete]), .key(2, [.ow, .update])])
  table.command(
    .renamenx, "renamenx", arity: 3, [.write, .fast], [.keyspace], since: "1.0.0",
    summary: "Rename a key, only if the new key does not exist",
    complexity: "O(1)",
    keys: [.key(1, [.rw, .access, .delete]), .key(2, [.ow, .insert])])
  table.command(
    .copy, "copy", arity: -3, [.write, .denyOOM], [.keyspace], since: "6.2.0",
    summary: "Copy a key",
    complexity: "O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
    keys: [.key(1, [.ro, .access]), .key(2, [.ow, .update])])
  table.command(
    .expire, "expire", arity: -3, [.write, .fast], [.keyspace], since: "1.0.0",
    summary: "Set a key's time to live in seconds",
    complexity: "O(1)",
    keys: [.key(1, [.rw, .update])])
  table.command(
    .pexpire, "pexpire", arity: -3, [.write, .fast], [.keyspace], since: "2.6.0",
    summary: "Set a key's time to live in milliseconds",
    complexity: "O(1)",
    keys: [.key(1, [.rw, .update])])
  table.command(
    .expireat, "expireat", arity: -3, [.write, .fast], [.keyspace], since: "1.2.0",
    summary: "Set the expiration for a key as a UNIX timestamp",
    complexity: "O(1)",
    keys: [.key(1, [.rw, .update])])
  table.command(
    .pexpireat, "pexpireat", arity: -3, [.write, .fast], [.keyspace], since: "2.6.0",
    summary: "Set the expiration for a key as a UNIX timestamp specified in milliseconds",
    complexity: "O(1)",
    keys: [.key(1, [.rw, .update])])
  table.command(
    .ttl, "ttl", arity: 2, [.readonly, .fast], [.keyspace], since: "1.0.0",
    summary: "Get the time to live for a key in seconds",
    complexity: "O(1)",
    keys: [.key(1, [.ro, .access])],
    tips: [.anyOutput])
  table.command(
    .pttl, "pttl", arity: 2, [.readonly, .fast], [.keyspace], since: "2.6.0",
    summary: "Get the time to live for a key in milliseconds",
    complexity: "O(1)",
    keys: [.key(1, [.ro, .access])],
    tips: [.anyOutput])
  table.command(
    .expiretime, "expiretime", arity: 2, [.readonly, .fast], [.keyspace], since: "7.0.0",
    summary: "Get the expiration Unix timestamp for a key",
    complexity: "O(1)",
    keys: [.key(1, [.ro, .access])])
  table.command(
    .pexpiretime, "pexpiretime", arity: 2, [.readonly, .fast], [.keyspace], since: "7.0.0",
    summary: "Get the expiration Unix timestamp for a key in milliseconds",
    complexity: "O(1)",
    keys: [.key(1, [.ro, .access])])
  table.command(
    .persist, "persist", arity: 2, [.write, .fast], [.keyspace], since: "2.2.0",
    summary: "Remove the expiration from a key",
    complexity: "O(1)",
    keys: [.key(1, [.rw, .update])])
  table.command(
    .wait, "wait", arity: 3, [.noScript], [.connection], since: "3.0.0",
    summary: """
      Wait for the synchronous replication of all the write commands sent in the context of the current connection
      """,
    complexity: "O(1)",
    tips: [.allShards, .minimum])
}

/// `MULTI` and what belongs to it.
func defineTransactionCommands(_ table: inout CommandDefinitions) {
  table.group = .transactions
  table.command(
    .multi, "multi", arity: 1, [.noScript, .loading, .stale, .fast, .allowBusy], [.transaction], since: "1.2.0",
    summary: "Mark the start of a transaction block",
    complexity: "O(1)")
  table.command(
    .exec, "exec", arity: 1, [.noScript, .loading, .stale, .skipSlowlog], [.transaction], since: "1.2.0",
    summary: "Execute all commands issued after MULTI",
    complexity: "Depends on commands in the transaction")
  table.command(
    .discard, "discard", arity: 1, [.noScript, .loading, .stale, .fast, .allowBusy], [.transaction], since: "2.0.0",
    summary: "Discard all commands issued after MULTI",
    complexity: "O(N), when N is the number of queued commands")
  table.command(
    .watch, "watch", arity: -2, [.noScript, .loading, .stale, .fast, .allowBusy], [.transaction], since: "2.2.0",
    summary: "Watch the given keys to determine execution of the MULTI/EXEC block",
    complexity: "O(1) for every key.",
    keys: [.keys(1, last: -1, step: 1, [.ro])])
  table.command(
    .unwatch, "unwatch", arity: 1, [.noScript, .loading, .stale, .fast, .allowBusy], [.transaction], since: "2.2.0",
    summary: "Forget about all watched keys",
    complexity: "O(1)")
}
