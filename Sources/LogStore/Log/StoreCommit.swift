// Raw memory: hands segment memory to the file.
import Core
import Synchronization

/// What one commit did.
public struct CommitResult: Equatable, Sendable {
  /// Everything up to here is handed to the operating system.
  public var written = LSN.none
  /// Everything up to here is on disk.
  public var durable = LSN.none
  public var bytes = 0
  /// The disk is full: what is unwritten stays in memory, try again later.
  public var blocked = false
  /// Segments were filled: `maintain` has work.
  public var filledSegments = false
}

extension LogStore {
  /// Bytes of records appended and not yet handed to the operating system. Under the write lock. O(1).
  public var unwrittenBytes: Int {
    closedBytes + max(0, activeUsed - active.recordsAt) - writtenBytes.load(ordering: .acquiring)
  }

  /// The disk is so far behind that writers should be held back: what waits to be written, or what is written and waits for
  /// its index file (and stays in memory until then), is more than `unwrittenBytesMax`. Cheap: asked once a batch.
  @inlinable public var isOverloaded: Bool {
    let unwritten = appendedBytesSeen.load(ordering: .relaxed) &- writtenBytes.load(ordering: .relaxed)
    return unwritten > configuration.unwrittenBytesMax || isSealingBehind
  }
  @usableFromInline var isSealingBehind: Bool {
    // What waits for slaves is not sealed, and has bounds of its own.
    sealQueue.bytes > configuration.unwrittenBytesMax &+ configuration.opsBufferBytes && !isGated
      && !sealQueue.fails.load(ordering: .relaxed)
  }

  /// To be called under the write lock by whoever appended, before the lock is given back.
  @inlinable @inline(__always)
  public func noteAppended(_ access: borrowing WriteAccess) {
    appendedBytesSeen.store(closedBytes &+ max(0, activeUsed &- activeRecordsAt), ordering: .relaxed)
  }

  /// Group commit: writes what has been appended since the last call and, with `flush`, waits until it is on disk.
  ///
  /// Called by one thread at a time. The write lock is held only to see how far the log goes. After a failed write or
  /// flush the store refuses writes until it is opened again: what the system did with the bytes is unknown, and asking
  /// again would not tell (P. Rebello et al., "Can Applications Recover from fsync Failures?", 2020).
  public func commit(flush: Bool) -> CommitResult {
    if case .failed = writeRefusal { return result() }
    let access = writeLock.lock()
    let last = LSN(lastLSN)
    active.used = activeUsed
    // Filled segments may stay unsealed for long; only those that come new are worth the maintenance thread's time.
    var work: [(segment: Segment, memory: SegmentMemory?, upTo: Int, filled: Bool)] = []
    for segment in segmentList.withLock({ $0 }).reversed() {
      if segment.state == .sealed { break }
      if segment.state == .dropped { continue }
      // They are handed over in the order of the log.
      if case .handedOver = segment.output { break }
      work.append((segment, segment.memory, segment.used, segment.state == .filled))
    }
    writeLock.unlock(access)

    // A segment that ends inside a unit is sealed only when the unit's end is on disk too.
    let flush = flush || work.contains { $0.filled && $0.segment.endsInsideUnit }
    var result = CommitResult()
    do throws(FileError) {
      for item in work.reversed() {
        if item.segment.output.written < item.upTo {
          do throws(FileError) {
            try write(item.segment, item.memory, upTo: item.upTo, bytes: &result.bytes)
          } catch {
            // Nothing new is let in from here on; what waits already is written in the space that is kept.
            guard error.isNoSpace, let reserve else { throw error }
            refuse(error)
            try reserve.withRoom(item.upTo - item.segment.output.written, after: error) { () throws(FileError) in
              try write(item.segment, item.memory, upTo: item.upTo, bytes: &result.bytes)
            }
          }
        }
        // The next segment's records must never be on disk without this one's.
        if item.filled {
          try complete(item.segment)
          // A start cuts a unit whose end is not on disk: nothing of it is durable before.
          if !item.segment.endsInsideUnit {
            // A write of the next segment may fail: what is durable is written, too.
            if positions.written < item.segment.lastLSN { positions.set(written: item.segment.lastLSN) }
            if positions.durable < item.segment.lastLSN { positions.set(durable: item.segment.lastLSN) }
          }
        }
      }
      noteRoom()
      result.filledSegments = work.contains { $0.filled }
      if positions.written < last { positions.set(written: last) }
      if flush {
        if let newest = work.first, !newest.filled { try self.flush(newest.segment) }
        if positions.durable < last { positions.set(durable: last) }
      }
    } catch {
      refuse(error)
    }
    result.blocked = refusal.load(ordering: .relaxed) == 1
    result.written = positions.written
    result.durable = positions.durable
    return result
  }

  private func result() -> CommitResult { CommitResult(written: positions.written, durable: positions.durable) }

