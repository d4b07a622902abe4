// Raw memory: looks at a client's name where it lies.
import Core
import LogStore
import RESP
import Synchronization

/// One connection as commands see it. Lives on the connection's event loop.
package final class Session {
  package let id: UInt64
  /// The client's `address:port`, as CLIENT LIST and MONITOR show it.
  package var address = ""
  package var database = 0
  /// 2 or 3.
  package var protocolVersion: UInt8 = 2
  package var authenticated: Bool
  package var name = ""
  /// The node whose client's commands come over this connection (MS_FORWARD); nil on a client's own.
  package var forwardingNode: NodeID?
  package var libraryName = ""
  package var libraryVersion = ""
  package var replyMode = ReplyMode.on
  package var transaction: Transaction?
  package var watched: [WatchedKey] = []
  /// Memory of `watched`.
  var watchedBytes = 0
  /// What replies not yet sent wrote or saw that is not good yet: they wait until it is.
  package var gate = Gate()
  /// COMMIT LEVEL: the least level of this connection's writes; nil = the server's.
  package var level: RecordLevel?
  /// READ MAXLAG: reads are refused on a slave that is further behind.
  package var staleness: StalenessBound?
  /// LSN of this connection's newest write: what `WAIT` and `LASTLSN` speak of.
  package var lastWrite: UInt64 = 0
  package var isMonitor = false
  /// Asked to be a slave: the registry is told when it goes.
  package var isSlaveLink = false
  package var noEvict = false
  package var noTouch = false
  /// Set by QUIT, by CLIENT KILL of itself and by protocol errors: the connection ends after its replies.
  package var closing = false
  package var lastCommand: Command?
  package var lastSubcommand: String?

  package enum ReplyMode: Sendable { case on, off, skipNext, skipping }

  package init(id: UInt64, authenticated: Bool) {
    self.id = id
    self.authenticated = authenticated
  }

  /// Forgets what MULTI queued and what WATCH watches.
  package func discardTransaction() {
    transaction = nil
    unwatch()
  }

  func unwatch() {
    watched = []
    watchedBytes = 0
  }

  /// What a client may call itself: graphic ASCII without blanks; empty takes the name back.
  package static func isValidName(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F }
  }
}

/// Commands between MULTI and EXEC.
package struct Transaction {
  /// Every queued command with its own copy of the arguments.
  package private(set) var queue: [QueuedCommand] = []
  /// Memory of `queue`; at most `bytesMax`.
  package private(set) var bytes = 0
  /// A command was refused while queueing: EXEC answers EXECABORT.
  package private(set) var aborted = false
  /// One of the queued commands writes.
  package private(set) var writes = false
  /// One of them reads.
  package private(set) var reads = false
  package init() {}

  /// Limit of one connection's queue, and of the keys it watches.
  package static let bytesMax = 64 << 20

  /// Adds a copy of a command. False, and nothing added, if the queue is full.
  mutating func add(_ command: Command, copying arguments: borrowing ArgumentList, _ flags: CommandFlags) -> Bool {
    let size = arguments.byteCount + arguments.count * 8 + 256
    guard size <= Self.bytesMax - bytes else { return false }
    bytes += size
    queue.append(QueuedCommand(command, copying: arguments, flags))
    if flags.contains(.write) { writes = true }
    if flags.contains(.readonly) { reads = true }
    return true
  }

  /// From now on only EXEC, which will refuse, or DISCARD can follow: the queue's memory is given back.
  mutating func abort() {
    aborted = true
    queue = []
    bytes = 0
  }
}

package final class QueuedCommand {
  package let command: Command
  package let arguments: ArgumentList
  /// Of the subcommand, if it has one.
  let flags: CommandFlags
  package init(_ command: Command, copying arguments: borrowing ArgumentList, _ flags: CommandFlags) {
    self.command = command
    self.flags = flags
    self.arguments = ArgumentList(copying: arguments)
  }
}

/// A key under WATCH and the record that stood there.
package struct WatchedKey {
  package let database: Int
  /// LSN of the catalog record that had bound the database's table: another one after a flush or a swap.
  package let boundAt: UInt64
  /// The history that the numbers belong to: the store's hash seed.
  package let lineage: UInt64
  package let key: [UInt8]
  /// LSN of the live record; 0 if there was none.
  package let lsn: UInt64
}

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
