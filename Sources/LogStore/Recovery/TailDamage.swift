// Raw memory: searches mapped segment files for what can still be recognized in them.
import Core

/// Damage in the part of a log that is not sealed: something that was flushed cannot be read.
public struct TailDamage: Equatable, Sendable, CustomStringConvertible {
  /// Where the first record that cannot be read begins.
  public var file: String
  public var offset: Int
  public var reason: String
  /// The log ends here once the damage is cut out of it: the end of the last whole unit before it.
  public var cutTo: LSN
  /// No record that this log held and that may have been acknowledged is newer. Where not even the number of the
  /// unreadable records can be told, it may be too high, never too low.
  public var reached: Position
  /// Names of the files that lose something with a cut, oldest first.
  public var files: [String]
  /// What is left would not be the log up to `cutTo`: files before it lack records that later ones had replaced, or end in
  /// the middle of a unit.
  public var needsNewStore: Bool
  public var kind = Kind.record
  public enum Kind: Sendable {
    case record
    /// There is no such file.
    case missing
    /// Of a sealed file, or of several: the reason says it all.
    case sealed
  }

  public var description: String {
    let what =
      switch kind {
      case .record: "\(file) is damaged at offset \(offset), \(reason)"
      case .missing: "\(file) is missing: \(reason)"
      case .sealed: reason
      }
    return "\(what). LSNs \(cutTo.next) to \(reached.lsn) cannot be used"
  }
}

extension TailDamage {
  /// Sealed files cannot be used: nothing of the log can.
  public static func sealed(in directory: String, _ reason: String, reached: Position) -> TailDamage {
    TailDamage(
      file: directory, offset: 0, reason: reason, cutTo: .none, reached: reached, files: [], needsNewStore: true,
      kind: .sealed)
  }
}

/// What a scan of the unsealed files could not get past.
struct UnreadableRecord: Error {
  let file: String
  let offset: Int
  /// The last good record.
  let after: LSN
  let reason: String
  /// What stands before it in the same file.
  let tail: Recovery.Tail?
  /// The file that should hold it is not there.
  var isMissing = false
}

/// Finds the newest record behind damage.
///
/// Headers count also where the content behind them is damaged. What a value holds could look like a record: an LSN must fit
/// to its place in the file.
struct TailSearch {
  private(set) var last: Position
  /// The newest that the node knows of: an unreadable record may be the first of it.
  let newest: Reign
  /// The owners of terms, as far as they are known.
  private var owners: [Term: NodeID]

  init(after last: Position, newest: Reign, owners: [Term: NodeID]) {
    self.last = last
    self.newest = newest
    self.owners = owners
  }

  mutating func note(_ reached: Position) { last = Position(max(last.reign, reached.reign), lsn: reached.lsn) }

  /// The next file begins behind `lsn`, so all up to there was written.
  mutating func reach(_ lsn: LSN) { last.lsn = max(last.lsn, lsn) }

  /// - Parameter isLast: the log ended in this file: what cannot be told apart behind the last header counts as records
  ///   of the smallest size.
  mutating func look(_ bytes: UnsafeRawBufferPointer, from start: Int, isLast: Bool) {
    guard let base = bytes.baseAddress else { return }
    var at = (start + 7) & ~7
    var known = at
    var end = TailMark.lastNonZero(bytes, from: min(at, bytes.count))
    while at + RecordView.headerBytes <= end {
      let record = RecordView(base + at)
      let most = last.lsn.value + UInt64((at - known) / RecordView.headerBytes) + 1
      if record.lsn > last.lsn.value, record.lsn <= most, record.term >= last.term.value,
        hasGoodHeader(record, available: bytes.count - at)
      {
        last = Position(reign(of: record, available: bytes.count - at), lsn: LSN(record.lsn))
        at += record.recordBytes
        known = at
      } else {
        at += 8
      }
    }
    guard isLast else { return }
    // The last mark stands behind the last record.
    if end >= TailMark.bytes {
      for mark in stride(from: (end - 1) & ~7, through: max(known, end - TailMark.bytes), by: -8)
      where TailMark.flushed(bytes, at: mark) != nil {
        end = mark
        break
      }
    }
    guard end > known else { return }
    let records = (end - known + RecordView.headerBytes - 1) / RecordView.headerBytes
    last = Position(max(last.reign, newest), lsn: LSN(last.lsn.value + UInt64(records)))
  }

  /// Too large an owner is right where it is not known: nobody is to be taken for one who holds as much.
  private mutating func reign(of record: RecordView, available: Int) -> Reign {
    let term = Term(record.term)
    if record.kind == RecordKind.noop.rawValue, record.verify(available: available) == .good, record.owner != .unknown {
      owners[term] = record.owner
    }
    return Reign(term: term, owner: owners[term] ?? .largest)
  }

  private func hasGoodHeader(_ record: RecordView, available: Int) -> Bool {
    guard available >= RecordView.headerBytes, RecordKind(rawValue: record.kind) != nil,
      record.flags & ~RecordFlag.known == 0, record.recordBytes <= available
    else { return false }
    // The checksum of a compressed record covers all of it.
    return record.isCompressed
      ? record.verify(available: available) == .good : record.expectedChecksum == record.checksum
  }
}

