import Core
import NIOCore
import Synchronization

/// What all connections that owe a password hold together: bytes of commands that are not whole yet, and of commands behind
/// one that waits. Bounded by `--unauthenticated-bytes`; one a server.
final class Strangers: Sendable {
  private let held = Atomic<Int>(0)
  private let refused = Atomic<Int>(0)

  var heldBytes: Int { held.load(ordering: .relaxed) }
  /// Connections that were ended because they owed a password, since the start.
  var refusedConnections: Int { refused.load(ordering: .relaxed) }

  func change(by bytes: Int) -> Int { held.add(bytes, ordering: .relaxed).newValue }
  func noteRefusal() { refused.add(1, ordering: .relaxed) }
}

/// One connection's part of it, and since when it owes a password. On the connection's loop.
///
/// Invariant: `bytes` is what this connection has added to `Strangers`; 0 once it has authenticated or closed.
struct Stranger {
  private(set) var bytes = 0
  /// nil while it is no stranger.
  private(set) var since: Tick?

  enum Offence {
    case tooManyBytes
    case unreadReplies
    case silence

    /// The last reply.
    var text: String {
      switch self {
      case .tooManyBytes: "ERR too many bytes wait for clients that have not authenticated"
      case .unreadReplies: "ERR replies are not read, and the client has not authenticated"
      case .silence: "ERR the client has not authenticated in time"
      }
    }
  }

  var holdsBytes: Bool { bytes > 0 || since != nil }

  mutating func began(at tick: Tick) { since = since ?? tick }

  /// The connection owes a password and holds so many bytes now. Returns what all such connections hold.
  mutating func holds(_ now: Int, at tick: Tick, _ all: Strangers) -> Int {
    defer { bytes = now }
    began(at: tick)
    return all.change(by: now - bytes)
  }

  /// It has authenticated, or it has gone.
  mutating func left(_ all: Strangers) {
    if bytes != 0 { _ = all.change(by: -bytes) }
    (bytes, since) = (0, nil)
  }

  /// It has owed its password for too long; 0 milliseconds are for ever.
  func isOverdue(at tick: Tick, afterMilliseconds limit: UInt64) -> Bool {
    guard limit > 0, let since else { return false }
    return tick.since(since) >= limit
  }
}

extension ClientHandler {
  /// After bytes were kept, executed or dropped.
  func countStrangersBytes() {
    let all = worker.server.service.strangers
    guard !session.authenticated, !connection.isClosed else { return stranger.left(all) }
    let kept = pending.map { $0.readableBytes + $0.writableBytes } ?? 0
    let total = stranger.holds(kept, at: connection.lastActive, all)
    // The one that goes is one that asks for more; what it held is free again at once.
    if kept > 0, total > worker.strangersBytesMax { refuseStranger(.tooManyBytes) }
  }

  /// About once a second.
  func lookAtStranger(_ now: Tick) {
    guard !session.authenticated, !connection.isClosed, !session.closing else { return }
    if stranger.isOverdue(at: now, afterMilliseconds: worker.authTimeoutMilliseconds) { refuseStranger(.silence) }
  }

  /// Ends the connection. It reads nothing, or should not be waited for: what it has not read is dropped with it.
  func refuseStranger(_ offence: Stranger.Offence) {
    guard !connection.isClosed, !session.closing else { return }
    let all = worker.server.service.strangers
    all.noteRefusal()
    dropPending()
    stranger.left(all)
    worker.server.logger.debug(
      "client that has not authenticated refused",
      metadata: ["client.address": "\(session.address)", "client.reason": "\(offence.text)"])
    if case .unreadReplies = offence {
      session.closing = true
      // Behind the batch that may be at work.
      channel.eventLoop.execute { [channel] in channel.close(promise: nil) }
    } else {
      connection.finish(offence.text)
    }
  }
}
