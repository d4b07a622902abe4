import Core

/// How far the log is good at each commit level. What is good at `fullsync` or `quorum` is durable here too.
package struct GoodLSNs: Hashable, Sendable, CustomStringConvertible {
  /// On this node's disk: good at `async`.
  package var durable: LSN
  /// And on the disks of as many slaves as `fullsync:N` asks for.
  package var fullsync: LSN
  /// On the disks of a majority of the voters.
  package var quorum: LSN

  package init(durable: LSN = .none, fullsync: LSN = .none, quorum: LSN = .none) {
    self.durable = durable
    self.fullsync = fullsync
    self.quorum = quorum
  }
  package var description: String { "durable \(durable) fullsync \(fullsync) quorum \(quorum)" }
}

/// What one slave has on its disk. Only slaves that follow the stream are counted: one that still builds its copy would
/// not have the records if it had to take over.
package struct SlaveAck: Hashable, Sendable {
  package var id: NodeID
  package var durableLSN: LSN
  package init(id: NodeID, durableLSN: LSN) {
    self.id = id
    self.durableLSN = durableLSN
  }
}

/// The nodes whose disks make a quorum, as a record of the log says.
package struct VoterList: Hashable, Sendable {
  /// Sorted, each once. Empty: this node's disk alone is the quorum.
  package let ids: [NodeID]
  /// Of the record that says so; `none` if no record ever did.
  package let lsn: LSN
  package init(_ ids: [NodeID], at lsn: LSN) {
    self.ids = Set(ids).sorted()
    self.lsn = lsn
  }
  package static let none = VoterList([], at: .none)
  /// The least number of voters that is more than half of them.
  package var majority: Int { ids.count / 2 + 1 }
}

/// Which LSN is good at which level. Pure; owned by the master, made anew for each term, fed with its own durable LSN and
/// the acks of the slaves that follow the stream.
///
/// Invariants: each of `good` never goes back, not even when a slave leaves or the voters change: what was called good
/// stays so. Nothing is good that is not durable here. Where other nodes are asked, nothing is good before they hold
/// the first record of this term (Raft, section 5.4.2): an older record on a majority of disks may still be replaced
/// by a node of a newer term, but not once a record of this term lies behind it.
package struct CommitTracker: Hashable, Sendable {
  package let ownID: NodeID
  /// Whether this node may be a voter itself.
  package let isVoter: Bool
  /// The first LSN of this term: its no-op.
  package let termStart: LSN
  /// N of `fullsync:N`; 0 is the same as `async`. May be changed at any time and counts from then on.
  package var fullsyncSlaves: Int
  package private(set) var voters: VoterList
  /// The list before it, until the present one is committed.
  package private(set) var replaced: VoterList?
  package private(set) var good: GoodLSNs

  /// - Parameter good: what is known to be good from before, of an earlier term; none if nothing is.
  package init(
    ownID: NodeID, termStart: LSN, fullsyncSlaves: Int = 0, voters: VoterList = .none, isVoter: Bool = true,
    good: GoodLSNs = GoodLSNs()
  ) {
    self.ownID = ownID
    self.termStart = termStart
    self.fullsyncSlaves = fullsyncSlaves
    self.voters = voters
    self.isVoter = isVoter
    self.good = good
  }

  /// - Parameter acks: of the slaves that count now, in any order, each once.
  /// - Returns: `good`. Cost: sorts `acks`.
  @discardableResult
  package mutating func update(ownDurable: LSN, acks: [SlaveAck]) -> GoodLSNs {
    good.durable = max(good.durable, ownDurable)
    good.fullsync = max(good.fullsync, fullsyncLSN(ownDurable, acks))
    var quorum = quorumLSN(voters, ownDurable, acks)
    if let replaced { quorum = min(quorum, quorumLSN(replaced, ownDurable, acks)) }
    good.quorum = max(good.quorum, quorum)
    if good.quorum >= voters.lsn { replaced = nil }
    return good
  }

  private func fullsyncLSN(_ ownDurable: LSN, _ acks: [SlaveAck]) -> LSN {
    guard fullsyncSlaves > 0 else { return ownDurable }
    return guarded(Self.heldLSN(by: fullsyncSlaves, acks.map(\.durableLSN)), ownDurable)
  }

  private func quorumLSN(_ voters: VoterList, _ ownDurable: LSN, _ acks: [SlaveAck]) -> LSN {
    guard voters.ids != [], voters.ids != [ownID] else { return ownDurable }
    var held = acks.filter { $0.id != ownID && voters.ids.contains($0.id) }.map(\.durableLSN)
    // A master that is no voter (it was removed, and its last term is not over) counts the others only.
    if voters.ids.contains(ownID) { held.append(ownDurable) }
    return guarded(Self.heldLSN(by: voters.majority, held), ownDurable)
  }

  private func guarded(_ held: LSN, _ ownDurable: LSN) -> LSN {
    let lsn = min(held, ownDurable)
    return lsn >= termStart ? lsn : .none
  }

  /// The highest LSN that so many of the nodes hold; `none` if there are not so many.
  package static func heldLSN(by nodes: Int, _ held: [LSN]) -> LSN {
    guard nodes > 0, nodes <= held.count else { return .none }
    return held.sorted(by: >)[nodes - 1]
  }

  // MARK: changes of the voters

  /// The record of a new list was appended: it counts from here on, before it is committed (Raft's thesis, section 4.1),
  /// and until then the list before it must agree as well.
  ///
  /// - Parameter isForced: an operator has given up the list before it.
  package mutating func votersAppended(_ list: VoterList, isForced: Bool = false) {
    precondition(list.lsn > voters.lsn, "voters \(list) come after \(voters)")
    replaced = isForced ? nil : voters
    voters = list
  }

  /// One change at a time: two lists that follow each other differ in one node, so any majority of the one shares a
  /// node with any majority of the other. And not before this term's no-op is committed, or a change of an older term
  /// could come back beside a new one.
  package var mayChangeVoters: Bool { good.quorum >= max(voters.lsn, termStart) }
}
