// Raw memory: the anonymous memory of the newest segments.
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Zeroed pages for one segment, given back to a small pool when no reader can see them any more.
public final class SegmentMemory: @unchecked Sendable {
  // Safe to share: written by the thread that holds the write lock, read through index entries published afterwards.
  public let start: UnsafeMutableRawPointer
  public let capacity: Int
  private let pool: SegmentMemoryPool

  fileprivate init(start: UnsafeMutableRawPointer, capacity: Int, pool: SegmentMemoryPool) {
    self.start = start
    self.capacity = capacity
    self.pool = pool
  }
  deinit { pool.giveBack(start, capacity) }
}

/// Keeps up to two segments' pages for the next segment while they are in use: touched pages need no page faults again.
public final class SegmentMemoryPool: Sendable {
  private struct Spare: @unchecked Sendable {
    // Safe to share: whoever takes it out of the pool owns it.
    let start: UnsafeMutableRawPointer
    let capacity: Int
    /// Rounds of `trim` that it was not wanted.
    var idleRounds = 0
  }
  private let spares = Mutex<[Spare]>([])
  private let sparesMax = 2

  public init() {}
  deinit { for spare in spares.withLock({ $0 }) { munmap(spare.start, spare.capacity) } }

  /// nil when the system has no memory left.
  public func take(_ capacity: Int) -> SegmentMemory? {
    let spare = spares.withLock { spares -> Spare? in
      guard let at = spares.firstIndex(where: { $0.capacity == capacity }) else { return nil }
      return spares.remove(at: at)
    }
    if let spare { return SegmentMemory(start: spare.start, capacity: capacity, pool: self) }
    let protection = PROT_READ | PROT_WRITE
    guard let start = mmap(nil, capacity, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), start != MAP_FAILED else {
      return nil
    }
    return SegmentMemory(start: start, capacity: capacity, pool: self)
  }

  /// Gives pages back to the system that were not wanted for a while. To be called about ten times a second.
  public func trim() {
    let idle = spares.withLock { spares -> [Spare] in
      for i in spares.indices { spares[i].idleRounds += 1 }
      let idle = spares.filter { $0.idleRounds > 10 }
      spares.removeAll { $0.idleRounds > 10 }
      return idle
    }
    for spare in idle { munmap(spare.start, spare.capacity) }
  }

  fileprivate func giveBack(_ start: UnsafeMutableRawPointer, _ capacity: Int) {
    let spare = Spare(start: start, capacity: capacity)
    let kept = spares.withLock { spares -> Bool in
      guard spares.count < sparesMax else { return false }
      spares.append(spare)
      return true
    }
    if !kept { munmap(start, capacity) }
  }
}
