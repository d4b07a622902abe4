import Core

/// A reign has one beginning, and a term that a majority votes on has one master.
package struct ReignChecker: Sendable {
  private struct Beginning: Sendable {
    let node: Int
    let entry: TermHistory.Entry
    var byVotes: Bool
  }
  private var beginnings: [Term: [Beginning]] = [:]
  /// Terms in which two nodes reigned; nobody voted in them.
  package private(set) var sharedTerms = 0

  package init() {}

  /// A node is the master, in the newest reign of its log.
  ///
  /// - Parameter byVotes: a majority of several voters makes the master.
  package mutating func reigns(_ node: Int, _ entry: TermHistory.Entry, byVotes: Bool) -> Violation? {
    var known = beginnings[entry.term] ?? []
    defer { beginnings[entry.term] = known }
    // A machine whose directory was emptied is another node, with another id.
    if let index = known.firstIndex(where: { $0.entry.owner == entry.owner }) {
      guard known[index].node == node else {
        return Violation("one owner for two", "nodes \(known[index].node) and \(node) reign in \(entry.reign)")
      }
      known[index].byVotes = known[index].byVotes || byVotes
      guard known[index].entry != entry else { return rivals(known) }
      return Violation(
        "a reign began twice", "\(entry.reign) at LSN \(known[index].entry.firstLSN) and at LSN \(entry.firstLSN)")
    }
    if known.count == 1 { sharedTerms += 1 }
    known.append(Beginning(node: node, entry: entry, byVotes: byVotes))
    return rivals(known)
  }

  private func rivals(_ known: [Beginning]) -> Violation? {
    guard known.count > 1, known.contains(where: \.byVotes) else { return nil }
    return Violation(
      "two masters in one term", "nodes \(known.map(\.node)) in term \(known[0].entry.term), where votes decide")
  }
}
