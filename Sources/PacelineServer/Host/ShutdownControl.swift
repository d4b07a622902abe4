import Commands
import Core
import Logging
import Node
import RESP
import Replication
import Synchronization

/// Carries out what the machine `Shutdown` decides: holds writes back, looks at the slaves, and says when the process may
/// end. One a server.
///
/// Orders come from SHUTDOWN on any event loop and from signals on any thread; the wait has a thread of its own, so that no
/// loop waits for it.
final class ShutdownControl: Sendable {
  private unowned let core: ServerCore
  private struct State {
    var machine = Shutdown()
    /// SHUTDOWN of clients: answered when the shutdown is given up, closed with the server otherwise.
    var blocked: [PendingReply] = []
    var ended: CheckedContinuation<Void, Never>?
    var isEnding = false
  }
  private let state = Mutex(State())
  private let mayLook = Signal()
  /// What a client is told whose SHUTDOWN did not end the server, in Redis's words.
  private static let failed: PendingReply.Answer = { $0.reply.error("ERR Errors trying to SHUTDOWN. Check logs.") }

  init(core: ServerCore) { self.core = core }

  /// nil unless the server waits for slaves before it ends.
  var millisecondsLeft: UInt64? { state.withLock { $0.machine.millisecondsLeft(now: Clocks.monotonic) } }
  var isUnderWay: Bool { state.withLock { $0.machine.state != .running } }

  // MARK: Orders

  /// A signal: as SHUTDOWN without a word.
  func signalled() { order(isNow: false, from: nil) }

  /// SHUTDOWN: `client` is answered if the server does not end.
  func order(isNow: Bool, from client: PendingReply?) {
    let timeout = UInt64(core.configuration.shutdownTimeoutSeconds) * 1000
    perform { state in
      if let client { state.blocked.append(client) }
      return state.machine.step(
        .ordered(ShutdownOrder(isNow: isNow, timeoutMilliseconds: timeout)), now: Clocks.monotonic)
    }
  }

  /// False if nothing is there to be given up.
  func abort() -> Bool {
    var isAborted = false
    perform { state in
      let actions = state.machine.step(.abort, now: Clocks.monotonic)
      isAborted = !actions.isEmpty
      return actions
    }
    return isAborted
  }

  /// SHUTDOWN SAVE could not save.
  func refuse(_ client: PendingReply) { client.fulfil(Self.failed) }

  /// Returns when the process is to end.
  func waitForEnd() async {
    await withCheckedContinuation { continuation in
      let isEnding = state.withLock { state in
        if !state.isEnding { state.ended = continuation }
        return state.isEnding
      }
      if isEnding { continuation.resume() }
    }
  }

  // MARK: What the machine decides

  private func perform(_ step: (inout State) -> [ShutdownAction]) {
    for action in state.withLock({ step(&$0) }) {
      switch action {
      case .pauseWrites: wait()
      case .resumeWrites: resume()
      case .end(let slaves): end(slaves)
      }
    }
  }

  private func wait() {
    _ = BackgroundThread("pl-shutdown") { [self] in
      core.holdWrites(.shutdown)
      // Writes wait on every loop from here on.
      core.logger.notice(
        "the server ends when its slaves have the rest of the log",
        metadata: ["shutdown.timeout.seconds": "\(core.configuration.shutdownTimeoutSeconds)"])
      // Given up meanwhile: whoever did that came too early to let the writes go on.
      while isWaiting {
        let facts = core.node.shutdownFacts
        perform { $0.machine.step(.looked(facts), now: Clocks.monotonic) }
        mayLook.wait(milliseconds: Int(Shutdown.lookMilliseconds))
      }
      if !isUnderWay { core.releaseWrites(.shutdown) }
    }
  }

  private var isWaiting: Bool {
    state.withLock { state in
      if case .waiting = state.machine.state { true } else { false }
    }
  }

  private func resume() {
    core.releaseWrites(.shutdown)
    core.logger.notice("shutdown given up: the server goes on")
    let blocked = state.withLock { state in
      defer { state.blocked = [] }
      return state.blocked
    }
    for client in blocked { client.fulfil(Self.failed) }
    core.stateChanged()
  }

  private func end(_ slaves: [ShutdownSlave]) {
    let behind = slaves.filter { $0.missingRecords > 0 }
    for slave in behind {
      core.logger.warning(
        "slave did not catch up before the end: it lacks records",
        metadata: [
          "replication.slave.id": "\(slave.id)", "replication.slave.address": "\(slave.address)",
          "replication.slave.connected": "\(slave.isConnected)", "replication.lag.records": "\(slave.missingRecords)",
        ])
    }
    core.logger.notice(
      "the server ends",
      metadata: [
        "shutdown.slaves": "\(slaves.count)", "shutdown.slaves.in.step": "\(slaves.count - behind.count)",
      ])
    let continuation = state.withLock { state in
      state.isEnding = true
      defer { state.ended = nil }
      return state.ended
    }
    continuation?.resume()
  }
}

/// SHUTDOWN.
extension ServerCore {
  /// SHUTDOWN [NOSAVE|SAVE] [NOW] [FORCE] [ABORT]: the log is flushed in any case; the connection ends without a reply.
  func shutDown(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) -> Outcome {
    let words = try ShutdownWords(arguments)
    if words.aborts {
      guard shutdown.abort() else { throw .text("ERR No shutdown in progress.") }
      executor.reply.ok()
      return .done
    }
    logger.notice(
      "shutdown requested", metadata: ["client.id": "\(session.id)", "client.address": "\(session.address)"])
    let pending = PendingReply()
    guard words.saves == true, !words.isForced else {
      shutdown.order(isNow: words.isNow, from: pending)
      // Nothing further of this connection is executed; it ends with the server.
      return .suspended(.reply(pending))
    }
    adminPool.submit { [self] _ in
      do {
        try node.saveGeneration()
        shutdown.order(isNow: words.isNow, from: pending)
      } catch {
        logger.error("not ended: SHUTDOWN SAVE could not save", metadata: ["error": "\(error)"])
        shutdown.refuse(pending)
        stateChanged()
      }
    }
    return .suspended(.reply(pending))
  }
}

/// The words of a SHUTDOWN, as Redis reads them.
struct ShutdownWords {
  /// nil: neither SAVE nor NOSAVE.
  private(set) var saves: Bool?
  private(set) var isNow = false
  private(set) var isForced = false
  private(set) var aborts = false

  init(_ arguments: borrowing ArgumentList) throws(CommandFailure) {
    for i in 1..<max(1, arguments.count) {
      let word = arguments[i]
      if equalsIgnoringCase(word, "nosave") || equalsIgnoringCase(word, "save") {
        let wanted = equalsIgnoringCase(word, "save")
        guard saves == nil || saves == wanted else { throw .syntax }
        saves = wanted
      } else if equalsIgnoringCase(word, "now") {
        isNow = true
      } else if equalsIgnoringCase(word, "force") {
        isForced = true
      } else if equalsIgnoringCase(word, "abort") {
        aborts = true
      } else {
        throw .syntax
      }
    }
    if aborts, saves != nil || isNow || isForced { throw .syntax }
  }
}
