// Raw memory: the table of the readers' epochs, one cache line each, freed with its domain.
import Core
import Synchronization

/// Epoch-based reclamation: what readers may still look at is freed only after every reader that was reading at that
/// moment has passed a quiescent point (K. Fraser, "Practical lock-freedom", 2004).
///
/// A reader owns a `Participant`, calls `enter` before it follows an index entry and `leave` when it keeps no pointer.
/// `retire` and `collect` are called by one thread at a time, under the store's write lock.
public final class EpochDomain: @unchecked Sendable {
  // Safe to share: participants are atomics; the retired list is guarded by its own mutex.
  public struct Participant: Sendable {
    @usableFromInline let index: Int
  }

  public static let participantsMax = 2048
  @usableFromInline static let stride = 8  // one cache line of eight words each: readers write nothing that is shared
  @usableFromInline static let idle = UInt64.max

  @usableFromInline let words: UnsafeMutablePointer<Atomic<UInt64>>
  @usableFromInline let global: UnsafeMutablePointer<Atomic<UInt64>>
  private struct State {
    var free: [Int] = Array((0..<EpochDomain.participantsMax).reversed())
    var retired: [(epoch: UInt64, free: @Sendable () -> Void)] = []
  }
  private let state = Mutex(State())

  public init() {
    words = .allocate(capacity: Self.participantsMax * Self.stride)
    for i in 0..<Self.participantsMax * Self.stride { (words + i).initialize(to: Atomic(Self.idle)) }
    global = .allocate(capacity: 1)
    global.initialize(to: Atomic(1))
  }

  deinit {
    freeAll()
    words.deallocate()
    global.deallocate()
  }

  /// Frees what is left, at the end of what the readers read. Some of it (an index) holds this domain in turn.
  func freeAll() {
    let left = state.withLock { state in
      defer { state.retired = [] }
      return state.retired
    }
    for item in left { item.free() }
  }

  /// Takes one of 2048 places; nil when all are taken.
  public func join() -> Participant? {
    state.withLock { $0.free.popLast() }.map { Participant(index: $0) }
  }
  public func resign(_ participant: Participant) {
    leave(participant)
    state.withLock { $0.free.append(participant.index) }
  }

  @inlinable @inline(__always) public func enter(_ participant: Participant) {
    words[participant.index &* Self.stride].store(
      global[0].load(ordering: .acquiring), ordering: .sequentiallyConsistent)
    #if !arch(x86_64)
      // Elsewhere the loads that follow may pass a sequentially consistent store; on x86-64 it is a full barrier.
      atomicMemoryFence(ordering: .sequentiallyConsistent)
    #endif
  }
  @inlinable @inline(__always) public func leave(_ participant: Participant) {
    words[participant.index &* Self.stride].store(Self.idle, ordering: .releasing)
  }

  /// Frees `resource` once no reader can see it any more. The caller has already made it unreachable.
  public func retire(_ resource: @escaping @Sendable () -> Void) {
    let epoch = global[0].wrappingAdd(1, ordering: .sequentiallyConsistent).oldValue
    state.withLock { $0.retired.append((epoch, resource)) }
  }

  /// Frees what has become free. O(participants + retired).
  public func collect() {
    let due = state.withLock { state -> [(epoch: UInt64, free: @Sendable () -> Void)] in
      guard !state.retired.isEmpty else { return [] }
      var oldest = UInt64.max
      for i in 0..<Self.participantsMax {
        oldest = min(oldest, words[i * Self.stride].load(ordering: .sequentiallyConsistent))
      }
      let due = state.retired.filter { $0.epoch < oldest }
      state.retired.removeAll { $0.epoch < oldest }
      return due
    }
    for item in due { item.free() }
  }

  public var retiredCount: Int { state.withLock { $0.retired.count } }
}
