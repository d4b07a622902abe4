// Raw memory: reads whole files and walks their records.
import Core

/// Checks a data directory offline: every generation, and every file that one of them names. `paceline inspect --verify`.
///
/// Only reads. One file is in memory at a time; bytes are trusted nowhere.
public struct Verification {
  /// One damaged place.
  public struct Damage: Equatable, Sendable {
    public var file: String
    public var reason: String
    public var offset: Int?
    public var firstLSN = LSN.none
    public var lastLSN = LSN.none
    /// Which generations name the file; empty for the log behind all of them.
    public var generations: [UInt64] = []
  }
  public struct Summary: Equatable, Sendable {
    /// Those that a start could use: everything that they name is good.
    public var usableGenerations: [UInt64] = []
    public var damagedGenerations: [String] = []
    public var files = 0
    public var bytes = 0
    public var records = 0
    public var lastLSN = LSN.none
    public var damage: [Damage] = []
    // Of the newest generation's files and the log behind them, as far as they are good.
    public var databases: [LiveTally.Database] = []
    public var liveRecords = 0
    public var liveBytes = 0
    public var deadRecords = 0
    public var deadBytes = 0
  }

  private let fileSystem: any FileSystem
  private let progress: (_ filesDone: Int, _ filesTotal: Int, _ bytesDone: Int) -> Void
  private var summary = Summary()
  private var tally = LiveTally()
  /// The data set's seed, and the newest generation's number.
  private var hashSeed: UInt64 = 0
  private var newestGeneration: UInt64 = 0
  /// Whole units end here: what comes behind was never visible.
  private var openUnit: [[UInt8]] = []
  private var noted = LogReach.none

  public init(
    fileSystem: any FileSystem, progress: @escaping (_ filesDone: Int, _ filesTotal: Int, _ bytesDone: Int) -> Void
  ) {
    self.fileSystem = fileSystem
    self.progress = progress
  }

  private struct Named {
    var store: UInt32
    var segment: DirectoryFile.SealedSegment
    var generations: [UInt64]
  }

  /// Throws when there is no data directory to read.
  public mutating func verify(_ path: String) throws -> Summary {
    let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    let names = try fileSystem.list(path).filter { DirectoryFile.generation(inName: $0) != nil }.sorted()
    guard !names.isEmpty else { throw OpenError("\(path) is not a data directory: no generation (.dir) is in it") }
    var generations: [DirectoryFile] = []
    for name in names {
      do {
        let (file, damage) = try DirectoryFile.decode(try fileSystem.readAll("\(path)/\(name)"))
        if let damage { summary.damage.append(Damage(file: "\(path)/\(name)", reason: damage)) }
        guard DirectoryFile.generation(inName: name) == file.generation else {
          throw OpenError("its number \(file.generation) is not its name")
        }
        generations.append(file)
      } catch {
        summary.damagedGenerations.append(name)
        summary.damage.append(Damage(file: "\(path)/\(name)", reason: "\(error)"))
      }
    }
    guard let newest = generations.last else { return summary }
    var named: [Named] = []
    for generation in generations {
      for segment in generation.segments {
        let known = named.firstIndex { $0.store == generation.storeNumber && $0.segment == segment }
        if let known {
          named[known].generations.append(generation.generation)
        } else {
          named.append(Named(store: generation.storeNumber, segment: segment, generations: [generation.generation]))
        }
      }
    }
    let store = "\(path)/store-\(newest.storeNumber)"
    let present = ((try? fileSystem.list(store)) ?? []).compactMap { LogFileName(records: $0) }.sorted()
    let tail = present.filter { name in
      !name.isData && name.firstLSN >= newest.logStart && !named.contains { $0.segment.name == name }
    }
    let total = named.count + tail.count
    hashSeed = LogStore.hashSeed(of: newest.lineage)
    newestGeneration = newest.generation
    for file in named {
      verify(file, in: "\(path)/store-\(file.store)", lineage: LogStore.hashSeed(of: newest.lineage))
      progress(summary.files, total, summary.bytes)
    }
    summary.lastLSN = newest.segments.last?.lastLSN ?? newest.logStart.previous
    try verifyEnd(path, newest, tail)
    for (position, name) in tail.enumerated() {
      verifyTail("\(store)/\(name.records)", name, isLast: position == tail.count - 1)
      progress(summary.files, total, summary.bytes)
    }
    let reached = noted.reached.lsn
    if summary.lastLSN < reached {
      summary.damage.append(
        Damage(
          file:
            "\(store)/\(SegmentFormat.name(max(summary.lastLSN.next, noted.begun), suffix: SegmentFormat.fileSuffix))",
          reason: "the log was on disk up to LSN \(noted.durable.lsn), and ends before", firstLSN: summary.lastLSN.next,
          lastLSN: reached))
    }
    summary.databases = tally.databases
    (summary.liveRecords, summary.liveBytes) = tally.live
    summary.deadRecords = tally.records - summary.liveRecords
    summary.deadBytes = tally.bytes - summary.liveBytes
    let bad = Set(summary.damage.flatMap(\.generations))
    summary.usableGenerations = generations.map(\.generation).filter { !bad.contains($0) }
    return summary
  }

