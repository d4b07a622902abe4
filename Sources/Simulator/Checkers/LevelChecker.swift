import Core
import LogStore

/// What is acknowledged, or shown by a master, is on as many disks as its commit level asks for.
///
/// It looks at the nodes' own logs, not at what they tell each other: a slave's copy that is still being built holds
/// nothing.
package struct LevelChecker: Sendable {
  /// By node and reign: the highest LSN of the reign's records that was ever on the node's disk, as part of its log.
  private var held: [Int: [Reign: LSN]] = [:]
  private var seen: [Int: (durable: LSN, reign: Reign?)] = [:]

  package init() {}

  /// A node has its log on disk up to `durable`.
  package mutating func holds(_ node: Int, upTo durable: LSN, in history: TermHistory) {
    guard seen[node]?.durable != durable || seen[node]?.reign != history.last?.reign else { return }
    seen[node] = (durable, history.last?.reign)
    var end = durable
    for entry in history.entries.reversed() {
      if end >= entry.firstLSN {
        held[node, default: [:]][entry.reign] = max(held[node]?[entry.reign] ?? .none, end)
      }
      end = min(end, entry.firstLSN.previous)
    }
  }

  /// A node's directory is replaced by an older one: what it alone held is lost with it. A reply that is on its way still tells
  /// of what was on its disk then.
  ///
  /// - Returns: for each reign of which it alone held records, up to where another node ever held them.
  package func heldOnly(by node: Int) -> [(reign: Reign, elsewhere: LSN)] {
    (held[node] ?? [:]).sorted { $0.key < $1.key }.compactMap { reign, last in
      let elsewhere = held.filter { $0.key != node }.values.map { $0[reign] ?? .none }.max() ?? .none
      return elsewhere < last ? (reign, elsewhere) : nil
    }
  }

  package func holders(of position: Position) -> Set<Int> {
    Set(held.filter { $0.value[position.reign] ?? .none >= position.lsn }.keys)
  }

  /// How many disks a record must be on.
  ///
  /// - Parameter voters: how many nodes make a quorum; 0 and 1 are the same.
  package static func disks(for level: RecordLevel, voters: Int) -> Int {
    switch level {
    case .async: 1
    case .fullsync: 2
    case .quorum: max(1, voters / 2 + 1)
    case .both: max(2, voters / 2 + 1)
    }
  }

  /// - Parameter node: where the reply came from; it must hold the record itself.
  package func check(
    _ position: Position, _ level: RecordLevel, voters: Int, node: Int, _ what: @autoclosure () -> String
  ) -> Violation? {
    let holders = holders(of: position)
    let needed = Self.disks(for: level, voters: voters)
    guard holders.count < needed || !holders.contains(node) else { return nil }
    return Violation(
      "not on enough disks",
      "\(what()) at \(position), level \(level), needs \(needed) and node \(node), is on \(holders.sorted())")
  }
}
