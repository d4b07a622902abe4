import Core

/// Limits a byte rate. Pure: time comes in as ticks. Lets one take pass while anything is left and goes into debt for
/// it, so that a piece larger than the burst still passes and the long-run rate holds.
package struct TokenBucket: Hashable, Sendable {
  /// 0 = no limit.
  package private(set) var bytesPerSecond: UInt64
  /// Thousandths of a byte, so that slow rates lose nothing to rounding at 1 ms ticks.
  private var milliBytes: Int64
  private var filledAt: Tick
  private static let bytesPerSecondMax: UInt64 = 1 << 40

  /// - Parameter now: the bucket starts with a tenth of a second's bytes in it.
  package init(bytesPerSecond: UInt64, now: Tick) {
    self.bytesPerSecond = min(bytesPerSecond, Self.bytesPerSecondMax)
    filledAt = now
    milliBytes = 0
    milliBytes = burst
  }

  /// A tenth of a second's worth.
  private var burst: Int64 { Int64(bytesPerSecond) * 100 }

  package mutating func setRate(bytesPerSecond: UInt64, now: Tick) {
    fill(now)
    self.bytesPerSecond = min(bytesPerSecond, Self.bytesPerSecondMax)
    milliBytes = min(milliBytes, burst)
  }

  private mutating func fill(_ now: Tick) {
    let elapsed = Int64(min(now.since(filledAt), 10_000_000))
    filledAt = max(filledAt, now)
    let (gained, overflow) = elapsed.multipliedReportingOverflow(by: Int64(bytesPerSecond))
    let (sum, overflow2) = milliBytes.addingReportingOverflow(gained)
    milliBytes = overflow || overflow2 ? burst : min(burst, sum)
  }

  /// 0 if something may be sent now, else in how many milliseconds.
  package mutating func waitMilliseconds(now: Tick) -> UInt64 {
    guard bytesPerSecond > 0 else { return 0 }
    fill(now)
    guard milliBytes <= 0 else { return 0 }
    return UInt64(-milliBytes) / bytesPerSecond + 1
  }

  package mutating func take(bytes: Int, now: Tick) {
    guard bytesPerSecond > 0 else { return }
    fill(now)
    milliBytes -= Int64(clamping: bytes) * 1000
  }
}
