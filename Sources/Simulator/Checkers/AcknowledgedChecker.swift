import Core

/// Every write that a client was told is done, and everything a client was shown, is part of the history that is left
/// in the end: no acknowledged write is lost, no read was dirty. Losses that the commit level allows are excepted.
package struct AcknowledgedChecker: Sendable {
  private struct Told: Sendable {
    let position: Position
    let what: String
  }
  private var acknowledged: [Told] = []
  private var shown: [Told] = []
  package private(set) var losses: [PermittedLoss] = []

  package init() {}

  package var acknowledgedCount: Int { acknowledged.count }

  /// A client has the reply to its write.
  package mutating func acknowledge(_ position: Position, _ what: String) {
    acknowledged.append(Told(position: position, what: what))
  }
  /// A client has a reply that tells of a record.
  package mutating func show(_ position: Position, _ what: String) {
    shown.append(Told(position: position, what: what))
  }
  package mutating func permit(_ loss: PermittedLoss) { losses.append(loss) }
  package func isPermitted(_ position: Position) -> Bool { losses.contains { $0.permits(position) } }

  /// - Parameters:
  ///   - branch: the history of the node that is master in the end.
  ///   - last: where its log ends.
  package func check(against branch: TermHistory, endingAt last: LSN) -> [Violation] {
    func isKept(_ position: Position) -> Bool {
      position.lsn <= last && branch.reign(of: position.lsn) == position.reign || isPermitted(position)
    }
    return acknowledged.filter { !isKept($0.position) }.map {
      Violation("acknowledged write lost", "\($0.what) at \($0.position)")
    } + shown.filter { !isKept($0.position) }.map { Violation("dirty read", "\($0.what) at \($0.position)") }
  }
}
