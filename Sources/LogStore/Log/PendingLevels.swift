import Core

/// Which commit level a record asks for: when it counts as good. In the record's flags.
///
/// There is no order among them: `fullsync:2` of three nodes asks for more disks than `quorum`, and `quorum` for other ones.
/// Where several levels hold for a record, it is good when it is good at each: `joined`.
public enum RecordLevel: UInt8, Sendable, CaseIterable {
  /// Durable on the master.
  case async = 0
  /// Durable on the master and on as many slaves as it is set to wait for.
  case fullsync = 1
  /// Durable on the master and on a majority of the voters.
  case quorum = 2
  /// As `fullsync` and as `quorum`.
  case both = 3

  /// What is good at both levels. The raw values are bits.
  @inlinable @inline(__always)
  public func joined(_ other: RecordLevel) -> RecordLevel {
    RecordLevel(rawValue: rawValue | other.rawValue).unsafelyUnwrapped
  }
  @inlinable @inline(__always)
  public func joined(_ other: RecordLevel?) -> RecordLevel {
    if let other { joined(other) } else { self }
  }
  @inlinable public var asksQuorum: Bool { rawValue & 2 != 0 }
  /// As it stands in a record's flags.
  @inlinable @inline(__always) public var flags: UInt8 { rawValue << 2 }
}

/// The commit levels of the records at the end of the log that may not be good yet, as runs of equal level.
///
/// The last run is open: it reaches to the end of the log, so appending costs nothing here. There are at most as many
/// runs as records that are not good. Kept by the store, under the write lock.
///
/// Invariants: `good` and the ends of the closed runs rise strictly; neighbours differ in level.
package struct PendingLevels: Sendable {
  package struct Run: Equatable, Sendable {
    /// LSN of its last record.
    package var upTo: LSN
    package var level: RecordLevel
  }
  /// Everything up to here is good at its level.
  package private(set) var good: LSN
  /// The level of what is appended next.
  package private(set) var level: RecordLevel
  private var closed: [Run] = []
  /// Index of the first closed run that is not good as a whole; those before it are removed now and then.
  private var first = 0
  /// How many closed runs there are from `first` on, by level.
  private var counts = [0, 0, 0, 0]

  /// - Parameter good: everything up to here is known to be good.
  package init(good: LSN = .none, level: RecordLevel = .async) {
    self.good = good
    self.level = level
  }

  /// Where the open run begins: behind this LSN.
  private var openAfter: LSN { first < closed.count ? closed[closed.count - 1].upTo : good }
  /// The closed runs and their levels; for tests and messages.
  package var runs: ArraySlice<Run> { closed[first...] }

  /// What is appended from now on has this level.
  /// - Parameter last: the last LSN of the log. O(1).
  package mutating func change(to next: RecordLevel, after last: LSN) {
    guard next != level else { return }
    if last > openAfter {
      closed.append(Run(upTo: last, level: level))
      count(level, 1)
    } else if first < closed.count, closed[closed.count - 1].level == next {
      // Nothing was appended in between: the run before goes on.
      closed.removeLast()
      count(next, -1)
    }
    level = next
  }

  /// The highest LSN such that every record up to it is good at its own level. Never goes back. O(runs that are done).
  package mutating func committable(last: LSN, durable: LSN, fullsync: LSN, quorum: LSN) -> LSN {
    func bound(_ level: RecordLevel) -> LSN {
      switch level {
      case .async: durable
      case .fullsync: min(durable, fullsync)
      case .quorum: min(durable, quorum)
      case .both: min(durable, min(fullsync, quorum))
      }
    }
    while first < closed.count {
      let run = closed[first]
      let reached = bound(run.level)
      guard reached >= run.upTo else {
        good = max(good, reached)
        return good
      }
      good = run.upTo
      count(run.level, -1)
      first += 1
      if first == closed.count {
        closed.removeAll(keepingCapacity: first <= 64)
        first = 0
      } else if first >= 64, first * 2 >= closed.count {
        closed.removeFirst(first)
        first = 0
      }
    }
    good = max(good, min(bound(level), last))
    return good
  }

  /// How far other nodes may have the log before this disk does: up to the next `async` record behind `durable`. That one is
  /// good by being on this disk, and whoever holds it takes it for good after a restart. O(closed runs).
  package func sendable(last: LSN, durable: LSN) -> LSN {
    var end = durable
    for run in closed[first...] where run.upTo > end {
      guard run.level != .async else { return end }
      end = run.upTo
    }
    return level != .async ? max(end, last) : end
  }

  /// What the records that are not good ask for together; `async` if there is none. O(1).
  package func pending(last: LSN) -> RecordLevel {
    var all = last > openAfter ? level : .async
    for level in RecordLevel.allCases where counts[Int(level.rawValue)] > 0 { all = all.joined(level) }
    return all
  }

  private mutating func count(_ level: RecordLevel, _ change: Int) { counts[Int(level.rawValue)] += change }
}
