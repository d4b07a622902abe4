// Raw memory: looks at arguments where they lie; none outlives its command.
import Commands
import Core
import NIOCore
import RESP
import Synchronization

/// CLIENT: about this connection, and about all of them.
extension ServerCore {
  func serveClient(
    _ subcommand: Subcommand?, _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) -> Outcome {
    switch subcommand {
    case .clientId: executor.reply.integer(Int64(clamping: session.id))
    case .clientGetname: if session.name.isEmpty { executor.reply.null() } else { executor.reply.bulk(session.name) }
    case .clientSetname:
      guard Session.isValidName(arguments[2]) else {
        throw .text("ERR Client names cannot contain spaces, newlines or special characters.")
      }
      session.name = decoded(arguments[2])
      executor.reply.ok()
    case .clientSetinfo: try clientSetInfo(arguments, executor, session)
    case .clientInfo:
      report(worker(of: executor))
      let line = service.clients[session.id]?.line(now: Clocks.monotonic) ?? ""
      executor.reply.verbatim(line + "\n")
    case .clientList: return try clientList(arguments, executor)
    case .clientKill: return try clientKill(arguments, executor, session)
    case .clientReply: try clientReply(arguments, executor, session)
    case .clientPause: return try clientPause(arguments, executor)
    case .clientUnpause:
      service.endPause(now: executor.tick)
      for worker in workers { worker.stateChanged() }
      executor.reply.ok()
    case .clientNoEvict: session.noEvict = try onOff(arguments[2], executor)
    case .clientNoTouch: session.noTouch = try onOff(arguments[2], executor)
    case .clientGetredir: executor.reply.integer(-1)
    case .clientTracking: try clientTracking(arguments, executor)
    case .clientTrackinginfo: clientTrackingInfo(executor)
    case .clientCaching:
      throw .text(
        """
        ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled
        """)
    case .clientUnblock: return try clientUnblock(arguments, executor)
    default: executor.reply.help("CLIENT", Self.clientHelp)
    }
    return .done
  }

  // MARK: This connection

  private func onOff(_ word: UnsafeRawBufferPointer, _ executor: Executor) throws(CommandFailure) -> Bool {
    let isOn = equalsIgnoringCase(word, "on")
    guard isOn || equalsIgnoringCase(word, "off") else { throw .syntax }
    executor.reply.ok()
    return isOn
  }

  /// CLIENT SETINFO LIB-NAME name | LIB-VER version, as Redis 7.2 has it.
  private func clientSetInfo(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    let isName = equalsIgnoringCase(arguments[2], "lib-name")
    guard isName || equalsIgnoringCase(arguments[2], "lib-ver") else {
      return executor.reply.error("ERR Unrecognized option '", quoting: arguments[2], "'")
    }
    guard Session.isValidName(arguments[3]) else {
      throw isName
        ? .text("ERR lib-name cannot contain spaces, newlines or special characters.")
        : .text("ERR lib-ver cannot contain spaces, newlines or special characters.")
    }
    // What CLIENT LIST repeats for every client is kept short.
    let value = decoded(UnsafeRawBufferPointer(rebasing: arguments[3].prefix(256)))
    if isName { session.libraryName = value } else { session.libraryVersion = value }
    executor.reply.ok()
  }

  private func clientReply(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    if equalsIgnoringCase(arguments[2], "on") {
      session.replyMode = .on
      executor.reply.ok()
    } else if equalsIgnoringCase(arguments[2], "off") {
      session.replyMode = .off
    } else if equalsIgnoringCase(arguments[2], "skip") {
      guard session.replyMode != .off else { return }
      // The executor's special path counts this command's own silence; its plain path has nothing to count.
      let isPlain =
        session.replyMode == .on && session.transaction == nil && executor.attention.isEmpty && !executor.inTransaction
      session.replyMode = isPlain ? .skipping : .skipNext
    } else {
      throw .syntax
    }
  }

