// Raw memory: builds a piece of the log anew from its own good records and fetched ones.
import Core

/// Why a piece is not repaired yet; the log is as it was.
public enum RepairFailure: Error, CustomStringConvertible, Sendable {
  case disk(FileError)
  /// These records are damaged here, and no good copy of them was given.
  case missing([LSN])
  /// Not now: the piece is not applied or not on disk yet, or was replaced meanwhile.
  case notYet
  /// Its index file is gone as well, so that nobody can tell which records it had.
  case noIndex
  public var description: String {
    switch self {
    case .disk(let error): "\(error)"
    case .missing(let lsns): "no good copy of \(lsns.count) records, the first with LSN \(lsns.first ?? .none)"
    case .notYet: "the piece is not applied yet, is being read by a transfer or a compaction, or was replaced meanwhile"
    case .noIndex: "its index file is damaged, too"
    }
  }
}

/// Puts good copies in the place of the damaged records of one sealed piece: a compaction of this piece alone that drops
/// nothing that is good. The result is a data file of the same range.
///
/// A fetched record counts only if it is the very one that the index file knows: LSN, hash of the key, hash of the content.
/// `build` reads and writes off all locks; `install` runs while `maintain` does not.
///
/// A damaged record of which nobody has a copy is left out if a compaction might drop it: other nodes have, and no copy will
/// ever come.
///
/// While a record was damaged, newer operations on its key could not find it (`LogStore.index`): a newer record stands beside it
/// in the index, and a deletion left it there. So before its place is made readable, the log behind it is searched for
/// newer operations, and what they replaced is taken out of the index, under the same hold of the write lock.
public final class RepairJob {
  private let store: LogStore
  private let segment: Segment
  private let participant: EpochDomain.Participant
  private var writer: DataFileWriter?
  private let name: LogFileName
  private var moves: [KeyMove] = []
  /// Of puts that were damaged here: what the index may still point at.
  private var mended: [Mended] = []
  /// The same of those that are left out.
  private var superseded: [Mended] = []
  private var droppedTombstone = LSN.none
  private var kept: (records: Int, bytes: Int) = (0, 0)
  private var checksum: UInt32 = 0
  private var dictionaries: [UInt32: ValueDictionary] = [:]
  private var isInstalled = false
  /// The log was searched for newer operations up to here.
  private var searchedTo = LSN.none
  private var newest: [Place: Operation] = [:]
  /// The newest that is settled.
  private var newestSettled: [Place: LSN] = [:]
  private var settled = LSN.none
  public private(set) var recordsMended = 0

  private struct Mended {
    var move: KeyMove
    var place: Place
    var lsn: UInt64
    var contentHash: UInt32
  }
  private struct Place: Hashable {
    let table: UInt32
    let hash: UInt64
  }
  private struct Operation {
    var lsn: UInt64
  }

