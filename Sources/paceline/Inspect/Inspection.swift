// Raw memory: walks segment files record by record, whatever their bytes are.
import Core
import LogStore

/// Reads the files of a data directory and says in words what is in them: `paceline inspect`.
///
/// Only reads, so a server may be running on the files. Bytes are trusted nowhere: every record is verified before
/// anything of it is shown. Damage is a line that begins with `DAMAGED` and counts in `damageCount`.
struct Inspection {
  private let fileSystem: any FileSystem
  private let showRecords: Bool
  private let print: (String) -> Void
  private(set) var damageCount = 0
  /// Newest place of every key met, by table and hash of the key: tells what is alive over several files.
  private var newest: [KeyPlace: (file: Int, expires: Bool)] = [:]
  private var filesWalked = 0
  /// The newest catalog met: keys of other tables are of databases that were flushed.
  private var catalog: (lsn: UInt64, tables: Set<UInt32>)?

  private struct KeyPlace: Hashable {
    let table: UInt32
    let hash: UInt64
  }

  init(fileSystem: any FileSystem, showRecords: Bool, print: @escaping (String) -> Void) {
    self.fileSystem = fileSystem
    self.showRecords = showRecords
    self.print = print
  }

  /// A file or a directory. Throws only when there is nothing to read.
  mutating func inspect(_ path: String) throws(FileError) {
    let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    guard fileSystem.exists(path) else {
      throw FileError(operation: "inspect", path: path, errno: 2, reason: "no such file or directory")
    }
    let names = (try? fileSystem.list(path)) ?? []
    if !names.isEmpty { return inspectDirectory(path, names) }
    let bytes = try fileSystem.readAll(path)
    if path.hasSuffix(DirectoryFile.suffix) {
      _ = inspectGeneration(path, bytes)
    } else if path.hasSuffix(SegmentFormat.indexSuffix) {
      let data = Self.sibling(path, DataFileFormat.fileSuffix)
      let records = fileSystem.exists(data) ? data : Self.sibling(path, SegmentFormat.fileSuffix)
      inspectIndex(path, bytes, segment: try? fileSystem.readAll(records))
    } else if path.hasSuffix(SegmentFormat.fileSuffix) || path.hasSuffix(DataFileFormat.fileSuffix) {
      let index = Self.sibling(path, SegmentFormat.indexSuffix)
      inspectSegment(path, bytes, isSealed: fileSystem.exists(index))
      if let indexBytes = try? fileSystem.readAll(index) { inspectIndex(index, indexBytes, segment: bytes) }
      printAlive()
    } else if path.hasSuffix(VoteFile.suffix) {
      inspectVote(path, bytes)
    } else {
      print("\(path): not a .wal, .dat, .idx, .dir or .vote file (\(bytes.count) bytes)")
    }
  }

  private mutating func damaged(_ path: String, _ text: String) {
    damageCount += 1
    print("DAMAGED \(path): \(text)")
  }

  private static func sibling(_ path: String, _ suffix: String) -> String { path.dropLast(4) + suffix }

  // MARK: Directories

  private mutating func inspectDirectory(_ path: String, _ names: [String]) {
    let generations = names.filter { DirectoryFile.generation(inName: $0) != nil }.sorted()
    var live: DirectoryFile?
    for name in generations {
      do {
        if let good = inspectGeneration("\(path)/\(name)", try fileSystem.readAll("\(path)/\(name)")) { live = good }
      } catch {
        print("\(path)/\(name): went away meanwhile, or cannot be read (\(error))")
      }
    }
    if let live {
      print("newest good generation: \(live.generation); its files are in store-\(live.storeNumber)")
      for name in names where name.hasPrefix("store-") && name != "store-\(live.storeNumber)" {
        print("\(path)/\(name): not named by this generation (an unfinished full sync, or left over)")
      }
      let store = "\(path)/store-\(live.storeNumber)"
      inspectStore(store, (try? fileSystem.list(store)) ?? [], live)
    } else if !generations.isEmpty {
      damaged(path, "none of \(generations.count) generations can be read")
    } else if names.contains(where: { LogFileName(records: $0) != nil }) {
      inspectStore(path, names, nil)
    } else {
      print("\(path): neither generations (.dir) nor segments (.wal) are in it")
    }
  }

