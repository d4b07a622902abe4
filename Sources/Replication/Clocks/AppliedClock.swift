import Core

/// Which master clock belongs to an applied LSN: the master's clock when it sent the newest frame applied here; and which
/// decides expiry here.
/// Bounded; when it is full, marks are merged towards the older clock, so that lag is never shown too small.
package struct AppliedClock: Hashable, Sendable {
  private struct Mark: Hashable {
    var lastLSN: LSN
    var clock: WallClock
  }
  private static let marksMax = 1024
  private static let resolutionMilliseconds: UInt64 = 10
  private var marks: [Mark] = []
  private var firstMark = 0
  package private(set) var applied = WallClock(milliseconds: 0)
  /// What decides expiry: the newest clock heard. One that went back counts when what the master deleted before it went back
  /// is applied here: it is what the higher clock had called expired.
  package private(set) var newest = WallClock(milliseconds: 0)
  private var lower: Mark?

  package init() {}

  /// A frame carried this clock; what the master had committed when it took it.
  package mutating func heard(_ clock: WallClock, committed: LSN, applied lsn: LSN) {
    if clock >= newest {
      newest = clock
      lower = nil
    } else {
      lower = Mark(lastLSN: min(committed, lower?.lastLSN ?? committed), clock: clock)
      reached(lsn)
    }
  }

  /// What is up to this LSN is applied, or is about to be.
  package mutating func reached(_ lsn: LSN) {
    guard let lower, lower.lastLSN <= lsn else { return }
    newest = lower.clock
    self.lower = nil
  }

  package mutating func received(upTo lsn: LSN, clock: WallClock) {
    if marks.count > firstMark, let last = marks.indices.last {
      let passed = clock.milliseconds &- marks[last].clock.milliseconds
      let isNear = clock >= marks[last].clock && passed < Self.resolutionMilliseconds
      if isNear || marks.count - firstMark >= Self.marksMax {
        marks[last].lastLSN = max(marks[last].lastLSN, lsn)
        marks[last].clock = min(marks[last].clock, clock)
        return
      }
    }
    marks.append(Mark(lastLSN: lsn, clock: clock))
  }

  package mutating func applied(upTo lsn: LSN) {
    reached(lsn)
    while firstMark < marks.count, marks[firstMark].lastLSN <= lsn {
      applied = marks[firstMark].clock
      firstMark += 1
    }
    if firstMark > 32, firstMark * 2 > marks.count {
      marks.removeFirst(firstMark)
      firstMark = 0
    }
  }
}
