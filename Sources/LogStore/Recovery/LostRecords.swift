// Raw memory: reads records out of the log.
import Core

/// What a rewind cut off, and where it is kept.
public struct LostRecords: Equatable, Sendable {
  /// The records of the log that were cut: from `first` to `last`.
  public var records: UInt64 = 0
  public var first = LSN.none
  public var last = LSN.none
  /// Their bytes in the log, as far as they could be read.
  public var bytes: UInt64 = 0
  /// Commands in the file, without those around transactions and SELECT.
  public var commands: UInt64 = 0
  /// Records that are not in the file: damaged ones, those of a table that no database had any more, and those of a unit
  /// whose end was not here.
  public var skipped: UInt64 = 0
  /// Changes of the catalog for which there is no command of clients: commit levels and voters.
  public var settings: UInt64 = 0
  /// The file with the commands; empty if nothing was lost.
  public var file = ""
  public init() {}
}

extension LogStore {
  /// Writes the records behind `point` as commands that `redis-cli --pipe` replays, into `lost-<term>-<LSN>.resp` in a
  /// directory; the file is on disk when this returns. A file of that name with other content is left alone: then the
  /// name ends with `-2` and so on. Nobody writes or maintains the store meanwhile.
  ///
  /// - Parameter point: the end of a unit.
  public func writeLostRecords(after point: LSN, in target: String) throws(FileError) -> LostRecords {
    guard let participant = epochs.join() else {
      throw FileError(operation: "read", path: directory, errno: 24, reason: "no reader place is free")
    }
    epochs.enter(participant)
    defer {
      epochs.leave(participant)
      epochs.resign(participant)
    }
    let access = writeLock.lock()
    let last = LSN(lastLSN)
    let catalog = catalog(at: point)
    let segments = segmentList.withLock { $0 }
    writeLock.unlock(access)
    guard last > point else { return LostRecords() }
    let stem = "\(target)/lost-\(terms.term(of: point.next) ?? .none)-\(point.next)"
    let writer = try LostRecordWriter(store: self, path: "\(stem).resp.tmp", catalog: catalog, after: point)
    do throws(FileError) {
      for segment in segments where segment.firstLSN <= last && (segment.state == .active || segment.lastLSN > point) {
        try writer.add(segment, from: point.next, to: last)
      }
      try writer.finish(last: last)
      let file = try fileSystem.settleName(writer.path, stem: stem, suffix: ".resp")
      try fileSystem.flushDirectory(target)
      var lost = writer.lost
      lost.file = file
      return lost
    } catch {
      writer.discard()
      throw error
    }
  }
}

extension FileSystem {
  /// Gives a finished file the first free name, or removes it if a file with the same content has one. The directory is
  /// to be flushed afterwards.
  func settleName(_ temporary: String, stem: String, suffix: String) throws(FileError) -> String {
    var number = 1
    while true {
      let name = number == 1 ? "\(stem)\(suffix)" : "\(stem)-\(number)\(suffix)"
      guard exists(name) else {
        try rename(temporary, to: name)
        return name
      }
      if try hasSameContent(name, temporary) {
        // It may have been written by a start that ended before it was flushed.
        let file = try open(name, .readWrite)
        defer { file.close() }
        try file.flush()
        try unlink(temporary)
        return name
      }
      number += 1
    }
  }

  private func hasSameContent(_ a: String, _ b: String) throws(FileError) -> Bool {
    let (one, other) = (try open(a, .read), try open(b, .read))
    defer {
      one.close()
      other.close()
    }
    let size = try one.size()
    guard size == (try other.size()) else { return false }
    var at: UInt64 = 0
    while at < size {
      let piece = try one.read(at: at, count: 1 << 20)
      guard !piece.isEmpty, piece == (try other.read(at: at, count: 1 << 20)) else { return false }
      at += UInt64(piece.count)
    }
    return true
  }
}

/// Turns records into RESP commands, unit by unit.
private final class LostRecordWriter {
  let path: String
  private(set) var lost = LostRecords()
  private let store: LogStore
  private let file: any OpenFile
  private let expander = ValueExpander()
  private var catalog: Catalog
  private var piece: [UInt8] = []
  private var written = 0
  private var isClosed = false
  /// The commands of the open unit.
  private var unit: [UInt8] = []
  private var unitCommands: UInt64 = 0
  private var unitRecords: UInt64 = 0
  /// What a reader of the file has selected at its end, and at the end of the open unit. Nothing is assumed at the start.
  private var selected = (written: -1, unit: -1)
  private var next: LSN

