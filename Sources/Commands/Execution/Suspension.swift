import Core
import Synchronization

/// What a command that cannot answer at once waits for. The shell keeps the connection from executing further commands
/// and calls `Executor.resume` when it is over.
package enum Suspension: Sendable {
  /// WAIT: until `slaves` slaves have acknowledged `lsn`.
  case slaves(count: Int, lsn: LSN, deadline: Tick?)
  /// WAITAOF: until this node (if `local` is 1) and so many slaves have `lsn` on disk.
  case disks(local: Int, slaves: Int, lsn: LSN, deadline: Tick?)
  /// WAITLSN: until `lsn` is visible here.
  case visible(lsn: LSN, deadline: Tick?)
  /// DEBUG SLEEP and the like: only time.
  case time(until: Tick)
  /// The server answers when it is done.
  case reply(PendingReply)
  /// EXEC: commands of the transaction that wait, one after the other; see `Executor.resume`.
  case exec(ExecTail)
  /// The log that waits to be written is full: nothing of the command has happened; it is executed anew when there is room.
  case room
  /// The connection has had its turn: the same, when the loop has looked at the others.
  case turn
  /// CLIENT PAUSE: nothing of the command has happened; it is executed anew when the pause is over.
  case paused
  /// The same, until a majority of the voters was heard of, or the deadline has come.
  case unconfirmed(deadline: Tick)

  /// The command stays where it is.
  package var isBeforeCommand: Bool {
    switch self {
    case .paused, .unconfirmed, .room, .turn: true
    case .slaves, .disks, .visible, .time, .reply, .exec: false
    }
  }
}

/// An answer that is made somewhere else: by a background job, or by asking the other event loops.
package final class PendingReply: Sendable {
  package typealias Answer = @Sendable (Executor) -> Void
  private let answer = Mutex<Answer?>(nil)
  package init() {}
  /// Sets the answer. The shell is then to be told that the state changed.
  package func fulfil(_ answer: @escaping Answer) { self.answer.withLock { $0 = answer } }
  package var ready: Answer? { answer.withLock { $0 } }
}

package enum Outcome {
  case done
  case suspended(Suspension)
}
