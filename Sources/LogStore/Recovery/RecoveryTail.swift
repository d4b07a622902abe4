// Raw memory: records are written to their file from where they were copied to.
import Core
import Synchronization

extension Recovery {
  /// Cuts the file to its records, writes them once more and flushes it: what is answered from now on is on disk. Without the
  /// write it might not be: after a flush that failed the system takes what it holds for written, and the next flush succeeds.
  func reopen(
    _ tail: Tail, _ records: UnsafeRawBufferPointer, capacity: Int, isLast: Bool
  ) throws(FileError) -> any OpenFile {
    let file = try store.fileSystem.open(path(tail.firstLSN, SegmentFormat.fileSuffix), .readWrite)
    // Cutting first makes the rest of the file zero again.
    try file.truncate(UInt64(tail.end))
    do throws(FileError) {
      if isLast { try file.reserve(UInt64(capacity + TailMark.bytes)) }
      try file.write(records, at: 0)
    } catch {
      // A full disk is no reason not to answer reads.
      guard error.isNoSpace else { throw error }
      store.failureText.withLock { $0 = error.description }
      store.refusal.store(1, ordering: .releasing)
    }
    try file.flush()
    return file
  }
}