  init(store: LogStore, path: String, catalog: Catalog, after point: LSN) throws(FileError) {
    self.store = store
    self.path = path
    self.catalog = catalog
    next = point.next
    lost.first = next
    file = try store.fileSystem.open(path, .create)
  }

  func add(_ segment: Segment, from first: LSN, to last: LSN) throws(FileError) {
    var failure: FileError?
    store.walk(segment, from: first, to: last) { record in
      do throws(FileError) { try add(record, segment) } catch { failure = error }
      return failure == nil
    }
    if let failure { throw failure }
  }

  private func add(_ record: RecordView, _ segment: Segment) throws(FileError) {
    // Damaged ones are passed over by the walk.
    lost.skipped += record.lsn - next.value
    next = LSN(record.lsn + 1)
    lost.bytes += UInt64(record.recordBytes)
    unitRecords += 1
    switch RecordKind(rawValue: record.kind) {
    case .put: put(record, segment)
    case .delete:
      if select(record.table) { command("DEL", [[UInt8](record.key)]) } else { lost.skipped += 1 }
    case .catalog: change(record)
    case .noop, nil: break
    }
    if !record.unitContinues { try endUnit() }
  }

  private func put(_ record: RecordView, _ segment: Segment) {
    let dictionary = store.dictionary(forSlot: segment.slot, table: record.table)
    guard record.checksumsMatch, let image = store.plain(record, dictionary, expander), select(record.table) else {
      lost.skipped += 1
      return
    }
    image.withUnsafeBytes { raw in
      let record = RecordView(raw.baseAddress!)
      var arguments = [[UInt8](record.key), [UInt8](record.value)]
      if record.expiry != 0 { arguments += [Array("PXAT".utf8), Array(String(record.expiry).utf8)] }
      command("SET", arguments)
    }
  }

  private func change(_ record: RecordView) {
    let bytes = [UInt8](record.value)
    guard let changed = Catalog(bytes), let operation = Catalog.Operation(rawValue: bytes[0]) else {
      lost.skipped += 1
      return
    }
    let common = 0..<min(changed.tables.count, catalog.tables.count)
    let differing = common.filter { changed.tables[$0] != catalog.tables[$0] }
    catalog = changed
    switch operation {
    case .flushAll: command("FLUSHALL", [])
    case .flushDatabase:
      for database in differing {
        select(database: database)
        command("FLUSHDB", [])
      }
    case .swapDatabases:
      if differing.count == 2 { command("SWAPDB", differing.map { Array(String($0).utf8) }) }
    case .setLevel, .setVoters, .setDatabases: lost.settings += 1
    }
  }

  /// false if no database has the table.
  private func select(_ table: UInt32) -> Bool {
    guard let database = catalog.tables.firstIndex(of: table) else { return false }
    select(database: database)
    return true
  }

  private func select(database: Int) {
    guard selected.unit != database else { return }
    Self.encode("SELECT", [Array(String(database).utf8)], to: &unit)
    selected.unit = database
  }

  private func command(_ name: String, _ arguments: [[UInt8]]) {
    Self.encode(name, arguments, to: &unit)
    unitCommands += 1
  }

  private func endUnit() throws(FileError) {
    if unitCommands > 1 { Self.encode("MULTI", [], to: &piece) }
    piece += unit
    if unitCommands > 1 { Self.encode("EXEC", [], to: &piece) }
    lost.commands += unitCommands
    selected.written = selected.unit
    beginUnit()
    if piece.count >= 1 << 20 { try flush() }
  }

  private func beginUnit() {
    unit.removeAll(keepingCapacity: true)
    (unitCommands, unitRecords) = (0, 0)
    selected.unit = selected.written
  }

  private func flush() throws(FileError) {
    try file.write(piece, at: UInt64(written))
    written += piece.count
    piece.removeAll(keepingCapacity: true)
  }

  func finish(last: LSN) throws(FileError) {
    lost.last = last
    lost.records = last.value - lost.first.value + 1
    lost.skipped += last.value + 1 - next.value + unitRecords
    beginUnit()
    try flush()
    try file.flush()
    file.close()
    isClosed = true
  }

  func discard() {
    if !isClosed { file.close() }
    isClosed = true
    if store.fileSystem.exists(path) { try? store.fileSystem.unlink(path) }
  }

  private static func encode(_ name: String, _ arguments: [[UInt8]], to out: inout [UInt8]) {
    out += Array("*\(arguments.count + 1)\r\n".utf8)
    for argument in [Array(name.utf8)] + arguments {
      out += Array("$\(argument.count)\r\n".utf8)
      out += argument
      out += [13, 10]
    }
  }
}
