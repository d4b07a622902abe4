// Raw memory: reads staged files from their mappings, publishes tables.
import Core
import Synchronization

extension LogStore {
  /// Ends the active segment without beginning another: what comes next has another place in the log. Everything
  /// appended must be written. Under the write lock, on a slave.
  public func closeLog(_ access: borrowing WriteAccess) {
    guard activeSlot != 0, !inUnit else { return }
    let last = active
    last.used = activeUsed
    last.lastLSN = LSN(lastLSN)
    if activeUsed > last.recordsAt {
      last.state = .filled
      last.endsInsideUnit = replicatedUnitIsOpen
    } else {
      // A range without LSNs is none.
      dropEmptySegment()
      droppedFiles.withLock { $0.append(last.name) }
    }
    active = .nowhere()
    activeBase = UnsafeMutableRawPointer(bitPattern: 64)!
    (activeUsed, activeCapacity, activeSlot, lastLandmark) = (0, 0, 0, 0)
    closedBytes = writtenBytes.load(ordering: .acquiring)
  }

  /// Makes a finished delta ready to be installed: its files are mapped and the changes are applied to copies of the key
  /// indexes, while readers go on. Not under the write lock; takes as long as applying the records does.
  ///
  /// - Parameters:
  ///   - barrier: the delta brings the store to this LSN.
  ///   - terms: the history up to there.
  ///   - progress: called often: time for a sign of life.
  /// - Returns: nil while a compaction is moving entries: ask again.
  public func prepare(
    _ stage: DeltaStage, barrier: LSN, terms: TermHistory, progress: () -> Void
  ) throws(DeltaFailure) -> DeltaInstallation? {
    let access = writeLock.lock()
    precondition(
      stage.after.value == lastLSN && activeSlot == 0 && barrier >= stage.after,
      "a delta after \(stage.after) up to \(barrier) for a log that ends at \(lastLSN)")
    let isFree = indexChange == .none
    if isFree { indexChange = .delta }
    writeLock.unlock(access)
    guard isFree else { return nil }
    let installation = DeltaInstallation(store: self, stage: stage, barrier: barrier, terms: terms)
    try installation.prepare(progress)
    return installation
  }
}

/// A delta on its way into the store, from `prepare` to `commit`. Dropped before that, it leaves the store as it was.
///
/// On disk one generation is the moment: before it a start finds the old state, after it the new one. For readers it is
/// one pointer a database, and then the applied LSN: a reader that began before and meets a newer record reads again, as
/// with every write.
public final class DeltaInstallation {
  private let store: LogStore
  private let stage: DeltaStage
  private let barrier: LSN
  private let terms: TermHistory
  private var segments: [Segment] = []
  private var index: DeltaIndex?
  private var isDone = false

  init(store: LogStore, stage: DeltaStage, barrier: LSN, terms: TermHistory) {
    self.store = store
    self.stage = stage
    self.barrier = barrier
    self.terms = terms
  }

  deinit {
    store.withWriteLock { _ in store.indexChange = .none }
    guard !isDone else { return }
    // No reader has seen an entry that names them.
    for segment in segments { store.recycle(segment) }
  }

  // MARK: Beside the readers

  fileprivate func prepare(_ progress: () -> Void) throws(DeltaFailure) {
    do throws(FileError) {
      for file in stage.files { segments.append(try segment(of: file)) }
    } catch {
      throw error.errno == Self.noSlot ? .tooManyFiles : .disk(error)
    }
    progress()
    let own = try ownRecords()
    var changing = stage.tables
    var newest: (catalog: Catalog, lsn: UInt64, entry: IndexEntry)?
    for (record, entry) in own {
      changing.insert(record.table)
      if record.kind == RecordKind.catalog.rawValue, isNew(record.lsn), let catalog = Catalog([UInt8](record.value)) {
        newest = (catalog, record.lsn, entry)
      }
    }
    if let staged = stage.newestCatalog, isNew(staged.lsn) {
      newest = (
        staged.catalog, staged.lsn, IndexEntry(tag: 0, segment: segments[staged.file].slot, offset: staged.offset)
      )
    }
    let access = store.writeLock.lock()
    if newest == nil, let highest = changing.max() { store.makeRoom(for: highest, access) }
    let slots = store.slots.end
    store.writeLock.unlock(access)
    let index = DeltaIndex(store: store, catalog: newest, changing: changing, slots: slots)
    self.index = index
    progress()
    for (record, entry) in own { index.applyOwn(record, at: entry) }
    var count = 0
    for segment in segments {
      guard case .mapped(let mapping) = segment.content else {
        preconditionFailure("segment \(segment.firstLSN) of a delta is not mapped")
      }
      let start = mapping.start
      var at = segment.recordsAt
      while at < segment.used {
        let record = RecordView(start + at)
        // Its file was written a moment ago; but it was read back from the disk.
        guard record.verify(available: segment.used - at) == .good else {
          throw .log(.damaged(file: segment.name.records, offset: at, lsn: LSN(record.lsn)))
        }
        index.apply(record, at: IndexEntry(tag: 0, segment: segment.slot, offset: at))
        at += record.recordBytes
        count += 1
        if count & 4095 == 0 { progress() }
      }
    }
  }

  /// As `LogStore.index` has it: the newest catalog record counts, and older ones are passed.
  private func isNew(_ lsn: UInt64) -> Bool { lsn >= store.newestCatalogLSN }

  private static let noSlot: Int32 = 28

