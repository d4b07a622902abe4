/// For every term the LSN of its first record, oldest first. Two nodes find their last common record by comparing
/// these lists, in O(terms), without reading a log.
///
/// Invariant: terms and first LSNs both rise strictly.
public struct TermHistory: Hashable, Sendable {
  public struct Entry: Hashable, Sendable {
    public let term: Term
    public let firstLSN: LSN
    public init(term: Term, firstLSN: LSN) {
      self.term = term
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

  /// Begins a new term. A term in which nothing was written is replaced by the next one.
  public mutating func begin(_ term: Term, at firstLSN: LSN) {
    precondition(term > (last?.term ?? .none), "term \(term) does not come after \(entries)")
    while let last, last.firstLSN >= firstLSN { entries.removeLast() }
    entries.append(Entry(term: term, firstLSN: firstLSN))
  }

  /// The term of the record with this LSN; nil before the first entry.
  public func term(of lsn: LSN) -> Term? { entries.last(where: { $0.firstLSN <= lsn })?.term }

  /// The highest LSN up to which both histories hold the same records, given where each log ends.
  /// `LSN.none` if they share nothing. O(terms).
  public func lastCommonLSN(endingAt ownLast: LSN, with other: TermHistory, endingAt otherLast: LSN) -> LSN {
    var common = LSN.none
    for (index, entry) in entries.enumerated() {
      guard let otherIndex = other.entries.firstIndex(of: entry) else { continue }
      let ownEnd = index + 1 < entries.count ? entries[index + 1].firstLSN.previous : ownLast
      let otherEnd = otherIndex + 1 < other.entries.count ? other.entries[otherIndex + 1].firstLSN.previous : otherLast
      let end = min(min(ownEnd, otherEnd), min(ownLast, otherLast))
      if end >= entry.firstLSN { common = max(common, end) }
    }
    return common
  }
}
