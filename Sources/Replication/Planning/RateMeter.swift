import Core

/// How fast bytes flow, smoothed over a few seconds, and when the rest will be through.
package struct RateMeter: Hashable, Sendable {
  private var measuredAt: Tick
  private var measuredBytes: UInt64
  package private(set) var bytesPerSecond: UInt64 = 0
  private static let intervalMilliseconds: UInt64 = 1000

  package init(now: Tick, bytesDone: UInt64) {
    measuredAt = now
    measuredBytes = bytesDone
  }

  /// True once a second, when there is something new to report.
  package mutating func measure(bytesDone: UInt64, now: Tick) -> Bool {
    let elapsed = now.since(measuredAt)
    guard elapsed >= Self.intervalMilliseconds else { return false }
    let moved = bytesDone > measuredBytes ? bytesDone - measuredBytes : 0
    let latest = moved.multipliedReportingOverflow(by: 1000)
    let rate = (latest.overflow ? .max : latest.partialValue) / elapsed
    bytesPerSecond = bytesPerSecond == 0 ? rate : bytesPerSecond / 4 * 3 + rate / 4
    measuredAt = now
    measuredBytes = bytesDone
    return true
  }

  /// nil if nothing flows.
  package func etaMilliseconds(bytesLeft: UInt64) -> UInt64? {
    guard bytesPerSecond > 0 else { return bytesLeft == 0 ? 0 : nil }
    return UInt64(min(Double(bytesLeft) / Double(bytesPerSecond) * 1000, 1e15))
  }
}
