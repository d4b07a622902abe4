import Core

// The body of a handover frame, version 1. Little endian. Only to a slave that follows the stream.
//
// handover   u8 version, u32 new term, 20 bytes id of the master, u64 last LSN that counts, u8 flags (bit 0: forced)

/// The master gives its reign away: the slave that gets this frame is to be master in `term`.
package struct HandoverOrder: Hashable, Sendable {
  package var term: Term
  package var masterID: NodeID
  /// The slave takes over only if everything up to here is durable and, unless it is forced, visible there.
  package var lastLSN: LSN
  /// The master did not wait for the slave: what it holds behind `lastLSN` it will cut off.
  package var isForced: Bool

  package init(term: Term, masterID: NodeID, lastLSN: LSN, isForced: Bool = false) {
    self.term = term
    self.masterID = masterID
    self.lastLSN = lastLSN
    self.isForced = isForced
  }

  package func encoded() -> [UInt8] {
    var out = ByteWriter(capacity: 34)
    out.u8(BodyCoding.version)
    out.u32(term.value)
    out.raw(masterID.bytes)
    out.u64(lastLSN.value)
    out.u8(isForced ? 1 : 0)
    return out.bytes
  }

  package static func decode(_ body: [UInt8]) throws(FrameError) -> HandoverOrder {
    try BodyCoding.read(.handover, body) { reader in
      try BodyCoding.checkVersion(&reader)
      let term = try BodyCoding.term(&reader)
      let id = try BodyCoding.nodeID(&reader)
      let lsn = try BodyCoding.lsn(&reader)
      let flags = try reader.u8()
      guard flags <= 1, term > .none else {
        throw FrameError(.badBody, "a handover in term \(term) with flags \(flags)")
      }
      return HandoverOrder(term: term, masterID: id, lastLSN: lsn, isForced: flags == 1)
    }
  }
}

package struct HandoverConfig: Hashable, Sendable {
  /// `FAILOVER TIMEOUT`, when the command names none: how long writes may be held up before it is given up.
  package var timeoutMillisecondsDefault: UInt64 = 10_000
  /// How long the target may take to become master, and to be found if it is silent.
  package var takeOverMillisecondsMax: UInt64 = 5000
  package var askAgainMilliseconds: UInt64 = 500
  package init() {}
}

/// A slave that could be the target.
package struct HandoverCandidate: Hashable, Sendable {
  package var id: NodeID
  package var address: NodeAddress
  package var isVoter: Bool
  /// It follows the stream, and its acks count.
  package var isStreaming: Bool
  package var durableLSN: LSN
  package init(id: NodeID, address: NodeAddress, isVoter: Bool, isStreaming: Bool, durableLSN: LSN) {
    self.id = id
    self.address = address
    self.isVoter = isVoter
    self.isStreaming = isStreaming
    self.durableLSN = durableLSN
  }
}

package struct HandoverFacts: Hashable, Sendable {
  package var id: NodeID
  package var isMaster = true
  /// Of this reign; the newest that this node knows.
  package var term: Term
  package var candidates: [HandoverCandidate]
  /// TO host port; nil: the best one.
  package var target: NodeAddress?
  package var timeoutMilliseconds: UInt64?
  /// FORCE: when the time is over, hand over to a target that has not got everything.
  package var isForced = false
  /// Where a quorum commits, the voters give their votes to one of themselves only.
  package var needsVoter = false
  /// Slaves that hold committed records which this node does not: see `StartDivergence`.
  package var diverged: [NodeAddress] = []
  package init(
    id: NodeID, term: Term, candidates: [HandoverCandidate], target: NodeAddress? = nil,
    timeoutMilliseconds: UInt64? = nil, isForced: Bool = false
  ) {
    self.id = id
    self.term = term
    self.candidates = candidates
    self.target = target
    self.timeoutMilliseconds = timeoutMilliseconds
    self.isForced = isForced
  }
}

package struct HandoverTarget: Hashable, Sendable {
  package var id: NodeID
  package var address: NodeAddress
}

package enum HandoverState: Hashable, Sendable {
  case idle
  /// Writes are paused, the target catches up.
  case waiting(HandoverTarget, until: Tick)
  /// The order is out; the target may be master any moment.
  case sent(HandoverTarget, Term, until: Tick)
  /// The target went silent: did it become master? Asked again at `again`, given up at `until`.
  case asking(HandoverTarget, Term, again: Tick, until: Tick)
  /// This node asks to be master again, in this term.
  case reclaiming(HandoverTarget, ordered: Term, reign: Term)
  case followed(HandoverTarget, Term)
  /// This node is master still.
  case aborted(String)
}

package enum HandoverEvent: Hashable, Sendable {
  case start(HandoverFacts)
  /// After every ack and every commit: what the target has on disk, this node's last record, and up to where all records
  /// are good at their levels.
  case progress(targetDurable: LSN, ownLast: LSN, good: LSN)
  /// The target's connection is gone, or it answered the order with an error.
  case targetLost(String)
  /// It has followed this node again since it voted for itself: it was started again, and will not reign in that term.
  case targetYields
  /// MS_NEW_MASTER came, from anyone.
  case newMaster(NewMaster)
  /// Answers to `ask`.
  case stateAnswered(NodeState)
  case askFailed(String)
  /// Answers to `beginReign`.
  case reigns
  case reignRefused(String)
  /// FAILOVER ABORT.
  case abort
  case tick
}

package enum HandoverAction: Hashable, Sendable {
  /// Hold new writes back, in their connections; those begun end.
  case pauseWrites
  case resumeWrites
  /// Tell the target's relay what is committed, then send the frame behind everything that it has sent.
  case sendHandover(HandoverTarget, HandoverOrder)
  /// Send MS_STATE to the target; answer with `stateAnswered` or `askFailed`.
  case ask(HandoverTarget)
  /// Step down and follow it; writes that were held back are answered as on any slave.
  case follow(NodeAddress, Term)
  /// Become master again in this term: with it a target that took the one before is fenced off. By `Promotion` with this
  /// `handoverTerm`: at `quorum` the target may have won with a majority and have committed with it, so this node needs
  /// one as well. Answer with `reigns` or `reignRefused`.
  case beginReign(Term)
  /// The command's answer: OK, or one line why not.
  case finished(String?)
}
