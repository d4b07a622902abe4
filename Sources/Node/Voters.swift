import Core
import LogStore
import Logging
import Replication

/// What came of an order about the voters.
package enum VoterOutcome: Sendable {
  case done
  case refused(ReplicationError)
}

// The voters of this master's log: `VoterPolicy` decides, this appends the record.
extension NodeCore {
  /// Every tick: one change at a time.
  func reviewVoters() {
    let store = self.store
    guard isMaster, !store.isReplica else { return }
    let durable = durability == .fsync ? store.positions.durable : store.positions.written
    guard
      let look = commitment.look(
        durable: durable, committed: store.positions.committed, acks: replication.countingAcks,
        configuration: configuration, now: host.monotonic)
    else { return }
    say(look.actions)
    replication.reviewReplaced(voters: commitment.voters.ids)
    guard let step = decideOnVoters({ policy, row in policy.next(row) }) else { return }
    switch step {
    case .none: _ = commitment.wait(for: nil)
    case .change(let ids, let reason):
      _ = commitment.wait(for: nil)
      _ = changeVoters(ids, in: store, reason: reason)
    case .waiting(let reason):
      guard commitment.wait(for: reason) else { return }
      if decidesByQuorum {
        logger.warning("the voters are not what they should be", metadata: ["voters.waiting": "\(reason)"])
      } else {
        logger.info("the voters are not what they should be", metadata: ["voters.waiting": "\(reason)"])
      }
    }
  }

  private func decideOnVoters<Decision, Failure: Error>(
    _ body: (inout VoterPolicy, VoterRow) throws(Failure) -> Decision
  ) throws(Failure) -> Decision? {
    let store = self.store
    let last = store.withWriteLock { _ in LSN(store.lastAppended) }
    return try commitment.decide(
      replication.voterFacts, lastLSN: last, votersMax: configuration.votersMax, now: host.monotonic, body)
  }

  /// Appends a new list of voters. false if the log takes no records now, or the list before it is not committed.
  private func changeVoters(_ ids: [NodeID], in store: LogStore, isForced: Bool = false, reason: String) -> Bool {
    let isDone = store.withWriteLock { access in
      guard isMaster, !store.isReplica, store.isWritable, !isHandingOver, isForced || commitment.mayChangeVoters else {
        return false
      }
      return appendVoters(ids, to: store, isForced: isForced, access)
    }
    guard isDone else { return false }
    logger.notice(
      "the voters changed",
      metadata: ["voters": "\(ids.map(\.description).joined(separator: " "))", "voters.reason": "\(reason)"])
    host.wakeCommit()
    reviewLease()
    return true
  }

  /// By a node that reigns.
  func appendVoters(
    _ ids: [NodeID], to store: LogStore, isForced: Bool, _ access: borrowing WriteAccess
  ) -> Bool {
    store.setLevel(configuration.commit.level.joined(store.tableLevels), access)
    defer { store.setLevel(configuration.commit.level, access) }
    guard store.setVoters(ids, access) else { return false }
    commitment.votersAppended(VoterList(ids, at: LSN(store.lastAppended)), isForced: isForced)
    return true
  }

  /// MS_VOTER: an operator, or a voter that leaves.
  package func order(addsVoters: Bool, _ ids: [NodeID], isForced: Bool) -> VoterOutcome {
    do throws(ReplicationError) {
      let order = try decideOnVoters { policy, row throws(ReplicationError) in
        addsVoters ? try policy.add(ids[0], row) : try policy.remove(ids, isForced: isForced, row)
      }
      switch order {
      case nil: return .refused(ReplicationError(.voterChange, "this node is no master"))
      case .queued?: return .done
      case .change(let list, let isForced)?:
        if isForced {
          logger.error(
            "VOTERS ARE GIVEN UP BY FORCE: what only they hold may be lost",
            metadata: [
              "voters.given.up": "\(ids.map(\.description).joined(separator: " "))",
              "replication.last": "\(LSN(store.lastAppended))",
            ])
        }
        guard changeVoters(list, in: store, isForced: isForced, reason: "by order") else {
          return .refused(
            ReplicationError(.voterChange, "the change before is not committed yet, or the log takes no records"))
        }
        return .done
      }
    } catch {
      return .refused(error)
    }
  }
}
