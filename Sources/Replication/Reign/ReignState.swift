import Core

/// What a node is, as far as who reigns goes: always exactly one of these.
package enum ReignState: Sendable {
  /// The process has not taken its role yet; nobody is let in.
  case new
  /// Started as the master: the nodes that it knew are asked whether they have another one.
  case asking(AskRound)
  /// Started with a damaged log: a node that holds what is damaged here is looked for; nobody is let in.
  case damaged(CopySearch)
  /// Started without data where `--peers` names the row: it asks its peers before it does anything.
  case joining(Join)
  /// A slave, and its look at the row above it.
  case following(RowWatch)
  /// No master, for a reason that the search names.
  case seeking(Search)
  case reigning(Reigning)
}

package struct Join: Sendable {
  package var machine: Joining
  /// This node's address: clients are told of no other.
  package let named: NodeAddress
  package let number: UInt32
  package var due: Tick
  package var isBegun = false
}

/// What a master has to do beside taking writes.
package struct Reigning: Sendable {
  package struct HandoverRun: Sendable {
    package let order: OrderNumber
    package var machine = Handover()
    package var question: UInt32 = 0
  }
  package struct Telling: Sendable {
    package var news: NewMaster
    package var untold: [KnownNode]
    package var due: Tick
  }
  /// FAILOVER: this master gives its reign away.
  package var handover: HandoverRun?
  /// Nodes that are to hear of this reign and have not answered yet; each is told again every second.
  package var telling: Telling?
  /// Nodes that did not answer when this node was started. Any of them may be the master, in a newer term, and may have
  /// forgotten to tell this node: each is asked again until it has answered once.
  package var silent: [NodeAddress] = []
  package var silentRound: AskRound?
  package var silentDue = Tick(milliseconds: 0)
  /// The disk is too full for the first record of this term. What is on disk is good without it where nobody votes: reads are
  /// answered, writes refused, until there is room.
  package var waitsForRoom: Term?
  package var roomDue = Tick(milliseconds: 0)

  package var isHandingOver: Bool { handover?.machine.isUnderWay ?? false }
}

/// This node asks to be master. Beside the state: a slave stands while it follows, a former master while it seeks, and a
/// master too, to be the only voter or to take a failed handover back.
package struct Candidacy: Sendable {
  package let standing: Standing
  package var promotion = Promotion()
  /// Who is told what comes of it.
  package var orders: [OrderNumber]
}

/// A waiting caller of the shell: an operator's command that is answered later.
package struct OrderNumber: Hashable, Sendable {
  package let value: UInt64
  package init(_ value: UInt64) { self.value = value }
}

/// How a node becomes master. Every reign has one of these occasions, and begins by the one action `begin`.
package enum ReignOccasion: Hashable, Sendable, CaseIterable {
  /// Started as the master, with nobody to ask: the first start, or that of a single node.
  case start
  /// Started as the master; of those that answered nobody reigns or holds more.
  case restart
  /// There is room again for the reign that a start could not begin.
  case room
  /// The first of `--peers`, and all are empty.
  case rowBegun
  /// PROMOTE.
  case promoted
  /// PROMOTE FORCE.
  case forced
  /// FAILOVER on the old master: this node is the target.
  case handedOver
  /// REPLICAOF NO ONE.
  case alone
  /// A former master, or one that holds more than it, goes on with the votes that it needs.
  case returned
  /// This node's own FAILOVER failed after the order was out.
  case reclaimed
  /// This master met a newer term in which nobody else counts, and goes on above it.
  case outdone
  /// REPLICAOF led nowhere, and this node was the master before.
  case orderUndone
  case ringBroken

  /// Nobody voted or gave an order: see `StartDivergence`.
  package var isMereStart: Bool {
    switch self {
    case .start, .restart, .room: true
    case .rowBegun, .promoted, .forced, .handedOver, .alone, .returned, .reclaimed, .outdone, .orderUndone, .ringBroken:
      false
    }
  }

  /// Why a hold because of another data set is over with this reign; nil: it is not. An operator decided.
  package var liftsHold: String? {
    switch self {
    case .promoted, .forced: "an operator promoted this node"
    case .alone: "an operator made this node the master"
    case .start, .restart, .room, .rowBegun, .handedOver, .returned, .reclaimed, .outdone, .orderUndone, .ringBroken:
      nil
    }
  }
}

/// With what this node asks for votes; the shell adds what it holds.
package struct Standing: Hashable, Sendable {
  package var occasion: ReignOccasion
  /// The term that was chosen for it; nil: the next one, and the other nodes are asked for their states first.
  package var term: Term?
  package var isForced = false
  package var isReturn = false
  package var isOrdered = false
}

/// A reign that is to begin: the term is on disk before any record carries it.
package struct Beginning: Hashable, Sendable {
  package var occasion: ReignOccasion
  package var term: Term
  /// The other voters are given up, or left: the record behind the first names this node alone.
  package var isOnlyVoter = false
  /// The first reign since the process was started as the master: see `DatabaseCount`.
  package var isFirstOfStart = false
  /// REPLICAOF NO ONE waits for it.
  package var order: OrderNumber?
  /// Who is told at once, beside those that followed the old master.
  package var tells: [KnownNode] = []
  /// Nodes that did not answer at the start.
  package var silent: [NodeAddress] = []
}
