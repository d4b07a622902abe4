import Core

/// A slave, as far as it matters for who votes.
package struct VoterFacts: Hashable, Sendable {
  package var id: NodeID
  package var address: NodeAddress
  /// It follows the stream, and what it acknowledges counts.
  package var isCounting: Bool
  package var hasShownData: Bool
  /// As it registered.
  package var wantsToVote: Bool
  package var heardAt: Tick
  package init(
    id: NodeID, address: NodeAddress, isCounting: Bool, hasShownData: Bool, wantsToVote: Bool, heardAt: Tick
  ) {
    self.id = id
    self.address = address
    self.isCounting = isCounting
    self.hasShownData = hasShownData
    self.wantsToVote = wantsToVote
    self.heardAt = heardAt
  }
  init(_ slave: Slave) {
    self.init(
      id: slave.id, address: slave.address, isCounting: slave.countsForCommit, hasShownData: slave.hasProved(.data),
      wantsToVote: slave.isVoter, heardAt: slave.heardAt)
  }
}

/// What a decision about the voters rests on.
package struct VoterRow: Hashable, Sendable {
  package var ownID: NodeID
  /// Whether this node may be a voter itself.
  package var isVoter: Bool
  package var voters: VoterList
  /// The list before this one, and the beginning of this reign, are committed.
  package var mayChange: Bool
  /// Known to be on a majority of the voters.
  package var securedLSN: LSN
  package var lastLSN: LSN
  /// The slaves that this master knows, itself not among them.
  package var nodes: [VoterFacts]
  package var now: Tick
  package init(
    ownID: NodeID, isVoter: Bool = true, voters: VoterList, mayChange: Bool = true, securedLSN: LSN = .none,
    lastLSN: LSN = .none, nodes: [VoterFacts], now: Tick
  ) {
    self.ownID = ownID
    self.isVoter = isVoter
    self.voters = voters
    self.mayChange = mayChange
    self.securedLSN = securedLSN
    self.lastLSN = lastLSN
    self.nodes = nodes
    self.now = now
  }
}

/// What is to be done about the voters now.
package enum VoterStep: Hashable, Sendable {
  case none
  /// Append this list. It differs from the one before in one node.
  case change([NodeID], reason: String)
  /// Something is wanted and not done: why, and which command does it.
  case waiting(String)
}

/// What an order about the voters leads to.
package enum VoterOrder: Hashable, Sendable {
  /// Append this list. Forced: the list before it has no majority here and is not asked; it may differ in many nodes.
  case change([NodeID], isForced: Bool)
  /// One after the other, as each is committed by the list before it.
  case queued
}

