// Raw memory: builds a piece of the log anew with records from another node among its own.
import Core

/// Puts records from another node into one sealed piece: such that compaction dropped here although they are alive, and such
/// that stand in the place of another record with their LSN. The result is a data file of the same range, or of a range
/// that is wide enough.
///
/// `build` reads and writes off all locks; `install` runs while `maintain` does not. Afterwards the log has the records; the
/// index learns of those that it did not know by `LogStore.putBack`.
public final class RestoreJob {
  /// A record as another node gave it, and what it is known to be.
  public struct Copy: Sendable {
    public let record: PartitionRecord
    public let bytes: [UInt8]
    public init(record: PartitionRecord, bytes: [UInt8]) {
      self.record = record
      self.bytes = bytes
    }
  }

  private let store: LogStore
  private let segment: Segment
  private let participant: EpochDomain.Participant
  private let name: LogFileName
  private let lastLSN: LSN
  /// Rising by LSN; all go into this piece.
  private let copies: [Copy]
  private let table: UInt32
  private let aliveAt: LSN
  private var writer: DataFileWriter?
  private var moves: [KeyMove] = []
  /// Records of other keys whose places are taken: nothing may point at them any more.
  private var replaced: [(hash: UInt64, entry: IndexEntry)] = []
  private var kept: (records: Int, bytes: Int) = (0, 0)
  private var checksum: UInt32 = 0
  private var dictionaries: [UInt32: ValueDictionary] = [:]
  private var isInstalled = false
  public var records: [LSN] { copies.map(\.record.lsn) }

  /// The piece for the first of the copies, with as many of them as belong there; nil when there is no sealed piece for it.
  ///
  /// - Parameter aliveAt: the LSN at which the records were alive.
  public init?(store: LogStore, copies given: [Copy], table: UInt32, aliveAt: LSN) {
    let sorted = given.sorted { $0.record.lsn < $1.record.lsn }
    guard let first = sorted.first?.record.lsn, let participant = store.epochs.join() else { return nil }
    let access = store.writeLock.lock()
    let list = store.segmentList.withLock { $0 }
    // The piece around it; else the one before it grows, or the one behind it.
    let at =
      list.lastIndex { $0.firstLSN <= first && $0.state == .sealed }
      ?? (list.first?.state == .sealed && list[0].firstLSN > first ? 0 : nil)
    let next = at.flatMap { $0 + 1 < list.count ? list[$0 + 1].firstLSN : nil } ?? LSN(.max)
    let found = at.map { list[$0] }
    let isFree = found.map { $0.pins == 0 && first < next } ?? false
    if isFree {
      found?.pins += 1
      found?.rewriters += 1
      store.nextRevision += 1
    }
    let revision = store.nextRevision - 1
    store.writeLock.unlock(access)
    guard isFree, let found else {
      store.epochs.resign(participant)
      return nil
    }
    self.store = store
    self.participant = participant
    self.table = table
    self.aliveAt = aliveAt
    segment = found
    copies = sorted.filter { $0.record.lsn < next }
    lastLSN = max(found.lastLSN, copies.last?.record.lsn ?? .none)
    name = LogFileName(firstLSN: min(found.firstLSN, first), revision: revision)
  }

  /// A job that is not installed takes its file back.
  deinit {
    if !isInstalled { writer?.discard() }
    store.epochs.resign(participant)
    store.withWriteLock { _ in
      segment.pins -= 1
      segment.rewriters -= 1
    }
  }

