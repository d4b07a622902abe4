import Core

// Which data set a node may give up for another one, and when a master must doubt that its own is the one that counts.
//
// A directory that is empty does not know whom it belonged to. So a master may come back with another data set than its
// slaves hold, and a typing error may join two rows. A node that holds data (any record beyond the no-ops that begin terms)
// therefore never gives it up because its master has another data set: not for its start command, not for the role that it
// remembers, not for the news of a new master. Only an order does that names the master now.

/// Why a node follows its master from now on.
package enum FollowReason: Hashable, Sendable {
  /// Its start command, the role that it had last, or what other nodes told it.
  case configured
  /// Somebody who may decide it named this master while the node ran: an operator by REPLICAOF. An order of the catalog
  /// counts as one, too.
  case ordered
  /// Nothing new was said: the link is taken up again.
  case resumed
}

/// For which other data set a node gives up its own.
package enum DataSetOrder: Hashable, Sendable {
  case nothing
  /// An order names a master that has not answered yet; or the operator accepts any loss.
  case anything
  /// The one that the master of the order had when it first answered. Not a later one at the same address.
  case dataSet(NodeID)

  package func permits(_ lineage: NodeID) -> Bool {
    switch self {
    case .nothing: false
    case .anything: true
    case .dataSet(let ordered): ordered == lineage
    }
  }

  /// The order after a master of this data set has answered.
  package func bound(to lineage: NodeID) -> DataSetOrder {
    switch self {
    case .nothing, .dataSet: self
    case .anything: .dataSet(lineage)
    }
  }

  /// As a registration tells it: `none`, `any` or the id.
  var text: String {
    switch self {
    case .nothing: "none"
    case .anything: "any"
    case .dataSet(let lineage): lineage.description
    }
  }
  init?(text: String) {
    switch text {
    case "none": self = .nothing
    case "any": self = .anything
    case _:
      guard let lineage = NodeID(hex: text) else { return nil }
      self = .dataSet(lineage)
    }
  }
}

/// What a node does with a slave that holds another data set.
package enum StrangerRule {
  package enum Verdict: Hashable, Sendable {
    /// It holds this data set, or nothing, or gives up what it holds.
    case none
    /// It keeps its data and follows nobody here. This data set stands: an operator confirmed it, or slaves of it follow.
    case refused
    /// The same, and nothing says that this data set is the one that counts. A master takes no more writes: what they were
    /// told may be lost, or what the other node holds.
    case rivals
  }

  /// - Parameter isEstablished: an operator confirmed this data set, or a slave of it follows the stream now.
  package static func verdict(_ request: RegisterRequest, lineage: NodeID, isEstablished: Bool) -> Verdict {
    guard request.hasData, let other = request.lineage, other != lineage, !request.acceptDataLoss else { return .none }
    // An older node does not tell what it gives up. It would give up all: here it is let in as before, where this data set
    // is established.
    if request.givesUp?.permits(lineage) ?? isEstablished { return .none }
    return isEstablished ? .refused : .rivals
  }
}
