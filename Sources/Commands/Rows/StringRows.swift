// As Redis 7.0.15 reports them with COMMAND INFO and COMMAND DOCS. Read and write, fast and slow, admin and dangerous
// follow from the flags and are not repeated among the categories.

extension CommandRows {
  /// Commands on string values.
  mutating func addStringCommands() {
    group = .string
    command(
      "get", arity: 2, [.readonly, .fast], [.string], since: "1.0.0",
      summary: "Get the value of a key",
      complexity: "O(1)",
      keys: [.key(1, [.ro, .access])],
      run: StringCommands.get)
    command(
      "set", arity: -3, [.write, .denyOOM, .brief], [.string], since: "1.0.0",
      summary: "Set the string value of a key",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .access, .update], varies: .set, note: "RW and ACCESS due to the optional `GET` argument")],
      run: SetCommands.set)
    command(
      "setnx", arity: 3, [.write, .denyOOM, .fast], [.string], since: "1.0.0",
      summary: "Set the value of a key, only if the key does not exist",
      complexity: "O(1)",
      keys: [.key(1, [.ow, .insert])],
      run: SetCommands.setIfAbsent)
    command(
      "setex", arity: 4, [.write, .denyOOM], [.string], since: "2.0.0",
      summary: "Set the value and expiration of a key",
      complexity: "O(1)",
      keys: [.key(1, [.ow, .update])],
      run: SetCommands.setExpiring)
    command(
      "psetex", arity: 4, [.write, .denyOOM], [.string], since: "2.6.0",
      summary: "Set the value and expiration in milliseconds of a key",
      complexity: "O(1)",
      keys: [.key(1, [.ow, .update])],
      run: SetCommands.setExpiringInMilliseconds)
    command(
      "getset", arity: 3, [.write, .denyOOM, .fast], [.string], since: "1.0.0",
      summary: "Set the string value of a key and return its old value",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .access, .update])],
      deprecated: "6.2.0", replacedBy: "`SET` with the `!GET` argument",
      run: StringCommands.getAndSet)
    command(
      "getdel", arity: 2, [.write, .fast], [.string], since: "6.2.0",
      summary: "Get the value of a key and delete the key",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .access, .delete])],
      run: StringCommands.getAndDelete)
    command(
      "getex", arity: -2, [.write, .fast], [.string], since: "6.2.0",
      summary: "Get the value of a key and optionally set its expiration",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .access, .update], note: "RW and UPDATE because it changes the TTL")],
      run: SetCommands.getAndSetExpiry)
    command(
      "mget", arity: -2, [.readonly, .fast], [.string], since: "1.0.0",
      summary: "Get the values of all the given keys",
      complexity: "O(N) where N is the number of keys to retrieve.",
      keys: [.keys(1, last: -1, step: 1, [.ro, .access])],
      tips: [.multiShard],
      run: StringCommands.getMany)
    command(
      "mset", arity: -3, [.write, .denyOOM], [.string], since: "1.0.1",
      summary: "Set multiple keys to multiple values",
      complexity: "O(N) where N is the number of keys to set.",
      keys: [.keys(1, last: -1, step: 2, [.ow, .update])],
      tips: [.multiShard, .allSucceeded],
      run: StringCommands.setMany)
    command(
      "msetnx", arity: -3, [.write, .denyOOM], [.string], since: "1.0.1",
      summary: "Set multiple keys to multiple values, only if none of the keys exist",
      complexity: "O(N) where N is the number of keys to set.",
      keys: [.keys(1, last: -1, step: 2, [.ow, .insert])],
      tips: [.multiShard, .minimum],
      run: StringCommands.setManyIfAbsent)
    command(
      "append", arity: 3, [.write, .denyOOM, .fast], [.string], since: "2.0.0",
      summary: "Append a value to a key",
      complexity: """
        O(1). The amortized time complexity is O(1) assuming the appended value is small and the already present value \
        is of any size, since the dynamic string library used by Redis will double the free space available on every \
        reallocation.
        """,
      keys: [.key(1, [.rw, .insert])],
      run: StringCommands.append)
    command(
      "strlen", arity: 2, [.readonly, .fast], [.string], since: "2.2.0",
      summary: "Get the length of the value stored in a key",
      complexity: "O(1)",
      keys: [.key(1, [.ro])],
      run: StringCommands.length)
    command(
      "getrange", arity: 4, [.readonly], [.string], since: "2.4.0",
      summary: "Get a substring of the string stored at a key",
      complexity: """
        O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned \
        length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for \
        small strings.
        """,
      keys: [.key(1, [.ro, .access])],
      run: StringCommands.getRange)
    command(
      "substr", arity: 4, [.readonly], [.string], since: "1.0.0",
      summary: "Get a substring of the string stored at a key",
      complexity: """
        O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned \
        length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for \
        small strings.
        """,
      keys: [.key(1, [.ro, .access])],
      deprecated: "2.0.0", replacedBy: "`GETRANGE`",
      run: StringCommands.getRange)
    command(
      "setrange", arity: 4, [.write, .denyOOM], [.string], since: "2.2.0",
      summary: "Overwrite part of a string at key starting at the specified offset",
      complexity: """
        O(1), not counting the time taken to copy the new string in place. Usually, this string is very small so the \
        amortized complexity is O(1). Otherwise, complexity is O(M) with M being the length of the value argument.
        """,
      keys: [.key(1, [.rw, .update])],
      run: StringCommands.setRange)
    command(
      "incr", arity: 2, [.write, .denyOOM, .fast], [.string], since: "1.0.0",
      summary: "Increment the integer value of a key by one",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .access, .update])],
      run: NumberCommands.increment)
    command(
      "decr", arity: 2, [.write, .denyOOM, .fast], [.string], since: "1.0.0",
      summary: "Decrement the integer value of a key by one",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .access, .update])],
      run: NumberCommands.decrement)
    command(
      "incrby", arity: 3, [.write, .denyOOM, .fast], [.string], since: "1.0.0",
      summary: "Increment the integer value of a key by the given amount",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .access, .update])],
      run: NumberCommands.incrementBy)
    command(
      "decrby", arity: 3, [.write, .denyOOM, .fast], [.string], since: "1.0.0",
      summary: "Decrement the integer value of a key by the given number",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .access, .update])],
      run: NumberCommands.decrementBy)
    command(
      "incrbyfloat", arity: 3, [.write, .denyOOM, .fast], [.string], since: "2.6.0",
      summary: "Increment the float value of a key by the given amount",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .access, .update])],
      run: NumberCommands.incrementByFloat)
    command(
      "lcs", arity: -3, [.readonly], [.string], since: "7.0.0",
      summary: "Find longest common substring",
      complexity: "O(N*M) where N and M are the lengths of s1 and s2, respectively",
      keys: [.keys(1, last: 1, step: 1, [.ro, .access])],
      run: LongestCommonSubsequenceCommand.run)
  }

  /// Commands on the bits of string values.
  mutating func addBitCommands() {
    group = .bitmap
    command(
      "getbit", arity: 3, [.readonly, .fast], [.bitmap], since: "2.2.0",
      summary: "Returns the bit value at offset in the string value stored at key",
      complexity: "O(1)",
      keys: [.key(1, [.ro, .access])],
      run: BitCommands.getBit)
    command(
      "setbit", arity: 4, [.write, .denyOOM], [.bitmap], since: "2.2.0",
      summary: "Sets or clears the bit at offset in the string value stored at key",
      complexity: "O(1)",
      keys: [.key(1, [.rw, .access, .update])],
      run: BitCommands.setBit)
    command(
      "bitcount", arity: -2, [.readonly], [.bitmap], since: "2.6.0",
      summary: "Count set bits in a string",
      complexity: "O(N)",
      keys: [.key(1, [.ro, .access])],
      run: BitCommands.count)
    command(
      "bitpos", arity: -3, [.readonly], [.bitmap], since: "2.8.7",
      summary: "Find first bit set or clear in a string",
      complexity: "O(N)",
      keys: [.key(1, [.ro, .access])],
      run: BitCommands.find)
    command(
      "bitop", arity: -4, [.write, .denyOOM], [.bitmap], since: "2.6.0",
      summary: "Perform bitwise operations between strings",
      complexity: "O(N)",
      keys: [.key(2, [.ow, .update]), .keys(3, last: -1, step: 1, [.ro, .access])],
      run: BitCommands.combine)
    command(
      "bitfield", arity: -2, [.write, .denyOOM], [.bitmap], since: "3.2.0",
      summary: "Perform arbitrary bitfield integer operations on strings",
      complexity: "O(1) for each subcommand specified",
      keys: [
        .key(
          1, [.rw, .access, .update], varies: .bitField,
          note: "This command allows both access and modification of the key")
      ],
      run: BitFieldCommands.change)
    command(
      "bitfield_ro", arity: -2, [.readonly, .fast], [.bitmap], since: "6.0.0",
      summary: "Perform arbitrary bitfield integer operations on strings. Read-only variant of BITFIELD",
      complexity: "O(1) for each subcommand specified",
      keys: [.key(1, [.ro, .access])],
      run: BitFieldCommands.read)
  }
}
