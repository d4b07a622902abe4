import RESP

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
  package let flags: CommandFlags
  init(_ command: Command, copying arguments: borrowing ArgumentList, _ flags: CommandFlags) {
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
