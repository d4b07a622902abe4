// Raw memory: moves index entries from old pieces of the log to new ones.
import Core
import Synchronization

extension LogStore {
  /// How far compaction may go now.
  ///
  /// - Parameters:
  ///   - neededFrom: the lowest LSN that a pinned slave does not hold yet; the highest LSN if there is none.
  ///   - rawFrom: from here on the log stays raw, whoever may need it.
  public func compactionBounds(neededFrom: LSN, rawFrom: LSN = LSN(.max)) -> CompactionBounds {
    let held = neededFrom == LSN(.max) ? neededFrom : neededFrom.previous
    let reached = min(min(positions.durable, positions.committed), min(positions.applied, held))
    return withWriteLock { access in
      return CompactionBounds(settled: wholeUnits(upTo: reached, access), neededFrom: min(neededFrom, rawFrom))
    }
  }

  /// Slaves may have acknowledged half of a unit. What it replaces goes with the whole of it: a start shows all or nothing.
  private func wholeUnits(upTo lsn: LSN, _ access: borrowing WriteAccess) -> LSN {
    guard lsn > rewindFloor else { return lsn }
    var cursor = LogCursor(startingAt: lsn)
    guard let (record, _) = try? nextRecord(&cursor, access), LSN(record.lsn) == lsn, record.unitContinues else {
      return lsn
    }
    return rewindPoint(notAfter: lsn, access) ?? rewindFloor
  }

  /// The next run worth compacting as a job, nil when there is none.
  ///
  /// - Parameter forcedBelow: asked for by hand: also what is still in the ops buffer, and whatever frees anything, but
  ///   for data files of this revision and above, which the same request has made.
  /// - Parameter waitsToSettle: see `CompactionJob`; true when every pinned slave follows closely.
  public func nextCompaction(
    _ bounds: CompactionBounds, garbageRatio: Double, waitsToSettle: Bool, forcedBelow: UInt32? = nil
  ) -> CompactionJob? {
    // On a full disk it frees space, in that which is kept.
    guard !isClosedForGood else { return nil }
    let forced = forcedBelow != nil
    let access = writeLock.lock()
    let segments = segmentList.withLock { $0 }
    var pieces: [CompactionPlanner.Piece] = []
    var records = 0
    for segment in segments {
      records += keyspace.live.recordCount(slot: segment.slot)
      let bytes = (segment === active ? activeUsed : segment.used) - segment.recordsAt
      var (live, kept) = (keyspace.live.byteCount(slot: segment.slot), segment.keptBytes)
      let catalogEntry = keyspace.catalogEntry
      if catalogEntry != .empty, catalogEntry.segment == segment.slot {
        let catalogBytes = record(catalogEntry).record.recordBytes
        (live, kept) = (live + catalogBytes, kept - catalogBytes)
      }
      // Nothing in it is dead, whatever for.
      if segment.state == .sealed, live + kept >= bytes, segment.lastLSN <= bounds.settled {
        segment.cleanUpTo = max(segment.cleanUpTo, bounds.settled)
      }
      pieces.append(
        CompactionPlanner.Piece(
          bytes: bytes, liveBytes: live, keptBytes: kept,
          isEligible: isEligible(segment, bounds, forcedBelow: forcedBelow), lastLSN: segment.lastLSN,
          cleanUpTo: segment.cleanUpTo))
    }
    writeLock.unlock(access)
    let fileBytesMax = min(DataFileFormat.bytesMax, configuration.segmentBytes)
    let policy = CompactionPlanner.Policy(
      garbageRatio: garbageRatio, fileBytesMax: fileBytesMax, indexBytes: indexBytes(pieces, liveRecords: records),
      reservedBytes: 2 * configuration.segmentBytes + 2 * fileBytesMax, cleansForTombstones: waitsToSettle,
      forced: forced)
    guard let run = CompactionPlanner.choose(pieces, policy) else { return nil }
    let cleanUpTo = segments[..<run.lowerBound].map(\.cleanUpTo).min() ?? LSN(.max)
    #if PACELINE_PLANTED_BUGS
      let older = PlantedBug.dropTombstones.isPlanted ? LSN(.max) : cleanUpTo
    #else
      let older = cleanUpTo
    #endif
    return CompactionJob(
      store: self, sources: Array(segments[run]), olderCleanUpTo: older, bounds: bounds, waitsToSettle: waitsToSettle)
  }

  /// Whether a run of neighbours is part of the log and in nobody's hands: what is dead as a whole goes at any time.
  func isStillThere(_ run: [Segment], _ access: borrowing WriteAccess) -> Bool {
    let segments = segmentList.withLock { $0 }
    guard let start = segments.firstIndex(where: { $0 === run.first }), segments.count - start >= run.count else {
      return false
    }
    return zip(segments[start...], run).allSatisfy { $0 === $1 && $1.pins == 0 }
  }

  /// Bytes of index files: an entry for every record, live or dead.
  private func indexBytes(_ pieces: [CompactionPlanner.Piece], liveRecords: Int) -> Int {
    let total = pieces.reduce(0) { $0 + $1.bytes }
    let live = pieces.reduce(0) { $0 + $1.liveBytes }
    let recordBytes = liveRecords > 0 ? max(RecordView.headerBytes, live / liveRecords) : configuration.segmentBytes
    return total / recordBytes * IndexFile.entryBytes
  }