/// Who votes, decided by the master. Pure; one for each reign.
///
/// What a list of voters rests on is that the next one has a majority in common with it. So lists change by one node at a
/// time, each with a majority of the list before it at hand, and by itself only like this: a slave that has shown its data
/// comes in while no voter is silent; one goes that says itself that it does not vote; and one goes whose place is taken,
/// because another node answers at its address and it was not heard of for `silentMilliseconds`. Everything else is an
/// operator's order, and what has no majority any more needs FORCE, which gives up what only the others may hold.
package struct VoterPolicy: Hashable, Sendable {
  /// `--voters-max`: so many by itself.
  package var votersMax: Int
  /// Ordered out, and still voters: they go one by one.
  package private(set) var leaving: Set<NodeID> = []
  /// Ordered out while they were here: they come back by an order only.
  package private(set) var keptOut: Set<NodeID> = []

  /// Not heard of for so long, a voter's place may be taken by a new node at its address.
  package static let silentMilliseconds: UInt64 = 5000
  /// Heard of within this time, a slave is there: acks come several times a second.
  package static let aliveMilliseconds: UInt64 = 3000

  package init(votersMax: Int = 5) { self.votersMax = votersMax }

  // MARK: By itself

  package mutating func next(_ row: VoterRow) -> VoterStep {
    leaving.formIntersection(row.voters.ids)
    guard !row.voters.ids.isEmpty else {
      // The first list is this node alone, which changes nothing; the others follow one by one.
      let isWanted = row.isVoter && row.nodes.contains { isReady($0, row) }
      return isWanted && row.mayChange ? .change([row.ownID], reason: "the first slave has shown what it holds") : .none
    }
    let silent = row.silentVoters
    guard row.hasMajority(of: row.voters.ids) else {
      return .waiting(
        "\(row.here(row.voters.ids).count) of \(row.voters.ids.count) voters are here, \(row.voters.majority) are needed: "
          + "\(row.names(silent)); bring them back, or give up what only they may hold: \(row.command(silent)) FORCE")
    }
    if let step = removal(row, silent) { return step }
    // A learner that was made master.
    if row.isVoter, !row.voters.ids.contains(row.ownID), !keptOut.contains(row.ownID), silent.isEmpty,
      row.voters.ids.count < votersMax
    {
      return row.change(row.voters.ids + [row.ownID], "this node is the master")
    }
    let ready = row.nodes.filter { isReady($0, row) }.sorted { $0.id < $1.id }
    guard let new = ready.first else { return .none }
    if let step = replacement(row, silent, ready) { return step }
    guard silent.isEmpty else {
      return .waiting(
        "\(new.id) at \(new.address) has shown what it holds and is not made a voter while voters are silent: "
          + "\(row.names(silent)); bring them back, or take them out: \(row.command(silent))")
    }
    guard row.voters.ids.count < votersMax else {
      return .waiting(
        "\(new.id) at \(new.address) is a learner: there are \(row.voters.ids.count) voters, --voters-max is \(votersMax); "
          + "MS_VOTER \(new.id) yes makes it one more")
    }
    return row.change(row.voters.ids + [new.id], "\(new.id) at \(new.address) has shown what it holds")
  }

  private func isReady(_ node: VoterFacts, _ row: VoterRow) -> Bool {
    node.wantsToVote && node.isCounting && node.hasShownData && row.isHere(node.id)
      && !row.voters.ids.contains(node.id) && !keptOut.contains(node.id)
  }

  private func removal(_ row: VoterRow, _ silent: [NodeID]) -> VoterStep? {
    let resigned = row.nodes.filter { !$0.wantsToVote && $0.isCounting && $0.hasShownData }.map(\.id)
    let ordered = row.voters.ids.filter(leaving.contains)
    // Those that are not here first: each that goes makes the majority of the others easier.
    let going =
      ordered.filter(silent.contains) + ordered + row.voters.ids.filter { $0 != row.ownID && resigned.contains($0) }
    guard row.voters.ids.count > 1,
      let id = going.first(where: { id in row.hasMajority(of: row.voters.ids.filter { $0 != id }) })
    else { return nil }
    let why = leaving.contains(id) ? "\(id) is taken out by an order" : "\(id) runs with --voter no"
    return row.change(row.voters.ids.filter { $0 != id }, why)
  }

  /// A new node at the address of a silent voter: first the old id goes; the new one comes like any other.
  private func replacement(_ row: VoterRow, _ silent: [NodeID], _ ready: [VoterFacts]) -> VoterStep? {
    for id in silent {
      guard let old = row.node(id), let new = ready.first(where: { $0.address == old.address }) else { continue }
      let silence = row.now.since(old.heardAt)
      guard silence >= Self.silentMilliseconds else {
        return .waiting(
          "\(new.id) at \(new.address) takes the place of the voter \(id) when that one was silent for "
            + "\(Self.silentMilliseconds / 1000) s")
      }
      return row.change(
        row.voters.ids.filter { $0 != id },
        "\(new.id) answers at \(old.address), where \(id) was, silent for \(silence / 1000) s")
    }
    return nil
  }

  // MARK: By order

  /// MS_VOTER id yes.
  package mutating func add(_ id: NodeID, _ row: VoterRow) throws(ReplicationError) -> VoterOrder {
    guard !row.voters.ids.contains(id) else { throw ReplicationError(.voterChange, "\(id) is a voter already") }
    if id != row.ownID {
      guard let node = row.node(id) else { throw ReplicationError(.voterChange, "\(id) is no node of this row") }
      guard node.wantsToVote else {
        throw ReplicationError(.voterChange, "\(id) at \(node.address) runs with --voter no")
      }
      guard node.isCounting, node.hasShownData else {
        throw ReplicationError(
          .voterChange,
          "\(id) at \(node.address) has not shown yet what it holds: it must follow the stream of this master to its end"
        )
      }
      guard row.isHere(id) else {
        let silence = row.now.since(node.heardAt)
        throw ReplicationError(
          .voterChange,
          "\(id) at \(node.address) was not heard of for \(silence / 1000) s: a silent node makes no voter")
      }
    }
    let silent = row.silentVoters
    guard silent.isEmpty else {
      throw ReplicationError(
        .voterChange,
        "no voter is added while others are silent: \(row.names(silent)); bring them back, or take them out "
          + "first: \(row.command(silent))")
    }
    guard row.voters.ids.count < Self.votersMaxOfAll else {
      throw ReplicationError(.voterChange, "there are \(row.voters.ids.count) voters already, no list has more")
    }
    guard row.mayChange else { throw row.notCommitted() }
    keptOut.remove(id)
    leaving.remove(id)
    return .change((row.voters.ids.isEmpty ? [row.ownID, id] : row.voters.ids + [id]).sorted(), isForced: false)
  }

  /// MS_VOTER id [id ...] no [FORCE].
  package mutating func remove(_ ids: [NodeID], isForced: Bool, _ row: VoterRow) throws(ReplicationError) -> VoterOrder
  {
    for id in ids where !row.voters.ids.contains(id) {
      throw ReplicationError(.voterChange, "\(id) is no voter")
    }
    let left = row.voters.ids.filter { !ids.contains($0) }
    guard !left.isEmpty else {
      throw ReplicationError(.voterChange, "no voter would be left; a list without voters commits nothing")
    }
    guard row.hasMajority(of: row.voters.ids) else {
      guard isForced else { throw ReplicationError(.voterChange, row.loss(of: ids)) }
      guard left.contains(row.ownID) else {
        throw ReplicationError(.voterChange, "FORCE makes this node go on, and \(row.ownID) is this node")
      }
      leaving.subtract(ids)
      return .change(left, isForced: true)
    }
    guard row.hasMajority(of: left) else {
      throw ReplicationError(
        .voterChange,
        "then \(row.here(left).count) of \(left.count) voters would be here, too few to commit anything: take those out first "
          + "that are silent: \(row.command(row.silentVoters))")
    }
    let first = ids.first { id in row.hasMajority(of: row.voters.ids.filter { $0 != id }) }
    guard ids.count > 1 || row.mayChange || isForced else { throw row.notCommitted() }
    keptOut.formUnion(ids.filter(row.isHere))
    guard let first, row.mayChange else {
      leaving.formUnion(ids)
      return .queued
    }
    leaving.formUnion(ids.filter { $0 != first })
    return .change(row.voters.ids.filter { $0 != first }, isForced: false)
  }

  /// More than these no record of the log names.
  private static let votersMaxOfAll = 64
}

