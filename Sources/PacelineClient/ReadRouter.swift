/// Decides which node a read goes to: slaves in turn, those that failed lately last, the master only when no slave is left.
///
/// A pure decision: time comes in as an argument (seconds on any monotonic clock), connections are somebody else's.
public struct ReadRouter: Sendable {
  /// How long a node that failed is passed over.
  public let retryAfter: Duration
  private var failedUntil: [NodeAddress: Duration] = [:]
  private var turn = 0

  public init(retryAfter: Duration = .seconds(1)) { self.retryAfter = retryAfter }

  /// The nodes to try for one read, best first; all of `slaves` and then `master`. A node that failed lately still has
  /// its place at the end: trying it is better than refusing the read. O(number of nodes).
  public mutating func order(slaves: [NodeAddress], master: NodeAddress?, now: Duration) -> [NodeAddress] {
    let first = slaves.isEmpty ? 0 : turn % slaves.count
    turn &+= 1
    let inTurn = slaves[first...] + slaves[..<first]
    let all = inTurn.filter { $0 != master } + (master.map { [$0] } ?? [])
    return all.filter { isUsable($0, now) } + all.filter { !isUsable($0, now) }
  }

  public mutating func failed(_ node: NodeAddress, now: Duration) { failedUntil[node] = now + retryAfter }
  public mutating func succeeded(_ node: NodeAddress) { failedUntil[node] = nil }

  private func isUsable(_ node: NodeAddress, _ now: Duration) -> Bool {
    guard let until = failedUntil[node] else { return true }
    return until <= now
  }
}
