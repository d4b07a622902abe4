// Raw memory: walks segment files as they are found on disk.
import Core
import Synchronization

struct Recovery {
  let store: LogStore
  let generation: DirectoryFile
  /// How far the log had gone on disk.
  let reach: LogReach
  var report = RecoveryReport()
  var sealed: [(segment: Segment, index: IndexFile)] = []
  var unsealed: [LSN] = []
  private(set) var tails: [Tail] = []
  /// Cuts the log before damage in its unsealed part instead of refusing it.
  let cutsDamage: Bool
  /// The end of the last whole unit of the log: everything behind it is cut.
  private(set) var whole = (tail: 0, end: SegmentFormat.headerBytes, lsn: LSN.none)
  /// The end of the last whole unit up to which every record is good by being on disk here. What follows waits for other
  /// nodes and is not shown: who learns that it is good applies it.
  private var good = LSN.none
  /// Sealed means good: of a unit that began in a sealed segment, all is. Its last LSN then.
  private var sealedUnitEnd = LSN.none
  /// What compaction dropped was replaced by records up to the rewind floor, and these were good. Without them a key would
  /// show what it had before the one that was dropped.
  private var knownGood: LSN { max(sealedUnitEnd, generation.rewindFloor) }
  private var waits = false
  /// Of the last good record behind the sealed ones, and the owners of the terms that begin there.
  private(set) var lastTerm = Term.none
  private(set) var owners: [Term: NodeID] = [:]
  private var hasDamage = false
  /// A unit goes on behind the sealed segments, and its end was not found.
  var endsInsideSealedUnit: Bool { sealedUnitEnd == LSN(.max) }

  init(store: LogStore, generation: DirectoryFile, reach: LogReach = .none, cutsDamage: Bool = false) {
    self.store = store
    self.generation = generation
    self.reach = reach
    self.cutsDamage = cutsDamage
    store.knownCatalog = generation.catalogCopy.map { ($0.lsn, generation.catalogRecord) }
  }

  static let advice = """
    . The data in it cannot be trusted. Put the file back from a copy, or start with an empty directory as a slave of a \
    node that has the data; `paceline inspect` on the file shows what is still readable
    """

  func path(_ lsn: LSN, _ suffix: String) -> String {
    store.directory + "/" + SegmentFormat.name(lsn, suffix: suffix)
  }
  func path(_ name: LogFileName) -> String { store.directory + "/" + name.records }

  // MARK: Sealed segments, by their index files

