// Raw memory: checks records that a peer sent.
import Core

/// Why a delta is not staged or not installed; the data is as it was.
public enum DeltaFailure: Error, CustomStringConvertible, Sendable {
  case disk(FileError)
  case refused(ReplicaRefusal)
  case log(LogReadError)
  case tooManyFiles
  public var description: String {
    switch self {
    case .disk(let error): "\(error)"
    case .refused(let refusal): "\(refusal)"
    case .log(let error): "\(error)"
    case .tooManyFiles: "the log has more pieces than can be addressed"
    }
  }
}

/// Records of a delta on their way in: data files beside the live ones, which no generation names, so a start removes
/// them. The store does not know of them before `prepare`.
///
/// Owned by one thread. Invariant: LSNs rise strictly from `after` on, over all files.
public final class DeltaStage {
  public let after: LSN
  public private(set) var records: UInt64 = 0
  public private(set) var bytes: UInt64 = 0
  /// crc32c of all records, one behind the other.
  public private(set) var checksum: UInt32 = 0

  struct File {
    let name: LogFileName
    var lastLSN = LSN.none
    var bytes = 0
    var checksum: UInt32 = 0
    var recordsAt = SegmentFormat.headerBytes
    /// Tombstones and catalog records.
    var keptRecords = 0
    var keptBytes = 0
  }
  private(set) var files: [File] = []
  /// The newest catalog record, and where it stands.
  private(set) var newestCatalog: (catalog: Catalog, lsn: UInt64, file: Int, offset: Int)?
  /// Tables whose keys change.
  private(set) var tables: Set<UInt32> = []
  private let store: LogStore
  private var writer: DataFileWriter?
  private var lastLSN: LSN
  private var term = Term.none
  /// The files belong to the store now.
  private(set) var isTaken = false

  /// - Parameter after: the last LSN of the store's own log.
  public init(store: LogStore, after: LSN) {
    self.store = store
    self.after = after
    lastLSN = after
  }
  deinit { discard() }

  /// Checks and stages a run of whole records that begins and ends as told.
  public func append(
    _ run: UnsafeRawBufferPointer, first: LSN, last: LSN, term lastTerm: Term
  ) throws(DeltaFailure) {
    var at = 0
    while at < run.count {
      let record = RecordView(run.baseAddress! + at)
      guard record.verify(available: run.count - at) == .good else { throw .refused(.damagedRecord(after: lastLSN)) }
      guard record.lsn > lastLSN.value, at > 0 || record.lsn == first.value else {
        throw .refused(.gap(expected: first, got: LSN(record.lsn)))
      }
      guard record.term >= term.value else { throw .refused(.termWentBack(from: term, to: Term(record.term))) }
      guard record.numbersAreWithinLimits else { throw .refused(.numberTooLarge(at: LSN(record.lsn))) }
      do throws(FileError) { try stage(record) } catch { throw .disk(error) }
      lastLSN = LSN(record.lsn)
      term = Term(record.term)
      records += 1
      at += record.recordBytes
    }
    guard lastLSN == last, term == lastTerm else { throw .refused(.gap(expected: last, got: lastLSN)) }
    bytes += UInt64(run.count)
    checksum = CRC32C.checksum(run, seed: checksum)
  }

  private func stage(_ record: RecordView) throws(FileError) {
    if let writer, isFull(writer, for: record) { try close(writer, lastLSN: lastLSN) }
    let writer: DataFileWriter
    if let open = self.writer { writer = open } else { writer = try open(for: record) }
    let offset = try writer.append(record, hash: store.hash(record.key).value)
    let file = files.count - 1
    switch RecordKind(rawValue: record.kind) {
    case .put: tables.insert(record.table)
    case .delete:
      tables.insert(record.table)
      files[file].keptRecords += 1
      files[file].keptBytes += record.recordBytes
    case .catalog:
      files[file].keptRecords += 1
      files[file].keptBytes += record.recordBytes
      if let catalog = Catalog([UInt8](record.value)) { newestCatalog = (catalog, record.lsn, file, offset) }
    case .noop, nil: break
    }
  }

  private func isFull(_ writer: DataFileWriter, for record: RecordView) -> Bool {
    let bytesMax = min(DataFileFormat.bytesMax, store.configuration.segmentBytes)
    // An index file counts LSNs from its first one, in 32 bits.
    return writer.bytes + record.recordBytes > bytesMax
      || record.lsn - writer.name.firstLSN.value > UInt64(UInt32.max)
  }

  private func open(for record: RecordView) throws(FileError) -> DataFileWriter {
    let next = lastLSN.next
    let first = record.lsn - next.value > UInt64(UInt32.max) ? LSN(record.lsn) : next
    let name = store.withWriteLock { _ in
      defer { store.nextRevision += 1 }
      return LogFileName(firstLSN: first, revision: store.nextRevision)
    }
    let opened = try DataFileWriter(
      fileSystem: store.fileSystem, directory: store.directory, name: name, hashSeed: store.hashSeed)
    files.append(File(name: name))
    writer = opened
    return opened
  }

  private func close(_ writer: DataFileWriter, lastLSN last: LSN) throws(FileError) {
    self.writer = nil
    let file = files.count - 1
    // Nothing in it can be dead because of a record that is not newer than `after`.
    files[file].checksum = try writer.finish(lastLSN: last, cleanUpTo: after)
    files[file].lastLSN = last
    files[file].bytes = writer.bytes
    files[file].recordsAt = writer.recordsAt
  }

  /// All that was staged is on disk when this returns. The files stand for everything up to `barrier`.
  public func finish(barrier: LSN) throws(DeltaFailure) {
    guard barrier >= lastLSN else { throw .refused(.gap(expected: barrier, got: lastLSN)) }
    guard let writer else { return }
    do throws(FileError) { try close(writer, lastLSN: barrier) } catch { throw .disk(error) }
  }

  /// Removes what was staged. Does nothing once it is installed, or may be.
  public func discard() {
    guard !isTaken else { return }
    writer?.discard()
    writer = nil
    for file in files {
      for name in [file.name.records, file.name.index] where store.fileSystem.exists("\(store.directory)/\(name)") {
        try? store.fileSystem.unlink("\(store.directory)/\(name)")
      }
    }
    files = []
  }

  /// A generation names the files, or may do so.
  func take() { isTaken = true }
  /// No generation names them.
  func giveBack() { isTaken = false }
}
