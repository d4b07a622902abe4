// Raw memory: looks at keys where they lie.
import LogStore

extension Executor {
  /// Deletes keys whose records are still those of the LSNs given, inside a batch that no command of the session began: its
  /// next reply waits until that is good. Example: MIGRATE, when the target has answered.
  ///
  /// - Returns: how many keys have another value by now; those that are gone do not count.
  package func deleteUnchanged(
    _ unchanged: [(key: [UInt8], lsn: UInt64)], in database: Int, for session: Session
  ) throws(CommandFailure) -> Int {
    keys.gate = session.gate
    keys.lastWrite = session.lastWrite
    defer {
      session.gate = keys.gate
      session.lastWrite = keys.lastWrite
    }
    var changed = 0
    for (key, lsn) in unchanged {
      let isOther = try key.withUnsafeBufferPointer { (bytes) throws(CommandFailure) in
        let key = UnsafeRawBufferPointer(bytes)
        let target = try keys.target(key, in: database)
        guard let record = keys.live(target) else { return false }
        if record.lsn == lsn { try keys.remove(target, key: key) }
        return record.lsn != lsn
      }
      if isOther { changed += 1 }
    }
    return changed
  }
}