  mutating func loadSealed(
    workers: Int, run: ParallelRunner, _ access: borrowing WriteAccess
  ) throws {
    let store = store
    for (segment, _) in sealed { store.segmentList.withLock { $0.append(segment) } }
    var keys: [UInt32: Int] = [:]
    var newestCatalog: (entry: IndexEntry, lsn: UInt64)?
    store.lastLSN = generation.logStart.previous.value
    for (segment, index) in sealed {
      report.segments += 1
      report.records += index.count
      for i in 0..<index.count {
        let entry = index.entry(i)
        switch RecordKind(rawValue: entry.kind) {
        case .put: keys[entry.table, default: 0] += 1
        case .delete:
          segment.keptRecords += 1
          segment.keptBytes += entry.recordBytes
        case .catalog:
          segment.keptRecords += 1
          segment.keptBytes += entry.recordBytes
          newestCatalog = (
            IndexEntry(tag: 0, segment: segment.slot, offset: entry.offset), segment.firstLSN.value + entry.lsnDelta
          )
        case .noop, nil: break
        }
        if i & 8191 == 0 { segment.noteLandmark(segment.firstLSN.value + entry.lsnDelta, at: entry.offset) }
      }
      store.lastLSN = max(store.lastLSN, segment.lastLSN.value)
    }
    store.terms = generation.terms
    store.setLogStart(rawLogStart, access)
    store.rewindFloor = max(generation.rewindFloor, sealed.last { $0.segment.name.isData }?.segment.lastLSN ?? .none)
    store.tombstonesFrom = generation.tombstonesFrom
    store.currentTerm = generation.terms.last?.term.value ?? 0
    noteYoungTerms()
    // The newest catalog counts from the start, also when it is in the tail: tables that it does not know are dead, and
    // the record that made a table may be gone with its segment.
    if let catalog = newestCatalogInTail(upTo: good) {
      bind(catalog.value, at: catalog.lsn)
    } else if let newest = newestCatalog {
      guard let catalog = catalog(at: newest.entry, newest.lsn) else {
        throw OpenError(
          "the newest catalog record, LSN \(newest.lsn), is damaged, and the generation has no copy of it\(Self.advice)",
          isDamage: true)
      }
      store.keyspace.found(catalogAt: newest.entry, access)
      bind(catalog, at: newest.lsn)
    }
    if let unknown = keys.keys.max(), unknown >= store.catalog.nextTable, store.makeRoom(for: unknown, access) == nil {
      throw OpenError("the data has keys of table \(unknown), of which the catalog does not know\(Self.advice)")
    }
    // A key that was written often stands often in the files; the generation tells how many keys there were.
    let young = sealed.filter { $0.segment.firstLSN > generation.segments.last?.lastLSN ?? .none }.map(\.index.count)
    for (table, count) in keys {
      let known = generation.keys[table].map { Int(clamping: $0) + young.reduce(0, +) }
      store.tables.indexes[table]?.reserve(keys: min(count, known ?? count))
    }
    let loaders = max(1, min(workers, 64))
    let files = sealed.map(\.index)
    let segments = sealed.map(\.segment)
    let results = Mutex<[Loader]>([])
    run(loaders) { worker in
      let per = KeyIndex.partitionCount / loaders
      let from = worker * per
      let upTo = worker == loaders - 1 ? KeyIndex.partitionCount : from + per
      let loader = Loader(store: store, partitions: from..<upTo, slots: store.slots.end)
      for (segment, file) in zip(segments, files) { loader.load(segment, file) }
      results.withLock { [loader] in $0.append(loader) }
    }
    for loader in results.withLock({ $0 }) { loader.merge(access) }
  }

  /// From its record, or from the generation's copy of it where that is damaged: then its file is to be repaired.
  private mutating func catalog(at entry: IndexEntry, _ lsn: UInt64) -> Catalog? {
    let (record, _) = store.record(entry)
    if store.isIntact(record, entry), record.lsn == lsn { return Catalog([UInt8](record.value)) }
    guard let copy = generation.catalogCopy, copy.lsn.value == lsn else { return nil }
    sealed.first { $0.segment.slot == entry.segment }?.segment.isDamaged = true
    report.notes.append("the newest catalog record, LSN \(lsn), is damaged: the generation's copy of it counts")
    return Catalog(copy.value)
  }

  /// Index files know no terms: those that began after the generation was written stand in the records only.
  private func noteYoungTerms() {
    let listed = Set(generation.segments.map(\.name))
    for (segment, index) in sealed where !listed.contains(segment.name) {
      for i in 0..<index.count {
        let place = IndexEntry(tag: 0, segment: segment.slot, offset: index.entry(i).offset)
        let record = store.record(place).record
        if store.isIntact(record, place) { store.noteTerm(record) }
      }
    }
  }

  /// Behind the last compacted piece and the last gap, every record is there.
  private var rawLogStart: LSN {
    var start = generation.logStart
    var expected = start
    for (segment, _) in sealed {
      if segment.name.isData { start = max(start, segment.lastLSN.next) }
      if segment.firstLSN > expected { start = max(start, segment.firstLSN) }
      expected = segment.lastLSN.next
    }
    return start
  }

  private func bind(_ catalog: Catalog, at lsn: UInt64) {
    store.catalogLSN.store(lsn, ordering: .releasing)
    store.tables.adopt(catalog, at: lsn)
  }

  /// - Parameter limit: records behind it do not count.
  private func newestCatalogInTail(upTo limit: LSN) -> (value: Catalog, lsn: UInt64)? {
    for (position, tail) in tails.enumerated().reversed() where position <= whole.tail {
      var newest: (Catalog, UInt64)?
      var at = SegmentFormat.headerBytes
      while at < (position == whole.tail ? whole.end : tail.end) {
        let record = RecordView(tail.mapping.start + at)
        if record.lsn > limit.value { break }
        if record.kind == RecordKind.catalog.rawValue, let catalog = Catalog([UInt8](record.value)) {
          newest = (catalog, record.lsn)
        }
        at += record.recordBytes
      }
      if let newest { return newest }
    }
    return nil
  }

