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
    case .clientKill: try clientKill(arguments, executor, session)
    case .clientReply: try clientReply(arguments, executor, session)
    case .clientPause: try clientPause(arguments, executor)
    case .clientUnpause:
      service.pause.end()
      service.ignore(.paused)
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
    case .clientUnblock:
      guard arguments.count <= 4 else {
        executor.reply.subcommandSyntaxError(arguments)
        break
      }
      if arguments.count == 4, !equalsIgnoringCase(arguments[3], "timeout"), !equalsIgnoringCase(arguments[3], "error")
      {
        throw .text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
      }
      guard parseInteger(arguments[2]) != nil else { throw .notInteger }
      executor.reply.integer(0)
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

  /// Has the clients of a loop enter their state. On that loop.
  func report(_ worker: LoopWorker) {
    service.clients.report(worker.clients.map { ($0.key, $0.value.reportedState) })
  }

  /// CLIENT LIST [TYPE type] [ID id ...]. Every loop reports its clients first; inside a transaction, where nothing may
  /// wait, the other loops' clients are shown as last reported.
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
    return afterReports(executor) { [self, filter] executor in
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

  /// Answers when every loop has reported its clients.
  private func afterReports(_ executor: Executor, _ answer: @escaping PendingReply.Answer) -> Outcome {
    let own = worker(of: executor)
    report(own)
    let others = workers.filter { $0 !== own }
    if others.isEmpty || executor.inTransaction {
      answer(executor)
      return .done
    }
    let pending = PendingReply()
    let left = Countdown(others.count)
    for other in others {
      other.eventLoop.execute { [self] in
        report(other)
        guard left.step() else { return }
        pending.fulfil(answer)
        own.eventLoop.execute { own.release() }
      }
    }
    return .suspended(.reply(pending))
  }

  // MARK: CLIENT KILL

  private struct KillFilter {
    var id: UInt64?
    var kind: ClientDirectory.Kind?
    var address: String?
    var localAddress: String?
    var secondsAtLeast: UInt64?
    var skipsSelf = true

    func matches(_ entry: ClientDirectory.Entry, _ own: UInt64, now: Tick) -> Bool {
      if skipsSelf, entry.id == own { return false }
      if let id, entry.id != id { return false }
      if let kind, entry.kind != kind { return false }
      if let address, entry.address != address { return false }
      if let localAddress, entry.localAddress != localAddress { return false }
      if let secondsAtLeast, now.since(entry.createdAt) / 1000 < secondsAtLeast { return false }
      return true
    }
  }

  private func clientKill(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    var filter = KillFilter()
    if arguments.count == 3 {
      filter.address = decoded(arguments[2])
      filter.skipsSelf = false
      guard kill(filter, session) > 0 else { throw .text("ERR No such client") }
      return executor.reply.ok()
    }
    var i = 2
    while i < arguments.count {
      guard i + 1 < arguments.count else { throw .syntax }
      let option = arguments[i]
      let value = arguments[i + 1]
      if equalsIgnoringCase(option, "id") {
        guard let id = parseInteger(value), id > 0 else { throw .text("ERR client-id should be greater than 0") }
        filter.id = UInt64(id)
      } else if equalsIgnoringCase(option, "type") {
        guard let kind = Self.clientKind(value) else {
          return executor.reply.error("ERR Unknown client type '", quoting: value, "'")
        }
        filter.kind = kind
      } else if equalsIgnoringCase(option, "addr") {
        filter.address = decoded(value)
      } else if equalsIgnoringCase(option, "laddr") {
        filter.localAddress = decoded(value)
      } else if equalsIgnoringCase(option, "user") {
        // Everybody is the default user.
        guard decoded(value) == "default" else {
          return executor.reply.error("ERR No such user '", quoting: value, "'")
        }
      } else if equalsIgnoringCase(option, "maxage") {
        guard let age = parseInteger(value), age > 0 else { throw .text("ERR maxage should be greater than 0") }
        filter.secondsAtLeast = UInt64(age)
      } else if equalsIgnoringCase(option, "skipme") {
        if equalsIgnoringCase(value, "yes") {
          filter.skipsSelf = true
        } else if equalsIgnoringCase(value, "no") {
          filter.skipsSelf = false
        } else {
          throw .syntax
        }
      } else {
        throw .syntax
      }
      i += 2
    }
    executor.reply.integer(Int64(kill(filter, session)))
  }

  /// Returns how many.
  private func kill(_ filter: KillFilter, _ session: Session) -> Int {
    let now = Clocks.monotonic
    var count = 0
    for entry in service.clients.all() where filter.matches(entry, session.id, now: now) {
      count += 1
      if entry.id == session.id { session.closing = true } else { entry.channel.close(promise: nil) }
    }
    return count
  }

  /// Ends a connection, whatever it is used for by now.
  func closeClient(_ id: UInt64) { service.clients[id]?.channel.close(promise: nil) }

  private static func clientKind(_ word: UnsafeRawBufferPointer) -> ClientDirectory.Kind? {
    if equalsIgnoringCase(word, "normal") { return .normal }
    if equalsIgnoringCase(word, "slave") || equalsIgnoringCase(word, "replica") { return .replica }
    if equalsIgnoringCase(word, "master") { return .master }
    return equalsIgnoringCase(word, "pubsub") ? .pubsub : nil
  }

  // MARK: CLIENT PAUSE

  /// CLIENT PAUSE milliseconds [WRITE|ALL]
  private func clientPause(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) {
    guard arguments.count <= 4 else { return executor.reply.subcommandSyntaxError(arguments) }
    var all = true
    if arguments.count == 4 {
      all = equalsIgnoringCase(arguments[3], "all")
      guard all || equalsIgnoringCase(arguments[3], "write") else {
        throw .text("ERR CLIENT PAUSE mode must be WRITE or ALL")
      }
    }
    guard let milliseconds = parseInteger(arguments[2]) else {
      throw .text("ERR timeout is not an integer or out of range")
    }
    guard milliseconds >= 0 else { throw .text("ERR timeout is negative") }
    executor.reply.ok()
    guard milliseconds > 0 else { return }
    // Ten years are for ever.
    let length = min(UInt64(milliseconds), 10 * 365 * 86_400_000)
    let now = Clocks.monotonic
    service.pause.begin(until: now.advanced(by: length), all: all, now: now)
    service.watch(.paused)
    // From this connection's next command on.
    executor.attention.insert(.paused)
    worker(of: executor).eventLoop.scheduleTask(in: .milliseconds(Int64(length) + 1)) { [self] in
      for worker in workers { worker.stateChanged() }
    }
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

/// Counts down from any thread; the last step knows that it is the last.
final class Countdown: Sendable {
  private let left: Atomic<Int>
  init(_ count: Int) { left = Atomic(count) }
  func step() -> Bool { left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 }
}
