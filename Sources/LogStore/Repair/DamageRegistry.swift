import Core

/// What of the log is known to be damaged, until it is repaired. For INFO, `paceline status` and the log.
public struct DamageRegistry: Sendable {
  /// One damaged file.
  public struct Item: Equatable, Sendable {
    public let name: LogFileName
    public let file: String
    /// Damaged records; empty when only what stands around the records is damaged.
    public var records: [DamagedRecord]
    public let lastLSN: LSN
    /// Milliseconds since 1970.
    public let since: UInt64
    /// What is being done about it, in words.
    public var state: String

    /// The LSNs that are needed from another node: runs of damaged records.
    public var ranges: [ClosedRange<LSN>] {
      var ranges: [ClosedRange<LSN>] = []
      for record in records {
        if let last = ranges.last, last.upperBound.next == record.lsn {
          ranges[ranges.count - 1] = last.lowerBound...record.lsn
        } else {
          ranges.append(record.lsn...record.lsn)
        }
      }
      return ranges
    }

    /// One line without keys or values.
    public var line: String {
      let runs = ranges.prefix(8).map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
      let lsns = runs.isEmpty ? "none" : runs.joined(separator: "+") + (ranges.count > 8 ? "+..." : "")
      let offset = records.first.map { "\($0.offset)" } ?? "none"
      return "file=\(file),records=\(records.count),lsn=\(lsns),offset=\(offset),since=\(since / 1000),state=\(state)"
    }
  }
  public private(set) var items: [Item] = []
  public private(set) var filesRepaired = 0
  public private(set) var recordsRepaired = 0

  public init() {}

  public var records: Int { items.reduce(0) { $0 + $1.records.count } }

  /// Takes a check's result over. Returns what is new: to be said once.
  public mutating func note(_ report: PieceReport, now: WallClock) -> Item? {
    let known = items.firstIndex { $0.name == report.name }
    guard !report.isGood else {
      if let known { items.remove(at: known) }
      return nil
    }
    if let known {
      let isNew = items[known].records != report.damaged
      items[known].records = report.damaged
      return isNew ? items[known] : nil
    }
    let item = Item(
      name: report.name, file: report.file, records: report.damaged, lastLSN: report.lastLSN, since: now.milliseconds,
      state: report.isIndexLost ? "its index file is damaged as well" : "found")
    items.append(item)
    return item
  }

  public mutating func set(_ state: String, of name: LogFileName) {
    guard let i = items.firstIndex(where: { $0.name == name }) else { return }
    items[i].state = state
  }

  public mutating func repaired(_ name: LogFileName, records: Int) {
    items.removeAll { $0.name == name }
    filesRepaired += 1
    recordsRepaired += records
  }

  /// Forgets what is no piece of the log any more.
  public mutating func keep(_ names: Set<LogFileName>) { items.removeAll { !names.contains($0.name) } }
}

extension ClosedRange<LSN> {
  var count: UInt64 { upperBound.value - lowerBound.value + 1 }
}
