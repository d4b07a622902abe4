import Core

/// How many disks must hold a record before it is good.
package enum CommitLevel: Hashable, Sendable {
  case async
  /// And this many slaves have it on disk. 0 is the same as `async`.
  case fullsync(slaves: Int)
  /// A majority of `voters` nodes, this one among them, have it on disk.
  case quorum(voters: Int)
}

/// Which LSN is good. Pure; owned by the master, fed with its own durable LSN and the acks of slaves in sync.
///
/// Invariant: the committed LSN of a level never goes back, not even when a slave leaves: what was called good stays so.
package struct CommitTracker: Hashable, Sendable {
  package let level: CommitLevel
  package private(set) var committedLSN = LSN.none

  package init(level: CommitLevel, committedLSN: LSN = .none) {
    self.level = level
    self.committedLSN = committedLSN
  }

  /// - Parameter acked: the durable LSN of every slave that counts: streaming, and a voter for `quorum`. Any order.
  /// - Returns: the committed LSN. Cost: sorts `acked`.
  @discardableResult
  package mutating func update(ownDurable: LSN, acked: [LSN]) -> LSN {
    committedLSN = max(committedLSN, Self.goodLSN(level, ownDurable: ownDurable, acked: acked))
    return committedLSN
  }

  /// The highest LSN that enough nodes hold now; `none` if there are not enough nodes.
  package static func goodLSN(_ level: CommitLevel, ownDurable: LSN, acked: [LSN]) -> LSN {
    let slavesNeeded =
      switch level {
      case .async: 0
      case .fullsync(let slaves): max(0, slaves)
      case .quorum(let voters): max(0, voters / 2)  // a majority less this node
      }
    guard slavesNeeded > 0 else { return ownDurable }
    guard slavesNeeded <= acked.count else { return .none }
    let highestFirst = acked.sorted(by: >)
    // This node's own disk counts in every level, so nothing is good that is not durable here.
    return min(ownDurable, highestFirst[slavesNeeded - 1])
  }
}
