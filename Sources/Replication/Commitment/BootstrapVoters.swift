import Core

extension VoterList {
  /// The voters that a log stands for, also before a record of it names any.
  ///
  /// Raft changes its voters by one at a time, so that a majority of each list shares a node with a majority of the next. Here
  /// the row begins without a list. Until a record names one, the list is the node that began the first reign of the
  /// data set: every log of the data set says who that is, so all nodes agree, and the argument holds from the first record on.
  /// Example: n0 begins a data set and acknowledges a write alone. n2 has a log that names no voters: its list is n0, so
  /// n2 becomes master only with n0's vote, and as the master it calls nothing good that n0 does not hold.
  ///
  /// - Parameters:
  ///   - named: the voters that the newest list of the log names; empty if there is none.
  ///   - lsn: of the record that names them.
  /// - Returns: an empty list only for a log without any reign.
  package static func ofLog(named: [NodeID], at lsn: LSN, history: TermHistory) -> VoterList {
    guard named.isEmpty else { return VoterList(named, at: lsn) }
    guard let first = history.entries.first, first.owner != .unknown else { return .none }
    return VoterList([first.owner], at: .none)
  }

  /// Whether a majority of them is more than this node alone.
  package func asksOthers(than own: NodeID) -> Bool { ids.contains { $0 != own } }
}