  // MARK: The tail

  /// A segment without an index file, as far as it can be read.
  struct Tail {
    let firstLSN: LSN
    let mapping: MappedFile
    /// Behind the last good record.
    var end: Int
    var lastLSN: LSN
    /// The last record is not the last of its unit.
    var endsInsideUnit = false
  }

  /// Reads the segments without an index file and finds where the log ends.
  mutating func scanTail() throws {
    var expected = expectedNext
    whole.lsn = expected.previous
    good = expected.previous
    if sealedEndsInsideUnit { sealedUnitEnd = LSN(.max) }
    for (position, lsn) in unsealed.enumerated() {
      let isLast = position == unsealed.count - 1
      let next = isLast ? nil : unsealed[position + 1]
      do {
        guard let tail = try scan(lsn, expected: expected, next: next, position: position) else { break }
        expected = tail.lastLSN.next
        tails.append(tail)
      } catch let found as UnreadableRecord {
        if let tail = found.tail { tails.append(tail) }
        hasDamage = true
        let damage = describe(found, position: position)
        guard cutsDamage, !damage.needsNewStore else {
          throw OpenError("\(damage)\(Self.advice)", isDamage: true, tail: damage)
        }
        report.notes.append("\(damage): cut back to LSN \(damage.cutTo)")
        return
      }
    }
    if let lost = lostEnd(after: expected.previous) {
      hasDamage = true
      let damage = describe(lost, position: unsealed.count)
      throw OpenError("\(damage)\(Self.advice)", isDamage: true, tail: damage)
    }
  }

  /// What is missing behind the last good record, by what was noted of the log's end.
  private func lostEnd(after end: LSN) -> UnreadableRecord? {
    // Without a file there is nothing but the note to tell that the newest segment was begun.
    let isBegun = reach.begun == end.next && !unsealed.contains(reach.begun)
    guard end < reach.durable.lsn || end < reach.begun.previous || isBegun else { return nil }
    let claim =
      reach.durable.lsn > end
      ? "the log was on disk up to LSN \(reach.durable.lsn)" : "the segment of LSN \(reach.begun) was begun"
    if let last = tails.last, reach.begun <= last.firstLSN {
      return UnreadableRecord(
        file: path(last.firstLSN, SegmentFormat.fileSuffix), offset: last.end, after: end,
        reason: "where it ends after LSN \(end), but \(claim)", tail: last)
    }
    return UnreadableRecord(
      file: path(max(end.next, isBegun ? reach.begun : .none), SegmentFormat.fileSuffix), offset: 0, after: end,
      reason: "\(claim), and what is there ends after LSN \(end)", tail: nil, isMissing: true)
  }

  /// Cuts a torn tail and takes over the rest; the last segment becomes the active one again.
  mutating func replayTail(_ access: borrowing WriteAccess) throws {
    noteCut()
    store.levels = PendingLevels(good: LSN(store.lastLSN))
    // A segment without records is made anew when one is appended.
    var kept = min(tails.count, whole.tail + 1)
    if kept > 0, whole.end == SegmentFormat.headerBytes { kept -= 1 }
    try lowerReach(kept: kept)
    for lsn in unsealed.dropFirst(kept).reversed() { try store.fileSystem.unlink(path(lsn, SegmentFormat.fileSuffix)) }
    // A file that was made and removed again when a call failed may come back with a power cut; by then the log would have
    // gone past it.
    if !unsealed.isEmpty { try store.fileSystem.flushDirectory(store.directory) }
    for (position, tail) in tails.prefix(kept).enumerated() {
      let isLast = position == kept - 1
      var tail = tail
      if position == whole.tail { (tail.end, tail.lastLSN, tail.endsInsideUnit) = (whole.end, whole.lsn, false) }
      try adopt(tail, isLast: isLast, access)
    }
    store.votersInLog = newestCatalogInTail(upTo: whole.lsn)?.value.voters ?? store.voters
    finish(access)
  }

