// Raw memory: walks log records in a buffer of its own.
import Core

extension LogStore {
  /// The lists of voters that this log names, oldest first: the one that is applied, and those in the records behind it. Reads
  /// that part of the log: much only after a start, where many records may wait to be known as good. Any thread that may
  /// block.
  public func voterLists() -> [(lsn: LSN, nodes: [NodeID])] {
    let access = writeLock.lock()
    var lists = [(lsn: LSN(newestCatalogLSN), nodes: catalog.voters)]
    let (applied, last) = (positions.applied, positions.appended)
    writeLock.unlock(access)
    guard applied < last, let participant = epochs.join() else { return lists }
    defer { epochs.resign(participant) }
    epochs.enter(participant)
    defer { epochs.leave(participant) }
    var buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)
    defer { buffer.deallocate() }
    var cursor = LogCursor(startingAt: applied.next)
    while cursor.next <= last {
      var needed = 0
      guard let run = try? read(&cursor, upTo: last, into: buffer, bytesNeeded: &needed) else {
        guard needed > buffer.count else { break }
        buffer.deallocate()
        buffer = .allocate(byteCount: needed, alignment: 64)
        continue
      }
      var at = 0
      while at < run.bytes, let start = buffer.baseAddress {
        let record = RecordView(UnsafeRawPointer(start) + at)
        if record.kind == RecordKind.catalog.rawValue, let found = Catalog([UInt8](record.value)) {
          lists.append((LSN(record.lsn), found.voters))
        }
        at += record.recordBytes
      }
    }
    return lists
  }
}
