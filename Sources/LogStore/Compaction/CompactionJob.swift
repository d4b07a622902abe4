// Raw memory: copies live records out of sealed pieces of the log.
import Core

/// What a compaction did.
public struct CompactionResult: Equatable, Sendable {
  public var sources = 0
  public var bytesRead = 0
  public var bytesWritten = 0
  public var recordsDropped = 0
  public var recordsKept = 0
  public var bytesFreed: Int { bytesRead - bytesWritten }
  public init() {}
}

/// Why a compaction stopped; the log is as it was.
public enum CompactionFailure: Error, CustomStringConvertible, Sendable {
  case disk(FileError)
  case damaged(file: String, offset: Int, after: LSN)
  public var description: String {
    switch self {
    case .disk(let error): "\(error)"
    case .damaged(let file, let offset, let lsn): "\(file) is damaged at offset \(offset), after LSN \(lsn)"
    }
  }
}

/// Rewrites a run of neighbouring sealed pieces into one data file: same range, same order, dead records dropped.
///
/// `step` reads a bounded number of bytes, so the caller sets the rate; `close` completes the file and `install` puts it
/// in the place of the old ones. Readers and writers go on meanwhile. One job at a time, by one thread.
///
/// A record's liveness is looked up while clients write. When every pinned slave follows closely, what is dead at the
/// look counts as dead, and is installed when everything that was appended by then is settled. With a slave that is
/// far behind that could take hours: then only what is settled already counts.
public final class CompactionJob {
  let store: LogStore
  let sources: [Segment]
  private let bounds: CompactionBounds
  private let olderCleanUpTo: LSN
  /// Dead means dead at the look, if that is settled before `install`.
  private let waitsToSettle: Bool
  private let participant: EpochDomain.Participant
  private var writer: DataFileWriter?
  private let recoder: ValueRecoder
  private var looked = LSN.none
  private var checksum: UInt32 = 0
  private var isInstalled = false
  private let name: LogFileName
  private var cleanUpTo: LSN
  private var at: (source: Int, offset: Int)
  /// What moves: where a live record stood and stands.
  private var moves: [KeyMove] = []
  private var tombstones: (records: Int, bytes: Int) = (0, 0)
  private var newestDroppedTombstone = LSN.none
  /// Sources whose records are all in the file; the file ends with the last of them.
  private var completed = 0
  public private(set) var result = CompactionResult()
  public let totalBytes: Int

  /// nil when no reader place is free, or a source has gone since it was chosen. The sources must be neighbours; they are
  /// pinned until the job ends.
  init?(store: LogStore, sources: [Segment], olderCleanUpTo: LSN, bounds: CompactionBounds, waitsToSettle: Bool) {
    guard let participant = store.epochs.join() else { return nil }
    let access = store.writeLock.lock()
    guard store.isStillThere(sources, access) else {
      store.writeLock.unlock(access)
      store.epochs.resign(participant)
      return nil
    }
    self.participant = participant
    self.store = store
    self.sources = sources
    self.bounds = bounds
    recoder = ValueRecoder(store.compression, sources: sources)
    for source in sources {
      source.pins += 1
      source.rewriters += 1
    }
    store.keyspace.beginRewrite(access)
    // A slave has records that the index does not know yet: what they replace is not seen as dead.
    let last = min(LSN(store.lastLSN), store.positions.applied)
    name = LogFileName(firstLSN: sources[0].firstLSN, revision: store.nextRevision)
    store.nextRevision += 1
    store.writeLock.unlock(access)
    self.waitsToSettle = waitsToSettle
    cleanUpTo = waitsToSettle ? last : bounds.settled
    self.olderCleanUpTo = min(olderCleanUpTo, cleanUpTo)
    at = (0, sources[0].recordsAt)
    totalBytes = sources.reduce(0) { $0 + $1.used }
  }

  /// A job that is not installed takes its file back.
  deinit {
    if !isInstalled { writer?.discard() }
    store.epochs.resign(participant)
    store.withWriteLock { access in
      for source in sources {
        source.pins -= 1
        source.rewriters -= 1
      }
      store.keyspace.endRewrite(access)
    }
  }

  /// Handles about `bytes` bytes of the sources. true when all are read.
  public func step(bytes: Int) throws(CompactionFailure) -> Bool {
    store.epochs.enter(participant)
    defer { store.epochs.leave(participant) }
    let end = result.bytesRead + bytes
    while result.bytesRead < end, at.source < sources.count {
      let source = sources[at.source]
      if at.offset >= source.used {
        at = (at.source + 1, 0)
        completed = at.source
        if at.source < sources.count {
          at.offset = sources[at.source].recordsAt
          // A file is as long as an index entry reaches: the rest of the run is left for another job.
          if (writer?.bytes ?? 0) + sources[at.source].used > DataFileFormat.bytesMax { at.source = sources.count }
        }
        continue
      }
      try take(source)
    }
    return at.source >= sources.count
  }