extension VoterRow {
  package func node(_ id: NodeID) -> VoterFacts? { nodes.first { $0.id == id } }

  /// This node, or a slave that follows, has shown what it holds and was heard of just now.
  package func isHere(_ id: NodeID) -> Bool {
    if id == ownID { return true }
    return node(id).map { $0.isCounting && now.since($0.heardAt) <= VoterPolicy.aliveMilliseconds } ?? false
  }
  package func here(_ ids: [NodeID]) -> [NodeID] { ids.filter(isHere) }
  package func hasMajority(of ids: [NodeID]) -> Bool { here(ids).count * 2 > ids.count }
  package var silentVoters: [NodeID] { voters.ids.filter { !isHere($0) } }

  fileprivate func change(_ ids: [NodeID], _ reason: String) -> VoterStep {
    mayChange ? .change(ids.sorted(), reason: reason) : .none
  }

  fileprivate func names(_ ids: [NodeID]) -> String {
    ids.map { id in
      guard let node = node(id) else { return "\(id) (not known here)" }
      let silence = now.since(node.heardAt)
      let why =
        silence < VoterPolicy.aliveMilliseconds ? "has not shown what it holds" : "silent for \(silence / 1000) s"
      return "\(id) at \(node.address) (\(why))"
    }
    .joined(separator: ", ")
  }

  fileprivate func command(_ ids: [NodeID]) -> String {
    "MS_VOTER \(ids.map(\.description).joined(separator: " ")) no"
  }

  fileprivate func notCommitted() -> ReplicationError {
    ReplicationError(
      .voterChange,
      "the voter list of LSN \(voters.lsn) is not committed yet (on a majority is LSN \(securedLSN)): try again in a moment"
    )
  }

  /// What may be lost when voters are given up without a majority.
  fileprivate func loss(of ids: [NodeID]) -> String {
    let silent = silentVoters
    let open =
      lastLSN > securedLSN
      ? "this master's records of LSN \(securedLSN.next) to \(lastLSN) are not known to be on a majority"
      : "this master's records are on a majority up to their end, LSN \(lastLSN)"
    return
      "\(here(voters.ids).count) of \(voters.ids.count) voters are here, \(voters.majority) are needed to take one out: "
      + "\(names(silent)). \(open); what the silent ones hold beyond this node's log, acknowledged by another master that they "
      + "may have made, may be lost. \(command(ids)) FORCE gives that up, on the one node that is to go on"
  }
}