  /// There is no tracking: OFF is so already, ON is refused.
  private func clientTracking(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) {
    if equalsIgnoringCase(arguments[2], "off"), arguments.count == 3 { return executor.reply.ok() }
    guard equalsIgnoringCase(arguments[2], "on") else { throw .syntax }
    throw .text("ERR client tracking is not supported by this server")
  }

  private func clientTrackingInfo(_ executor: Executor) {
    executor.reply.map(3)
    executor.reply.bulk("flags" as StaticString)
    executor.reply.set(1)
    executor.reply.bulk("off" as StaticString)
    executor.reply.bulk("redirect" as StaticString)
    executor.reply.integer(-1)
    executor.reply.bulk("prefixes" as StaticString)
    executor.reply.array(0)
  }

  // MARK: CLIENT LIST

  private struct ClientFilter: Sendable {
    var kind: ClientDirectory.Kind?
    /// In the order asked for.
    var ids: [UInt64]?
  }

  /// CLIENT LIST [TYPE type] [ID id ...]. Every loop reports its clients first.
  private func clientList(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    var filter = ClientFilter()
    if arguments.count == 4, equalsIgnoringCase(arguments[2], "type") {
      guard let kind = Self.clientKind(arguments[3]) else {
        executor.reply.error("ERR Unknown client type '", quoting: arguments[3], "'")
        return .done
      }
      filter.kind = kind
    } else if arguments.count > 3, equalsIgnoringCase(arguments[2], "id") {
      var ids: [UInt64] = []
      for i in 3..<arguments.count {
        guard let id = parseInteger(arguments[i]) else { throw .text("ERR Invalid client ID") }
        if let id = UInt64(exactly: id) { ids.append(id) }
      }
      filter.ids = ids
    } else if arguments.count != 2 {
      throw .syntax
    }
    return onEveryLoop(executor, { [self] in report($0) }) { [self, filter] executor in
      executor.reply.verbatim(list(filter))
    }
  }

  private func list(_ filter: ClientFilter) -> String {
    let now = Clocks.monotonic
    var out = ""
    let entries = filter.ids.map { $0.compactMap { service.clients[$0] } } ?? service.clients.all()
    for entry in entries where filter.kind == nil || entry.kind == filter.kind {
      out += entry.line(now: now)
      out += "\n"
    }
    return out
  }

  static func clientKind(_ word: UnsafeRawBufferPointer) -> ClientDirectory.Kind? {
    if equalsIgnoringCase(word, "normal") { return .normal }
    if equalsIgnoringCase(word, "slave") || equalsIgnoringCase(word, "replica") { return .replica }
    if equalsIgnoringCase(word, "master") { return .master }
    return equalsIgnoringCase(word, "pubsub") ? .pubsub : nil
  }

  private static let clientHelp = """
    CACHING (YES|NO)
        Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.
    GETREDIR
        Return the client ID we are redirecting to when tracking is enabled.
    GETNAME
        Return the name of the current connection.
    ID
        Return the ID of the current connection.
    INFO
        Return information about the current client connection.
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
    LIST [options ...]
        Return information about client connections. Options:
        * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)
          Return clients of specified type.
    UNPAUSE
        Stop the current client pause, resuming traffic.
    PAUSE <timeout> [WRITE|ALL]
        Suspend all, or just write, clients for <timeout> milliseconds.
    REPLY (ON|OFF|SKIP)
        Control the replies sent to the current connection.
    SETNAME <name>
        Assign the name <name> to the current connection.
    SETINFO <option> <value>
        Set client meta attr. Options are:
        * LIB-NAME: the client lib name.
        * LIB-VER: the client lib version.
    UNBLOCK <clientid> [TIMEOUT|ERROR]
        Unblock the specified blocked client.
    TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]
             [OPTIN] [OPTOUT] [NOLOOP]
        Control server assisted client side caching.
    TRACKINGINFO
        Report tracking status for the current connection.
    NO-EVICT (ON|OFF)
        Protect current client connection from eviction.
    NO-TOUCH (ON|OFF)
        Will not touch LRU/LFU stats when this mode is on.
    """
}
