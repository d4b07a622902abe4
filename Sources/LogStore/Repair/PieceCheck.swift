// Raw memory: reads a whole file of the log, and its records where the index file says they are.
import Core

/// A record that its index file knows and that cannot be read where it should be.
public struct DamagedRecord: Equatable, Sendable {
  public let lsn: LSN
  public let offset: Int
  public let bytes: Int
}

/// What a check of one sealed piece of the log found.
public struct PieceReport: Sendable {
  public let name: LogFileName
  public let file: String
  public let lastLSN: LSN
  public internal(set) var bytesRead = 0
  /// In the order of LSNs.
  public internal(set) var damaged: [DamagedRecord] = []
  /// The bytes are not those that were written: some record, or what stands around the records.
  public internal(set) var isFileDamaged = false
  /// The index file was damaged or missing, and could not be made anew because records are damaged, too.
  public internal(set) var isIndexLost = false
  /// The index file was damaged or missing, and was made anew.
  public internal(set) var isIndexRebuilt = false
  public var isGood: Bool { !isFileDamaged && !isIndexLost && damaged.isEmpty }
}

/// Checks one sealed piece as it is on disk: the checksum of the whole file, the index file, and, when the file is not what it
/// was, every record. One thread; `step` reads a bounded number of bytes, so that the caller sets the rate.
public final class PieceCheck {
  private let store: LogStore
  let segment: Segment
  private let mapping: MappedFile?
  private var at = 0
  private var checksum: UInt32 = 0
  public private(set) var report: PieceReport

  /// nil when there is no such sealed piece. It is pinned until the check ends.
  public init?(store: LogStore, name: LogFileName) {
    let access = store.writeLock.lock()
    let found = store.segmentList.withLock { $0 }.first { $0.name == name && $0.state == .sealed }
    found?.pins += 1
    store.writeLock.unlock(access)
    guard let found else { return nil }
    self.store = store
    segment = found
    let file = store.directory + "/" + name.records
    report = PieceReport(name: name, file: file, lastLSN: found.lastLSN)
    // A file that cannot be mapped is as damaged as can be.
    mapping = try? store.fileSystem.map(file)
  }

  deinit {
    store.withWriteLock { _ in segment.pins -= 1 }
  }

  /// Reads up to `bytes` bytes; true when the report is complete.
  public func step(bytes: Int) -> Bool {
    guard let mapping, at < mapping.count else {
      finish()
      return true
    }
    let count = min(bytes, mapping.count - at)
    checksum = CRC32C.checksum(mapping.start + at, count: count, seed: checksum)
    at += count
    report.bytesRead = at
    return false
  }

  private func finish() {
    report.isFileDamaged = mapping?.count != segment.used || checksum != segment.fileChecksum
    let index = store.indexFile(of: segment)
    if let index, report.isFileDamaged {
      let hasDictionaries =
        mapping.map { store.dictionaries(in: segment, at: $0.start, count: $0.count) != nil } ?? false
      for i in 0..<index.count {
        let entry = index.entry(i)
        if let mapping, store.isSame(entry, segment, mapping),
          hasDictionaries || !ValueExpander.needsDictionary(RecordView(mapping.start + entry.offset))
        {
          continue
        }
        report.damaged.append(
          DamagedRecord(
            lsn: LSN(segment.firstLSN.value + entry.lsnDelta), offset: entry.offset, bytes: entry.recordBytes))
      }
    }
    guard index == nil else { return }
    guard let mapping, !report.isFileDamaged else {
      report.isIndexLost = true
      return
    }
    let bytes = IndexFile.build(
      segment: mapping.bytes, recordsAt: segment.recordsAt, firstLSN: segment.firstLSN, lastLSN: segment.lastLSN,
      hashSeed: store.hashSeed, dataChecksum: segment.fileChecksum)
    do throws(FileError) {
      try store.fileSystem.replace("\(store.directory)/\(segment.name.index)", in: store.directory, with: bytes)
      report.isIndexRebuilt = true
    } catch {
      report.isIndexLost = true
    }
  }
}

extension LogStore {
  /// The sealed pieces, oldest first, with their sizes.
  public var sealedPieces: [(name: LogFileName, bytes: Int)] {
    segmentList.withLock { $0 }.filter { $0.state == .sealed }.map { ($0.name, $0.used) }
  }

  /// The piece's index file, if it is good and belongs to it.
  func indexFile(of segment: Segment) -> IndexFile? {
    guard let bytes = try? fileSystem.map("\(directory)/\(segment.name.index)"), let index = try? IndexFile(bytes),
      index.firstLSN == segment.firstLSN, index.dataBytes == UInt64(segment.used),
      index.dataChecksum == segment.fileChecksum, index.hashSeed == hashSeed
    else { return nil }
    return index
  }

  /// The dictionaries at the head of a piece whose bytes are at `start`; nil when they are damaged.
  func dictionaries(
    in segment: Segment, at start: UnsafeRawPointer, count: Int = .max
  ) -> [UInt32: ValueDictionary]? {
    let bytes = segment.recordsAt - SegmentFormat.headerBytes
    guard bytes > 0 else { return [:] }
    guard segment.recordsAt <= count else { return nil }
    return try? ValueDictionary.decodeHead(
      UnsafeRawBufferPointer(start: start + SegmentFormat.headerBytes, count: bytes)
    ).dictionaries
  }

  /// Whether the record that an index file's entry is about stands in the file, undamaged.
  func isSame(_ entry: IndexFile.Entry, _ segment: Segment, _ mapping: MappedFile) -> Bool {
    guard entry.offset >= segment.recordsAt, entry.offset <= mapping.count - RecordView.headerBytes else {
      return false
    }
    let record = RecordView(mapping.start + entry.offset)
    return record.verify(available: mapping.count - entry.offset) == .good && agrees(record, entry, segment)
  }

  /// Whether a good record is the one that the entry is about.
  func agrees(_ record: RecordView, _ entry: IndexFile.Entry, _ segment: Segment) -> Bool {
    record.lsn == segment.firstLSN.value + entry.lsnDelta && record.contentHash == entry.contentHash
      && record.kind == entry.kind && record.table == entry.table && record.keyBytes == entry.keyBytes
      && hash(record.key).value == entry.hash
  }

  /// Look-ups met damage in this file, and it is over.
  public func forgetDamage(in file: String) { damage.withLock { $0.removeAll { $0.file == file } } }

  /// Pieces in which a look-up or a compaction met damage.
  public var suspectPieces: [LogFileName] {
    let files = Set(damagedPlaces.map(\.file))
    return segmentList.withLock { $0 }.filter {
      $0.state == .sealed && ($0.isDamaged || files.contains(directory + "/" + $0.name.records))
    }.map(\.name)
  }
  /// It was checked and is good, or is gone.
  public func clearSuspicion(of name: LogFileName) {
    segmentList.withLock { $0 }.first { $0.name == name }?.isDamaged = false
    forgetDamage(in: directory + "/" + name.records)
  }
}
