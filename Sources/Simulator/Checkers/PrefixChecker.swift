import Core

/// What a node shows is the state of the master's history at the LSN where the node is, and that LSN does not go back.
package struct PrefixChecker: Sendable {
  private var reached: [Int: Position] = [:]
  package init() {}

  /// A reply of a node about one key.
  ///
  /// - Parameters:
  ///   - lsn: how far the log was visible on that node.
  ///   - mayBeGone: the key has a time to live, so it may be missing.
  package func read(
    _ key: String, _ value: String?, node: Int, at lsn: LSN, in branch: TermHistory, _ history: WrittenHistory,
    mayBeGone: Bool = false
  ) -> Violation? {
    let expected = history.newest(key, upTo: lsn, in: branch)?.value
    if value == expected || mayBeGone && value == nil { return nil }
    return Violation(
      "not a prefix",
      "node \(node) at LSN \(lsn) shows \(key) = \(value ?? "nothing"), the history has \(expected ?? "nothing")")
  }

  /// What is visible on a node now.
  ///
  /// - Parameter mayGoBack: a permitted loss cut what was visible before.
  package mutating func visible(
    _ position: Position, node: Int, mayGoBack: (Position) -> Bool
  ) -> Violation? {
    defer { reached[node] = position }
    guard let before = reached[node], position.lsn < before.lsn, !mayGoBack(before) else { return nil }
    return Violation("went back", "node \(node) showed \(before) and shows \(position) now")
  }

  /// A restarted node shows what it has on disk: a slave may begin further back.
  package mutating func restarted(_ node: Int) { reached[node] = nil }
}