  /// Before the first byte goes: no more is claimed than what stays.
  private func lowerReach(kept: Int) throws(FileError) {
    let begun = kept > 0 ? tails[kept - 1].firstLSN : sealed.last?.segment.firstLSN ?? .none
    store.begunLSN.store(begun.value, ordering: .releasing)
    guard let note = store.reachNote.withLock({ $0 }) else { return }
    try note.file.lower(
      to: LogReach(durable: generation.terms.position(at: whole.lsn), begun: begun), era: note.era)
  }

  /// Finds where a segment's good records end. nil for a last file without a header that was begun and never flushed: what
  /// is noted as begun has its header on disk.
  private mutating func scan(
    _ lsn: LSN, expected: LSN, next: LSN?, position: Int
  ) throws -> Tail? {
    let file = path(lsn, SegmentFormat.fileSuffix)
    let mapping = try store.fileSystem.map(file)
    try SegmentFormat.refuseNewer(mapping.bytes, file: file)
    let isRebuilt = SegmentFormat.hasRecord(mapping.bytes, at: SegmentFormat.headerBytes, lsn)
    let rebuilt = SegmentFormat.Header(
      firstLSN: lsn, lineage: store.hashSeed, isData: false, recordsAt: SegmentFormat.headerBytes, term: .none)
    let read = SegmentFormat.readHeader(mapping.bytes)
    if read == nil, isRebuilt {
      report.notes.append("\(file) is damaged in its header, which is made anew: its records are good")
    }
    guard let header = read ?? (isRebuilt ? rebuilt : nil) else {
      guard next == nil, reach.begun < lsn, TailMark.highestFlushed(mapping.bytes, from: 0) == 0 else {
        throw UnreadableRecord(
          file: file, offset: 0, after: expected.previous, reason: "its header cannot be read", tail: nil)
      }
      report.notes.append("\(file) was begun and never flushed; removed")
      return nil
    }
    guard header.firstLSN == lsn, header.lineage == store.hashSeed else {
      throw OpenError("\(file) belongs to another data set or place. Take it out of the directory")
    }
    guard lsn <= expected else {
      throw UnreadableRecord(
        file: file, offset: 0, after: expected.previous,
        reason: "where LSNs \(expected) to \(lsn.previous) should stand before it", tail: nil)
    }
    guard lsn == expected else { throw missing(before: lsn) }
    var tail = Tail(firstLSN: lsn, mapping: mapping, end: SegmentFormat.headerBytes, lastLSN: lsn.previous)
    while tail.end < mapping.count {
      let record = RecordView(mapping.start + tail.end)
      guard record.verify(available: mapping.count - tail.end) == .good, record.lsn == tail.lastLSN.value + 1 else {
        break
      }
      tail.lastLSN = LSN(record.lsn)
      lastTerm = Term(record.term)
      if record.kind == RecordKind.noop.rawValue, record.owner != .unknown { owners[lastTerm] = record.owner }
      tail.end += record.recordBytes
      tail.endsInsideUnit = record.unitContinues
      if record.level != .async, tail.lastLSN > knownGood { waits = true }
      if !record.unitContinues {
        whole = (position, tail.end, tail.lastLSN)
        sealedUnitEnd = min(sealedUnitEnd, tail.lastLSN)
        if !waits { good = tail.lastLSN }
      }
    }
    // Flushed bytes that cannot be read are damage; what was never flushed may be cut. See the tail mark in SegmentFormat.swift.
    // A file was flushed before the next one was begun.
    let isWhole =
      next.map { tail.lastLSN.next == $0 } ?? (TailMark.highestFlushed(mapping.bytes, from: tail.end) <= tail.end)
    guard isWhole else {
      throw UnreadableRecord(
        file: file, offset: tail.end, after: tail.lastLSN,
        reason: "after LSN \(tail.lastLSN), where it was already flushed", tail: tail)
    }
    return tail
  }