  private func isEligible(_ segment: Segment, _ bounds: CompactionBounds, forcedBelow: UInt32?) -> Bool {
    if let forcedBelow, segment.name.revision >= forcedBelow { return false }
    return segment.state == .sealed && (forcedBelow != nil || !segment.isInMemory) && !segment.isDamaged
      && segment.pins == 0 && bounds.settled >= segment.notBefore
      && segment.lastLSN <= min(positions.applied, positions.committed) && segment.lastLSN < bounds.neededFrom
      && segment.lastLSN <= bounds.settled
  }

  /// What the index says about a record's key. Inside an epoch.
  func newest(_ record: RecordView, _ hash: IndexHash) -> CompactionRules.Newest {
    guard let table = tables.reference(record.table) else { return .tableDropped(by: LSN(newestCatalogLSN)) }
    let boundAt = LSN(table.pointee.boundAt)
    switch find(table, hash, record.key) {
    case .found(let newest): return .record(LSN(newest.lsn))
    case .missing(let removal): return .absent(lastRemoval: max(LSN(removal), boundAt))
    case .damaged: return .unknown
    }
  }

  /// The revision that the next data file gets. Under the write lock.
  public var upcomingRevision: UInt32 { nextRevision }

  /// Closes the active segment, so that everything written so far can be sealed.
  public func closeActiveSegment(_ access: borrowing WriteAccess) {
    guard !inUnit, activeSlot != 0, activeUsed > SegmentFormat.headerBytes else { return }
    _ = roll(for: 0)
  }

  /// Puts a finished data file into the place of the pieces it was made from. The index moves some entries at a time; a
  /// key that was written meanwhile keeps its newer place.
  /// - Parameter droppedUpTo: what was left out was replaced by records up to here.
  func install(
    name: LogFileName, from sources: [Segment], moves: [KeyMove], lastLSN last: LSN, cleanUpTo: LSN,
    notBefore: LSN, droppedUpTo: LSN,
    writer: DataFileWriter?, checksum: UInt32, kept: (records: Int, bytes: Int), droppedTombstone: LSN,
    dictionaries: [UInt32: ValueDictionary],
    beforeMoves: (Segment) throws(FileError) -> Void = { _ throws(FileError) in }
  ) throws(FileError) {
    try beginMoves(for: name)
    defer { endMoves() }
    var replacement: Segment?
    if let writer {
      let mapping = try fileSystem.map("\(directory)/\(name.records)")
      guard mapping.count == writer.bytes else {
        throw FileError(operation: "map", path: name.records, errno: 5, reason: "it has \(mapping.count) bytes")
      }
      let slot = withWriteLock { _ in slots.take() }
      guard let slot else {
        throw FileError(operation: "index", path: name.records, errno: 28, reason: "no free segment slot")
      }
      let segment = Segment.sealed(
        slot: slot, name: name, recordsAt: writer.recordsAt, lastLSN: last, cleanUpTo: cleanUpTo, checksum: checksum,
        mapping)
      segment.notBefore = notBefore
      segment.keptRecords = kept.records
      segment.keptBytes = kept.bytes
      if !dictionaries.isEmpty {
        withWriteLock { access in setDictionaries(dictionaries, slot: slot, access) }
      }
      noteLandmarks(segment, mapping)
      addresses.publish(mapping, slot: slot)
      do throws(FileError) { try beforeMoves(segment) } catch {
        // Nothing points at it yet.
        recycle(segment)
        throw error
      }
      move(moves, to: segment)
      replacement = segment
    }
    withWriteLock { access in
      raiseRewindFloor(to: max(droppedUpTo, last), access)
      remove(sources, replacement: replacement, access)
      if droppedTombstone > .none { tombstonesFrom = max(tombstonesFrom, droppedTombstone.next) }
    }
  }

  /// A delta that is being installed has copies of the indexes, which would not see what moves meanwhile.
  private func beginMoves(for name: LogFileName) throws(FileError) {
    try withWriteLock { _ throws(FileError) in
      guard indexChange == .none else {
        throw FileError(operation: "install", path: name.records, errno: 16, reason: "a delta is being installed")
      }
      guard !keyspace.missedTooMuch else {
        throw FileError(
          operation: "install", path: name.records, errno: 5, reason: "too much was found damaged meanwhile")
      }
      indexChange = .compaction
    }
  }

  private func endMoves() {
    withWriteLock { _ in indexChange = .none }
  }

  func noteLandmarks(_ segment: Segment, _ mapping: MappedFile) {
    var at = segment.recordsAt
    var next = at
    while at < segment.used {
      let record = RecordView(mapping.start + at)
      if at >= next {
        segment.noteLandmark(record.lsn, at: at)
        next = at + Segment.landmarkStep
      }
      at += record.recordBytes
    }
  }

  /// How many entries move while the write lock is held once: some ten microseconds.
  private static let movesAtOnce = 128

  private func move(_ moves: [KeyMove], to segment: Segment) {
    var at = 0
    while at < moves.count {
      let end = min(moves.count, at + Self.movesAtOnce)
      withWriteLock { access in keyspace.move(moves[at..<end], to: segment.slot, access) }
      at = end
    }
  }
}
