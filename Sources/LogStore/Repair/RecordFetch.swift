// Raw memory: copies single records out of the log, whatever stands around them.
import Core

extension LogStore {
  /// `records`, with an epoch of its own; nil when no reader place is free.
  public func fetchRecords(from first: LSN, to last: LSN, bytesMax: Int) -> (records: [[UInt8]], next: LSN)? {
    guard let participant = epochs.join() else { return nil }
    epochs.enter(participant)
    defer {
      epochs.leave(participant)
      epochs.resign(participant)
    }
    return records(from: first, to: last, bytesMax: bytesMax)
  }

  /// Whole records with LSNs from `first` to `last`, for a node whose own copies are damaged. Uncompressed and verified; what is
  /// not here, or damaged here, is left out. Off the clients' loops; inside an epoch.
  ///
  /// - Parameter bytesMax: the answer ends behind the record that passes this.
  /// - Returns: the records, and the LSN to go on from; `none` when the range is done.
  func records(from first: LSN, to last: LSN, bytesMax: Int) -> (records: [[UInt8]], next: LSN) {
    let expander = ValueExpander()
    var found: [[UInt8]] = []
    var bytes = 0
    let limit = min(last, positions.appended)
    for segment in segmentList.withLock({ $0 }) where segment.firstLSN <= limit {
      if segment.state != .active, segment.lastLSN < first { continue }
      var next = LSN.none
      /// false when the answer is full.
      func take(_ record: RecordView) -> Bool {
        if bytes >= bytesMax {
          next = LSN(record.lsn)
          return false
        }
        if let image = plain(record, dictionary(forSlot: segment.slot, table: record.table), expander) {
          found.append(image)
          bytes += image.count
        }
        return true
      }
      walk(segment, from: first, to: limit, take)
      if next != .none { return (found, next) }
    }
    return (found, .none)
  }

  /// Calls `body` with the good records of a piece, by its index file when it is sealed: damage does not end the walk.
  /// false when nothing can be told about the piece. Ends when `body` returns false.
  @discardableResult
  func walk(_ segment: Segment, from first: LSN, to last: LSN, _ body: (RecordView) -> Bool) -> Bool {
    guard let (start, isMapped) = addresses.segment(segment.slot) else { return false }
    if !isMapped {
      // In memory. Nothing behind `last` is looked at: it may be under construction.
      var at = segment.recordsAt
      let end = segment.state == .active ? segment.capacity : segment.used
      var lsn = segment.firstLSN
      while lsn <= last, at + RecordView.headerBytes <= end {
        let record = RecordView(start + at)
        if record.lsn > last.value || record.lsn < lsn.value { break }
        if record.lsn >= first.value, !body(record) { return true }
        lsn = LSN(record.lsn + 1)
        at += record.recordBytes
      }
      return true
    }
    guard let index = indexFile(of: segment) else { return false }
    for i in 0..<index.count {
      let entry = index.entry(i)
      let lsn = LSN(segment.firstLSN.value + entry.lsnDelta)
      if lsn < first { continue }
      if lsn > last { break }
      let record = RecordView(start + entry.offset)
      guard entry.offset <= segment.used - RecordView.headerBytes,
        record.verify(available: segment.used - entry.offset) == .good, agrees(record, entry, segment)
      else { continue }
      if !body(record) { return true }
    }
    return true
  }

  func plain(_ record: RecordView, _ dictionary: ValueDictionary?, _ expander: ValueExpander) -> [UInt8]? {
    guard record.isCompressed else {
      return [UInt8](UnsafeRawBufferPointer(start: record.base, count: record.recordBytes))
    }
    guard let count = ValueExpander.expandedBytes(record) else { return nil }
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 8)
    defer { room.deallocate() }
    guard let image = try? expander.expand(record, dictionary: dictionary, into: room) else { return nil }
    return [UInt8](UnsafeRawBufferPointer(start: image.base, count: image.recordBytes))
  }
}

extension LogStore {
  /// Records with these LSNs out of files that compaction has replaced and that older generations still name. Off the
  /// clients' loops.
  public func recordsInReplacedFiles(_ ranges: [ClosedRange<LSN>]) -> [LSN: [UInt8]] {
    var found: [LSN: [UInt8]] = [:]
    guard let first = ranges.first?.lowerBound, let last = ranges.last?.upperBound else { return found }
    // The generation has a copy of the newest catalog record.
    if let copy = knownCatalog, ranges.contains(where: { $0.contains(copy.lsn) }) { found[copy.lsn] = copy.bytes }
    let expander = ValueExpander()
    for name in droppedFiles.withLock({ $0 }) where name.firstLSN <= last {
      guard let indexBytes = try? fileSystem.map("\(directory)/\(name.index)"), let index = try? IndexFile(indexBytes),
        index.hashSeed == hashSeed, index.firstLSN == name.firstLSN, index.lastLSN >= first,
        let mapping = try? fileSystem.map("\(directory)/\(name.records)")
      else { continue }
      var dictionaries: [UInt32: ValueDictionary] = [:]
      if let header = SegmentFormat.readHeader(mapping.bytes), header.recordsAt > SegmentFormat.headerBytes {
        let head = mapping.bytes[SegmentFormat.headerBytes..<header.recordsAt]
        dictionaries = (try? ValueDictionary.decodeHead(UnsafeRawBufferPointer(rebasing: head)).dictionaries) ?? [:]
      }
      for i in 0..<index.count {
        let entry = index.entry(i)
        let lsn = LSN(index.firstLSN.value + entry.lsnDelta)
        guard ranges.contains(where: { $0.contains(lsn) }), entry.offset <= mapping.count - RecordView.headerBytes
        else {
          continue
        }
        let record = RecordView(mapping.start + entry.offset)
        if record.verify(available: mapping.count - entry.offset) == .good, record.lsn == lsn.value,
          let image = plain(record, dictionaries[record.table], expander)
        {
          found[lsn] = image
        }
      }
    }
    return found
  }
}
