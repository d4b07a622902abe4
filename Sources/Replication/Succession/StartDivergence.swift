import Core

/// Two logs of one data set that went apart where a reign began by the mere start of a node, without votes and without an
/// order. The node that started held less (an older directory), or could not ask the others. Neither log is cut then: an
/// operator says which one counts. Pure; asked by the master that plans a sync and by the slave that is to cut its log.
///
/// Example: a master with 801 records is started with a backup of 300 while its slave is away, and takes a write as record 302.
/// The slave comes back with 801 records that were committed. The master refuses it, and both say so.
package enum StartDivergence {
  /// A history without the reigns of the same name that the other side knows as others: a node that was started with an older
  /// directory began them once more, with other records. What both logs hold is found by comparing the rest.
  package static func history(
    _ history: TermHistory, of starts: [StartMark], without others: [StartMark]
  ) -> TermHistory {
    let reused = starts.filter { start in others.contains { $0.reign == start.reign && $0.mark != start.mark } }
    guard !reused.isEmpty else { return history }
    return TermHistory(history.entries.filter { entry in !reused.contains { $0.reign == entry.reign } })
      ?? TermHistory()
  }

  /// - Parameters:
  ///   - common: the last LSN that both logs hold.
  ///   - committed: up to where the slave's log is committed, as far as the slave knows.
  ///   - starts: the reigns that the master knows to have begun by a mere start; `own`: those that the slave knows.
  /// - Returns: the reign with which the master's log went another way, if that began so and the slave would have to cut
  ///   records that were committed; else nil.
  package static func reign(
    common: LSN, committed: LSN, slaveLast: LSN, history: TermHistory, endingAt masterLast: LSN, starts: [StartMark],
    own: [StartMark] = [], slave: NodeID = .unknown
  ) -> Reign? {
    guard common > .none, slaveLast > common, committed > common, masterLast > common,
      let branch = history.reign(of: common.next), let start = starts.first(where: { $0.reign == branch })
    else { return nil }
    // The slave itself began that reign once more, with an older directory; a node that was made master since decides.
    let isReused = own.contains { $0.reign == branch && $0.mark != start.mark }
    if isReused, branch.owner == slave, let newest = history.last?.reign,
      !starts.contains(where: { $0.reign == newest })
    {
      return nil
    }
    return branch
  }

  package static func error(_ branch: Reign, common: LSN, committed: LSN, slave: NodeID) -> ReplicationError {
    ReplicationError(
      .diverged,
      "slave \(slave) holds records up to LSN \(committed) that were committed, and the master's log left it at LSN "
        + "\(common), in term \(branch.term), which began by a mere start: nothing is cut. PROMOTE on that slave makes it the "
        + "master; REPLICAOF given there, or a start with --accept-data-loss yes, gives its records up")
  }
}
