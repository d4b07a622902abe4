import Core

/// Names a piece of the log on disk: raw segments `<first LSN>.wal`, data files `<first LSN>-<revision>.dat`, each with its
/// `.idx` of the same stem. A range that is compacted again gets a new revision, so the older file stays usable for the
/// generations that name it.
public struct LogFileName: Hashable, Comparable, Sendable {
  public let firstLSN: LSN
  /// 0 for a raw segment, 1 and up for a data file.
  public let revision: UInt32

  public init(firstLSN: LSN, revision: UInt32 = 0) {
    self.firstLSN = firstLSN
    self.revision = revision
  }

  public var isData: Bool { revision > 0 }

  public static func < (a: LogFileName, b: LogFileName) -> Bool {
    (a.firstLSN, a.revision) < (b.firstLSN, b.revision)
  }

  private var stem: String {
    let lsn = SegmentFormat.name(firstLSN, suffix: "")
    guard isData else { return lsn }
    let digits = String(revision)
    return lsn + "-" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
  }
  /// The file with the records.
  public var records: String { stem + (isData ? DataFileFormat.fileSuffix : SegmentFormat.fileSuffix) }
  /// The index file beside it.
  public var index: String { stem + SegmentFormat.indexSuffix }

  /// From the name of a file with records; nil for every other file.
  public init?(records name: String) {
    if let lsn = SegmentFormat.firstLSN(inName: name, suffix: SegmentFormat.fileSuffix) {
      self.init(firstLSN: lsn)
      return
    }
    guard name.hasSuffix(DataFileFormat.fileSuffix) else { return nil }
    let parts = name.dropLast(DataFileFormat.fileSuffix.count).split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0].utf8.count == 20, parts[1].utf8.count >= 6,
      let lsn = UInt64(parts[0]), let revision = UInt32(parts[1]), revision > 0
    else { return nil }
    self.init(firstLSN: LSN(lsn), revision: revision)
    guard records == name else { return nil }
  }
}
