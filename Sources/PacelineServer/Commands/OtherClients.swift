// Raw memory: looks at arguments where they lie; none outlives its command.
import Commands
import Core
import NIOCore
import NIOPosix
import RESP
import Synchronization

/// What one connection orders about connections of other event loops: CLIENT KILL, PAUSE, UNBLOCK. Each is answered when it
/// is so on every loop; the connection that asked waits meanwhile, no thread does.
extension ServerCore {
  /// Runs `body` on every loop between two batches, on the one that asks at once, and answers when all have.
  func onEveryLoop(
    _ executor: Executor, _ body: @escaping @Sendable (LoopWorker) -> Void, then answer: @escaping PendingReply.Answer
  ) -> Outcome {
    let own = worker(of: executor)
    body(own)
    let others = workers.filter { $0 !== own }
    if others.isEmpty {
      answer(executor)
      return .done
    }
    let pending = PendingReply()
    let left = Countdown(others.count)
    for other in others {
      other.eventLoop.execute {
        body(other)
        guard left.step() else { return }
        pending.fulfil(answer)
        own.eventLoop.execute { own.loop.release() }
      }
    }
    return .suspended(.reply(pending))
  }

  /// Has the clients of a loop enter their state. On that loop.
  func report(_ worker: LoopWorker) {
    service.clients.report(worker.clients.map { ($0.key, $0.value.reportedState) })
  }

  // MARK: CLIENT KILL

  private struct KillFilter: Sendable {
    var id: UInt64?
    var kind: ClientDirectory.Kind?
    var address: String?
    var localAddress: String?
    var secondsAtLeast: UInt64?
    var skipsSelf = true

    /// The connection to this slave's master, which is no client here and has no line in CLIENT LIST.
    var meansMasterLink: Bool {
      kind == .master && id == nil && address == nil && localAddress == nil && secondsAtLeast == nil
    }

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

  func clientKill(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) -> Outcome {
    var filter = KillFilter()
    if arguments.count == 3 {
      filter.address = decoded(arguments[2])
      filter.skipsSelf = false
      return kill(filter, executor, session) { count, executor in
        if count > 0 { executor.reply.ok() } else { executor.reply.error("ERR No such client" as StaticString) }
      }
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
          executor.reply.error("ERR Unknown client type '", quoting: value, "'")
          return .done
        }
        filter.kind = kind
      } else if equalsIgnoringCase(option, "addr") {
        filter.address = decoded(value)
      } else if equalsIgnoringCase(option, "laddr") {
        filter.localAddress = decoded(value)
      } else if equalsIgnoringCase(option, "user") {
        // Everybody is the default user.
        guard decoded(value) == "default" else {
          executor.reply.error("ERR No such user '", quoting: value, "'")
          return .done
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
    return kill(filter, executor, session) { count, executor in executor.reply.integer(Int64(count)) }
  }

  /// Ends the connections that match, and answers with their number when no command of theirs will run any more.
  private func kill(
    _ filter: KillFilter, _ executor: Executor, _ session: Session,
    then answer: @escaping @Sendable (Int, Executor) -> Void
  ) -> Outcome {
    let now = executor.tick
    let victims = service.clients.all().filter { filter.matches($0, session.id, now: now) }
    let endsLink = filter.meansMasterLink && !isMaster && replication.upstream.view.isLinkUp
    if endsLink { replication.upstream.reconnect() }
    if victims.contains(where: { $0.id == session.id }) { session.closing = true }
    let others = victims.filter { $0.id != session.id }
    let count = victims.count + (endsLink ? 1 : 0)
    guard !others.isEmpty else {
      answer(count, executor)
      return .done
    }
    let own = worker(of: executor)
    let pending = PendingReply()
    let left = Countdown(others.count)
    for victim in others {
      // On the victim's loop, between two of its batches: whatever has come for it is dropped.
      victim.channel.eventLoop.execute { [self] in
        end(victim, on: worker(for: victim.channel.eventLoop))
        guard left.step() else { return }
        pending.fulfil { answer(count, $0) }
        own.eventLoop.execute { own.loop.release() }
      }
    }
    return .suspended(.reply(pending))
  }

  private func end(_ victim: ClientDirectory.Entry, on worker: LoopWorker) {
    worker.clients[victim.id]?.dropCommands()
    victim.channel.close(promise: nil)
    // CLIENT LIST does not show it any more, although the channel is forgotten a little later.
    service.clients.remove(victim.id)
  }

  /// Ends a connection, whatever it is used for by now.
  func closeClient(_ id: UInt64) { service.clients[id]?.channel.close(promise: nil) }

  // MARK: CLIENT PAUSE

  /// CLIENT PAUSE milliseconds [WRITE|ALL]
  func clientPause(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    guard arguments.count <= 4 else {
      executor.reply.subcommandSyntaxError(arguments)
      return .done
    }
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
    guard milliseconds > 0 else {
      executor.reply.ok()
      return .done
    }
    // Ten years are for ever.
    let length = min(UInt64(milliseconds), 10 * 365 * 86_400_000)
    let now = Clocks.monotonic
    service.beginPause(until: now.advanced(by: length), all: all, now: now)
    // From this connection's next command on.
    executor.attention.insert(.paused)
    worker(of: executor).eventLoop.scheduleTask(in: .milliseconds(Int64(length) + 1)) { [self] in
      for worker in workers { worker.stateChanged() }
    }
    // A batch that another loop had begun before is over when that loop comes here.
    return onEveryLoop(executor, { _ in }) { $0.reply.ok() }
  }

  // MARK: CLIENT UNBLOCK

  /// CLIENT UNBLOCK id [TIMEOUT|ERROR]: ends WAIT, WAITAOF and WAITLSN, as their own timeout would or with an error.
  func clientUnblock(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) -> Outcome {
    guard arguments.count <= 4 else {
      executor.reply.subcommandSyntaxError(arguments)
      return .done
    }
    var isError = false
    if arguments.count == 4 {
      isError = equalsIgnoringCase(arguments[3], "error")
      guard isError || equalsIgnoringCase(arguments[3], "timeout") else {
        throw .text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
      }
    }
    guard let number = parseInteger(arguments[2]) else { throw .notInteger }
    guard let id = UInt64(exactly: number), let target = service.clients[id] else {
      executor.reply.integer(0)
      return .done
    }
    let own = worker(of: executor)
    let pending = PendingReply()
    target.channel.eventLoop.execute { [self, isError] in
      let isUnblocked =
        worker(for: target.channel.eventLoop).clients[id]?.connection.unblock(withError: isError) ?? false
      pending.fulfil { $0.reply.integer(isUnblocked ? 1 : 0) }
      own.eventLoop.execute { own.loop.release() }
    }
    return .suspended(.reply(pending))
  }
}

/// Counts down from any thread; the last step knows that it is the last.
final class Countdown: Sendable {
  private let left: Atomic<Int>
  init(_ count: Int) { left = Atomic(count) }
  func step() -> Bool { left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 }
}