  private mutating func inspectStore(_ path: String, _ names: [String], _ generation: DirectoryFile?) {
    let present = names.compactMap { LogFileName(records: $0) }.sorted()
    let listed = Dictionary((generation?.segments ?? []).map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    for segment in generation?.segments ?? [] where !present.contains(segment.name) {
      damaged(
        "\(path)/\(segment.name.records)",
        "missing; generation \(generation?.generation ?? 0) lists it with LSNs \(segment.firstLSN) to \(segment.lastLSN)"
      )
    }
    for name in present {
      let file = "\(path)/\(name.records)"
      let index = Self.sibling(file, SegmentFormat.indexSuffix)
      guard let bytes = try? fileSystem.readAll(file) else {
        print("\(file): went away meanwhile, or cannot be read")
        continue
      }
      if let known = listed[name] {
        print("\(file): listed, LSNs \(known.firstLSN) to \(known.lastLSN)")
        if UInt64(bytes.count) != known.bytes {
          damaged(file, "it has \(bytes.count) bytes, the generation says \(known.bytes)")
        } else if CRC32C.checksum(bytes) != known.checksum {
          damaged(file, "the checksum of the whole file is not the generation's")
        }
      } else if let generation, name.isData || name.firstLSN < generation.logStart {
        print("\(file): dropped or replaced; kept for older generations until it is removed")
        continue
      } else if generation != nil {
        print("\(file): not listed, younger than the generation")
      }
      inspectSegment(file, bytes, isSealed: listed[name] != nil || fileSystem.exists(index))
      if let indexBytes = try? fileSystem.readAll(index) {
        inspectIndex(index, indexBytes, segment: bytes)
      } else if listed[name] != nil {
        print("\(index): missing; it is rebuilt at the next start")
      }
    }
    printAlive()
  }

  private func printAlive() {
    let alive = newest.filter { catalog?.tables.contains($0.key.table) ?? true }
    let expiring = alive.values.count { $0.expires }
    print("keys alive by these files: \(alive.count), with an expiry: \(expiring)")
  }

  private mutating func inspectVote(_ path: String, _ bytes: [UInt8]) {
    do {
      let file = try VoteFile(decoding: bytes)
      let vote = file.vote.candidate.map { "for \($0)" } ?? "for nobody"
      print("\(path): vote \(file.sequence) of node \(file.node), data set \(file.lineage), checksum good")
      print("  term \(file.vote.term), \(file.vote.term == .none ? "none yet" : vote)")
      if file.unsureUpTo > .none { print("  it is not known how the node voted in terms up to \(file.unsureUpTo)") }
    } catch {
      damaged(path, "\(error)")
    }
  }

  /// The generation if it is good.
  private mutating func inspectGeneration(_ path: String, _ bytes: [UInt8]) -> DirectoryFile? {
    let file: DirectoryFile
    do { file = try DirectoryFile(decoding: bytes) } catch {
      damaged(path, "\(error)")
      return nil
    }
    print("\(path): generation \(file.generation), \(bytes.count) bytes, checksum good")
    if DirectoryFile.generation(inName: String(path.suffix(24))) ?? file.generation != file.generation {
      damaged(path, "its number \(file.generation) is not its name")
      return nil
    }
    print("  node \(file.node), data set \(file.lineage), store-\(file.storeNumber)")
    let vote = file.vote.candidate.map { "for \($0)" } ?? "for nobody"
    print("  vote: term \(file.vote.term), \(file.vote.term == .none ? "none yet" : vote)")
    let terms = file.terms.entries.map { "\($0.term) from LSN \($0.firstLSN) of \($0.owner)" }.joined(separator: ", ")
    print("  terms: \(terms.isEmpty ? "none" : terms)")
    if let cut = file.cut {
      print("  orders a cut behind LSN \(cut.afterLSN), where a record of \(cut.reign) goes")
    }
    if let wanted = file.refetchTo {
      print("  damage was cut out of the log, which had reached \(wanted): it is fetched again from other nodes")
    }
    print(
      "  the log is complete from LSN \(file.logStart); \(file.segments.count) sealed segments; registry \(file.registry.count) bytes"
    )
    return file
  }

  // MARK: Segments

  /// What a walk over a segment's records saw.
  private struct Tally {
    var records: [UInt8: Int] = [:]
    var expiring = 0
    var first = LSN.none
    var last = LSN.none
    var terms: [(term: UInt32, first: UInt64)] = []
    var keyBytes = 0
    var valueBytes = 0
    var clean = true
    var endsInsideUnit = false
    /// A compacted piece: gaps are what it is made for.
    var isData = false
  }

  private mutating func inspectSegment(_ path: String, _ bytes: [UInt8], isSealed: Bool) {
    filesWalked += 1
    bytes.withUnsafeBytes { raw in
      var seed: UInt64 = 0
      var recordsAt = SegmentFormat.headerBytes
      var tally = Tally()
      let file = path.split(separator: "/").last.map { String($0) } ?? path
      if let header = SegmentFormat.readHeader(raw) {
        seed = header.lineage
        recordsAt = header.recordsAt
        tally.isData = header.isData
        print(
          "\(path): \(header.isData ? "data file" : "segment") from LSN \(header.firstLSN), data set "
            + "\(Self.hex(header.lineage)), \(header.isData ? "" : "made in term \(header.term), ")\(raw.count) bytes")
        if let named = LogFileName(records: file), named.firstLSN != header.firstLSN {
          damaged(path, "its first LSN \(header.firstLSN) is not its name")
        }
      } else if !isSealed, TailMark.highestFlushed(raw, from: 0) == 0 {
        print("\(path): begun and never synced, \(raw.count) bytes")
        return
      } else {
        damaged(path, "offset 0: the header cannot be read")
      }
      walk(path, raw, recordsAt: recordsAt, seed: seed, isSealed: isSealed, &tally)
      describe(tally)
    }
  }

  private mutating func walk(
    _ path: String, _ raw: UnsafeRawBufferPointer, recordsAt: Int, seed: UInt64, isSealed: Bool,
    _ tally: inout Tally
  ) {
    guard let base = raw.baseAddress else { return }
    var at = recordsAt
    while at < raw.count {
      let record = RecordView(base + at)
      if record.verify(available: raw.count - at) == .good, record.lsn > tally.last.value {
        note(record, at: at, seed: seed, &tally)
        at += record.recordBytes
        continue
      }
      if let synced = TailMark.flushed(raw, at: at), !isSealed {
        print(
          "  the log ends at offset \(at); synced up to \(synced) before the last write; \(raw.count - at) bytes reserved"
        )
        if TailMark.lastNonZero(raw, from: at + TailMark.bytes) > at + TailMark.bytes {
          print("  torn tail: bytes of a write that was never synced follow; the next start cuts them")
        }
        return
      }
      if !isSealed, TailMark.lastNonZero(raw, from: at) <= at {
        print("  the log ends at offset \(at); \(raw.count - at) bytes reserved")
        return
      }
      if !isSealed, TailMark.highestFlushed(raw, from: at) <= at {
        print(
          "  torn tail: \(TailMark.lastNonZero(raw, from: at) - at) bytes at offset \(at), after LSN \(tally.last), never "
            + "synced (or being written now); the next start cuts them")
        return
      }
      tally.clean = false
      damaged(path, "offset \(at), after LSN \(tally.last): no good record")
      guard let next = Self.nextGood(raw, from: at + 8, after: tally.last.value) else {
        print("  nothing readable follows")
        return
      }
      print(
        "  \(next - at) bytes are unreadable; good records go on at offset \(next), LSN \(RecordView(base + next).lsn)")
      at = next
    }
    if isSealed, tally.endsInsideUnit { print("  its last unit goes on in the next segment") }
  }

  private static func nextGood(_ raw: UnsafeRawBufferPointer, from: Int, after lsn: UInt64) -> Int? {
    guard let base = raw.baseAddress else { return nil }
    var at = (from + 7) & ~7
    while at + RecordView.headerBytes <= raw.count {
      let record = RecordView(base + at)
      // A later LSN of the same log: random bytes rarely get as far as their checksums.
      if record.lsn > lsn, record.lsn - lsn < 1 << 32, record.verify(available: raw.count - at) == .good { return at }
      at += 8
    }
    return nil
  }

  private mutating func note(_ record: RecordView, at: Int, seed: UInt64, _ tally: inout Tally) {
    if tally.first == .none { tally.first = LSN(record.lsn) }
    if !tally.isData, tally.last != .none, record.lsn != tally.last.value &+ 1 {
      print("  LSNs \(tally.last.next) to \(record.lsn - 1) are not in this file")
    }
    tally.last = LSN(record.lsn)
    tally.records[record.kind, default: 0] += 1
    tally.endsInsideUnit = record.unitContinues
    tally.keyBytes += record.keyBytes
    tally.valueBytes += record.valueBytes
    if tally.terms.last?.term != record.term { tally.terms.append((record.term, record.lsn)) }
    let place = KeyPlace(table: record.table, hash: KeyHash.hash(record.key, seed: seed))
    switch RecordKind(rawValue: record.kind) {
    case .put:
      tally.expiring += record.expiry != 0 ? 1 : 0
      newest[place] = (filesWalked, record.expiry != 0)
    case .delete: newest[place] = nil
    case .catalog:
      if let tables = Catalog([UInt8](record.value))?.tables, record.lsn > catalog?.lsn ?? 0 {
        catalog = (record.lsn, Set(tables))
      }
    case .noop, nil: break
    }
    if showRecords { print("  " + Self.line(record, at: at)) }
  }

  private func describe(_ tally: Tally) {
    let total = tally.records.values.reduce(0, +)
    guard total > 0 else { return print("  no records") }
    let kinds = tally.records.keys.sorted().map { "\(tally.records[$0] ?? 0) \(Self.kindName($0))" }
    let alive = newest.values.count { $0.file == filesWalked }
    print("  LSNs \(tally.first) to \(tally.last): \(total) records (\(kinds.joined(separator: ", ")))")
    print("  newest of their key up to here: \(alive); with an expiry: \(tally.expiring)")
    print("  terms: \(tally.terms.map { "\($0.term) from LSN \($0.first)" }.joined(separator: ", "))")
    print("  bytes: keys \(tally.keyBytes), values \(tally.valueBytes)")
    if tally.clean { print("  all checksums are good") }
  }

  private static func line(_ record: RecordView, at offset: Int) -> String {
    var flags: [String] = []
    if record.expiry != 0 { flags.append("expires \(record.expiry)") }
    if record.unitContinues { flags.append("unit goes on") }
    if record.isCompressed {
      let method = record.flags & RecordFlag.compressionMask == RecordFlag.lz4 ? "lz4" : "zstd"
      flags.append("\(method), \(record.rawValueBytes) bytes expanded")
    }
    if record.level != .async { flags.append("\(record.level)") }
    return
      "lsn \(record.lsn) term \(record.term) \(kindName(record.kind)) table \(record.table) key \(quoted(record.key)) value "
      + "\(record.valueBytes) bytes offset \(offset)" + (flags.isEmpty ? "" : " (\(flags.joined(separator: ", ")))")
  }

  private static func kindName(_ kind: UInt8) -> String {
    switch RecordKind(rawValue: kind) {
    case .put: "put"
    case .delete: "delete"
    case .catalog: "catalog"
    case .noop: "no-op"
    case nil: "kind \(kind)"
    }
  }

  // MARK: Index files

  private mutating func inspectIndex(_ path: String, _ bytes: [UInt8], segment: [UInt8]?) {
    let index: IndexFile
    do { index = try IndexFile(MappedFile(copying: bytes)) } catch {
      damaged(path, "\(error); it is rebuilt at the next start")
      return
    }
    print("\(path): index of LSNs \(index.firstLSN) to \(index.lastLSN), \(index.count) entries, checksums good")
    guard let segment else {
      print("  its segment is not there")
      return
    }
    if UInt64(segment.count) != index.dataBytes {
      damaged(path, "it is the index of \(index.dataBytes) bytes, the segment has \(segment.count)")
    } else if CRC32C.checksum(segment) != index.dataChecksum {
      damaged(path, "it does not agree with its segment: the segment's checksum is another")
    } else {
      print("  it agrees with its segment")
    }
  }

  // MARK: Text

  /// Bytes as redis-cli shows them: printable ASCII as it is, the rest escaped. Safe for any terminal.
  static func quoted(_ bytes: some Sequence<UInt8>) -> String {
    var text = "\""
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "\\"), UInt8(ascii: "\""): text += "\\" + String(UnicodeScalar(byte))
      case 0x0A: text += "\\n"
      case 0x0D: text += "\\r"
      case 0x09: text += "\\t"
      case 0x07: text += "\\a"
      case 0x08: text += "\\b"
      case 0x20..<0x7F: text.unicodeScalars.append(UnicodeScalar(byte))
      default: text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }
    }
    return text + "\""
  }

  private static func hex(_ value: UInt64) -> String {
    let digits = String(value.byteSwapped, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