  private mutating func noteCut() {
    guard let last = tails.last, !hasDamage else { return }
    // A good mark right behind the records is where a written log ends; it is not a torn tail.
    let mark = TailMark.flushed(last.mapping.bytes, at: last.end) != nil ? TailMark.bytes : 0
    var torn = max(0, TailMark.lastNonZero(last.mapping.bytes, from: last.end) - last.end - mark)
    let records = last.lastLSN.value - whole.lsn.value
    for (position, tail) in tails.enumerated() where position >= whole.tail {
      torn += tail.end - (position == whole.tail ? whole.end : SegmentFormat.headerBytes)
    }
    guard torn > 0 else { return }
    report.cutBytes += torn
    report.notes.append(
      "\(path(tails[whole.tail].firstLSN, SegmentFormat.fileSuffix)): cut a torn tail of \(torn) bytes at offset "
        + "\(whole.end), after LSN \(whole.lsn)"
        + (records > 0 ? " (an unfinished transaction of \(records) records)" : ""))
  }

  /// Takes a replayed segment into memory and into the index.
  private mutating func adopt(_ tail: Tail, isLast: Bool, _ access: borrowing WriteAccess) throws {
    let used = tail.end
    // A torn record may have made the file longer than an index entry reaches.
    let capacity = max(store.configuration.segmentBytes, used)
    guard let slot = store.slots.take(), let memory = store.pool.take(capacity) else {
      throw OpenError("no memory for a segment of \(capacity) bytes")
    }
    memory.start.copyMemory(from: tail.mapping.start, byteCount: used)
    if SegmentFormat.readHeader(tail.mapping.bytes) == nil {
      let term = Term(RecordView(tail.mapping.start + SegmentFormat.headerBytes).term)
      SegmentFormat.writeHeader(memory.start, firstLSN: tail.firstLSN, lineage: store.hashSeed, term: term)
    }
    let file = try reopen(
      tail, UnsafeRawBufferPointer(start: memory.start, count: used), capacity: capacity, isLast: isLast)
    let segment = Segment(
      slot: slot, name: LogFileName(firstLSN: tail.firstLSN), capacity: capacity, used: used,
      content: .memory(memory),
      output: isLast ? .open(.init(file: file, written: used, flushed: used)) : .handedOver(file))
    segment.endsInsideUnit = tail.endsInsideUnit
    store.activate(segment, memory: memory)
    store.segmentList.withLock { $0.append(segment) }
    var at = SegmentFormat.headerBytes
    while at < used {
      let record = RecordView(UnsafeRawPointer(memory.start) + at)
      store.noteTerm(record)
      let level = record.lsn <= knownGood.value ? .async : record.level
      store.levels.change(to: level, after: LSN(record.lsn - 1))
      if record.lsn <= good.value { store.index(record, at: IndexEntry(tag: 0, segment: slot, offset: at), access) }
      if at - store.lastLandmark >= Segment.landmarkStep {
        store.lastLandmark = at
        segment.noteLandmark(record.lsn, at: at)
      }
      report.records += 1
      report.replayedRecords += 1
      at += record.recordBytes
    }
    store.lastLSN = tail.lastLSN.value
    store.activeUsed = used
    segment.lastLSN = tail.lastLSN
    if !isLast {
      segment.state = .filled
      store.sealQueue.add(segment)
    }
    report.segments += 1
  }

  private func finish(_ access: borrowing WriteAccess) {
    let last = LSN(store.lastLSN)
    // A term that the generation knows and the log lost with its tail has no records.
    let known = store.terms.upTo(last)
    if known != store.terms {
      store.terms = known
      store.currentTerm = known.last?.term.value ?? 0
    }
    store.positions.set(appended: last)
    store.positions.set(written: last)
    store.positions.set(durable: last)
    store.writtenBytes.store(max(0, store.activeUsed - store.active.recordsAt), ordering: .relaxed)
    store.levelFlags = store.levels.level.flags
    store.positions.set(committed: store.committable(durable: last, fullsync: .none, quorum: .none, access))
    store.positions.set(applied: min(good, last))
    store.gated.store(store.positions.applied > store.positions.committed, ordering: .releasing)
  }
}
