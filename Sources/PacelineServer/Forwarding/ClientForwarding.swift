// Raw memory: hands views of commands on; none outlives its call.
import Commands
import Connection
import Core
import NIOCore
import RESP

/// A client's way to the master: which of its commands are looked at, and when its `Forwarder` has work.
///
/// One a client, on its loop. Empty as long as nothing was forwarded.
final class ClientForwarding {
  private let worker: LoopWorker
  /// There from the first time on.
  private var forwarder: Forwarder?
  /// The forwarder's batch, to be sent when what is behind it is kept.
  private var toStart: PendingReply?
  /// So many bytes of what was left came while a handover held writes back: their writes go to the new master.
  private var graceBytes = 0

  init(_ worker: LoopWorker) { self.worker = worker }

  /// Whether commands of this client may have to go to the master.
  @inline(__always) func mayForward(_ session: Session) -> Bool {
    (worker.forwardsWrites || forwarder != nil || graceBytes > 0) && decides(session)
  }

  private func decides(_ session: Session) -> Bool {
    if worker.loop.takesWrites, graceBytes == 0 { return forwarder?.isWatching ?? false }
    // What another node forwarded goes no further: nodes that follow each other must not pass it round.
    if session.forwardingNode != nil { return false }
    return worker.forwardsWrites || graceBytes > 0 || forwarder?.isWatching == true
      || forwarder?.isBehind(session) == true
  }

  @inline(never)
  func screen(
    _ arguments: borrowing ArgumentList, _ bytes: UnsafeRawBufferPointer, at: Int, for client: ClientHandler
  ) -> Screening {
    let forwarder = forwarder ?? Forwarder(client)
    self.forwarder = forwarder
    return forwarder.decide(
      arguments, bytes, client.session, sendsWrites: worker.forwardsWrites || at < graceBytes)
  }

  var hasBatch: Bool { forwarder.map { !$0.batch.isEmpty } ?? false }

  /// After the local replies: the client waits for what goes to the master.
  func executed(bytes: Int, for connection: ClientConnection) {
    graceBytes = max(0, graceBytes - bytes)
    guard !connection.isSuspended, hasBatch else { return }
    let pending = PendingReply()
    toStart = pending
    connection.hold(.reply(pending))
  }

  /// What is behind the batch is kept: the batch may go.
  func start() {
    guard let pending = toStart else { return }
    toStart = nil
    forwarder?.start(pending)
  }

  /// True while a batch is under way.
  func look(now: Tick) -> Bool {
    guard let forwarder else { return false }
    forwarder.look(now: now)
    return forwarder.isUnderWay
  }

  /// A handover is over, and another node is master: so many bytes came while it held writes back.
  func lostMastership(with bytes: Int) { graceBytes = bytes }

  /// What was to be forwarded is executed here.
  func givenBack() { graceBytes = 0 }

  /// The client has gone.
  func end() {
    forwarder?.close()
    forwarder = nil
    toStart = nil
  }
}
