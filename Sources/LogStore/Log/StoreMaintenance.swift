// Raw memory: swaps a segment's memory for its mapping.
import Core
import Synchronization

/// What `maintain` changed.
public struct MaintenanceResult: Equatable, Sendable {
  /// The list of sealed segments changed: a new generation should name it.
  public var segmentsChanged = false
  public var error: FileError?
}

extension LogStore {
  /// Background work, in one thread: seals filled segments, moves the oldest resident ones out of the ops buffer to
  /// their mappings, drops segments that nobody needs.
  ///
  /// - Parameter neededFrom: the lowest LSN that a slave's pin still holds.
  /// - Parameter rawFrom: from here on the log stays as it is, whoever may need it.
  /// - Parameter sealUpTo: what follows stays unsealed. With the committed LSN, sealed means committed: a start shows
  ///   what is sealed without asking anybody.
  public func maintain(
    neededFrom: LSN, rawFrom: LSN = LSN(.max), sealUpTo: LSN = LSN(.max)
  ) -> MaintenanceResult {
    var result = MaintenanceResult()
    // What a failed write or flush left on disk is unknown: nothing is sealed or dropped on it.
    if case .failed = writeRefusal {
      epochs.collect()
      return result
    }
    do throws(FileError) {
      while let segment = sealQueue.oldest, segment.lastLSN <= sealUpTo,
        unitEnd(of: segment, isUpTo: min(positions.durable, sealUpTo))
      {
        try seal(segment)
        sealQueue.remove([segment])
        result.segmentsChanged = true
      }
      sealQueue.fails.store(false, ordering: .relaxed)
      try trimOpsBuffer()
      if dropDeadSegments(compactionBounds(neededFrom: neededFrom, rawFrom: rawFrom)) { result.segmentsChanged = true }
    } catch {
      result.error = error
      sealQueue.fails.store(true, ordering: .relaxed)
      if !error.isPassing { latch(error) }
    }
    epochs.collect()
    pool.trim()
    return result
  }

  /// The file is cut to its records and flushed before the index file stands beside it: an `.idx` is a promise that the
  /// segment is complete.
  private func seal(_ segment: Segment) throws(FileError) {
    let index = try cutToRecords(segment)
    try withRoom(2 * index.count) { () throws(FileError) in
      try fileSystem.replace(path(of: segment, SegmentFormat.indexSuffix), in: directory, with: index)
    }
    withWriteLock { _ in segment.state = .sealed }
    segment.closeFile()
  }

  /// The file holds the records and nothing behind them when this returns. Gives the bytes of its index file.
  func cutToRecords(_ segment: Segment) throws(FileError) -> [UInt8] {
    guard case .memory(let memory) = segment.content, case .handedOver(let file) = segment.output else {
      preconditionFailure("segment \(segment.firstLSN) is sealed without its memory and file")
    }
    try file.truncate(UInt64(segment.used))
    try flushOrLatch(file)
    let bytes = UnsafeRawBufferPointer(start: memory.start, count: segment.used)
    segment.fileChecksum = CRC32C.checksum(bytes)
    return IndexFile.build(
      segment: bytes, firstLSN: segment.firstLSN, lastLSN: segment.lastLSN, hashSeed: hashSeed,
      dataChecksum: segment.fileChecksum)
  }

  /// Whether the unit that a complete segment ends with is over by `limit`: a unit that began in a sealed segment is
  /// never cut.
  private func unitEnd(of segment: Segment, isUpTo limit: LSN) -> Bool {
    guard segment.endsInsideUnit else { return true }
    return withWriteLock { _ in
      for later in segmentList.withLock({ $0 }) where later.firstLSN > segment.firstLSN {
        guard let memory = later.memory else { return true }
        let end = later === active ? activeUsed : later.used
        var at = SegmentFormat.headerBytes
        while at < end {
          let record = RecordView(UnsafeRawPointer(memory.start) + at)
          if !record.unitContinues { return record.lsn <= limit.value }
          at += record.recordBytes
        }
      }
      return false
    }
  }

  /// Keeps the newest segments in memory, up to the ops buffer's size.
  private func trimOpsBuffer() throws(FileError) {
    let segments = segmentList.withLock { $0 }
    var resident = 0
    for segment in segments.reversed() where segment.isInMemory {
      resident += segment.used
      if resident > configuration.opsBufferBytes, segment.state == .sealed { try map(segment) }
    }
  }

  /// From now on the segment is read from its file; its memory goes back when no reader can see it.
  private func map(_ segment: Segment) throws(FileError) {
    let mapping = try fileSystem.map(path(of: segment, SegmentFormat.fileSuffix))
    guard mapping.count == segment.used else {
      throw FileError(
        operation: "map", path: path(of: segment, SegmentFormat.fileSuffix), errno: 5,
        reason: "it has \(mapping.count) bytes instead of \(segment.used)")
    }
    let memory = segment.memory
    // First where readers look: one that sees it mapped finds no address in the memory any more.
    addresses.publish(mapping, slot: segment.slot)
    withWriteLock { _ in segment.content = .mapped(mapping) }
    epochs.retire { withExtendedLifetime(memory) {} }
  }

