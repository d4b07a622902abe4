// Raw memory: looks for one record in a mapped segment file.
import Core

/// Carries out the cut that a generation orders: the log ends with `afterLSN`.
///
/// A reign and an LSN name one record for ever. As long as the record behind `afterLSN` is there in the reign that was cut,
/// the cut is not done, and everything from it on goes. So it is the last thing that goes: a crash in between leaves the
/// order to be carried out once more. When it is done the order goes too, before anything is appended: the log may go on
/// with the very records that were cut.
///
/// A record in the middle of a reign names only its term. If the old one and the new one have the same, then so has the
/// record before them, which both logs share, and it is one reign; or both begin it, and name its owner.
struct RecoveryCut {
  let fileSystem: any FileSystem
  let directory: String
  let generation: DirectoryFile
  /// Where room for the file comes from on a full disk.
  var reserve: SpaceReserve?

  private func path(_ name: String) -> String { directory + "/" + name }

  /// What was cut, for the log; nil if there was nothing to do.
  func carryOut() throws -> String? {
    guard let cut = generation.cut else { return nil }
    let first = cut.afterLSN.next
    let listed = Set(generation.segments.map(\.name))
    let raw = try fileSystem.list(directory).compactMap { LogFileName(records: $0) }.sorted().filter {
      !$0.isData && !listed.contains($0) && $0.firstLSN >= generation.logStart
    }
    guard let holder = raw.last(where: { $0.firstLSN <= first }) else { return nil }
    let mapping = try fileSystem.map(path(holder.records))
    guard let offset = offset(of: first, cut.reign, in: mapping) else { return nil }
    for later in raw.reversed() where later.firstLSN > first {
      try unlinkIfThere(later.index)
      try fileSystem.unlink(path(later.records))
    }
    try unlinkIfThere(holder.index)
    try fileSystem.flushDirectory(directory)
    if offset == SegmentFormat.headerBytes {
      try fileSystem.unlink(path(holder.records))
      try fileSystem.flushDirectory(directory)
    } else {
      // In a file of its own: who still reads the old one must not see it shrink.
      let kept = [UInt8](UnsafeRawBufferPointer(rebasing: mapping.bytes[0..<offset]))
      let file = path(holder.records)
      func replace() throws(FileError) { try fileSystem.replace(file, in: directory, with: kept) }
      if let reserve { try reserve.withRoom(kept.count, replace) } else { try replace() }
    }
    return "\(path(holder.records)): cut back to LSN \(cut.afterLSN), where the master's history leaves this one"
  }

  private func unlinkIfThere(_ name: String) throws(FileError) {
    if fileSystem.exists(path(name)) { try fileSystem.unlink(path(name)) }
  }

  /// Where the record of this reign with this LSN begins; nil if it is not there.
  private func offset(of lsn: LSN, _ reign: Reign, in mapping: MappedFile) -> Int? {
    // Raw files only: their records stand behind a header of which nothing else is needed, damaged or not.
    var at = SegmentFormat.headerBytes
    while at < mapping.count {
      let record = RecordView(mapping.start + at)
      guard record.verify(available: mapping.count - at) == .good, record.lsn <= lsn.value else { return nil }
      if record.lsn == lsn.value {
        let owner = record.owner
        return record.term == reign.term.value && (owner == .unknown || owner == reign.owner) ? at : nil
      }
      at += record.recordBytes
    }
    return nil
  }
}
