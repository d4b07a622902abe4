import Core

/// Why a node gave no state when it was asked for it.
package typealias AskFailure = UpstreamWalk.Failure

/// One question to several nodes, by MS_STATE. It is over when all have answered, or after a second. Pure; the shell asks.
///
/// Example: a master that starts asks its three slaves; two answer, and a second later the round is over with two states.
package struct AskRound: Hashable, Sendable {
  package static let milliseconds: UInt64 = 1000
  /// Answers to another round's question do not count.
  package let number: UInt32
  package let asked: [NodeAddress]
  package let until: Tick
  private var answers: [NodeAddress: Result<NodeState, AskFailure>] = [:]

  package init(number: UInt32, _ addresses: [NodeAddress], now: Tick) {
    self.number = number
    var asked: [NodeAddress] = []
    for address in addresses where !asked.contains(address) { asked.append(address) }
    self.asked = asked
    until = now.advanced(by: Self.milliseconds)
  }

  package mutating func answered(_ address: NodeAddress, _ answer: Result<NodeState, AskFailure>) {
    guard asked.contains(address) else { return }
    answers[address] = answer
  }

  package func isOver(at now: Tick) -> Bool { now >= until || asked.allSatisfy { answers[$0] != nil } }

  package func haveAnswered(_ addresses: [NodeAddress]) -> Bool {
    let there = answering.map(\.address)
    return addresses.allSatisfy { there.contains($0) }
  }

  /// The nodes that answered, in the order in which they were asked, and where.
  package var answering: [(address: NodeAddress, state: NodeState)] {
    asked.compactMap { address in
      guard case .success(let state)? = answers[address] else { return nil }
      return (address, state)
    }
  }

  /// Of the other nodes that hold this node's data set.
  package func states(_ facts: ReignFacts) -> [NodeState] {
    answering.map(\.state).filter { $0.lineage == facts.lineage && $0.id != facts.id }
  }

  /// One line for people: who holds what.
  package func summary(_ facts: ReignFacts) -> String {
    asked.map { address in
      switch answers[address] {
      case .success(let state)? where state.id == facts.id: "\(address) is this node"
      case .success(let state)? where state.lineage != facts.lineage: "\(address) holds another data set"
      case .success(let state)? where state.refetchTo != nil: "\(address) has lost records, too"
      case .success(let state)?: "\(address) holds up to \(state.last)"
      case .failure?, nil: "\(address) does not answer"
      }
    }.joined(separator: ", ")
  }
}

extension AskRound {
  /// The node that holds the log up to `reached` at least, and the most of it.
  package func holder(of reached: Position, _ facts: ReignFacts) -> NodeState? {
    states(facts).filter { $0.refetchTo == nil && $0.last.reaches(reached) }.max {
      $0.last != $1.last ? $0.last < $1.last : $1.id < $0.id
    }
  }
}
