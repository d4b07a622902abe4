// Raw memory: hands views of commands on; none outlives its call.
import Commands
import Core
import NIOCore
import RESP

/// A client's way to the master.
extension ClientHandler {
  /// Whether commands of this client may have to go to the master.
  @inline(__always) var mayForward: Bool {
    (worker.forwardsWrites || forward != nil || graceBytes > 0) && decidesForwarding
  }

  private var decidesForwarding: Bool {
    if worker.takesWrites, graceBytes == 0 { return forward?.isWatching ?? false }
    // What another node forwarded goes no further: nodes that follow each other must not pass it round.
    if session.libraryName == ForwardConnection.libraryName { return false }
    return worker.forwardsWrites || graceBytes > 0 || forward?.isWatching == true
      || forward?.isBehind(session) == true
  }

  @inline(never)
  func forwarding(
    _ arguments: borrowing ArgumentList, _ bytes: UnsafeRawBufferPointer, at: Int
  ) -> Forwarder.Decision {
    let forwarder = forward ?? Forwarder(self)
    forward = forwarder
    let decision = forwarder.decide(
      arguments, bytes, session, sendsWrites: worker.forwardsWrites || at < graceBytes)
    if case .answered = decision { replies += 1 }
    return decision
  }

  /// After the local replies: the client waits for what goes to the master.
  func holdForwarded() {
    guard suspension == nil, let forward, !forward.batch.isEmpty else { return }
    let pending = PendingReply()
    forwardToStart = pending
    hold(.reply(pending))
  }

  func startForwarding() {
    guard let pending = forwardToStart else { return }
    forwardToStart = nil
    if !closed { forward?.start(pending) }
  }

  func endForwarding() {
    forward?.close()
    forward = nil
    forwardToStart = nil
  }

  /// Replies of the master: good as they are, but behind those that wait here.
  func sendForwarded(_ bytes: ByteBuffer) {
    if held.isEmpty {
      bytesSent &+= UInt64(bytes.readableBytes)
      worker.counters.sent(bytes.readableBytes)
      context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    } else {
      heldBytes += bytes.readableBytes
      held.append(HeldReplies(gate: Gate(), bytes: bytes, count: 1, since: Clocks.monotonic, isForwarded: true))
      worker.wait(self)
    }
  }

  /// Commands that were to be forwarded are executed here after all, before what came behind them.
  func giveBack(_ bytes: ByteBuffer) {
    var all = bytes
    if var rest = pending { all.writeBuffer(&rest) }
    pending = all
    parser.reset()
    graceBytes = 0
  }
}
