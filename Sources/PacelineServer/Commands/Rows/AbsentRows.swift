// As Redis 7.0.15 reports them with COMMAND INFO and COMMAND DOCS. Read and write, fast and slow, admin and dangerous
// follow from the flags and are not repeated among the categories.

import Commands

extension CommandRows {
  /// What is asked about features that are not here.
  mutating func addAbsentCommands() {
    group = .server
    command(
      "acl", arity: -2, [], [], since: "6.0.0",
      summary: "A container for Access List Control commands ",
      complexity: "Depends on subcommand.",
      run: .container)
    subcommand(
      "acl|users", arity: 2, [.admin, .noScript, .loading, .stale], [], since: "6.0.0",
      summary: "List the username of all the configured ACL rules",
      complexity: "O(N). Where N is the number of configured users.",
      help: """
        USERS
            List all the registered usernames.
        """,
      run: AbsentFeatures.users)
    subcommand(
      "acl|cat", arity: -2, [.noScript, .loading, .stale], [], since: "6.0.0",
      summary: "List the ACL categories or the commands inside a category",
      complexity: "O(1) since the categories and commands are a fixed set.",
      help: """
        CAT [<category>]
            List all commands that belong to <category>, or all command categories
            when no category is specified.
        """,
      run: AbsentFeatures.categories)
    subcommand(
      "acl|list", arity: 2, [.admin, .noScript, .loading, .stale], [], since: "6.0.0",
      summary: "List the current ACL rules in ACL config file format",
      complexity: "O(N). Where N is the number of configured users.",
      help: """
        LIST
            Show users details in config file format.
        """,
      run: AbsentFeatures.accessList)
    subcommand(
      "acl|whoami", arity: 2, [.noScript, .loading, .stale], [], since: "6.0.0",
      summary: "Return the name of the user associated to the current connection",
      complexity: "O(1)",
      help: """
        WHOAMI
            Return the current connection username.
        """,
      run: AbsentFeatures.whoAmI)
    subcommand(
      "acl|getuser", arity: 3, [.admin, .noScript, .loading, .stale], [], since: "6.0.0",
      summary: "Get the rules for a specific ACL user",
      complexity: "O(N). Where N is the number of password, command and pattern rules that the user has.",
      help: """
        GETUSER <username>
            Get the user's details.
        """,
      run: AbsentFeatures.user)
    subcommand(
      "acl|help", arity: 2, [.loading, .stale], [], since: "6.0.0",
      summary: "Show helpful text about the different subcommands",
      complexity: "O(1)",
      run: .help)
    command(
      "module", arity: -2, [], [], since: "4.0.0",
      summary: "A container for module commands",
      complexity: "Depends on subcommand.",
      run: .container)
    subcommand(
      "module|list", arity: 2, [.admin, .noScript], [], since: "4.0.0",
      summary: "List all modules loaded by the server",
      complexity: "O(N) where N is the number of loaded modules.",
      tips: [.anyOrder],
      help: """
        LIST
            Return a list of loaded modules.
        """,
      run: AbsentFeatures.emptyList)
    subcommand(
      "module|help", arity: 2, [.loading, .stale], [], since: "5.0.0",
      summary: "Show helpful text about the different subcommands",
      complexity: "O(1)",
      run: .help)
    group = .cluster
    command(
      "cluster", arity: -2, [], [], since: "3.0.0",
      summary: "A container for cluster commands",
      complexity: "Depends on subcommand.",
      run: AbsentFeatures.cluster)
    command(
      "readonly", arity: 1, [.loading, .stale, .fast], [.connection], since: "3.0.0",
      summary: "Enables read queries for a connection to a cluster replica node",
      complexity: "O(1)",
      run: AbsentFeatures.cluster)
    command(
      "readwrite", arity: 1, [.loading, .stale, .fast], [.connection], since: "3.0.0",
      summary: "Disables read queries for a connection to a cluster replica node",
      complexity: "O(1)",
      run: AbsentFeatures.cluster)
    command(
      "asking", arity: 1, [.fast], [.connection], since: "3.0.0",
      summary: "Sent by cluster clients after an -ASK redirect",
      complexity: "O(1)",
      run: AbsentFeatures.cluster)
    group = .scripting
    command(
      "script", arity: -2, [], [], since: "2.6.0",
      summary: "A container for Lua scripts management commands",
      complexity: "Depends on subcommand.",
      run: .container)
    subcommand(
      "script|flush", arity: -2, [.noScript], [.scripting], since: "2.6.0",
      summary: "Remove all the scripts from the script cache.",
      complexity: "O(N) with N being the number of scripts in cache",
      tips: [.allNodes, .allSucceeded],
      help: """
        FLUSH [ASYNC|SYNC]
            Flush the Lua scripts cache. Very dangerous on replicas.
            When called without the optional mode argument, the behavior is determined by the
            lazyfree-lazy-user-flush configuration directive. Valid modes are:
            * ASYNC: Asynchronously flush the scripts cache.
            * SYNC: Synchronously flush the scripts cache.
        """,
      run: AbsentFeatures.flushScripts)
    subcommand(
      "script|kill", arity: 2, [.noScript, .allowBusy], [.scripting], since: "2.6.0",
      summary: "Kill the script currently in execution.",
      complexity: "O(1)",
      tips: [.allShards],
      help: """
        KILL
            Kill the currently executing Lua script.
        """,
      run: AbsentFeatures.killScript)
    subcommand(
      "script|exists", arity: -3, [.noScript], [.scripting], since: "2.6.0",
      summary: "Check existence of scripts in the script cache.",
      complexity:
        "O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).",
      tips: [.allShards],
      help: """
        EXISTS <sha1> [<sha1> ...]
            Return information about the existence of the scripts in the script cache.
        """,
      run: AbsentFeatures.scriptsExist)
    subcommand(
      "script|help", arity: 2, [.loading, .stale], [.scripting], since: "5.0.0",
      summary: "Show helpful text about the different subcommands",
      complexity: "O(1)",
      run: .help)
    command(
      "function", arity: -2, [], [], since: "7.0.0",
      summary: "A container for function commands",
      complexity: "Depends on subcommand.",
      run: .container)
    subcommand(
      "function|flush", arity: -2, [.write, .noScript], [.scripting], since: "7.0.0",
      summary: "Deleting all functions",
      complexity: "O(N) where N is the number of functions deleted",
      tips: [.allShards, .allSucceeded],
      help: """
        FLUSH [ASYNC|SYNC]
            Delete all the libraries.
            When called without the optional mode argument, the behavior is determined by the
            lazyfree-lazy-user-flush configuration directive. Valid modes are:
            * ASYNC: Asynchronously flush the libraries.
            * SYNC: Synchronously flush the libraries.
        """,
      run: AbsentFeatures.flushFunctions)
    subcommand(
      "function|kill", arity: 2, [.noScript, .allowBusy], [.scripting], since: "7.0.0",
      summary: "Kill the function currently in execution.",
      complexity: "O(1)",
      tips: [.allShards],
      help: """
        KILL
            Kill the current running function.
        """,
      run: AbsentFeatures.killScript)
    subcommand(
      "function|list", arity: -2, [.noScript], [.scripting], since: "7.0.0",
      summary: "List information about all the functions",
      complexity: "O(N) where N is the number of functions",
      tips: [.anyOrder],
      help: """
        LIST [LIBRARYNAME PATTERN] [WITHCODE]
            Return general information on all the libraries:
            * Library name
            * The engine used to run the Library
            * Library description
            * Functions list
            * Library code (if WITHCODE is given)
            It also possible to get only function that matches a pattern using LIBRARYNAME argument.
        """,
      run: AbsentFeatures.functions)
    subcommand(
      "function|stats", arity: 2, [.noScript, .allowBusy], [.scripting], since: "7.0.0",
      summary: "Return information about the function currently running (name, description, duration)",
      complexity: "O(1)",
      tips: [.anyOutput, .allShards, .specialResponse],
      help: """
        STATS
            Return information about the current function running:
            * Function name
            * Command used to run the function
            * Duration in MS that the function is running
            If no function is running, return nil
            In addition, returns a list of available engines.
        """,
      run: AbsentFeatures.functionStatistics)
    subcommand(
      "function|help", arity: 2, [.loading, .stale], [.scripting], since: "7.0.0",
      summary: "Show helpful text about the different subcommands",
      complexity: "O(1)",
      run: .help)
    group = .pubsub
    command(
      "pubsub", arity: -2, [], [], since: "2.8.0",
      summary: "A container for Pub/Sub commands",
      complexity: "Depends on subcommand.",
      run: .container)
    subcommand(
      "pubsub|channels", arity: -2, [.loading, .stale], [.pubsub], since: "2.8.0",
      summary: "List active channels",
      complexity:
        "O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively short channels and patterns)",
      help: """
        CHANNELS [<pattern>]
            Return the currently active channels matching a <pattern> (default: '*').
        """,
      run: AbsentFeatures.channels)
    subcommand(
      "pubsub|shardnumsub", arity: -2, [.loading, .stale], [.pubsub], since: "7.0.0",
      summary: "Get the count of subscribers for shard channels",
      complexity: "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
      help: """
        SHARDNUMSUB [<shardchannel> ...]
            Return the number of subscribers for the specified shard level channel(s)
        """,
      run: AbsentFeatures.subscribers)
    subcommand(
      "pubsub|numpat", arity: 2, [.loading, .stale], [.pubsub], since: "2.8.0",
      summary: "Get the count of unique patterns pattern subscriptions",
      complexity: "O(1)",
      help: """
        NUMPAT
            Return number of subscriptions to patterns.
        """,
      run: AbsentFeatures.patterns)
    subcommand(
      "pubsub|numsub", arity: -2, [.loading, .stale], [.pubsub], since: "2.8.0",
      summary: "Get the count of subscribers for channels",
      complexity: "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
      help: """
        NUMSUB [<channel> ...]
            Return the number of subscribers for the specified channels, excluding
            pattern subscriptions(default: no channels).
        """,
      run: AbsentFeatures.subscribers)
    subcommand(
      "pubsub|shardchannels", arity: -2, [.loading, .stale], [.pubsub], since: "7.0.0",
      summary: "List active shard channels",
      complexity:
        "O(N) where N is the number of active shard channels, and assuming constant time pattern matching (relatively short shard channels).",
      help: """
        SHARDCHANNELS [<pattern>]
            Return the currently active shard level channels matching a <pattern> (default: '*').
        """,
      run: AbsentFeatures.channels)
    subcommand(
      "pubsub|help", arity: 2, [.loading, .stale], [], since: "6.2.0",
      summary: "Show helpful text about the different subcommands",
      complexity: "O(1)",
      run: .help)
    group = .server
    command(
      "lolwut", arity: -1, [.readonly, .fast], [], since: "5.0.0",
      summary: "Display some computer art and the Redis version",
      complexity: "",
      run: AbsentFeatures.version)
  }
}
