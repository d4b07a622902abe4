// As Redis 7.0.15 reports them with COMMAND INFO and COMMAND DOCS. Read and write, fast and slow, admin and dangerous
// follow from the flags and are not repeated among the categories.

extension CommandRows {
  /// Commands about keys of any type.
  mutating func addGenericCommands() {
    group = .generic
    command(
      "object", arity: -2, [], [], since: "2.2.3",
      summary: "A container for object introspection commands",
      complexity: "Depends on subcommand.",
      run: .container)
    subcommand(
      "object|encoding", arity: 3, [.readonly], [.keyspace], since: "2.2.3",
      summary: "Inspect the internal encoding of a Redis object",
      complexity: "O(1)",
      keys: [.key(2, [.ro])],
      tips: [.anyOutput],
      help: """
        ENCODING <key>
            Return the kind of internal representation used in order to store the value
            associated with a <key>.
        """,
      run: ObjectCommands.encoding)
    subcommand(
      "object|freq", arity: 3, [.readonly], [.keyspace], since: "4.0.0",
      summary: "Get the logarithmic access frequency counter of a Redis object",
      complexity: "O(1)",
      keys: [.key(2, [.ro])],
      tips: [.anyOutput],
      help: """
        FREQ <key>
            Return the access frequency index of the <key>. The returned integer is
            proportional to the logarithm of the recent access frequency of the key.
        """,
      run: ObjectCommands.frequency)
    subcommand(
      "object|idletime", arity: 3, [.readonly], [.keyspace], since: "2.2.3",
      summary: "Get the time since a Redis object was last accessed",
      complexity: "O(1)",
      keys: [.key(2, [.ro])],
      tips: [.anyOutput],
      help: """
        IDLETIME <key>
            Return the idle time of the <key>, that is the approximated number of
            seconds elapsed since the last access to the key.
        """,
      run: ObjectCommands.idleTime)
    subcommand(
      "object|refcount", arity: 3, [.readonly], [.keyspace], since: "2.2.3",
      summary: "Get the number of references to the value of the key",
      complexity: "O(1)",
      keys: [.key(2, [.ro])],
      tips: [.anyOutput],
      help: """
        REFCOUNT <key>
            Return the number of references of the value associated with the specified
            <key>.
        """,
      run: ObjectCommands.references)
    subcommand(
      "object|help", arity: 2, [.loading, .stale, .anyNode], [.keyspace], since: "6.2.0",
      summary: "Show helpful text about the different subcommands",
      complexity: "O(1)",
      run: .help)
    command(
      "move", arity: 3, [.write, .fast], [.keyspace], since: "1.0.0",
      summary: "Move a key to another database",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .access, .update])],
      run: CarryCommands.move)
    command(
      "dump", arity: 2, [.readonly], [.keyspace], since: "2.6.0",
      summary: "Return a serialized version of the value stored at the specified key.",
      complexity: """
        O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis objects composing \
        the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is \
        small, so simply O(1).
        """,
      keys: [.key(1, [.ro, .access])],
      tips: [.anyOutput],
      run: DumpCommands.dump)
    command(
      "restore", arity: -4, [.write, .denyOOM], [.keyspace, .dangerous], since: "2.6.0",
      summary: "Create a key using the provided serialized value, previously obtained using DUMP.",
      complexity: """
        O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is the number of \
        Redis objects composing the value and M their average size. For small string values the time complexity is thus \
        O(1)+O(1*M) where M is small, so simply O(1). However for sorted set values the complexity is O(N*M*log(N)) \
        because inserting values into sorted sets is O(log(N)).
        """,
      keys: [.key(1, [.ow, .update])],
      run: DumpCommands.restore)
    command(
      "del", arity: -2, [.write], [.keyspace], since: "1.0.0",
      summary: "Delete a key",
      complexity: """
        O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than a string, \
        the individual complexity for this key is O(M) where M is the number of elements in the list, set, sorted set or \
        hash. Removing a single key that holds a string value is O(1).
        """,
      keys: [.keys(1, last: -1, step: 1, [.rm, .delete])],
      tips: [.multiShard, .sum],
      run: KeyCommands.delete)
    command(
      "unlink", arity: -2, [.write, .fast], [.keyspace], since: "4.0.0",
      summary: "Delete a key asynchronously in another thread. Otherwise it is just as DEL, but non blocking.",
      complexity: """
        O(1) for each key removed regardless of its size. Then the command does O(N) work in a different thread in order \
        to reclaim memory, where N is the number of allocations the deleted objects where composed of.
        """,
      keys: [.keys(1, last: -1, step: 1, [.rm, .delete])],
      tips: [.multiShard, .sum],
      run: KeyCommands.delete)
    command(
      "exists", arity: -2, [.readonly, .fast], [.keyspace], since: "1.0.0",
      summary: "Determine if a key exists",
      complexity: "O(N) where N is the number of keys to check.",
      keys: [.keys(1, last: -1, step: 1, [.ro])],
      tips: [.multiShard, .sum],
      run: KeyCommands.countExisting)
    command(
      "touch", arity: -2, [.readonly, .fast], [.keyspace], since: "3.2.1",
      summary: "Alters the last access time of a key(s). Returns the number of existing keys specified.",
      complexity: "O(N) where N is the number of keys that will be touched.",
      keys: [.keys(1, last: -1, step: 1, [.ro])],
      tips: [.multiShard, .sum],
      run: KeyCommands.countExisting)
    command(
      "type", arity: 2, [.readonly, .fast], [.keyspace], since: "1.0.0",
      summary: "Determine the type stored at key",
      complexity: "O(1)",
      keys: [.key(1, [.ro])],
      run: KeyCommands.type)
    command(
      "keys", arity: 2, [.readonly], [.keyspace, .dangerous], since: "1.0.0",
      summary: "Find all keys matching the given pattern",
      complexity: """
        O(N) with N being the number of keys in the database, under the assumption that the key names in the database \
        and the given pattern have limited length.
        """,
      tips: [.allShards, .anyOrder],
      run: ScanCommands.list)
    command(
      "scan", arity: -2, [.readonly, .nodeBound], [.keyspace], since: "2.8.0",
      summary: "Incrementally iterate the keys space",
      complexity: """
        O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back \
        to 0. N is the number of elements inside the collection.
        """,
      tips: [.anyOutput, .specialRequest],
      run: ScanCommands.scan)
    command(
      "randomkey", arity: 1, [.readonly], [.keyspace], since: "1.0.0",
      summary: "Return a random key from the keyspace",
      complexity: "O(1)",
      tips: [.allShards, .anyOutput],
      run: ScanCommands.randomKey)
    command(
      "rename", arity: 3, [.write], [.keyspace], since: "1.0.0",
      summary: "Rename a key",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .access, .delete]), .key(2, [.ow, .update])],
      run: CarryCommands.rename)
    command(
      "renamenx", arity: 3, [.write, .fast], [.keyspace], since: "1.0.0",
      summary: "Rename a key, only if the new key does not exist",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .access, .delete]), .key(2, [.ow, .insert])],
      run: CarryCommands.renameIfAbsent)
    command(
      "copy", arity: -3, [.write, .denyOOM], [.keyspace], since: "6.2.0",
      summary: "Copy a key",
      complexity: "O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
      keys: [.key(1, [.ro, .access]), .key(2, [.ow, .update])],
      run: CarryCommands.copy)
    command(
      "expire", arity: -3, [.write, .fast], [.keyspace], since: "1.0.0",
      summary: "Set a key's time to live in seconds",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .update])],
      run: ExpiryCommands.expire)
    command(
      "pexpire", arity: -3, [.write, .fast], [.keyspace], since: "2.6.0",
      summary: "Set a key's time to live in milliseconds",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .update])],
      run: ExpiryCommands.expireInMilliseconds)
    command(
      "expireat", arity: -3, [.write, .fast], [.keyspace], since: "1.2.0",
      summary: "Set the expiration for a key as a UNIX timestamp",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .update])],
      run: ExpiryCommands.expireAt)
    command(
      "pexpireat", arity: -3, [.write, .fast], [.keyspace], since: "2.6.0",
      summary: "Set the expiration for a key as a UNIX timestamp specified in milliseconds",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .update])],
      run: ExpiryCommands.expireAtMilliseconds)
    command(
      "ttl", arity: 2, [.readonly, .fast], [.keyspace], since: "1.0.0",
      summary: "Get the time to live for a key in seconds",
      complexity: "O(1)",
      keys: [.key(1, [.ro, .access])],
      tips: [.anyOutput],
      run: ExpiryCommands.secondsLeft)
    command(
      "pttl", arity: 2, [.readonly, .fast], [.keyspace], since: "2.6.0",
      summary: "Get the time to live for a key in milliseconds",
      complexity: "O(1)",
      keys: [.key(1, [.ro, .access])],
      tips: [.anyOutput],
      run: ExpiryCommands.millisecondsLeft)
    command(
      "expiretime", arity: 2, [.readonly, .fast], [.keyspace], since: "7.0.0",
      summary: "Get the expiration Unix timestamp for a key",
      complexity: "O(1)",
      keys: [.key(1, [.ro, .access])],
      run: ExpiryCommands.expirySeconds)
    command(
      "pexpiretime", arity: 2, [.readonly, .fast], [.keyspace], since: "7.0.0",
      summary: "Get the expiration Unix timestamp for a key in milliseconds",
      complexity: "O(1)",
      keys: [.key(1, [.ro, .access])],
      run: ExpiryCommands.expiryMilliseconds)
    command(
      "persist", arity: 2, [.write, .fast], [.keyspace], since: "2.2.0",
      summary: "Remove the expiration from a key",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .update])],
      run: ExpiryCommands.persist)
  }
}