  private func segment(of file: DeltaStage.File) throws(FileError) -> Segment {
    let mapping = try store.fileSystem.map("\(store.directory)/\(file.name.records)")
    guard mapping.count == file.bytes else {
      throw FileError(operation: "map", path: file.name.records, errno: 5, reason: "it has \(mapping.count) bytes")
    }
    let slot = store.withWriteLock { _ in store.slots.take() }
    guard let slot else {
      throw FileError(operation: "index", path: file.name.records, errno: Self.noSlot, reason: "no free segment slot")
    }
    let segment = Segment.sealed(
      slot: slot, name: file.name, recordsAt: file.recordsAt, lastLSN: file.lastLSN, cleanUpTo: stage.after,
      checksum: file.checksum, mapping)
    segment.keptRecords = file.keptRecords
    segment.keptBytes = file.keptBytes
    store.noteLandmarks(segment, mapping)
    store.addresses.publish(mapping, slot: slot)
    return segment
  }

  /// What the log holds and readers do not see: records that were not committed yet, or of a unit whose end is in the
  /// delta.
  private func ownRecords() throws(DeltaFailure) -> [(RecordView, IndexEntry)] {
    var own: [(RecordView, IndexEntry)] = []
    return try store.withWriteLock { access throws(DeltaFailure) in
      var cursor = LogCursor(startingAt: store.positions.applied.next)
      do throws(LogReadError) {
        while cursor.next.value <= store.lastLSN {
          let (record, entry) = try store.nextRecord(&cursor, access)
          own.append((record, entry))
        }
      } catch {
        throw .log(error)
      }
      return own
    }
  }

  // MARK: The moment

  /// Puts the delta in place: on disk by the generation that `publish` writes, then for readers. `maintain` and
  /// compactions must not run meanwhile. Milliseconds, most of them `publish`.
  ///
  /// - Parameter publish: writes a generation with what its argument fills in; it holds when it returns.
  public func commit(
    publish: ((inout DirectoryFile) -> Void) throws(FileError) -> Void
  ) throws(DeltaFailure) {
    guard let index else { preconditionFailure("a delta that was not prepared") }
    let unsealed = store.sealQueue.all
    var indexFiles: [[UInt8]] = []
    do throws(FileError) {
      // The last segment may end inside a unit. An index file would promise that it is never cut, which is true from
      // the generation on: till then a start must still be able to cut it.
      for segment in unsealed { indexFiles.append(try store.cutToRecords(segment)) }
      mark(unsealed, .sealed)
      stage.take()
      try publish { [self] generation in describe(&generation, index) }
    } catch {
      mark(unsealed, .filled)
      // Without room nothing was renamed. Otherwise the generation may be on disk or not, and a start will see.
      if error.isNoSpace { stage.giveBack() } else { store.latch(error) }
      throw .disk(error)
    }
    swap(index)
    seal(unsealed, indexFiles)
    isDone = true
  }

  private func mark(_ unsealed: [Segment], _ state: Segment.State) {
    store.withWriteLock { _ in for segment in unsealed { segment.state = state } }
  }

  private func describe(_ generation: inout DirectoryFile, _ index: DeltaIndex) {
    store.describe(&generation)
    generation.segments += segments.map(LogStore.describe)
    generation.terms = terms
    generation.logStart = barrier.next
    generation.rewindFloor = barrier
    generation.keys = index.indexes.mapValues { UInt64($0.count) }
  }

  /// Under the write lock for well below a millisecond: pointers and counters.
  private func swap(_ index: DeltaIndex) {
    store.withWriteLock { access in
      store.segmentList.withLock { $0 += segments }
      for segment in store.segmentList.withLock({ $0 }) {
        guard let kept = index.kept[segment.slot] else { continue }
        segment.keptRecords += kept.records
        segment.keptBytes += kept.bytes
      }
      store.lastLSN = barrier.value
      store.restartLevels(at: barrier, access)
      store.rewindFloor = barrier
      store.terms = terms
      store.currentTerm = terms.last?.term.value ?? store.currentTerm
      store.replicatedUnitIsOpen = false
      store.applyCursor = LogCursor(startingAt: barrier.next)
      store.setLogStart(barrier.next, access)
      if let record = index.catalogRecord {
        store.votersInLog = index.catalog.voters
        store.catalogLSN.store(record.lsn, ordering: .releasing)
      }
      index.publish()
      store.keyspace.take(index.share, access)
      store.keyspace.adopt(
        index.catalog, at: index.catalogRecord?.entry, indexes: index.indexes, tables: index.tables, access)
      store.positions.set(appended: barrier)
      store.positions.set(written: barrier)
      store.positions.set(durable: barrier)
      store.positions.set(applied: barrier)
    }
  }

  /// The index files of what the old log ended with. One that cannot be written is made at the next start.
  private func seal(_ unsealed: [Segment], _ indexFiles: [[UInt8]]) {
    for (segment, bytes) in zip(unsealed, indexFiles) {
      do throws(FileError) {
        try store.fileSystem.replace(
          store.path(of: segment, SegmentFormat.indexSuffix), in: store.directory, with: bytes)
      } catch {
        if !error.isNoSpace { store.latch(error) }
      }
      segment.closeFile()
    }
    store.sealQueue.remove(unsealed)
  }

  // MARK: Afterwards

  private static let hintsAtOnce = 1024

  /// Lets the store know when the new records expire. After `commit`; a thousand at a time under the write lock.
  public func noteExpiries() {
    guard let expiring = index?.share.expiring else { return }
    var at = 0
    while at < expiring.count {
      let end = min(expiring.count, at + Self.hintsAtOnce)
      store.withWriteLock { access in store.keyspace.noteExpiries(expiring[at..<end], access) }
      at = end
    }
  }
}
