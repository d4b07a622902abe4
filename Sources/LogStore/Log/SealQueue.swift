import Synchronization

/// Filled segments that are on disk and wait to be sealed; until then they stay in memory.
///
/// The commit thread and a start put them in; the maintenance thread and a delta take them out, one of the two at a time.
/// Invariant: `bytes` is what the segments in it hold, so writers that wait because it is too much go on when they are sealed.
struct SealQueue: ~Copyable {
  private let segments = Mutex<[Segment]>([])
  private let waitingBytes = Atomic<Int>(0)
  /// The last attempt to seal failed: holding writers back would not help.
  let fails = Atomic<Bool>(false)

  /// Any thread, one load.
  var bytes: Int { waitingBytes.load(ordering: .relaxed) }
  /// Oldest first.
  var all: [Segment] { segments.withLock { $0 } }
  var oldest: Segment? { segments.withLock { $0.first } }

  func add(_ segment: Segment) {
    waitingBytes.add(segment.used, ordering: .relaxed)
    segments.withLock { $0.append(segment) }
  }
  func remove(_ sealed: [Segment]) {
    segments.withLock { $0.removeAll { waiting in sealed.contains { $0 === waiting } } }
    waitingBytes.subtract(sealed.reduce(0) { $0 + $1.used }, ordering: .relaxed)
  }
}