  /// How far the log went, as it was written down.
  private mutating func verifyEnd(_ path: String, _ newest: DirectoryFile, _ tail: [LogFileName]) throws {
    let (note, damage) = try ReachFile.read(path, fileSystem)
    if let damage { summary.damage.append(Damage(file: "\(path)/\(ReachFile.name)", reason: damage)) }
    noted = newest.reach
    if let note, note.era == newest.era, note.node == LogStore.hashSeed(of: newest.node) {
      noted = noted.joined(note.reach)
    }
    // That a segment was begun says that its file is there, not that it has a record.
    if tail.contains(where: { $0.firstLSN == noted.begun }) { noted.begun = .none }
  }

  private mutating func verify(_ file: Named, in directory: String, lineage: UInt64) {
    let path = directory + "/" + file.segment.name.records
    summary.files += 1
    func damage(_ reason: String, offset: Int? = nil, first: LSN? = nil, last: LSN? = nil) -> Damage {
      Damage(
        file: path, reason: reason, offset: offset, firstLSN: first ?? file.segment.firstLSN,
        lastLSN: last ?? file.segment.lastLSN, generations: file.generations)
    }
    let mapping: MappedFile
    do { mapping = try fileSystem.map(path) } catch {
      summary.damage.append(damage(fileSystem.exists(path) ? "\(error)" : "the file is missing"))
      return
    }
    summary.bytes += mapping.count
    let header = SegmentFormat.readHeader(mapping.bytes)
    if header?.firstLSN != file.segment.firstLSN || header?.lineage != lineage
      || header?.isData != file.segment.name.isData
    {
      summary.damage.append(damage("its header is not that of this file", offset: 0))
    }
    let before = summary.damage.count
    var hasDictionaries = true
    let head = header.map { UnsafeRawBufferPointer(rebasing: mapping.bytes[SegmentFormat.headerBytes..<$0.recordsAt]) }
    do throws(DictionaryDamage) {
      if let one = try ValueDictionary.decodeHead(head ?? UnsafeRawBufferPointer(start: nil, count: 0)).damage {
        // A start goes by the other one, and the file is written anew.
        var item = damage("one of the two copies of its dictionaries is damaged: \(one)", offset: one.offset)
        item.generations = []
        summary.damage.append(item)
      }
    } catch {
      hasDictionaries = false
      summary.damage.append(damage("its dictionaries are damaged: \(error)", offset: error.offset))
    }
    let isWhole = UInt64(mapping.count) == file.segment.bytes && CRC32C.checksum(mapping.bytes) == file.segment.checksum
    let isNewest = file.generations.contains(newestGeneration)
    let index = verifyIndex(file, in: directory)
    if let index {
      for i in 0..<index.count {
        let entry = index.entry(i)
        summary.records += 1
        let lsn = LSN(index.firstLSN.value + entry.lsnDelta)
        if entry.offset <= mapping.count - RecordView.headerBytes {
          let record = RecordView(mapping.start + entry.offset)
          if record.verify(available: mapping.count - entry.offset) == .good, record.lsn == lsn.value,
            record.contentHash == entry.contentHash, record.table == entry.table, record.kind == entry.kind,
            record.recordBytes == entry.recordBytes, KeyHash.hash(record.key, seed: lineage) == entry.hash,
            hasDictionaries || !ValueExpander.needsDictionary(record)
          {
            if isNewest { tally.note(record, hash: entry.hash) }
            continue
          }
        }
        summary.damage.append(
          damage(
            hasDictionaries
              ? "the record is damaged, or is not what the index file says"
              : "the record is damaged, or its dictionary is", offset: entry.offset, first: lsn, last: lsn))
      }
    } else {
      var at = header?.recordsAt ?? SegmentFormat.headerBytes
      var last = file.segment.firstLSN.previous
      while at < mapping.count {
        let record = RecordView(mapping.start + at)
        guard record.verify(available: mapping.count - at) == .good else {
          summary.damage.append(damage("no good record here", offset: at, first: last.next))
          break
        }
        last = LSN(record.lsn)
        summary.records += 1
        at += record.recordBytes
        if isNewest { tally.note(record, hash: KeyHash.hash(record.key, seed: lineage)) }
      }
    }
    if !isWhole, summary.damage.count == before {
      summary.damage.append(
        damage(
          UInt64(mapping.count) == file.segment.bytes
            ? "the checksum of the whole file is wrong, but every record is good"
            : "it has \(mapping.count) bytes instead of \(file.segment.bytes)"))
    }
  }