  /// nil when no reader place is free or there is no such sealed piece.
  public init?(store: LogStore, name: LogFileName) {
    guard let participant = store.epochs.join() else { return nil }
    let access = store.writeLock.lock()
    let found = store.segmentList.withLock { $0 }.first { $0.name == name && $0.state == .sealed }
    found?.pins += 1
    found?.rewriters += 1
    // From now on no compaction takes it.
    found?.isDamaged = true
    let revision = store.nextRevision
    if found != nil { store.nextRevision += 1 }
    store.writeLock.unlock(access)
    guard let found else {
      store.epochs.resign(participant)
      return nil
    }
    self.store = store
    self.participant = participant
    segment = found
    self.name = LogFileName(firstLSN: found.firstLSN, revision: revision)
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
  /// - Parameters:
  ///   - copies: records from other nodes, by LSN; bytes from outside.
  ///   - bounds: as for a compaction now; by default nothing may be left out.
  public func build(
    copies: [LSN: [UInt8]], bounds: CompactionBounds = CompactionBounds(settled: .none, neededFrom: .none)
  ) throws(RepairFailure) {
    let positions = store.positions
    guard segment.lastLSN <= min(positions.applied, min(positions.committed, positions.durable)) else { throw .notYet }
    guard let index = store.indexFile(of: segment) else { throw .noIndex }
    store.epochs.enter(participant)
    defer { store.epochs.leave(participant) }
    guard let start = store.addresses.start(segment.slot) else { throw .notYet }
    // Dictionaries go with the file. If they are damaged, so are the values that need them.
    let known = store.dictionaries(in: segment, at: start)
    dictionaries = known ?? [:]
    var lost: [IndexFile.Entry] = []
    do throws(FileError) {
      let writer = try DataFileWriter(
        fileSystem: store.fileSystem, directory: store.directory, name: name, hashSeed: store.hashSeed,
        dictionaries: known ?? [:])
      writer.reserve = store.reserve
      self.writer = writer
      for i in 0..<index.count {
        let entry = index.entry(i)
        let record = RecordView(start + entry.offset)
        if entry.offset <= segment.used - RecordView.headerBytes,
          record.verify(available: segment.used - entry.offset) == .good, store.agrees(record, entry, segment),
          known != nil || !ValueExpander.needsDictionary(record)
        {
          try add(record, entry, to: writer, isMended: false)
          continue
        }
        let lsn = LSN(segment.firstLSN.value + entry.lsnDelta)
        if let copy = copies[lsn], try addCopy(copy, entry, to: writer) {
          recordsMended += 1
        } else if entry.kind != RecordKind.noop.rawValue {
          lost.append(entry)
        }
      }
    } catch {
      discard()
      throw .disk(error)
    }
    settled = min(bounds.settled, positions.applied)
    let missing = try leaveOut(lost, neededFrom: bounds.neededFrom, upTo: positions.applied)
    guard missing.isEmpty else {
      discard()
      throw .missing(missing)
    }
    do throws(FileError) {
      checksum = try writer?.finish(lastLSN: segment.lastLSN, cleanUpTo: segment.cleanUpTo) ?? 0
    } catch {
      discard()
      throw .disk(error)
    }
    try search(from: segment.firstLSN, to: positions.applied)
  }

  /// Those of the hashes of which this piece or an older one has a put: a start would find it alive without its deletion.
  private func putsUpToHere(_ wanted: Set<UInt64>) throws(RepairFailure) -> Set<UInt64> {
    var found: Set<UInt64> = []
    guard !wanted.isEmpty else { return found }
    for piece in store.segmentList.withLock({ $0 }) where piece.firstLSN <= segment.firstLSN {
      guard let index = store.indexFile(of: piece) else { throw .noIndex }
      for i in 0..<index.count {
        let entry = index.entry(i)
        if entry.kind == RecordKind.put.rawValue, wanted.contains(entry.hash) { found.insert(entry.hash) }
      }
    }
    return found
  }

  private func discard() {
    writer?.discard()
    writer = nil
  }

  /// Decides what of the lost records may be left out; returns the LSNs of the others. By the rules of a compaction, with the
  /// log's index files in the place of the key, which nobody can read any more.
  private func leaveOut(_ lost: [IndexFile.Entry], neededFrom: LSN, upTo last: LSN) throws(RepairFailure) -> [LSN] {
    guard !lost.isEmpty else { return [] }
    let deleted = Set(lost.filter { $0.kind == RecordKind.delete.rawValue }.map(\.hash))
    let written = try putsUpToHere(deleted)
    try search(from: segment.firstLSN, to: last, also: Set(lost.map { $0.hash >> 30 }))
    var missing: [LSN] = []
    for entry in lost {
      let lsn = LSN(segment.firstLSN.value + entry.lsnDelta)
      let place = Place(table: entry.table, hash: entry.hash)
      let isReplaced = newestSettled[place] ?? .none > lsn
      switch RecordKind(rawValue: entry.kind) {
      case .put where isReplaced:
        let from = IndexEntry(tag: IndexHash(entry.hash).tag, segment: segment.slot, offset: entry.offset)
        superseded.append(
          Mended(
            move: KeyMove(
              owner: .key(table: entry.table, hash: entry.hash), from: from, offset: 0, bytes: entry.recordBytes,
              newBytes: 0, expires: false),
            place: place, lsn: lsn.value, contentHash: entry.contentHash))
      case .delete where isReplaced: break
      case .delete
      where newest[place]?.lsn == lsn.value && lsn <= settled && lsn < neededFrom && !written.contains(entry.hash):
        droppedTombstone = max(droppedTombstone, lsn)
      case .catalog where lsn.value < store.newestCatalogLSN && store.newestCatalogLSN <= settled.value: break
      case .put, .delete, .catalog, .noop, nil: missing.append(lsn)
      }
    }
    return missing
  }

  private func addCopy(_ copy: [UInt8], _ entry: IndexFile.Entry, to writer: DataFileWriter) throws(FileError) -> Bool {
    // Records are read in place, at addresses that are multiples of 8.
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: max(8, copy.count), alignment: 8)
    defer { room.deallocate() }
    room.copyBytes(from: copy)
    guard let base = room.baseAddress else { return false }
    let record = RecordView(UnsafeRawPointer(base))
    guard record.verify(available: copy.count) == .good, record.recordBytes == copy.count,
      store.agrees(record, entry, segment)
    else { return false }
    try add(record, entry, to: writer, isMended: true)
    return true
  }

