import Core

/// A slave shows nothing before a master called it good.
///
/// It looks at the nodes' own logs: what masters say is committed, and what slaves have applied.
package struct VisibilityChecker: Sendable {
  /// By reign: the highest LSN of its records that a master called good.
  private var safe: [Reign: LSN] = [:]

  package init() {}

  /// A master calls everything up to `lsn` of its history good.
  package mutating func isGood(upTo lsn: LSN, in history: TermHistory) {
    var end = lsn
    for entry in history.entries.reversed() {
      if end >= entry.firstLSN { safe[entry.reign] = max(safe[entry.reign, default: .none], end) }
      end = min(end, entry.firstLSN.previous)
    }
  }

  /// - Parameter isGoodByItself: an `async` record on the disk of the master that wrote it. It is good from that moment on,
  ///   behind what is good: also where the master fell before it could say so, and whoever holds it knows that from the
  ///   record's level alone.
  /// - Returns: the record that was shown too early, nil if there is none.
  package func tooEarly(
    _ shown: LSN, in history: TermHistory, mayBeLost: (Position) -> Bool,
    isGoodByItself: (Position) -> Bool = { _ in false }
  ) -> Position? {
    guard let position = Self.newestContent(upTo: shown, in: history) else { return nil }
    let known = safe[position.reign, default: .none]
    guard position.lsn > known, !mayBeLost(position) else { return nil }
    let isAsync =
      known > .none
      && (known.value + 1...position.lsn.value).allSatisfy { isGoodByItself(Position(position.reign, lsn: LSN($0))) }
    return isAsync ? nil : position
  }

  /// The newest record up to `lsn` that is not the first of its term. That one is a no-op: whether it is visible or cut
  /// again, nobody can tell, and a reign that fails as it begins (its generation cannot be written) leaves it behind in the
  /// log of a slave. What stands before it counts all the same.
  package static func newestContent(upTo lsn: LSN, in history: TermHistory) -> Position? {
    var lsn = lsn
    while let entry = history.entries.last(where: { $0.firstLSN <= lsn }) {
      guard entry.firstLSN == lsn else { return Position(entry.reign, lsn: lsn) }
      lsn = lsn.previous
    }
    return nil
  }
}
