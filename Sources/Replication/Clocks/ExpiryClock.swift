import Core

/// The clock that decides what has expired, of one node: milliseconds since 1970, moved by the monotonic clock between two
/// looks at what it follows.
///
/// A master's follows its wall clock, at once when that is set forward. When it is set back, what this clock has called
/// expired must not come back to life: it nearly stands still until all of that is deleted by records in the log, and goes
/// back then. (It does not stand quite still: frames carry it, and one that never repeats itself tells frames apart.)
///
/// A slave's follows the master's clock as carried in the frames, whatever its own wall clock says. A frame that was under way
/// for long carries an old clock; that is no reason to go back. The newest of some seconds counts, unless the clock in the
/// frames itself went back.
///
/// Pure: all times are arguments. Owned by the node, under a mutex.
package struct ExpiryClock: Hashable, Sendable {
  /// Time passes so many times slower while the clock waits.
  private static let waitingSlowness: UInt64 = 50
  /// Clocks are read one after the other, in whole milliseconds.
  private static let toleranceMilliseconds: Int64 = 2
  /// Keys are deleted so much before their time while the clock waits, so that the clock does not run away meanwhile.
  private static let reclaimedAheadMilliseconds: UInt64 = 40
  private static let windowMilliseconds: UInt64 = 5000

  private struct Wait: Hashable {
    var since: Tick
    var at: UInt64
  }
  /// Clock minus monotonic clock.
  package private(set) var offset: Int64
  private var wait: Wait?
  // Of a slave: the clock in the newest frame, and the highest offsets of this window of time and of the one before.
  private var heard: WallClock?
  private var windowBegan = Tick(milliseconds: 0)
  private var best: Int64 = .min
  private var bestBefore: Int64 = .min

  package init(wall: WallClock, now: Tick) { offset = Self.difference(wall, now) }

  private static func difference(_ clock: WallClock, _ now: Tick) -> Int64 {
    Int64(clamping: clock.milliseconds) &- Int64(clamping: now.milliseconds)
  }

  /// The clock does not pass this before the next change; the highest number if it runs freely.
  package func limit(now: Tick) -> UInt64 {
    wait.map { $0.at + now.since($0.since) / Self.waitingSlowness } ?? .max
  }

  package func read(now: Tick) -> WallClock {
    let free = Int64(clamping: now.milliseconds) &+ offset
    return WallClock(milliseconds: min(UInt64(max(0, free)), limit(now: now)))
  }

  // MARK: A master's

  /// The node is master, and this is its wall clock.
  package mutating func look(_ wall: WallClock, now: Tick) {
    heard = nil
    let clock = read(now: now)
    let ahead = Int64(clamping: clock.milliseconds) &- Int64(clamping: wall.milliseconds)
    if wait != nil {
      if ahead <= 0 { follow(wall, exactly: now) }
    } else if ahead > Self.toleranceMilliseconds {
      wait = Wait(since: now, at: clock.milliseconds)
    } else if ahead < -Self.toleranceMilliseconds {
      follow(wall, exactly: now)
    }
  }

  /// Set while the clock waits: when every key that expires up to here is deleted for good, say so by `reclaimed`.
  package func waitsForDeletion(now: Tick) -> WallClock? {
    guard wait != nil else { return nil }
    return WallClock(milliseconds: read(now: now).milliseconds + Self.reclaimedAheadMilliseconds)
  }

  /// Every key that expires up to `clock` is deleted, and that cannot be undone.
  package mutating func reclaimed(upTo clock: WallClock, wall: WallClock, now: Tick) {
    guard wait != nil, read(now: now) <= clock else { return }
    follow(wall, exactly: now)
  }

  private mutating func follow(_ clock: WallClock, exactly now: Tick) {
    offset = Self.difference(clock, now)
    wait = nil
  }

  // MARK: A slave's

  /// The master's clock in a frame.
  package mutating func follow(_ clock: WallClock, now: Tick) {
    let candidate = Self.difference(clock, now)
    let wentBack = heard.map { clock < $0 } ?? true
    heard = clock
    wait = nil
    if wentBack {
      (best, bestBefore, windowBegan) = (candidate, .min, now)
    } else {
      if now.since(windowBegan) >= Self.windowMilliseconds { (best, bestBefore, windowBegan) = (.min, best, now) }
      best = max(best, candidate)
    }
    offset = max(best, bestBefore)
  }

  /// How far the master's clock is ahead of this node's wall clock; nil if this node follows none.
  package func masterIsAhead(of wall: WallClock, now: Tick) -> Int64? {
    heard == nil ? nil : Int64(clamping: read(now: now).milliseconds) &- Int64(clamping: wall.milliseconds)
  }
}

/// Tells when the clocks of two nodes have parted, and when they have met again: at a promotion the new master's decides what
/// has expired.
package struct ClockComparison: Hashable, Sendable {
  package static let warningMilliseconds: UInt64 = 1000
  /// For so long: what was under way for a second looks like a difference of one.
  static let lastsMilliseconds: UInt64 = 3000
  package private(set) var isWarned = false
  private var apartSince: Tick?
  package init() {}

  package enum Change: Hashable, Sendable { case parted, met }

  /// - Returns: what is to be said now.
  package mutating func note(_ milliseconds: Int64?, now: Tick) -> Change? {
    guard let milliseconds, milliseconds.magnitude > Self.warningMilliseconds else {
      apartSince = nil
      return milliseconds.flatMap { near($0) }
    }
    let since = apartSince ?? now
    apartSince = since
    guard !isWarned, now.since(since) >= Self.lastsMilliseconds else { return nil }
    isWarned = true
    return .parted
  }

  private mutating func near(_ milliseconds: Int64) -> Change? {
    // Not at the same value: one that moves around it would be told again and again.
    if milliseconds.magnitude < Self.warningMilliseconds * 3 / 4, isWarned {
      isWarned = false
      return .met
    }
    return nil
  }
}
