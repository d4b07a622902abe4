import Core

/// Which master clock belongs to an applied LSN: the master's clock when it sent the newest frame applied here.
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
  /// The newest clock seen; what decides expiry.
  package private(set) var newest = WallClock(milliseconds: 0)

  package init() {}

  package mutating func received(upTo lsn: LSN, clock: WallClock) {
    newest = max(newest, clock)
    if marks.count > firstMark, let last = marks.indices.last {
      let isNear = clock.milliseconds < marks[last].clock.milliseconds &+ Self.resolutionMilliseconds
      if isNear || marks.count - firstMark >= Self.marksMax {
        marks[last].lastLSN = max(marks[last].lastLSN, lsn)
        return
      }
    }
    marks.append(Mark(lastLSN: lsn, clock: clock))
  }

  package mutating func applied(upTo lsn: LSN) {
    while firstMark < marks.count, marks[firstMark].lastLSN <= lsn {
      applied = max(applied, marks[firstMark].clock)
      firstMark += 1
    }
    if firstMark > 32, firstMark * 2 > marks.count {
      marks.removeFirst(firstMark)
      firstMark = 0
    }
  }
}
