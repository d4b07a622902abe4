// Raw memory: headers and records of sealed files as they are found on disk.
import Core

extension Recovery {
  // MARK: Which files are there

  /// Sorts the segment files into those with a good index file and those that must be read.
  mutating func findSegments(_ access: borrowing WriteAccess) throws {
    let fileSystem = store.fileSystem
    var names = try fileSystem.list(store.directory)
    for name in names where name.hasSuffix(".tmp") { try fileSystem.unlink(store.directory + "/" + name) }
    names.removeAll { $0.hasSuffix(".tmp") }
    let found = names.compactMap { LogFileName(records: $0) }.sorted()
    let present = Set(found)
    for listed in generation.segments where !present.contains(listed.name) {
      throw OpenError(
        """
        the file \(path(listed.name)) with LSNs \(listed.firstLSN) to \(listed.lastLSN) is missing. Put it back from a \
        copy, or start with an empty directory as a slave of a node that has the data
        """, isDamage: true)
    }
    let listed = Dictionary(generation.segments.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    // Segments are sealed in the order of the log: what stands before a sealed one is complete, also without its index.
    let lastSealed = found.last {
      listed[$0] != nil || (!$0.isData && fileSystem.exists(path($0.firstLSN, SegmentFormat.indexSuffix)))
    }
    for name in found {
      if let known = listed[name] {
        try addSealed(name, known: known, access)
      } else if name.isData || name.firstLSN < generation.logStart {
        // Dropped or compacted, or never named; an older generation may still need it.
        store.droppedFiles.withLock { $0.append(name) }
      } else if let lastSealed, name <= lastSealed {
        guard name.firstLSN >= expectedNext else {
          throw OpenError(
            "\(path(name)) holds LSNs that other files hold: it is a copy, or of another node. Take it out of the directory"
          )
        }
        guard name.firstLSN == expectedNext else { throw missing(before: name.firstLSN) }
        try addSealed(name, known: nil, access)
      } else {
        unsealed.append(name.firstLSN)
      }
    }
    let stems = Set(found.map(\.index))
    for name in names where name.hasSuffix(SegmentFormat.indexSuffix) && !stems.contains(name) {
      try fileSystem.unlink(store.directory + "/" + name)
    }
    store.nextRevision = max(generation.nextRevision, (found.map(\.revision).max() ?? 0) + 1)
  }

  /// The first LSN of the next segment that the generation does not list.
  var expectedNext: LSN { max(sealed.last?.segment.lastLSN.next ?? LSN(1), generation.logStart) }

  var sealedEndsInsideUnit: Bool {
    guard let (segment, index) = sealed.last, !segment.name.isData, index.count > 0 else { return false }
    return index.entry(index.count - 1).flags & RecordFlag.unitContinues != 0
  }

  func missing(before lsn: LSN) -> OpenError {
    OpenError(
      "LSNs \(expectedNext) to \(lsn.previous) are missing before \(path(lsn, SegmentFormat.fileSuffix))\(Self.advice)",
      isDamage: true)
  }

  mutating func addSealed(
    _ name: LogFileName, known: DirectoryFile.SealedSegment?, _ access: borrowing WriteAccess
  ) throws {
    let file = path(name)
    let mapping = try store.fileSystem.map(file)
    try SegmentFormat.refuseNewer(mapping.bytes, file: file)
    let found = SegmentFormat.readHeader(mapping.bytes)
    guard let header = found ?? rebuiltHeader(name, mapping), header.firstLSN == name.firstLSN,
      header.isData == name.isData
    else {
      throw OpenError(
        "\(file) is damaged: its header is not that of a file beginning at LSN \(name.firstLSN)\(Self.advice)",
        isDamage: true)
    }
    guard header.lineage == store.hashSeed else {
      throw OpenError("\(file) belongs to another data set. Directories must not be mixed: take the file out")
    }
    if let known, UInt64(mapping.count) != known.bytes {
      throw OpenError(
        "\(file) is damaged: it has \(mapping.count) bytes, it should have \(known.bytes)\(Self.advice)", isDamage: true
      )
    }
    var index: IndexFile
    do {
      let file = store.directory + "/" + name.index
      let bytes = try store.fileSystem.map(file)
      try IndexFile.refuseNewer(bytes, file: file)
      index = try IndexFile(bytes)
      guard index.firstLSN == name.firstLSN, index.dataBytes == UInt64(mapping.count),
        index.hashSeed == store.hashSeed, known == nil || index.dataChecksum == known?.checksum
      else {
        throw IndexFile.Damage(offset: 0, reason: "it does not belong to its segment")
      }
    } catch let newer as OpenError {
      throw newer
    } catch {
      index = try rebuildIndex(name, header, mapping, because: "\(error)", known: known)
    }
    guard let slot = store.slots.take() else { throw OpenError("the log has more segments than can be addressed") }
    let segment = Segment.sealed(
      slot: slot, name: name, recordsAt: header.recordsAt, lastLSN: index.lastLSN,
      cleanUpTo: max(known?.cleanUpTo ?? .none, index.cleanUpTo), checksum: index.dataChecksum, mapping)
    if found == nil {
      report.notes.append("\(file) is damaged in its header, which is made anew: its records are good")
      segment.isDamaged = true
    }
    if let why = store.loadDictionaries(mapping, header, slot: slot, access) {
      report.notes.append("\(file): \(why)")
      // It is checked and repaired at once.
      segment.isDamaged = true
    }
    try refuseForeign(segment, index, mapping)
    store.addresses.publish(mapping, slot: slot)
    sealed.append((segment, index))
  }

  /// Reads a whole file whose index file is missing or damaged.
  mutating func rebuildIndex(
    _ name: LogFileName, _ header: SegmentFormat.Header, _ mapping: MappedFile, because reason: String,
    known: DirectoryFile.SealedSegment?
  ) throws -> IndexFile {
    var at = header.recordsAt
    var last = name.firstLSN.previous
    while at < mapping.count {
      let record = RecordView(mapping.start + at)
      guard record.verify(available: mapping.count - at) == .good else {
        throw damaged(path(name), offset: at, after: last)
      }
      last = LSN(record.lsn)
      at += record.recordBytes
    }
    let checksum = CRC32C.checksum(mapping.bytes)
    if let known, checksum != known.checksum || last > known.lastLSN, !isDamagedBeforeRecords(header, mapping) {
      throw OpenError("\(path(name)) is not the file that the generation names\(Self.advice)", isDamage: true)
    }
    // Where it differs all the same, a check of the file finds what stands around its records.
    let bytes = IndexFile.build(
      segment: mapping.bytes, recordsAt: header.recordsAt, firstLSN: name.firstLSN, lastLSN: known?.lastLSN ?? last,
      hashSeed: store.hashSeed, dataChecksum: known?.checksum ?? checksum)
    let file = store.directory + "/" + name.index
    report.rebuiltIndexes.append("\(file): \(reason)")
    do throws(FileError) {
      try store.withRoom(2 * bytes.count) { () throws(FileError) in
        try store.fileSystem.replace(file, in: store.directory, with: bytes)
      }
    } catch {
      // A full disk is no reason not to start: the next one makes it again.
      guard error.isNoSpace else { throw error }
      return try IndexFile(MappedFile(copying: bytes))
    }
    return try IndexFile(try store.fileSystem.map(file))
  }

  func damaged(_ file: String, offset: Int, after lsn: LSN) -> OpenError {
    OpenError(
      "\(file) is damaged at offset \(offset), after LSN \(lsn), where it was already flushed\(Self.advice)",
      isDamage: true)
  }

  /// Of a file whose header is damaged: its name, the data set and its records say all that stands there.
  private func rebuiltHeader(_ name: LogFileName, _ mapping: MappedFile) -> SegmentFormat.Header? {
    // A good header that is not this file's is of another file.
    var at = SegmentFormat.headerBytes
    if name.isData {
      let index = (try? store.fileSystem.map(store.directory + "/" + name.index)).flatMap { try? IndexFile($0) }
      if let index, index.firstLSN == name.firstLSN, index.count > 0 {
        at = index.entry(0).offset
      } else {
        // Behind the dictionaries, if there are any.
        while at < mapping.count, !SegmentFormat.hasRecord(mapping.bytes, at: at, nil) { at += 8 }
      }
    }
    guard at % 8 == 0, SegmentFormat.hasRecord(mapping.bytes, at: at, name.isData ? nil : name.firstLSN) else {
      return nil
    }
    return SegmentFormat.Header(
      firstLSN: name.firstLSN, lineage: store.hashSeed, isData: name.isData, recordsAt: at, term: .none)
  }

  private func isDamagedBeforeRecords(_ header: SegmentFormat.Header, _ mapping: MappedFile) -> Bool {
    let bytes = mapping.bytes
    guard SegmentFormat.readHeader(bytes) != nil, bytes[32..<SegmentFormat.headerBytes].allSatisfy({ $0 == 0 }) else {
      return true
    }
    let head = UnsafeRawBufferPointer(rebasing: bytes[SegmentFormat.headerBytes..<header.recordsAt])
    guard let read = try? ValueDictionary.decodeHead(head) else { return true }
    return read.damage != nil
  }

  private static let samples = 8

  /// A file of the same name and size, of a log that went another way: its records are good and not those that the index
  /// file knows. A few are looked at.
  private func refuseForeign(_ segment: Segment, _ index: IndexFile, _ mapping: MappedFile) throws {
    for sample in 0..<min(Self.samples, index.count) {
      let i = index.count <= Self.samples ? sample : sample * (index.count - 1) / (Self.samples - 1)
      let entry = index.entry(i)
      guard entry.offset >= segment.recordsAt, entry.offset <= mapping.count - RecordView.headerBytes else { continue }
      let record = RecordView(mapping.start + entry.offset)
      guard record.verify(available: mapping.count - entry.offset) == .good else { continue }
      guard store.agrees(record, entry, segment) else {
        throw OpenError(
          "\(path(segment.name)) is not the file that its index file tells of: LSN \(segment.firstLSN.value + entry.lsnDelta) "
            + "is another record\(Self.advice)", isDamage: true)
      }
    }
  }
}
