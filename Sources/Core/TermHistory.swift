/// For every reign the LSN of its first record, oldest first. Two nodes find their last common record by comparing these
/// lists, in O(reigns), without reading a log.
///
/// Invariant: terms and first LSNs both rise strictly. So a log has at most one owner of a term, and two logs that name
/// the same reign with the same first LSN have the same record there, and before it.
public struct TermHistory: Hashable, Sendable {
  public struct Entry: Hashable, Sendable {
    public let reign: Reign
    public let firstLSN: LSN
    public var term: Term { reign.term }
    public var owner: NodeID { reign.owner }
    public init(_ reign: Reign, firstLSN: LSN) {
      self.reign = reign
      self.firstLSN = firstLSN
    }
  }
  public private(set) var entries: [Entry] = []
  public init() {}

  /// nil if the entries break the invariant (they came from a peer or a file).
  public init?(_ entries: [Entry]) {
    for (a, b) in zip(entries, entries.dropFirst()) where a.term >= b.term || a.firstLSN >= b.firstLSN { return nil }
    if let first = entries.first, first.term == .none || first.firstLSN == .none { return nil }
    self.entries = entries
  }

  public var last: Entry? { entries.last }

  /// Begins a new reign. One in which nothing was written is replaced by the next one.
  public mutating func begin(_ reign: Reign, at firstLSN: LSN) {
    precondition(reign.term > (last?.term ?? .none), "\(reign) does not come after \(entries)")
    while let last, last.firstLSN >= firstLSN { entries.removeLast() }
    entries.append(Entry(reign, firstLSN: firstLSN))
  }

  /// The first record of a reign stands in the log. What was written down about this and later LSNs, or of this and later
  /// terms, was of a tail that the log lost before it went on.
  public mutating func found(_ reign: Reign, at firstLSN: LSN) {
    let entry = Entry(reign, firstLSN: firstLSN)
    guard !entries.contains(entry) else { return }
    while let last, last.firstLSN >= firstLSN || last.term >= reign.term { entries.removeLast() }
    entries.append(entry)
  }

  /// What is left of it in a log that ends with `lsn`.
  public func upTo(_ lsn: LSN) -> TermHistory {
    var kept = self
    while let last = kept.last, last.firstLSN > lsn { kept.entries.removeLast() }
    return kept
  }

  /// The reign in which the record with this LSN was written; nil before the first entry.
  public func reign(of lsn: LSN) -> Reign? { entries.last(where: { $0.firstLSN <= lsn })?.reign }

  /// The term alone. Two logs with the same one may still differ: compare reigns.
  public func term(of lsn: LSN) -> Term? { reign(of: lsn)?.term }

  /// Who began this term in this log; `unknown` if it is not in it.
  public func owner(of term: Term) -> NodeID { entries.last { $0.term == term }?.owner ?? .unknown }

  /// Where a log with this history is at `lsn`.
  public func position(at lsn: LSN) -> Position { Position(reign(of: lsn) ?? .none, lsn: lsn) }

  /// The highest LSN up to which both histories hold the same records, given where each log ends.
  /// `LSN.none` if they share nothing. A reign of an unknown owner is nobody's: it is not taken for the same one.
  /// O(reigns).
  public func lastCommonLSN(endingAt ownLast: LSN, with other: TermHistory, endingAt otherLast: LSN) -> LSN {
    var common = LSN.none
    for (index, entry) in entries.enumerated() where entry.owner != .unknown {
      guard let otherIndex = other.entries.firstIndex(of: entry) else { continue }
      let ownEnd = index + 1 < entries.count ? entries[index + 1].firstLSN.previous : ownLast
      let otherEnd = otherIndex + 1 < other.entries.count ? other.entries[otherIndex + 1].firstLSN.previous : otherLast
      let end = min(min(ownEnd, otherEnd), min(ownLast, otherLast))
      if end >= entry.firstLSN { common = max(common, end) }
    }
    return common
  }
}
