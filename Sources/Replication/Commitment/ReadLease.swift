import Core

/// Until when a master may be sure that no other one was made, so that what it shows is the newest there is.
///
/// A voter that hears its master promises it `promiseMilliseconds`: so long it gives no vote to another, not even its
/// own (Raft's thesis, section 6.4.1). The master counts from when it *sent* what a majority of the voters has heard; the
/// difference of the two times is what clocks may run apart. Orders of an operator (PROMOTE FORCE) and of the
/// master itself (FAILOVER, before which it gives the lease up) pass over the promise.
package enum ReadLease {
  package static let milliseconds: UInt64 = 1500
  package static let promiseMilliseconds: UInt64 = 2000

  /// - Parameter heard: for each voter, when the newest that it has heard was sent.
  /// - Returns: the first moment that is not covered; nil if this node alone is the majority.
  package static func end(_ heard: [NodeID: Tick], voters: VoterList, own: NodeID) -> Tick? {
    let needed = voters.majority - (voters.ids.contains(own) ? 1 : 0)
    guard !voters.ids.isEmpty, needed > 0 else { return nil }
    let sent = voters.ids.compactMap { $0 == own ? nil : heard[$0] }.sorted(by: >)
    guard sent.count >= needed else { return Tick(milliseconds: 0) }
    return sent[needed - 1].advanced(by: milliseconds)
  }

  /// How long a voter still keeps its promise, 0 if it has none to keep.
  /// - Parameter since: when it last heard its master, or was started: before that it may have heard it.
  package static func promiseLeft(since: Tick, now: Tick) -> UInt64 {
    let passed = now.since(since)
    return passed < promiseMilliseconds ? promiseMilliseconds - passed : 0
  }
}

/// Which moment a clock value belongs to that comes back from a slave: frames carry the clock that decides expiry, which may
/// go forward and back by any amount, and a lease counts on the monotonic one. Never too late a moment.
///
/// Acks come back in the order of the frames: what one names was sent no earlier than what the one before it named. So
/// a clock that was carried twice belongs to the first of both moments that is not behind the last answer.
package struct SentClocks: Hashable, Sendable {
  /// From `at` on frames carried clocks from `clock` to `upTo`.
  private struct Mark: Hashable {
    var clock: WallClock
    var upTo: WallClock
    var at: Tick
  }
  private static let resolutionMilliseconds: UInt64 = 20
  private static let keptMilliseconds: UInt64 = 10_000
  private var marks: [Mark] = []
  /// The mark that the last answer named.
  private var answered = 0

  package init() {}

  /// Frames carry this clock from now on.
  package mutating func note(_ clock: WallClock, now: Tick) {
    if let last = marks.last, clock >= last.upTo, now.since(last.at) < Self.resolutionMilliseconds,
      clock.milliseconds - last.clock.milliseconds <= Self.resolutionMilliseconds
    {
      marks[marks.count - 1].upTo = clock
      return
    }
    marks.append(Mark(clock: clock, upTo: clock, at: now))
    guard now.since(marks[0].at) > Self.keptMilliseconds else { return }
    let gone = marks.firstIndex { now.since($0.at) <= Self.keptMilliseconds / 2 } ?? 0
    marks.removeFirst(gone)
    answered = max(0, answered - gone)
  }

  /// When a frame with this clock was sent at the earliest; nil if that is not known any more.
  package mutating func earliest(_ clock: WallClock) -> Tick? {
    guard let found = marks.indices[answered...].first(where: { marks[$0].clock <= clock && clock <= marks[$0].upTo })
    else { return nil }
    answered = found
    return marks[found].at
  }
}
