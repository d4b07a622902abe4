// As Redis 7.0.15 reports them with COMMAND INFO and COMMAND DOCS. Read and write, fast and slow, admin and dangerous
// follow from the flags and are not repeated among the categories.

import Commands

extension CommandRows {
  /// CLIENT: about this connection, and about all of them.
  mutating func addClientCommands() {
    let server = HostFunctions<ServerCore>()
    group = .connection
    command(
      "client", arity: -2, [], [], since: "2.4.0",
      summary: "A container for client connection commands",
      complexity: "Depends on subcommand.",
      run: .container)
    subcommand(
      "client|caching", arity: 3, [.noScript, .loading, .stale], [.connection], since: "6.0.0",
      summary: "Instruct the server about tracking or not keys in the next request",
      complexity: "O(1)",
      help: """
        CACHING (YES|NO)
            Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.
        """,
      run: server(ServerCore.clientCaching))
    subcommand(
      "client|getredir", arity: 2, [.noScript, .loading, .stale], [.connection], since: "6.0.0",
      summary: "Get tracking notifications redirection client ID if any",
      complexity: "O(1)",
      help: """
        GETREDIR
            Return the client ID we are redirecting to when tracking is enabled.
        """,
      run: server(ServerCore.clientRedirection))
    subcommand(
      "client|getname", arity: 2, [.noScript, .loading, .stale], [.connection], since: "2.6.9",
      summary: "Get the current connection name",
      complexity: "O(1)",
      help: """
        GETNAME
            Return the name of the current connection.
        """,
      run: server(ServerCore.clientName))
    subcommand(
      "client|id", arity: 2, [.noScript, .loading, .stale], [.connection], since: "5.0.0",
      summary: "Returns the client ID for the current connection",
      complexity: "O(1)",
      help: """
        ID
            Return the ID of the current connection.
        """,
      run: server(ServerCore.clientID))
    subcommand(
      "client|info", arity: 2, [.noScript, .loading, .stale], [.connection], since: "6.2.0",
      summary: "Returns information about the current client connection.",
      complexity: "O(1)",
      tips: [.anyOutput],
      help: """
        INFO
            Return information about the current client connection.
        """,
      run: server(ServerCore.clientInfo))
    subcommand(
      "client|kill", arity: -3, [.admin, .noScript, .loading, .stale, .waits], [.connection], since: "2.4.0",
      summary: "Kill the connection of a client",
      complexity: "O(N) where N is the number of client connections",
      help: """
        KILL <ip:port>
            Kill connection made from <ip:port>.
        KILL <option> <value> [<option> <value> [...]]
            Kill connections. Options are:
            * ADDR (<ip:port>|<unixsocket>:0)
              Kill connections made from the specified address
            * LADDR (<ip:port>|<unixsocket>:0)
              Kill connections made to specified local address
            * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)
              Kill connections by type.
            * USER <username>
              Kill connections authenticated by <username>.
            * SKIPME (YES|NO)
              Skip killing current connection (default: yes).
            * MAXAGE <seconds>
              Kill connections at least so old.
        """,
      run: server(ServerCore.clientKill))
    subcommand(
      "client|list", arity: -2, [.admin, .noScript, .loading, .stale, .waits], [.connection], since: "2.4.0",
      summary: "Get the list of client connections",
      complexity: "O(N) where N is the number of client connections",
      tips: [.anyOutput],
      help: """
        LIST [options ...]
            Return information about client connections. Options:
            * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)
              Return clients of specified type.
        """,
      run: server(ServerCore.clientList))
    subcommand(
      "client|unpause", arity: 2, [.admin, .noScript, .loading, .stale], [.connection], since: "6.2.0",
      summary: "Resume processing of clients that were paused",
      complexity: "O(N) Where N is the number of paused clients",
      help: """
        UNPAUSE
            Stop the current client pause, resuming traffic.
        """,
      run: server(ServerCore.clientUnpause))
    subcommand(
      "client|pause", arity: -3, [.admin, .noScript, .loading, .stale, .waits], [.connection],
      since: "2.9.50",
      summary: "Stop processing commands from clients for some time",
      complexity: "O(1)",
      help: """
        PAUSE <timeout> [WRITE|ALL]
            Suspend all, or just write, clients for <timeout> milliseconds.
        """,
      run: server(ServerCore.clientPause))
    subcommand(
      "client|reply", arity: 3, [.noScript, .loading, .stale], [.connection], since: "3.2.0",
      summary: "Instruct the server whether to reply to commands",
      complexity: "O(1)",
      help: """
        REPLY (ON|OFF|SKIP)
            Control the replies sent to the current connection.
        """,
      run: server(ServerCore.clientReply))
    subcommand(
      "client|setname", arity: 3, [.noScript, .loading, .stale], [.connection], since: "2.6.9",
      summary: "Set the current connection name",
      complexity: "O(1)",
      help: """
        SETNAME <name>
            Assign the name <name> to the current connection.
        """,
      run: server(ServerCore.clientSetName))
    subcommand(
      "client|setinfo", arity: 4, [.noScript, .loading, .stale], [.connection], since: "7.2.0",
      summary: "Sets information specific to the client or connection.",
      complexity: "O(1)",
      tips: [.allNodes, .allSucceeded],
      help: """
        SETINFO <option> <value>
            Set client meta attr. Options are:
            * LIB-NAME: the client lib name.
            * LIB-VER: the client lib version.
        """,
      run: server(ServerCore.clientSetInfo))
    subcommand(
      "client|unblock", arity: -3, [.admin, .noScript, .loading, .stale, .waits], [.connection],
      since: "5.0.0",
      summary: "Unblock a client blocked in a blocking command from a different connection",
      complexity: "O(log N) where N is the number of client connections",
      help: """
        UNBLOCK <clientid> [TIMEOUT|ERROR]
            Unblock the specified blocked client.
        """,
      run: server(ServerCore.clientUnblock))
    subcommand(
      "client|tracking", arity: -3, [.noScript, .loading, .stale], [.connection], since: "6.0.0",
      summary: "Enable or disable server assisted client side caching support",
      complexity: "O(1). Some options may introduce additional complexity.",
      help: """
        TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]
                 [OPTIN] [OPTOUT] [NOLOOP]
            Control server assisted client side caching.
        """,
      run: server(ServerCore.clientTracking))
    subcommand(
      "client|trackinginfo", arity: 2, [.noScript, .loading, .stale], [.connection], since: "6.2.0",
      summary: "Return information about server assisted client side caching for the current connection",
      complexity: "O(1)",
      help: """
        TRACKINGINFO
            Report tracking status for the current connection.
        """,
      run: server(ServerCore.clientTrackingInfo))
    subcommand(
      "client|no-evict", arity: 3, [.admin, .noScript, .loading, .stale], [.connection], since: "7.0.0",
      summary: "Set client eviction mode for the current connection",
      complexity: "O(1)",
      help: """
        NO-EVICT (ON|OFF)
            Protect current client connection from eviction.
        """,
      run: server(ServerCore.clientNoEvict))
    subcommand(
      "client|no-touch", arity: 3, [.noScript, .loading, .stale], [.connection], since: "7.2.0",
      summary: "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
      complexity: "O(1)",
      help: """
        NO-TOUCH (ON|OFF)
            Will not touch LRU/LFU stats when this mode is on.
        """,
      run: server(ServerCore.clientNoTouch))
    subcommand(
      "client|help", arity: 2, [.loading, .stale], [.connection], since: "5.0.0",
      summary: "Show helpful text about the different subcommands",
      complexity: "O(1)",
      run: .help)
  }
}
