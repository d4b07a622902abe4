import Core

/// The moment of a step: what the node knows, when, and a number that was drawn for it.
package struct ReignMoment: Sendable {
  package var facts: ReignFacts
  package var now: Tick
  package var lot: UInt64
  package init(_ facts: ReignFacts, now: Tick, lot: UInt64) {
    self.facts = facts
    self.now = now
    self.lot = lot
  }
}

package enum ReignStart: Hashable, Sendable {
  case whole
  /// The log is damaged; it reached this far.
  case damaged(reached: Position)
  /// Without data, in a row that `--peers` names.
  case asksPeers
}

package enum ReignEvent: Sendable {
  case start(Role, ReignStart)
  /// To `ask`: exactly one for each.
  case answered(round: UInt32, from: NodeAddress, Result<NodeState, AskFailure>)
  /// To `cutDamage`.
  case damageCut
  /// To `begin`: the term's first record has this LSN and is durable.
  case begun(firstLSN: LSN)
  /// - `waitsForRoom`: the disk is full, and that is the only reason.
  case beginFailed(String, waitsForRoom: Bool)
  /// To `tell`: that node knows of this reign, or of a newer one.
  case told(NodeID)
  case tick

  // Orders
  case replicaOf(NodeAddress)
  /// REPLICAOF NO ONE, when the voters of the old master have let this node go.
  case alone(OrderNumber)
  case promote(OrderNumber, isForced: Bool)
  case failOver(OrderNumber, HandoverFacts)
  case abortFailOver(OrderNumber)
  /// The master's order, in its stream.
  case takeOver(HandoverOrder)

  // What other nodes say, when it is borne out: see `HearsayRule`
  case newMaster(NewMaster, at: NodeAddress)
  /// This node voted; the vote is on disk.
  case voted(Term, for: NodeAddress)
  /// It gave a former master no vote, because it holds more of the log and hears no master.
  case askedWithLess
  /// A slave knows of a newer reign. `yields`: it was that one's master itself and was told to follow this node.
  case newerReign(Reign, at: NodeAddress, yields: Bool)
  /// A voter reigns in that term without a majority, which follows this master.
  case reignWithoutMajority(Term)
  /// A slave holds committed records that this master, which began its reign by a mere start and wrote nothing since, does
  /// not have.
  case longerLog(at: NodeAddress)
  /// A node of an older reign said that it is the master.
  case olderMaster(KnownNode)

  // To the machines inside
  case promotion(PromotionEvent)
  case handover(HandoverEvent)
}

/// In the order in which they are carried out. After an event that tells of a failure (`beginFailed`, a promotion's
/// `storeFailed`), the rest of the list that it answers is dropped.
package enum ReignAction: Hashable, Sendable {
  /// The role is taken: clients may come in.
  case open
  /// No node answers that holds what damage took here. The process ends.
  case refuseStart(String)
  /// The first reign could not begin. The process ends.
  case failStart(String)
  /// Send MS_STATE; answer with `answered`.
  case ask(NodeAddress, round: UInt32)
  /// Cut the log before the damage, with copies kept; answer with `damageCut`. If it fails, the process ends.
  case cutDamage
  /// No write is taken any more when this is done, and then clients are told that this node is no master.
  case stepDown
  /// As `stepDown`; then the link to that master is opened. `ordered`: see `DataSetHold`.
  case attach(NodeAddress, FollowReason)
  /// The link as it was: the reign for which it was closed did not begin.
  case resume(NodeAddress)
  case detach
  /// A restart goes on in this role.
  case remember(Role)
  /// Written down as a vote, so that nothing older is followed; nil: the owner is not known.
  case noteTerm(Term, of: NodeID?)
  /// What comes of an older reign is not taken any more from the link.
  case linkVoted(Reign)
  /// Another node knows of this reign.
  case heard(Reign)
  /// Votes up to this term may have been given and are not on this disk.
  case forgot(votesUpTo: Term)
  /// A newer reign than this slave's master's: told to that one at the next registration.
  case passOn(Reign, yields: Bool)
  /// The order to take another data set is over.
  case forgetOrder
  /// No writes until an operator decides which data set counts.
  case hold(against: NodeID, at: NodeAddress)
  case liftHold(String)
  /// Leave the old master, begin this reign; answer with `begun` or `beginFailed`.
  case begin(Beginning)
  case stopWaitingForRoom
  /// Read what this node holds; answer with `promotion(.start)`.
  case stand(Standing)
  /// Ask that node to stand, as a former master that holds less: its vote is asked for and not given.
  case nudge(NodeState)
  /// Send PROMOTE.
  case askToReign(NodeState)
  /// Send MS_NEW_MASTER; `told` when it is answered.
  case tell(KnownNode, NewMaster)
  case promotion(PromotionAction)
  case handover(HandoverAction)
  /// nil: OK; else one line why not.
  case answer(OrderNumber, String?)
  case note(ReignNote)
}

/// What an operator should read in the log.
package enum ReignNote: Hashable, Sendable {
  case masterFound(NodeAddress)
  case newMaster(NodeAddress, Term)
  case rowHasMaster(NodeAddress)
  case joinWaits(String)
  case majorityAsked
  case madeWay(Reign)
  case longerNode(NodeState)
  case longerNodeSilent(String)
  case nobodyHolds(Position, String)
  case deposed(Term, by: NodeAddress)
  case goesAbove(Term)
  case slaveHoldsMore(NodeAddress)
  case noRoom(String)
  case orderUndone(NodeAddress, String)
  case ring([NodeAddress])
  case handedOver(Term)
  case handoverEnded(String)
  case notBegun(String)
}

/// What everybody else may read of the role, at one moment.
package struct ReignView: Hashable, Sendable {
  package enum Failover: String, Hashable, Sendable {
    case none = "no-failover"
    case waiting = "waiting-for-sync"
    case underWay = "failover-in-progress"
  }
  package var role: Role
  package var failover = Failover.none
  /// No master was found yet behind an operator's REPLICAOF.
  package var isOrderOpen = false
  /// What a start without data waits for; nil: it does not.
  package var waitsForPeers: String?
  package init(role: Role) { self.role = role }
}
