import Core

// The applier when its log has a tail that the master's does not: this node was master itself, or followed one that is no
// more. It cuts the tail and goes on from the last common record. That destroys records, so the master is believed only
// as far as this node can check it. What may be cut:
//
// - nothing below `rewindFloor`: the store has compacted there and could not make the old state again;
// - nothing that both logs hold, by the term histories that master and slave told each other at registration;
// - nothing up to `securedLSN`, which a quorum had: no honest election makes a master without it. A forced promotion may
//   have done so; then the operator says `accept-data-loss` on this node;
// - nothing that a voter holds which the master's voters gave up while it was away;
// - records that were acknowledged or applied here at `async` or `fullsync`, yes: with those levels a change of master may
//   lose what not every node had. The store keeps them in a readable file.

extension Applier {
  mutating func rewind(
    _ reply: SyncReply, to target: LSN, _ actions: inout [ApplierAction]
  ) throws(ReplicationError) {
    guard let local else { return }
    guard local.capabilities.contains(.rewind), let floor = local.rewindFloor else {
      throw ReplicationError(.planMismatch, "the log is to be cut back to LSN \(target), which this node did not offer")
    }
    guard reply.mode != .full, reply.startLSN == target.next else {
      throw ReplicationError(
        .planMismatch,
        "the log is to be cut back to LSN \(target), but a \(reply.mode.name) sync is to start at LSN \(reply.startLSN)"
      )
    }
    guard let lineage = local.lineage, lineage == masterLineage else {
      throw ReplicationError(.otherLineage, "a master of another data set asks to cut the log back to LSN \(target)")
    }
    guard target > .none, target < local.durableLSN else {
      throw ReplicationError(
        .planMismatch, "the log is to be cut back to LSN \(target), it ends at LSN \(local.durableLSN)")
    }
    guard target >= floor else {
      throw ReplicationError(
        .rewindRefused, "the log is to be cut back to LSN \(target), this node can go back to \(floor) at the earliest")
    }
    let common = masterHistory.lastCommonLSN(
      endingAt: masterLast, with: local.history, endingAt: local.durableLSN)
    guard let reign = local.history.reign(of: target), masterHistory.reign(of: target) == reign, target >= common else {
      throw ReplicationError(
        .rewindRefused,
        "the log is to be cut back to LSN \(target), but by the term histories both hold the same up to LSN \(common)")
    }
    guard masterLast > common else {
      throw ReplicationError(
        .rewindRefused,
        "the log is to be cut back to LSN \(target), but the master's is the beginning of it: the master must get the rest first"
      )
    }
    guard target >= local.securedLSN || local.acceptDataLoss else {
      throw ReplicationError(
        .rewindRefused,
        "the master asks to cut the log back to LSN \(target), but a quorum had it up to LSN \(local.securedLSN): was a "
          + "node promoted by force? To give those records up, allow data loss on this node")
    }
    try followsAsVoter(target)
    state = .rewinding(reply, to: target)
    actions.append(.rewind(to: target))
  }

  /// A new copy in place of this log must not leave out what a quorum had, any more than a cut may.
  func keepsSecured() throws(ReplicationError) {
    guard let local, local.lineage == masterLineage, local.hasData, !local.acceptDataLoss else { return }
    let common = masterHistory.lastCommonLSN(
      endingAt: masterLast, with: local.history, endingAt: local.durableLSN)
    if common < local.durableLSN { try followsAsVoter(common) }
    guard common < local.securedLSN else { return }
    throw ReplicationError(
      .rewindRefused,
      "the master's log has this node's up to LSN \(common) only, but a quorum had it up to LSN \(local.securedLSN): was a node "
        + "promoted by force? To give those records up, allow data loss on this node")
  }

  /// A voter that was taken out of the voters while it was away may hold what a quorum had acknowledged and the others gave up by
  /// force; a node that was just started does not know what was good. So it follows only what goes on where its log ends.
  private func followsAsVoter(_ common: LSN) throws(ReplicationError) {
    guard let local, !local.acceptDataLoss, let masterVoters, !masterVoters.isEmpty, !masterVoters.contains(local.id),
      let list = local.voterLists.last(where: { $0.lsn <= common }), list.ids.count > 1, list.ids.contains(local.id)
    else { return }
    throw ReplicationError(
      .rewindRefused,
      "this node was a voter up to LSN \(common), where the master's log leaves its own, and is none of the master's voters: they "
        + "were perhaps given up by force, and what this node holds up to LSN \(local.durableLSN) may have been acknowledged. To give "
        + "those records up, allow data loss on this node")
  }

  mutating func rewound(_ facts: LocalFacts) throws(ReplicationError) {
    guard case .rewinding(let reply, let target) = state, let before = local else { return }
    guard facts.id == before.id, facts.durableLSN == target, facts.appliedLSN <= target,
      facts.lineage == before.lineage, facts.history.reign(of: target) == before.history.reign(of: target)
    else {
      throw ReplicationError(
        .storeFailed, "the log was to be cut back to LSN \(target), the store ends at LSN \(facts.durableLSN)")
    }
    local = facts
    local?.knownReign = max(facts.knownReign, before.knownReign)
    state = .awaitingBegin(reply)
  }
}
