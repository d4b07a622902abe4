/// What a command does and when it may run, in the order in which `COMMAND INFO` lists it.
package struct CommandFlags: OptionSet, Sendable {
  package let rawValue: UInt32
  @inlinable package init(rawValue: UInt32) { self.rawValue = rawValue }

  /// May change data: goes to the log, is refused on a slave.
  package static let write = CommandFlags(rawValue: 1 << 0)
  package static let readonly = CommandFlags(rawValue: 1 << 1)
  /// Refused where there is no more memory or disk.
  package static let denyOOM = CommandFlags(rawValue: 1 << 2)
  package static let admin = CommandFlags(rawValue: 1 << 3)
  package static let noScript = CommandFlags(rawValue: 1 << 4)
  /// May let the client wait.
  package static let blocking = CommandFlags(rawValue: 1 << 5)
  /// Allowed while the data is being loaded.
  package static let loading = CommandFlags(rawValue: 1 << 6)
  /// Allowed on a slave whose data is too old.
  package static let stale = CommandFlags(rawValue: 1 << 7)
  package static let skipSlowlog = CommandFlags(rawValue: 1 << 8)
  /// Takes constant or logarithmic time.
  package static let fast = CommandFlags(rawValue: 1 << 9)
  /// Allowed before authentication.
  package static let noAuth = CommandFlags(rawValue: 1 << 10)
  package static let noAsyncLoading = CommandFlags(rawValue: 1 << 11)
  /// Not allowed in a transaction.
  package static let noMulti = CommandFlags(rawValue: 1 << 12)
  package static let allowBusy = CommandFlags(rawValue: 1 << 13)
  // MARK: What clients are not shown

  /// Answers when other loops, files or nodes have, or takes the store's lock by itself: at the end of a transaction, and
  /// not inside it. Example: CLIENT KILL.
  package static let waits = CommandFlags(rawValue: 1 << 14)
  /// Executed at once between MULTI and EXEC, where other commands are queued. Example: DISCARD.
  package static let atOnce = CommandFlags(rawValue: 1 << 15)
  /// EXEC: stands for all that the connection has queued.
  package static let runsQueue = CommandFlags(rawValue: 1 << 16)
  /// Refused in a transaction, as with `noMulti`, although Redis would take it. Example: FAILOVER.
  package static let neverQueued = CommandFlags(rawValue: 1 << 17)
  /// With more than two arguments it changes a commit level: not inside a transaction, all of whose records have one.
  package static let changesLevel = CommandFlags(rawValue: 1 << 18)
  /// Served by the host, and yet answered in its place inside an EXEC in which other commands wait: it tells of the
  /// transaction's moment. Example: WAIT.
  package static let inPlace = CommandFlags(rawValue: 1 << 19)
  /// So short that it is not timed for SLOWLOG, like what is `fast`: a look at the clock would cost more. Example: SET.
  package static let brief = CommandFlags(rawValue: 1 << 20)
  /// WATCH: what is watched is watched where the write will happen.
  package static let watches = CommandFlags(rawValue: 1 << 21)
  /// Forgets what is watched. Example: RESET.
  package static let unwatches = CommandFlags(rawValue: 1 << 22)
  /// Ends a transaction, and is an error without one: EXEC, DISCARD.
  package static let endsTransaction = CommandFlags(rawValue: 1 << 23)
  /// Reads what only this node can tell: never asked of the master instead. Example: SCAN, whose cursor belongs to the node
  /// that gave it.
  package static let nodeBound = CommandFlags(rawValue: 1 << 24)
  /// Any node may answer it: in a transaction it goes to the master with the rest. Example: PING.
  package static let anyNode = CommandFlags(rawValue: 1 << 25)
  /// By the table: the host serves it.
  static let served = CommandFlags(rawValue: 1 << 26)
  /// By the table: its second word names a subcommand, which has flags of its own.
  package static let container = CommandFlags(rawValue: 1 << 27)

  /// What clients are shown.
  package static let shown = CommandFlags(rawValue: 1 << 14 - 1)

  /// The flags that follow from a row's function.
  init(impliedBy function: CommandFunction, hasSubcommands: Bool) {
    self = hasSubcommands ? .container : []
    switch function {
    case .served: insert(.served)
    case .answers, .mayWait, .container, .help: break
    }
  }

  /// Redis's words for the flags, by bit.
  static let names: [StaticString] = [
    "write", "readonly", "denyoom", "admin", "noscript", "blocking", "loading", "stale", "skip_slowlog", "fast",
    "no_auth", "no_async_loading", "no_multi", "allow_busy",
  ]
}