  /// The index file, if it is good. A start makes a bad one anew, so it does not make a generation unusable.
  private mutating func verifyIndex(_ file: Named, in directory: String) -> IndexFile? {
    let path = directory + "/" + file.segment.name.index
    var reason = "the file is missing; a start makes it anew"
    if fileSystem.exists(path) {
      do {
        let index = try IndexFile(try fileSystem.map(path))
        if index.firstLSN == file.segment.firstLSN, index.dataChecksum == file.segment.checksum,
          index.dataBytes == file.segment.bytes
        {
          return index
        }
        reason = "it does not belong to its file; a start makes it anew"
      } catch {
        reason = "\(error); a start makes it anew"
      }
    }
    summary.damage.append(
      Damage(file: path, reason: reason, firstLSN: file.segment.firstLSN, lastLSN: file.segment.lastLSN))
    return nil
  }

  /// Counts a record of the log behind the newest generation, with its whole unit.
  private mutating func noteTail(_ record: RecordView) {
    if record.unitContinues || !openUnit.isEmpty {
      openUnit.append([UInt8](UnsafeRawBufferPointer(start: record.base, count: record.recordBytes)))
    }
    guard !record.unitContinues else { return }
    if openUnit.isEmpty { return tally.note(record, hash: KeyHash.hash(record.key, seed: hashSeed)) }
    for bytes in openUnit {
      bytes.withUnsafeBytes { raw in
        let copy = RecordView(raw.baseAddress!)  // never empty: it holds a header
        tally.note(copy, hash: KeyHash.hash(copy.key, seed: hashSeed))
      }
    }
    openUnit = []
  }

  /// A file behind the newest generation: good up to where the log ends.
  private mutating func verifyTail(_ path: String, _ name: LogFileName, isLast: Bool) {
    summary.files += 1
    guard let mapping = try? fileSystem.map(path) else {
      summary.damage.append(Damage(file: path, reason: "it cannot be read", firstLSN: name.firstLSN))
      return
    }
    guard SegmentFormat.readHeader(mapping.bytes)?.firstLSN == name.firstLSN else {
      if !isLast || TailMark.highestFlushed(mapping.bytes, from: 0) > 0 {
        summary.damage.append(
          Damage(file: path, reason: "its header cannot be read", offset: 0, firstLSN: name.firstLSN))
      }
      return
    }
    var at = SegmentFormat.headerBytes
    var last = name.firstLSN.previous
    while at < mapping.count {
      let record = RecordView(mapping.start + at)
      guard record.verify(available: mapping.count - at) == .good, record.lsn == last.value + 1 else { break }
      last = LSN(record.lsn)
      summary.records += 1
      noteTail(record)
      at += record.recordBytes
    }
    summary.bytes += at
    summary.lastLSN = max(summary.lastLSN, last)
    if TailMark.highestFlushed(mapping.bytes, from: at) > at
      || !isLast && TailMark.lastNonZero(mapping.bytes, from: at) > at + TailMark.bytes
    {
      summary.damage.append(
        Damage(file: path, reason: "damaged where it was already flushed", offset: at, firstLSN: last.next))
    }
  }
}
