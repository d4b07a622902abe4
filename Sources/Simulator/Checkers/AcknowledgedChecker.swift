import Core

/// Every write that a client was told is done, and everything a client was shown, is part of the history that is left
/// in the end: no acknowledged write is lost, no read was dirty. Losses that the commit level allows are excepted.
package struct AcknowledgedChecker: Sendable {
  private struct Told: Sendable {
    let position: Position
    let what: String
    var node: Int?
    var text: String { node.map { "\(what) on node \($0)" } ?? what }
  }
  private var acknowledged: [Told] = []
  private var shown: [Told] = []
  package private(set) var losses: [PermittedLoss] = []
  /// From which entry on a loss counts: for those told before, nothing changed.
  private var since: [(acknowledged: Int, shown: Int)] = []

  package init() {}

  package var acknowledgedCount: Int { acknowledged.count }

  /// A client has the reply to its write.
  package mutating func acknowledge(_ position: Position, _ what: String) {
    acknowledged.append(Told(position: position, what: what))
  }
  /// A client has a reply that tells of a record.
  package mutating func show(_ position: Position, _ what: String, on node: Int? = nil) {
    shown.append(Told(position: position, what: what, node: node))
  }
  /// - Parameter ofWhatIsToldLater: what clients were told before is not to be lost all the same.
  package mutating func permit(_ loss: PermittedLoss, ofWhatIsToldLater: Bool = false) {
    losses.append(loss)
    since.append(ofWhatIsToldLater ? (acknowledged.count, shown.count) : (0, 0))
  }
  package func isPermitted(_ position: Position) -> Bool { losses.contains { $0.permits(position) } }

  /// - Parameters:
  ///   - branch: the history of the node that is master in the end.
  ///   - last: where its log ends.
  package func check(against branch: TermHistory, endingAt last: LSN) -> [Violation] {
    func isLost(_ position: Position, _ index: Int, _ since: [Int]) -> Bool {
      if position.lsn <= last, branch.reign(of: position.lsn) == position.reign { return false }
      return !zip(losses, since).contains { index >= $1 && $0.permits(position) }
    }
    func lost(_ told: [Told], _ since: [Int], _ rule: String) -> [Violation] {
      told.enumerated().filter { isLost($1.position, $0, since) }.map {
        Violation(rule, "\($1.text) at \($1.position)")
      }
    }
    return lost(acknowledged, since.map(\.acknowledged), "acknowledged write lost")
      + lost(shown, since.map(\.shown), "dirty read")
  }
}
