import Core
import LogStore
import Logging
import Replication
import Synchronization

/// The node's `ExpiryClock` for all its threads: two numbers that every batch of commands reads without a lock.
package final class NodeClock: @unchecked Sendable {
  // Safe to share: atomics and a mutex.
  private unowned let host: any NodeHost
  private let state: Mutex<State>
  /// The clock minus the monotonic clock.
  private let offset: Atomic<Int64>
  /// The clock does not pass this.
  private let limit = Atomic<UInt64>(.max)
  private let followsWall = Atomic<Bool>(false)
  /// How far the master's clock is ahead of this node's, as it was last looked at; `unknown` if that is not known.
  private let ahead = Atomic<Int64>(NodeClock.unknown)
  private let warned = Atomic<Bool>(false)
  private static let unknown = Int64.min

  private struct State {
    var clock: ExpiryClock
    var comparison = ClockComparison()
    /// All keys that expire up to this clock are deleted, by records up to this LSN.
    var reclaimed: (upTo: WallClock, by: LSN)?
  }

  init(host: any NodeHost) {
    self.host = host
    let clock = ExpiryClock(wall: host.wall, now: host.monotonic)
    state = Mutex(State(clock: clock))
    offset = Atomic(clock.offset)
  }

  @inline(__always)
  package func read(at now: Tick) -> WallClock {
    let free = Int64(truncatingIfNeeded: now.milliseconds) &+ offset.load(ordering: .relaxed)
    return WallClock(milliseconds: min(UInt64(max(0, free)), limit.load(ordering: .relaxed)))
  }

  /// A step further than this is seen by the next batch of commands; what is less, by the next round of maintenance.
  private static let stepMilliseconds: UInt64 = 20

  /// For a batch of commands: one that sees the wall clock set forward follows it at once.
  @inline(__always)
  package func read(at now: Tick, wall: @autoclosure () -> WallClock) -> WallClock {
    let clock = read(at: now)
    guard followsWall.load(ordering: .relaxed) else { return clock }
    let wall = wall()
    let ahead = wall.milliseconds > clock.milliseconds ? wall.milliseconds - clock.milliseconds : 0
    let behind = clock.milliseconds > wall.milliseconds ? clock.milliseconds - wall.milliseconds : 0
    if _fastPath(max(ahead, behind) <= Self.stepMilliseconds || limit.load(ordering: .relaxed) < .max && behind > 0) {
      return clock
    }
    look()
    return read(at: now)
  }

  private func change<Result>(_ body: (inout State, Tick) -> Result) -> Result {
    state.withLock { state in
      let now = host.monotonic
      let result = body(&state, now)
      // In this order: a clock that goes back is never read as one that goes on from where it stood.
      offset.store(state.clock.offset, ordering: .relaxed)
      limit.store(state.clock.limit(now: now), ordering: .releasing)
      return result
    }
  }

  /// Both clocks of one moment: a thread that was put aside between two looks would see a step.
  private var wall: WallClock {
    for _ in 0..<5 {
      let before = host.monotonic
      let wall = host.wall
      if host.monotonic.since(before) <= 1 { return wall }
    }
    return host.wall
  }

  /// On a master: looks at the wall clock.
  @inline(never)
  package func look() {
    let wall = self.wall
    change { state, now in state.clock.look(wall, now: now) }
    followsWall.store(true, ordering: .relaxed)
  }

  /// On a slave: the master's clock as a frame carried it.
  func follow(_ clock: WallClock) {
    followsWall.store(false, ordering: .relaxed)
    change { state, now in
      state.clock.follow(clock, now: now)
      state.reclaimed = nil
    }
  }

  // MARK: A wall clock that was set back

  /// Set while the clock waits until all that it has called expired is deleted.
  var waitsForDeletion: WallClock? { state.withLock { $0.clock.waitsForDeletion(now: host.monotonic) } }

  /// It is, by records up to this LSN.
  func deleted(upTo clock: WallClock, by lsn: LSN) {
    state.withLock { if $0.reclaimed == nil { $0.reclaimed = (clock, lsn) } }
  }

  /// What is committed cannot be undone: then the clock may go back.
  func committed(_ lsn: LSN) {
    guard state.withLock({ $0.reclaimed.map { $0.by <= lsn } ?? false }) else { return }
    let wall = self.wall
    change { state, now in
      if let reclaimed = state.reclaimed { state.clock.reclaimed(upTo: reclaimed.upTo, wall: wall, now: now) }
      state.reclaimed = nil
    }
  }

  // MARK: Two nodes' clocks

  /// How far the master's clock is ahead of this node's; nil on a master, and where the master was not heard yet.
  package var masterIsAhead: Int64? {
    let milliseconds = ahead.load(ordering: .relaxed)
    return milliseconds == Self.unknown ? nil : milliseconds
  }

  /// They differ by more than a second, and have done so for a while.
  package var clocksDiffer: Bool { warned.load(ordering: .relaxed) }

  /// Compares, and says what is new. `isSlave`: of a master that is heard.
  func compare(isSlave: Bool, _ logger: Logger) {
    let wall = self.wall
    let (milliseconds, change, isWarned) = state.withLock { state -> (Int64?, ClockComparison.Change?, Bool) in
      guard isSlave else {
        state.comparison = ClockComparison()
        return (nil, nil, false)
      }
      let now = host.monotonic
      let milliseconds = state.clock.masterIsAhead(of: wall, now: now)
      let change = state.comparison.note(milliseconds, now: now)
      return (milliseconds, change, state.comparison.isWarned)
    }
    ahead.store(milliseconds ?? Self.unknown, ordering: .relaxed)
    warned.store(isWarned, ordering: .relaxed)
    switch change {
    case .parted:
      logger.warning(
        "the clocks of this node and its master differ by more than a second: if this node becomes master, its clock decides what has expired",
        metadata: ["clock.master.ahead.ms": "\(milliseconds ?? 0)"])
    case .met:
      logger.notice(
        "the clocks of this node and its master agree again",
        metadata: ["clock.master.ahead.ms": "\(milliseconds ?? 0)"])
    case nil: break
    }
  }
}
