import CSupport
import Core
import LogStore
import Node

/// The node's `Rounds`, and what belongs to the server besides: deadlines of clients that wait, and memory that the heap does
/// not need.
final class ServerRounds: BackgroundWork, @unchecked Sendable {
  // Safe to share: its state is touched by the maintenance thread only.
  private unowned let core: ServerCore
  private var lastTrim = Tick(milliseconds: 0)
  private var trimmedIndexBytes = 0
  /// Since the heap was trimmed last.
  private var mostConnections = 0

  private static let trimIntervalMilliseconds: UInt64 = 3000
  private static let leftConnectionsMin = 100

  init(core: ServerCore) { self.core = core }

  func step(now: Tick) -> UInt64 {
    let pause = core.node.rounds.step(now: now)
    for worker in core.workers { worker.tickIfNeeded() }
    trimHeap(now)
    return pause
  }

  func end() {}

  /// A growing index leaves holes in the heap where its smaller partitions were, and so do many connections that close.
  private func trimHeap(_ now: Tick) {
    let connections = core.connected.load(ordering: .relaxed)
    mostConnections = max(mostConnections, connections)
    guard now.since(lastTrim) >= Self.trimIntervalMilliseconds else { return }
    lastTrim = now
    let store = core.store
    let indexBytes = store.withWriteLock { access in store.figures(access).indexBytes }
    let haveMostLeft = mostConnections - connections > Self.leftConnectionsMin && connections * 2 < mostConnections
    guard abs(indexBytes - trimmedIndexBytes) > 8 << 20 || haveMostLeft else { return }
    trimmedIndexBytes = indexBytes
    mostConnections = connections
    paceline_trim_heap()
  }
}
