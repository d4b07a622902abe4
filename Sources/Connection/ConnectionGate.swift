// Raw memory: hands texts out as bytes.
import Commands
import Core
import LogStore
import RESP

/// The end of what is held: it leaves, or it is answered with an error in its place.
extension ClientConnection {
  private static let uncertain =
    "UNCERTAIN the log could not be written: only a restart tells whether what this rests on is kept"

  /// Sends the held replies that are good now. Returns true when none is left.
  func release(good: Gate) -> Bool {
    var sent = false
    while let first = held.first, first.gate.isPassed(good) {
      held.removeFirst()
      driver?.sendKept()
      sent = true
    }
    if held.isEmpty, session.gate.isPassed(good) { session.gate = Gate() }
    if sent { driver?.flush() }
    if held.isEmpty, session.closing { driver?.close() }
    return held.isEmpty
  }

  /// Answers replies that have waited for slaves too long: the writes they rest on are kept and may still become good.
  func timeOut(_ now: Tick, milliseconds: UInt64, good: Gate) {
    answerHeld(
      "-SYNCTIMEOUT Fullsync wait timeout: slaves did not confirm in \(milliseconds) ms; the write is on this node and may "
        + "still become good\r\n"
    ) { !$0.isForwarded && $0.gate.durable <= good.durable && now.since($0.since) >= milliseconds }
  }

  /// What is good by now leaves; the rest is answered with an error, because what it tells of may be gone. What the master
  /// answered is not touched.
  func endHeld(good: Gate) {
    while !release(good: good) {
      answerHeld(
        "-UNCERTAIN this node took over another log while this waited for slaves: only the master tells whether what this "
          + "rests on is kept\r\n"
      ) { !$0.gate.isPassed(good) }
    }
    session.gate = Gate()
  }

  /// Answers held replies with an error each, from the oldest on as long as they are to be.
  private func answerHeld(_ text: @autoclosure () -> String, while isMeant: (HeldReplies.Entry) -> Bool) {
    while let first = held.first, isMeant(first) {
      held.removeFirst()
      driver?.dropKept()
      send(String(repeating: text(), count: first.replies))
    }
    // What comes next and rests on good data does not wait for these.
    if held.isEmpty {
      session.gate = Gate()
      if session.closing { driver?.close() }
    }
  }

  /// The reply of a command that rests on writes which the failed log may have lost is not kept for ever.
  func refuseUncertain(from begin: Int) {
    let executor = loop.executor
    guard held.isEmpty, !session.gate.isPassed(loop.host.good) else { return }
    session.gate = Gate()
    guard executor.reply.count > begin else { return }
    executor.reply.truncate(to: begin)
    executor.reply.error(Self.uncertain)
  }

  /// The log failed before the held replies became good, and it never goes on: whether their writes survive is known
  /// only after the restart. The client is told so, and the connection ends.
  func abandonHeld() {
    guard !held.isEmpty else { return }
    for _ in 0..<held.count { driver?.dropKept() }
    held.removeAll()
    session.gate = Gate()
    session.closing = true
    send("-\(Self.uncertain)\r\n")
    driver?.close()
  }

  func closeAfterReplies() { if held.isEmpty { driver?.close() } }

  /// Ends the connection with an error.
  package func finish(_ error: String) {
    loop.executor.reply.removeAll(keepingCapacity: true)
    loop.executor.reply.error(error)
    session.closing = true
    sendReplies()
    closeAfterReplies()
  }

  /// Past everything that is held.
  private func send(_ text: String) {
    var text = text
    text.withUTF8 { driver?.send(UnsafeRawBufferPointer($0)) }
  }
}
