// Raw memory: looks at arguments where they lie; none outlives its command.
import Commands
import Core
import NIOCore
import RESP
import Synchronization

/// CLIENT: about this connection, and about all of them.
extension ServerCore {
  // MARK: Small ones

  func clientID(_ executor: Executor, _ session: Session) {
    executor.reply.integer(Int64(clamping: session.id))
  }

  func clientName(_ executor: Executor, _ session: Session) {
    if session.name.isEmpty { executor.reply.null() } else { executor.reply.bulk(session.name) }
  }

  func clientInfo(_ executor: Executor, _ session: Session) {
    report(worker(of: executor))
    let line = service.clients[session.id]?.line(now: Clocks.monotonic) ?? ""
    executor.reply.verbatim(line + "\n")
  }

  func clientUnpause(_ executor: Executor) {
    service.endPause(now: executor.tick)
    for worker in workers { worker.stateChanged() }
    executor.reply.ok()
  }

  func clientRedirection(_ executor: Executor) { executor.reply.integer(-1) }

  func clientCaching(_ executor: Executor) throws(CommandFailure) {
    throw .text(
      """
      ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled
      """)
  }

  // MARK: This connection

  func clientSetName(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    guard Session.isValidName(arguments[2]) else {
      throw .text("ERR Client names cannot contain spaces, newlines or special characters.")
    }
    session.name = decoded(arguments[2])
    executor.reply.ok()
  }

  func clientNoEvict(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    session.noEvict = try onOff(arguments[2], executor)
  }

  func clientNoTouch(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    session.noTouch = try onOff(arguments[2], executor)
  }

  private func onOff(_ word: UnsafeRawBufferPointer, _ executor: Executor) throws(CommandFailure) -> Bool {
    let isOn = equalsIgnoringCase(word, "on")
    guard isOn || equalsIgnoringCase(word, "off") else { throw .syntax }
    executor.reply.ok()
    return isOn
  }

  /// CLIENT SETINFO LIB-NAME name | LIB-VER version, as Redis 7.2 has it.
  func clientSetInfo(
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

  func clientReply(
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
  func clientTracking(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) {
    if equalsIgnoringCase(arguments[2], "off"), arguments.count == 3 { return executor.reply.ok() }
    guard equalsIgnoringCase(arguments[2], "on") else { throw .syntax }
    throw .text("ERR client tracking is not supported by this server")
  }

  func clientTrackingInfo(_ executor: Executor) {
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
  func clientList(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
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
}