  /// Writes the new file.
  public func build() throws(RepairFailure) {
    let positions = store.positions
    // What was replaced up to there may be missing: the log cannot be cut back behind it any more.
    guard max(segment.lastLSN, aliveAt) <= min(positions.applied, min(positions.committed, positions.durable)) else {
      throw .notYet
    }
    guard let index = store.indexFile(of: segment) else { throw .noIndex }
    store.epochs.enter(participant)
    defer { store.epochs.leave(participant) }
    guard let start = store.addresses.start(segment.slot), let known = store.dictionaries(in: segment, at: start) else {
      throw .notYet
    }
    dictionaries = known
    var wrong: [LSN] = []
    do throws(FileError) {
      let writer = try DataFileWriter(
        fileSystem: store.fileSystem, directory: store.directory, name: name, hashSeed: store.hashSeed,
        dictionaries: known)
      self.writer = writer
      var due = copies[...]
      for i in 0..<index.count {
        let entry = index.entry(i)
        let lsn = LSN(segment.firstLSN.value + entry.lsnDelta)
        while let copy = due.first, copy.record.lsn < lsn {
          due.removeFirst()
          if try add(copy, to: writer) == nil { wrong.append(copy.record.lsn) }
        }
        let record = RecordView(start + entry.offset)
        guard entry.offset <= segment.used - RecordView.headerBytes,
          record.verify(available: segment.used - entry.offset) == .good, store.agrees(record, entry, segment)
        else {
          wrong.append(lsn)
          continue
        }
        let from = IndexEntry(
          tag: IndexHash(entry.hash).tag, segment: segment.slot, offset: entry.offset)
        if let copy = due.first, copy.record.lsn == lsn {
          due.removeFirst()
          guard let (offset, bytes) = try add(copy, to: writer) else {
            wrong.append(lsn)
            continue
          }
          if entry.kind == RecordKind.put.rawValue, entry.hash == copy.record.hash {
            note(entry, from: from, offset: offset, newBytes: bytes)
          } else {
            replaced.append((entry.hash, from))
          }
          continue
        }
        let offset = try writer.append(record, hash: entry.hash)
        if entry.kind != RecordKind.put.rawValue { kept = (kept.records + 1, kept.bytes + record.recordBytes) }
        note(entry, from: from, offset: offset, newBytes: record.recordBytes)
      }
      for copy in due where try add(copy, to: writer) == nil { wrong.append(copy.record.lsn) }
      guard wrong.isEmpty else { throw FileError(operation: "restore", path: name.records, errno: 0, reason: "") }
      checksum = try writer.finish(lastLSN: lastLSN, cleanUpTo: min(segment.cleanUpTo, aliveAt))
    } catch {
      writer?.discard()
      writer = nil
      if !wrong.isEmpty { throw .missing(wrong) }
      throw .disk(error)
    }
  }

  private func note(_ entry: IndexFile.Entry, from: IndexEntry, offset: Int, newBytes: Int) {
    let isPut = entry.kind == RecordKind.put.rawValue
    guard isPut || entry.kind == RecordKind.catalog.rawValue else { return }
    moves.append(
      KeyMove(
        owner: isPut ? .key(table: entry.table, hash: entry.hash) : .catalog,
        from: isPut ? from : IndexEntry(tag: 0, segment: segment.slot, offset: entry.offset), offset: offset,
        bytes: entry.recordBytes, newBytes: newBytes, expires: entry.flags & RecordFlag.expiry != 0))
  }

  /// Offset and size of a copy in the new file; nil if its bytes are not what they should be.
  private func add(_ copy: Copy, to writer: DataFileWriter) throws(FileError) -> (offset: Int, bytes: Int)? {
    // Records are read in place, at addresses that are multiples of 8.
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: max(8, copy.bytes.count), alignment: 8)
    defer { room.deallocate() }
    room.copyBytes(from: copy.bytes)
    guard let base = room.baseAddress else { return nil }
    let record = RecordView(UnsafeRawPointer(base))
    guard record.verify(available: copy.bytes.count) == .good, record.recordBytes == copy.bytes.count,
      record.kind == RecordKind.put.rawValue, record.table == table, LSN(record.lsn) == copy.record.lsn,
      record.contentHash == copy.record.contentHash, !record.isCompressed,
      store.hash(record.key).value == copy.record.hash
    else { return nil }
    return (try writer.append(record, hash: copy.record.hash), record.recordBytes)
  }

  /// Puts the new file into the place of the old one. After `build`; while `maintain` does not run.
  public func install() throws(RepairFailure) {
    guard let writer else { throw .notYet }
    // A transfer that began meanwhile reads the old file.
    let isFree = store.withWriteLock { _ in segment.state == .sealed && segment.pins == 1 }
    guard isFree else { throw .notYet }
    do throws(FileError) {
      try store.install(
        name: name, from: [segment], moves: moves, lastLSN: lastLSN, cleanUpTo: min(segment.cleanUpTo, aliveAt),
        notBefore: segment.notBefore, droppedUpTo: aliveAt, writer: writer, checksum: checksum,
        kept: kept, droppedTombstone: .none,
        dictionaries: dictionaries
      ) { [self] _ throws(FileError) in
        store.withWriteLock { access in for item in replaced { forget(item.hash, item.entry, access) } }
      }
    } catch {
      throw .disk(error)
    }
    isInstalled = true
  }

  /// The old file is still readable.
  private func forget(_ hash: UInt64, _ entry: IndexEntry, _ access: borrowing WriteAccess) {
    let record = store.record(entry).record
    guard record.kind == RecordKind.put.rawValue, let table = store.tables.reference(record.table) else { return }
    store.keyspace.takeOut(entry, of: table, IndexHash(hash), record.weight, by: aliveAt.value, access)
  }
}