  /// Closes the store for writes, for good.
  func latch(_ error: FileError) {
    failureText.withLock { $0 = error.description }
    refusal.store(2, ordering: .releasing)
  }

  /// Refuses writes: until there is room (or a file handle) again if that is what is missing, else for good.
  private func refuse(_ error: FileError) {
    guard error.isPassing else { return latch(error) }
    // A store that is closed for good stays so.
    guard refusal.compareExchange(expected: 0, desired: 1, ordering: .acquiringAndReleasing).original < 2 else {
      return
    }
    failureText.withLock { $0 = error.description }
  }

  /// A failed flush closes the store whatever its reason: what it left undone is not tried again by the next one.
  func flushOrLatch(_ file: any OpenFile) throws(FileError) {
    do throws(FileError) { try file.flush() } catch {
      latch(error)
      throw error
    }
  }

  private func flush(_ segment: Segment) throws(FileError) {
    guard case .open(var open) = segment.output else { return }
    if open.flushed < open.written {
      #if PACELINE_PLANTED_BUGS
        if !PlantedBug.skipFlush.isPlanted { try flushOrLatch(open.file) }
      #else
        try flushOrLatch(open.file)
      #endif
      open.flushed = open.written
    } else if open.marked < open.flushed {
      // Nothing was written since the last flush: a new mark can say that all of it is good. The next records go over it.
      try open.file.write(TailMark.encoded(end: open.written, flushed: open.flushed), at: UInt64(open.written))
      open.marked = open.flushed
    }
    segment.output = .open(open)
  }

  /// Flushes a filled segment and hands it to the maintenance thread.
  private func complete(_ segment: Segment) throws(FileError) {
    guard case .open(let open) = segment.output else { return }
    #if PACELINE_PLANTED_BUGS
      let isSynced = open.flushed == open.written || PlantedBug.skipFilledFlush.isPlanted
    #else
      let isSynced = open.flushed == open.written
    #endif
    if !isSynced { try flushOrLatch(open.file) }
    segment.output = .handedOver(open.file)
    sealQueue.add(segment)
  }

  private func write(_ segment: Segment, _ memory: SegmentMemory?, upTo: Int, bytes: inout Int) throws(FileError) {
    guard let memory else {
      preconditionFailure("segment \(segment.firstLSN) has unwritten bytes and no memory")
    }
    var open: Segment.Output.Open
    switch segment.output {
    case .open(let begun): open = begun
    case .notBegun:
      open = .init(file: try createFile(segment, memory, upTo: upTo))
      segment.output = .open(open)
    case .handedOver, .closed: preconditionFailure("segment \(segment.firstLSN) is complete and gets more bytes")
    }
    let from = open.written
    try open.file.write(
      UnsafeRawBufferPointer(start: memory.start + from, count: upTo - from),
      followedBy: TailMark.encoded(end: upTo, flushed: open.flushed), at: UInt64(from))
    open.written = upTo
    open.marked = open.flushed
    segment.output = .open(open)
    writtenBytes.add(upTo - max(from, segment.recordsAt), ordering: .releasing)
    bytes += upTo - from
  }

  /// Makes a segment's file and reserves its space, so that a full disk shows here and not in the middle of a record.
  ///
  /// The order: the header is on disk, then the name, then the note that the segment was begun; the first record comes
  /// after that. So a start that finds the note and no file, or a file without a header, knows that something was lost. A
  /// name that is used again keeps its header meanwhile.
  ///
  /// - Parameter upTo: where the disk is full, no more is reserved than is written now.
  private func createFile(
    _ segment: Segment, _ memory: SegmentMemory, upTo: Int
  ) throws(FileError) -> any OpenFile {
    let path = path(of: segment, SegmentFormat.fileSuffix)
    let file = try fileSystem.open(path, .readWrite)
    do throws(FileError) {
      try file.write(UnsafeRawBufferPointer(start: memory.start, count: SegmentFormat.headerBytes), at: 0)
      try file.truncate(UInt64(SegmentFormat.headerBytes))
      let isFull = refusal.load(ordering: .relaxed) == 1
      try file.reserve(UInt64((isFull ? upTo : segment.capacity) + TailMark.bytes))
      try flushOrLatch(file)
      #if PACELINE_PLANTED_BUGS
        if !PlantedBug.skipDirectoryFlush.isPlanted { try fileSystem.flushDirectory(directory) }
      #else
        try fileSystem.flushDirectory(directory)
      #endif
      try noteBegun(segment.firstLSN)
    } catch {
      file.close()
      // What may be noted as begun must be there.
      if begunLSN.load(ordering: .acquiring) != segment.firstLSN.value { try? fileSystem.unlink(path) }
      throw error
    }
    return file
  }

  public func path(of segment: Segment, _ suffix: String) -> String {
    directory + "/" + (suffix == SegmentFormat.indexSuffix ? segment.name.index : segment.name.records)
  }
}
