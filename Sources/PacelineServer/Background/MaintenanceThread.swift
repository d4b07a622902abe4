import CSupport
import Core
import LogStore
import Logging
import Node
import Synchronization

/// Background work of the server, in one thread: sealing, dropping and expiring, generations, lags and digests.
final class MaintenanceThread: @unchecked Sendable {
  // Safe to share: the thread's own state is touched by it only.
  private unowned let core: ServerCore
  private let stopping = Atomic<Bool>(false)
  private let thread = Mutex<BackgroundThread?>(nil)
  private var lastSecond = Tick(milliseconds: 0)
  private var lastDigest = Tick(milliseconds: 0)
  private var lastTrim = Tick(milliseconds: 0)
  private var trimmedIndexBytes = 0
  /// Since the heap was trimmed last.
  private var mostConnections = 0

  private static let digestIntervalMilliseconds: UInt64 = 5000
  private static let trimIntervalMilliseconds: UInt64 = 3000
  private static let leftConnectionsMin = 100

  init(core: ServerCore) { self.core = core }

  func start() {
    let started = BackgroundThread("pl-maintain") { [self] in
      while !stopping.load(ordering: .acquiring) {
        core.maintenance.wait(milliseconds: 100)
        round()
      }
    }
    thread.withLock { $0 = started }
  }

  func stop() {
    stopping.store(true, ordering: .releasing)
    core.maintenance.raise()
    thread.withLock { $0.take() }?.join()
  }

  private func round() {
    let now = Clocks.monotonic
    // What slaves wait for at the end of the server does not grow by itself.
    if !core.service.holds.contains(.shutdown) { core.node.expire() }
    core.node.maintainStore()
    core.node.disk.look(core.store)
    core.node.tick()
    for worker in core.workers { worker.tickIfNeeded() }
    core.node.replication.sampleWrites()
    if now.since(lastSecond) >= 1000 {
      lastSecond = now
      core.node.replication.measure()
    }
    trimHeap(now)
    if now.since(lastDigest) >= Self.digestIntervalMilliseconds {
      lastDigest = now
      core.node.replication.sendDigest()
    }
  }

  /// A growing index leaves holes in the heap where its smaller partitions were, and so do many connections that close.
  private func trimHeap(_ now: Tick) {
    guard now.since(lastTrim) >= Self.trimIntervalMilliseconds else { return }
    lastTrim = now
    let store = core.store
    store.writeLock.lock()
    let indexBytes = store.figures().indexBytes
    store.writeLock.unlock()
    let connections = core.connected.load(ordering: .relaxed)
    mostConnections = max(mostConnections, connections)
    let haveMostLeft = mostConnections - connections > Self.leftConnectionsMin && connections * 2 < mostConnections
    guard abs(indexBytes - trimmedIndexBytes) > 8 << 20 || haveMostLeft else { return }
    trimmedIndexBytes = indexBytes
    mostConnections = connections
    paceline_trim_heap()
  }
}
