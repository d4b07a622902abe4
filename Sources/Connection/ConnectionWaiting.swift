// Raw memory: hands texts out as bytes.
import Commands
import Core
import RESP

/// A connection while one of its commands waits: it executes no further one, and its loop serves others.
extension ClientConnection {
  package func hold(_ why: Suspension) {
    guard !isClosed else { return }
    if case .paused = why { state = .paused(asMaster: loop.takesWrites) } else { state = .suspended(why) }
    if case .turn = why { loop.suspend(self, isBlocked: false) } else { loop.suspend(self, isBlocked: true) }
    switch why {
    case .turn, .exec: loop.goOnBehindOthers(self)
    case .slaves, .disks, .visible, .time, .reply, .room, .paused, .unconfirmed: break
    }
    if let deadline = why.deadline { driver?.wake(at: deadline) }
  }

  private func resume() {
    state = .open
    loop.resumed(self)
  }

  /// Looks whether the suspension is over, and goes on.
  package func retry() {
    let now = loop.host.tick
    // First: it may end one suspension and begin another.
    if driver?.lookAtTaken(now: now) ?? false { return }
    guard let driver, let suspension else { return loop.resumed(self) }
    // News of other things are no new turn.
    if place.isBehindOthers { return }
    guard driver.isWritable, held.bytes <= loop.outputBufferBytesMax / 2 else { return }
    if case .exec(let tail) = suspension { return goOn(with: tail) }
    guard let answer = loop.host.outcome(of: suspension, now: now) else {
      if case .unconfirmed(let deadline) = suspension, now >= deadline {
        resume()
        finish("NOQUORUM this node is no master any more and has not caught up with the new one: nothing was done")
      }
      return
    }
    // A handover is over, and another node is master.
    if case .paused(asMaster: true) = state, !loop.host.isMaster { driver.lostMastership() }
    resume()
    if let answer {
      let executor = loop.executor
      executor.reply.removeAll(keepingCapacity: true)
      executor.reply.protocolVersion = session.protocolVersion
      answer(executor)
      executor.reply.checkReply(from: 0, of: "a command that waited")
      if session.replyMode == .off { executor.reply.removeAll(keepingCapacity: true) }
      sendReplies()
    }
    goOn()
  }

  /// A suspension is over and answered: with what came meanwhile.
  private func goOn() {
    if session.closing { closeAfterReplies() } else { driver?.readOn() }
  }

  /// An EXEC of which commands wait: the next of them, or the answer of all.
  private func goOn(with tail: ExecTail) {
    guard tail.isReady else { return }
    let executor = loop.executor
    loop.host.beginBatch(forwarding: false)
    executor.level = loop.level.joined(session.level)
    executor.reply.removeAll(keepingCapacity: true)
    executor.reply.protocolVersion = session.protocolVersion
    let outcome = executor.resume(tail, session)
    loop.host.endBatch()
    // It asks again when one of its commands has its answer.
    if case .suspended = outcome { return }
    resume()
    sendReplies()
    goOn()
  }

  /// Answers a command that waits with an error from outside the executor.
  package func answerSuspended(_ error: String) {
    guard isSuspended else { return }
    resume()
    var reply = "-\(error)\r\n"
    reply.withUTF8 { send(UnsafeRawBufferPointer($0)) }
    goOn()
  }

  /// CLIENT KILL: nothing that has come is executed any more. The connection is closed next.
  package func dropCommands() {
    state = .closed
    session.closing = true
    loop.resumed(self)
  }

  /// CLIENT UNBLOCK: ends a WAIT, WAITAOF or WAITLSN. False if the connection is in none of them.
  package func unblock(withError: Bool) -> Bool {
    let now = loop.host.tick
    let over: Suspension
    switch suspension {
    case .slaves(let count, let lsn, _): over = .slaves(count: count, lsn: lsn, deadline: now)
    case .disks(let local, let slaves, let lsn, _):
      over = .disks(local: local, slaves: slaves, lsn: lsn, deadline: now)
    case .visible(let lsn, _): over = .visible(lsn: lsn, deadline: now)
    case .time, .reply, .exec, .paused, .unconfirmed, .room, .turn, nil: return false
    }
    if withError {
      answerSuspended("UNBLOCKED client unblocked via CLIENT UNBLOCK")
    } else {
      state = .suspended(over)
      retry()
    }
    return true
  }
}

extension Suspension {
  /// When it is over at the latest; nil: something else has to come.
  var deadline: Tick? {
    switch self {
    case .time(let until): until
    case .unconfirmed(let deadline): deadline
    case .slaves(_, _, let deadline), .disks(_, _, _, let deadline), .visible(_, let deadline): deadline
    case .reply, .exec, .room, .turn, .paused: nil
    }
  }
}
