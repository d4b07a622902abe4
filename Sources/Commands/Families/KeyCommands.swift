// Raw memory: looks at arguments and records where they lie; none outlives its batch.
import LogStore
import RESP

/// Commands about keys as such: there or not, of which type. Only strings exist.
enum KeyCommands {
  /// DEL key [key ...], UNLINK key [key ...]. Several keys are one unit.
  static func delete(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    keys.freesWith = 1
    defer { keys.freesWith = nil }
    if arguments.count == 2 {
      return executor.reply.integer(try delete(arguments[1], keys, session) ? 1 : 0)
    }
    // A damaged record refuses the command as a whole, so all are looked at before the first is deleted.
    for i in 1..<arguments.count where arguments[i].count <= keys.store.configuration.keyBytesMax {
      _ = try keys.target(arguments[i], in: session.database)
    }
    var deleted: Int64 = 0
    try keys.unit(in: session.database) { () throws(CommandFailure) in
      if !keys.store.isWritable {
        var bytes = 0
        for i in 1..<arguments.count { bytes += arguments[i].count + Self.deletionBytes }
        guard keys.store.takesWhatFrees(quarters: 1, bytes: bytes) else { throw keys.refusal() }
      }
      keys.isFreeing = true
      defer { keys.isFreeing = false }
      for i in 1..<arguments.count where try delete(arguments[i], keys, session) { deleted += 1 }
    }
    executor.reply.integer(deleted)
  }

  /// About what a deletion needs in the log beside its key.
  private static let deletionBytes = 40

  @inline(__always)
  private static func delete(
    _ key: UnsafeRawBufferPointer, _ keys: KeyAccess, _ session: Session
  ) throws(CommandFailure) -> Bool {
    guard let found = try keys.existing(key, in: session.database) else { return false }
    try keys.remove(found.target, key: key)
    return true
  }

  /// EXISTS key [key ...], TOUCH key [key ...]. A key named twice counts twice.
  static func countExisting(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    var count: Int64 = 0
    try executor.consistently { () throws(CommandFailure) in
      count = 0
      for i in 1..<arguments.count where try keys.readStored(arguments[i], in: session.database) != nil { count += 1 }
    }
    keys.hits &+= UInt64(count)
    keys.misses &+= UInt64(arguments.count - 1) - UInt64(count)
    executor.reply.integer(count)
  }

  /// TYPE key
  static func type(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) throws(CommandFailure)
  {
    let keys = executor.keys
    let isThere = keys.counted(try keys.readStored(arguments[1], in: session.database)) != nil
    executor.reply.simple((isThere ? "string" : "none") as StaticString)
  }
}
