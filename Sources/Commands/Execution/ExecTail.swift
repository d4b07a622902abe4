// Raw memory: copies replies out of the executor's memory.
import LogStore
import RESP

/// What of an EXEC waits: commands about the server that need other loops, files or other nodes (REPLICAOF, CLIENT KILL,
/// CONFIG REWRITE, ...).
///
/// The commands on keys run first, as one moment, under the write lock. When that is given back, the waiting ones run one
/// after the other, in their order, and each answers what it did; the reply of EXEC leaves when the last has answered.
/// Example: what redis-sentinel sends (MULTI, SLAVEOF, CONFIG REWRITE, CLIENT KILL TYPE normal, EXEC). Lives on the
/// connection's event loop.
package final class ExecTail: @unchecked Sendable {
  // Safe to share: touched on the connection's event loop only, which a `Suspension` does not say.
  private enum Part {
    case bytes([UInt8])
    case waiting(QueuedCommand)
  }
  private var parts: [Part] = []
  private var next = 0
  /// The answer that is waited for; it belongs to `parts[next]`.
  private var pending: PendingReply?

  /// True when something can be done.
  package var isReady: Bool { pending.map { $0.ready != nil } ?? true }

  func add(bytes: UnsafeRawBufferPointer) { parts.append(.bytes(Array(bytes))) }
  func add(waiting command: QueuedCommand) { parts.append(.waiting(command)) }

  /// The next command to run; nil when the last has answered.
  fileprivate func nextCommand() -> QueuedCommand? {
    while next < parts.count {
      if case .waiting(let command) = parts[next] { return command }
      next += 1
    }
    return nil
  }
  fileprivate func wait(for answer: PendingReply) { pending = answer }
  fileprivate var takeAnswer: PendingReply.Answer? {
    guard let answer = pending?.ready else { return nil }
    pending = nil
    return answer
  }
  fileprivate var isWaiting: Bool { pending != nil }
  fileprivate func answered(_ bytes: UnsafeRawBufferPointer) {
    parts[next] = .bytes(Array(bytes))
    next += 1
  }
  fileprivate func write(to reply: inout ReplyBuffer) {
    for case .bytes(let bytes) in parts { bytes.withUnsafeBytes { reply.raw($0) } }
  }
}

extension Executor {
  /// Goes on with an EXEC, inside a batch: runs what waited, until something has to be waited for again.
  package func resume(_ tail: ExecTail, _ session: Session) -> Outcome {
    let begin = reply.count
    while true {
      if tail.isWaiting {
        guard let answer = tail.takeAnswer else { return .suspended(.exec(tail)) }
        answer(self)
      } else {
        guard let queued = tail.nextCommand() else { break }
        commandsProcessed &+= 1
        switch run(queued.command, queued.arguments, session) {
        case .done: break
        case .suspended(.reply(let pending)):
          reply.truncate(to: begin)
          tail.wait(for: pending)
          if attention.contains(.monitors) { feedMonitors(queued.command, queued.arguments, session) }
          continue
        case .suspended:
          reply.truncate(to: begin)
          reply.error("ERR the command would wait, which a transaction cannot" as StaticString)
        }
        if attention.contains(.monitors) { feedMonitors(queued.command, queued.arguments, session) }
      }
      // CLIENT REPLY answers nothing, but an array needs every element.
      if reply.count == begin { reply.null() }
      tail.answered(UnsafeRawBufferPointer(rebasing: reply.bytes[begin...]))
      reply.truncate(to: begin)
    }
    tail.write(to: &reply)
    reply.checkReply(from: begin, of: "exec")
    applyReplyMode(session, from: begin)
    return .done
  }
}