  private func add(
    _ record: RecordView, _ entry: IndexFile.Entry, to writer: DataFileWriter, isMended: Bool
  ) throws(FileError) {
    let offset = try writer.append(record, hash: entry.hash)
    let isPut = entry.kind == RecordKind.put.rawValue
    if !isPut { kept = (kept.records + 1, kept.bytes + record.recordBytes) }
    guard isPut || entry.kind == RecordKind.catalog.rawValue else { return }
    let move = KeyMove(
      owner: isPut ? .key(table: entry.table, hash: entry.hash) : .catalog,
      from: IndexEntry(tag: isPut ? IndexHash(entry.hash).tag : 0, segment: segment.slot, offset: entry.offset),
      offset: offset, bytes: entry.recordBytes, newBytes: record.recordBytes,
      expires: entry.flags & RecordFlag.expiry != 0)
    if isMended, isPut {
      let place = Place(table: entry.table, hash: entry.hash)
      mended.append(Mended(move: move, place: place, lsn: record.lsn, contentHash: entry.contentHash))
    } else {
      moves.append(move)
    }
  }

  /// Looks in the log for what came after the mended records, on the same path of the index.
  private func search(from first: LSN, to last: LSN, also more: Set<UInt64> = []) throws(RepairFailure) {
    defer { searchedTo = max(searchedTo, last) }
    let paths = more.union((mended + superseded).map { $0.place.hash >> 30 })
    guard !paths.isEmpty, first <= last else { return }
    func note(_ table: UInt32, _ hash: UInt64, _ kind: UInt8, _ lsn: UInt64) {
      guard kind == RecordKind.put.rawValue || kind == RecordKind.delete.rawValue, paths.contains(hash >> 30) else {
        return
      }
      let place = Place(table: table, hash: hash)
      if newest[place].map({ $0.lsn < lsn }) ?? true { newest[place] = Operation(lsn: lsn) }
      if lsn <= settled.value { newestSettled[place] = max(newestSettled[place] ?? .none, LSN(lsn)) }
    }
    for piece in store.segmentList.withLock({ $0 }) where piece.firstLSN <= last {
      if piece.state != .active, piece.lastLSN < first { continue }
      if piece.state == .sealed {
        guard let index = store.indexFile(of: piece) else { throw .noIndex }
        for i in 0..<index.count {
          let entry = index.entry(i)
          let lsn = piece.firstLSN.value + entry.lsnDelta
          if lsn >= first.value, lsn <= last.value { note(entry.table, entry.hash, entry.kind, lsn) }
        }
      } else {
        store.walk(piece, from: first, to: last) { record in
          note(record.table, store.hash(record.key).value, record.kind, record.lsn)
          return true
        }
      }
    }
  }

  /// Puts the new file into the place of the old one. After `build`; while `maintain` does not run.
  public func install() throws(RepairFailure) {
    guard let writer else { throw .notYet }
    // A compaction that began before, or a transfer, still reads the old file.
    let isFree = store.withWriteLock { _ in segment.state == .sealed && segment.pins == 1 }
    guard isFree else { throw .notYet }
    do throws(FileError) {
      try store.install(
        name: name, from: [segment], moves: moves, lastLSN: segment.lastLSN, cleanUpTo: segment.cleanUpTo,
        notBefore: segment.notBefore, droppedUpTo: settled, writer: writer, checksum: checksum,
        kept: kept, droppedTombstone: droppedTombstone,
        dictionaries: dictionaries
      ) { replacement throws(FileError) in
        try store.withWriteLock { access throws(FileError) in
          do throws(RepairFailure) { try search(from: searchedTo.next, to: store.positions.applied) } catch {
            throw FileError(operation: "repair", path: name.records, errno: 5, reason: "\(error)")
          }
          settle(access)
          store.keyspace.move(mended.map(\.move)[...], to: replacement.slot, access)
        }
      }
    } catch {
      throw .disk(error)
    }
    isInstalled = true
    store.forgetDamage(in: store.directory + "/" + segment.name.records)
  }

  /// Takes out of the index what newer operations replaced without finding it.
  private func settle(_ access: borrowing WriteAccess) {
    let touched = mended + superseded
    let byPlace = Dictionary(touched.map { ($0.move.from.word, $0) }, uniquingKeysWith: { first, _ in first })
    for item in touched {
      guard let table = store.tables.reference(item.place.table) else { continue }
      let path = IndexHash(item.place.hash)
      for entry in store.tables.path(table, path) {
        let found: (hash: UInt64, lsn: UInt64, weight: RecordWeight)
        if let own = byPlace[entry.word] {
          let digest = RecordView.digest(lsn: own.lsn, contentHash: own.contentHash)
          found = (own.place.hash, own.lsn, RecordWeight(digest: digest, bytes: own.move.bytes))
        } else {
          let record = store.record(entry).record
          guard store.isIntact(record, entry) else { continue }
          found = (store.hash(record.key).value, record.lsn, record.weight)
        }
        guard let newer = newest[Place(table: item.place.table, hash: found.hash)], newer.lsn > found.lsn else {
          continue
        }
        store.keyspace.takeOut(entry, of: table, path, found.weight, by: newer.lsn, access)
      }
    }
  }
}