extension Recovery {
  /// - Parameter position: of the damaged file among the unsealed ones.
  func describe(_ found: UnreadableRecord, position: Int) -> TailDamage {
    let vote = generation.vote
    var owners = self.owners
    for entry in generation.terms.entries { owners[entry.term] = owners[entry.term] ?? entry.owner }
    var newest = max(generation.terms.last?.term ?? .none, lastTerm)
    if let candidate = vote.candidate {
      if candidate == generation.node { newest = max(newest, vote.term) }
      owners[vote.term] = owners[vote.term] ?? candidate
    }
    func reign(_ term: Term) -> Reign {
      term == .none ? .none : Reign(term: term, owner: owners[term] ?? .largest)
    }
    let after = Position(reign(max(lastTerm, generation.terms.term(of: found.after) ?? .none)), lsn: found.after)
    var search = TailSearch(after: after, newest: reign(newest), owners: owners)
    for (later, lsn) in unsealed.enumerated() where later >= position {
      if later > position || found.tail == nil { search.reach(lsn.previous) }
      guard let mapping = try? store.fileSystem.map(path(lsn, SegmentFormat.fileSuffix)) else { continue }
      search.look(
        mapping.bytes,
        from: later == position ? max(found.offset, SegmentFormat.headerBytes) : SegmentFormat.headerBytes,
        isLast: later == unsealed.count - 1)
    }
    // What was noted last may be more than what can still be seen here.
    if reach.reached.lsn > search.last.lsn { search.note(reach.reached) }
    // A good record may go, too: the unit that it belongs to is not whole.
    let first = whole.tail < tails.count && whole.end < tails[whole.tail].end ? whole.tail : position
    return TailDamage(
      file: found.file, offset: found.offset, reason: found.reason, cutTo: whole.lsn, reached: search.last,
      files: unsealed.dropFirst(first).map { SegmentFormat.name($0, suffix: SegmentFormat.fileSuffix) },
      needsNewStore: whole.lsn < generation.rewindFloor || endsInsideSealedUnit,
      kind: found.isMissing ? .missing : .record)
  }
}

extension TailDamage {
  /// Copies the files with the damage to `damaged-<file>` in another directory, on disk when this returns. A file of that
  /// name with other content is left alone: then the name ends with `-2` and so on. Zeros at the end are left out.
  ///
  /// - Returns: the paths of the copies.
  public func copyFiles(
    of directory: String, to target: String, _ fileSystem: any FileSystem
  ) throws(FileError) -> [String] {
    var copies: [String] = []
    for name in files where fileSystem.exists("\(directory)/\(name)") {
      let stem = "\(target)/damaged-\(name.dropLast(SegmentFormat.fileSuffix.utf8.count))"
      let temporary = "\(stem)\(SegmentFormat.fileSuffix).tmp"
      do throws(FileError) {
        try Self.copy("\(directory)/\(name)", to: temporary, fileSystem)
        copies.append(try fileSystem.settleName(temporary, stem: stem, suffix: SegmentFormat.fileSuffix))
      } catch {
        if fileSystem.exists(temporary) { try? fileSystem.unlink(temporary) }
        throw error
      }
    }
    try fileSystem.flushDirectory(target)
    return copies
  }

  /// From the mapping: pages that the disk does not give any more are zeros in it.
  private static func copy(_ from: String, to path: String, _ fileSystem: any FileSystem) throws(FileError) {
    let mapping = try fileSystem.map(from)
    let file = try fileSystem.open(path, .create)
    defer { file.close() }
    let end = TailMark.lastNonZero(mapping.bytes, from: 0)
    var at = 0
    while at < end {
      let piece = UnsafeRawBufferPointer(rebasing: mapping.bytes[at..<min(end, at + 1 << 20)])
      try file.write(piece, at: UInt64(at))
      at += piece.count
    }
    try file.flush()
  }
}

extension LogStore {
  /// The newest record that can be read in the raw log of a directory that cannot be opened, whatever is missing before it.
  public static func lastReadable(
    _ fileSystem: any FileSystem, _ directory: String, _ generation: DirectoryFile
  ) -> Position {
    var owners = Dictionary(
      generation.terms.entries.map { ($0.term, $0.owner) }, uniquingKeysWith: { first, _ in first })
    let sealed = generation.segments.last?.lastLSN ?? .none
    var last = generation.terms.position(at: sealed)
    for name in ((try? fileSystem.list(directory)) ?? []).compactMap({ LogFileName(records: $0) }).sorted()
    where !name.isData && name.firstLSN >= generation.logStart {
      guard let mapping = try? fileSystem.map("\(directory)/\(name.records)"),
        SegmentFormat.readHeader(mapping.bytes)?.lineage ?? hashSeed(of: generation.lineage)
          == hashSeed(of: generation.lineage)
      else { continue }
      var at = SegmentFormat.headerBytes
      while at < mapping.count {
        let record = RecordView(mapping.start + at)
        guard record.verify(available: mapping.count - at) == .good else { break }
        let term = Term(record.term)
        if record.kind == RecordKind.noop.rawValue, record.owner != .unknown { owners[term] = record.owner }
        if record.lsn > last.lsn.value {
          last = Position(Reign(term: term, owner: owners[term] ?? .largest), lsn: LSN(record.lsn))
        }
        at += record.recordBytes
      }
    }
    return last
  }
}
