import Commands
import Core
import NIOCore
import NIOPosix
import RESP

/// A client connection while one of its commands waits: it executes no further one, and its loop serves others.
extension ClientHandler {
  func hold(_ why: Suspension) {
    suspension = why
    if case .paused = why { pausedAsMaster = worker.takesWrites }
    worker.suspend(self)
    switch why {
    case .turn, .exec: worker.goOnBehindOthers(self)
    default: break
    }
    if case .time(let until) = why { wake(at: until) }
    if case .unconfirmed(let deadline) = why { wake(at: deadline) }
    if case .slaves(_, _, let deadline?) = why { wake(at: deadline) }
    if case .visible(_, let deadline?) = why { wake(at: deadline) }
    if case .disks(_, _, _, let deadline?) = why { wake(at: deadline) }
  }

  private func wake(at deadline: Tick) {
    let milliseconds = Int64(clamping: deadline.since(Clocks.monotonic))
    let this = NIOLoopBound(self, eventLoop: channel.eventLoop)
    channel.eventLoop.scheduleTask(in: .milliseconds(min(milliseconds, 1 << 40) + 1)) { this.value.retry() }
  }

  /// The connection leaves the clients: `answer` is its last reply, then `next` handles its bytes.
  func handOver(answer: ByteBuffer, to next: any ChannelHandler) {
    suspension = nil
    closed = true
    endForwarding()
    worker.forget(self)
    worker.server.closed(self)
    channel.writeAndFlush(answer, promise: nil)
    do {
      try channel.pipeline.syncOperations.addHandler(next)
      channel.pipeline.syncOperations.removeHandler(self, promise: nil)
      if let rest = pending, rest.readableBytes > 0 { channel.pipeline.fireChannelRead(rest) }
    } catch {
      channel.close(promise: nil)
    }
  }

  /// Answers a suspended command with an error from outside the executor.
  func answerSuspended(_ error: String) {
    guard suspension != nil, !closed else { return }
    suspension = nil
    worker.resumed(self)
    var reply = channel.allocator.buffer(capacity: error.utf8.count + 3)
    reply.writeString("-\(error)\r\n")
    send(reply)
    executePending()
  }

  /// CLIENT KILL: nothing that has come is executed any more. The channel is closed next.
  func dropCommands() {
    closed = true
    session.closing = true
    suspension = nil
    pending = nil
    endForwarding()
    worker.resumed(self)
  }

  /// CLIENT UNBLOCK: ends a WAIT, WAITAOF or WAITLSN. False if the connection is in none of them.
  func unblock(withError: Bool) -> Bool {
    let now = Clocks.monotonic
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
      suspension = over
      retry()
    }
    return true
  }

  /// While suspended, at most 64 KiB of further commands are taken from the socket.
  func holdBack() {
    if isReading, pending?.readableBytes ?? 0 > 64 << 10 {
      isReading = false
      channel.setOption(.autoRead, value: false).whenFailure { _ in }
    }
  }

  /// Looks whether the suspension is over, and goes on.
  func retry() {
    let now = Clocks.monotonic
    if let forward {
      // First: it may end one suspension and begin another.
      forward.look(now: now)
      if forward.isUnderWay { return }
    }
    guard let suspension, !closed else { return worker.resumed(self) }
    // News of other things are no new turn.
    if isBehindOthers { return }
    guard channel.isWritable, heldBytes <= worker.outputBufferBytesMax / 2 else { return }
    if case .exec(let tail) = suspension { return goOn(with: tail) }
    guard let answer = worker.server.row.outcome(of: suspension, now: now) else {
      if case .unconfirmed(let deadline) = suspension, now >= deadline {
        self.suspension = nil
        worker.resumed(self)
        finish("NOQUORUM this node is no master any more and has not caught up with the new one: nothing was done")
      }
      return
    }
    self.suspension = nil
    worker.resumed(self)
    // A handover is over, and another node is master.
    if case .paused = suspension, pausedAsMaster, !worker.server.isMaster { graceBytes = pending?.readableBytes ?? 0 }
    if let answer {
      worker.executor.reply.removeAll(keepingCapacity: true)
      worker.executor.reply.protocolVersion = session.protocolVersion
      answer(worker.executor)
      worker.executor.reply.checkReply(from: 0, of: "a command that waited")
      if session.replyMode == .off { worker.executor.reply.removeAll(keepingCapacity: true) }
      sendReplies()
    }
    goOn()
  }

  /// A suspension is over and answered: with what came meanwhile.
  private func goOn() {
    if session.closing { return closeAfterReplies() }
    if !isReading {
      isReading = true
      channel.setOption(.autoRead, value: true).whenFailure { _ in }
    }
    executePending()
  }

  /// An EXEC of which commands wait: the next of them, or the answer of all.
  private func goOn(with tail: ExecTail) {
    guard tail.isReady else { return }
    let executor = worker.executor
    worker.beginBatch(forwarding: false)
    executor.level = worker.level.joined(session.level)
    executor.reply.removeAll(keepingCapacity: true)
    executor.reply.protocolVersion = session.protocolVersion
    let outcome = executor.resume(tail, session)
    worker.endBatch()
    // It asks again when one of its commands has its answer.
    if case .suspended = outcome { return }
    suspension = nil
    worker.resumed(self)
    sendReplies()
    goOn()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if channel.isWritable, suspension != nil { retry() }
    if !channel.isWritable, !session.authenticated { refuseStranger(.unreadReplies) }
    context.fireChannelWritabilityChanged()
  }
}