  private func take(_ source: Segment) throws(CompactionFailure) {
    let record = store.record(IndexEntry(tag: 0, segment: source.slot, offset: at.offset)).record
    guard record.verify(available: source.used - at.offset) == .good, let kind = RecordKind(rawValue: record.kind)
    else {
      source.isDamaged = true
      throw .damaged(
        file: store.path(of: source, SegmentFormat.fileSuffix), offset: at.offset, after: LSN(record.lsn))
    }
    let hash = store.hash(record.key)
    var limits = bounds
    if waitsToSettle { limits.settled = LSN(.max) }
    let fate = CompactionRules.fate(
      kind: kind, lsn: LSN(record.lsn), newest: store.newest(record, hash),
      newestCatalog: LSN(store.newestCatalogLSN), bounds: limits, olderCleanUpTo: olderCleanUpTo)
    do throws(FileError) {
      switch fate {
      case .drop: result.recordsDropped += 1
      case .dropTombstone:
        result.recordsDropped += 1
        newestDroppedTombstone = max(newestDroppedTombstone, LSN(record.lsn))
      case .keepUntilSettled:
        // It is dead because of something newer than itself; that is all that can be said of this file.
        cleanUpTo = min(cleanUpTo, LSN(record.lsn))
        try keep(record, kind, hash, source)
      case .keep: try keep(record, kind, hash, source)
      }
    } catch {
      throw .disk(error)
    }
    result.bytesRead += record.recordBytes
    at.offset += record.recordBytes
  }

  private func openWriter() throws(FileError) -> DataFileWriter {
    if let writer { return writer }
    recoder.train(store, sources)
    let made = try DataFileWriter(
      fileSystem: store.fileSystem, directory: store.directory, name: name, hashSeed: store.hashSeed,
      dictionaries: recoder.dictionaries)
    made.reserve = store.reserve
    writer = made
    return made
  }

  private func keep(
    _ record: RecordView, _ kind: RecordKind, _ hash: IndexHash, _ source: Segment
  ) throws(FileError) {
    // The dictionaries stand before the first record.
    _ = try openWriter()
    let image: RecordView
    do throws(ExpandFailure) { image = try recoder.recoded(record, store, source) } catch {
      source.isDamaged = true
      throw FileError(
        operation: "expand a value of", path: store.path(of: source, SegmentFormat.fileSuffix), errno: 5,
        reason: "offset \(at.offset), LSN \(record.lsn): \(error)")
    }
    let writer = try openWriter()
    let offset = try writer.append(image, hash: hash.value)
    result.recordsKept += 1
    if kind == .put || kind == .catalog {
      moves.append(
        KeyMove(
          owner: kind == .put ? .key(table: record.table, hash: hash.value) : .catalog,
          from: IndexEntry(tag: kind == .put ? hash.tag : 0, segment: source.slot, offset: at.offset), offset: offset,
          bytes: record.recordBytes, newBytes: image.recordBytes, expires: record.flags & RecordFlag.expiry != 0))
    }
    if kind != .put { tombstones = (tombstones.records + 1, tombstones.bytes + image.recordBytes) }
  }

  /// Writes the rest of the file. Returns the LSN that must be settled before `install`; `none` for no wait.
  public func close() throws(CompactionFailure) -> LSN {
    store.withWriteLock { _ in looked = LSN(store.lastLSN) }
    guard let last = sources.prefix(completed).last else { return .none }
    do throws(FileError) {
      checksum = try writer?.finish(lastLSN: last.lastLSN, cleanUpTo: cleanUpTo) ?? 0
    } catch {
      writer = nil
      throw .disk(error)
    }
    return waitsToSettle ? looked : .none
  }

  /// Puts the new file into the place of the old ones. After `close`; off the write lock, but for short moments, and
  /// while `maintain` does not run.
  public func install() throws(CompactionFailure) -> CompactionResult {
    let done = Array(sources.prefix(completed))
    guard let last = done.last else { return result }
    result.bytesWritten = writer?.bytes ?? 0
    result.sources = done.count
    do throws(FileError) {
      try store.install(
        name: name, from: done, moves: moves, lastLSN: last.lastLSN, cleanUpTo: cleanUpTo,
        notBefore: waitsToSettle ? .none : looked, droppedUpTo: waitsToSettle ? looked : bounds.settled, writer: writer,
        checksum: checksum, kept: tombstones,
        droppedTombstone: newestDroppedTombstone, dictionaries: recoder.dictionaries)
    } catch {
      throw .disk(error)
    }
    isInstalled = true
    return result
  }
}