  /// Drops sealed segments in which nothing is alive.
  ///
  /// What replaced their records must be settled: a crash or a rewind would need them again. Tombstones and catalog
  /// records count as needed while an older segment stays: without a tombstone an older record of its key would come
  /// back. The newest catalog record is always needed. Compaction does the same for single records; this needs no reading.
  private func dropDeadSegments(_ bounds: CompactionBounds) -> Bool {
    let access = writeLock.lock()
    var dropped: [Segment] = []
    var olderKept = false
    for segment in segmentList.withLock({ $0 }) {
      let holdsCatalog = keyspace.catalogEntry != .empty && keyspace.catalogEntry.segment == segment.slot
      // A slave's records count as alive only when they are applied.
      if segment.state == .sealed, segment.lastLSN <= positions.applied,
        keyspace.live.recordCount(slot: segment.slot) == 0,
        !holdsCatalog
      {
        if segment.deadSince == .none { segment.deadSince = LSN(lastLSN) }
      }
      let dead =
        segment.deadSince != .none && segment.deadSince <= bounds.settled && segment.pins == 0
        && segment.lastLSN < bounds.neededFrom && segment.lastLSN.value < lastLSN
        && (segment.keptRecords == 0 || !olderKept)
      if dead { dropped.append(segment) } else { olderKept = true }
    }
    if !dropped.isEmpty {
      raiseRewindFloor(to: dropped.map(\.deadSince).max() ?? .none, access)
      remove(dropped, replacement: nil, access)
    }
    writeLock.unlock(access)
    return !dropped.isEmpty
  }

  /// Takes segments out of the log, with what stands for them now in their place. Under the write lock; the index no
  /// longer points at them. Their files stay until `removeDropped`, their memory until no reader can see it.
  func remove(_ gone: [Segment], replacement: Segment?, _ access: borrowing WriteAccess) {
    var start = logStart
    for segment in gone {
      segment.state = .dropped
      start = max(start, segment.lastLSN.next)
      newestRemoved = max(newestRemoved, segment.lastLSN)
      if replacement == nil, segment.keptRecords > 0 { tombstonesFrom = max(tombstonesFrom, segment.lastLSN.next) }
    }
    segmentList.withLock { list in
      let at = list.firstIndex { $0.state == .dropped } ?? list.count
      list.removeAll { $0.state == .dropped }
      if let replacement { list.insert(replacement, at: at) }
    }
    setLogStart(start, access)
    droppedFiles.withLock { $0.append(contentsOf: gone.map(\.name)) }
    for segment in gone {
      // The slot is used again only when no reader can hold an entry that names it.
      epochs.retire { [identity] in identity.store?.recycle(segment) }
    }
  }

  /// Removes the files of dropped segments that no kept generation can need: neither lists them nor would find them by
  /// name. Call it when a new generation is on disk, with the kept generations that name this store's directory.
  public func removeDropped(keptGenerations: [DirectoryFile]) throws(FileError) {
    var left: [LogFileName] = []
    for name in droppedFiles.withLock({ $0 }) {
      let needed = keptGenerations.contains { generation in
        (!name.isData && name.firstLSN >= generation.logStart) || generation.segments.contains { $0.name == name }
      }
      if needed {
        left.append(name)
        continue
      }
      for file in [name.index, name.records] {
        let path = directory + "/" + file
        if fileSystem.exists(path) { try fileSystem.unlink(path) }
      }
    }
    droppedFiles.withLock { [left] in $0 = left }
  }

  func recycle(_ segment: Segment) {
    addresses.withdraw(segment.slot)
    let content = segment.content
    withWriteLock { access in
      segment.content = .none
      keyspace.release(slot: segment.slot, access)
      clearDictionaries(slot: segment.slot, access)
      slots.giveBack(segment.slot)
    }
    // It is unmapped here, behind the lock.
    withExtendedLifetime(content) {}
  }

  /// Files of pieces that were dropped or compacted and that older generations may still name.
  public var replacedFiles: Int { droppedFiles.withLock { $0.count } }

  /// What a generation says of this store.
  public func describe(_ generation: inout DirectoryFile) {
    withWriteLock { access in
      generation.lineage = lineage
      generation.segments = sealedSegments
      generation.terms = terms
      generation.logStart = logStart
      generation.tombstonesFrom = tombstonesFrom
      generation.nextRevision = nextRevision
      generation.rewindFloor = rewindFloor
      generation.cut = nil
      generation.keys = tables.indexes.mapValues { UInt64($0.count) }
      generation.reach = reach(access)
      let place = keyspace.catalogEntry
      if place == .empty {
        generation.catalogRecord = []
      } else {
        let newest = record(place).record
        // A damaged one keeps the good copy that the generation before has.
        if isIntact(newest, place) {
          generation.catalogRecord = [UInt8](UnsafeRawBufferPointer(start: newest.base, count: newest.recordBytes))
        }
      }
    }
  }

  /// The sealed segments for a generation file.
  public var sealedSegments: [DirectoryFile.SealedSegment] {
    segmentList.withLock { $0 }.filter { $0.state == .sealed }.map(Self.describe)
  }
  static func describe(_ segment: Segment) -> DirectoryFile.SealedSegment {
    .init(
      name: segment.name, lastLSN: segment.lastLSN, bytes: UInt64(segment.used), checksum: segment.fileChecksum,
      cleanUpTo: segment.cleanUpTo)
  }
}
