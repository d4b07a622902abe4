/// The buckets in which latencies are counted: 32 for every doubling, so a latency is known to a thirtieth. From 0 to a second;
/// what takes longer is counted in the last one, as Redis does.
enum LatencyScale {
  private static let stepsLog2 = 5
  private static let steps = 1 << stepsLog2
  private static let nanosecondsMax: UInt64 = 1 << 30 - 1
  static let bucketCount = (30 - stepsLog2 + 1) * steps

  static func bucket(of nanoseconds: UInt64) -> Int {
    let value = min(nanoseconds, nanosecondsMax)
    guard value >= UInt64(steps) else { return Int(value) }
    let exponent = UInt64.bitWidth - 1 - value.leadingZeroBitCount
    let step = Int(value >> UInt64(exponent - stepsLog2)) & (steps - 1)
    return (exponent - stepsLog2 + 1) * steps + step
  }

  /// The largest latency that a bucket counts, in nanoseconds.
  static func largest(in bucket: Int) -> UInt64 {
    guard bucket >= steps else { return UInt64(bucket) }
    let shift = UInt64(bucket / steps - 1)
    return (UInt64(bucket % steps + steps) + 1) << shift - 1
  }
}

/// How long the calls of a command took that were timed.
package struct Latencies: Sendable {
  private var buckets: [UInt64] = []
  private var total: UInt64 = 0

  package init() {}

  package var isEmpty: Bool { total == 0 }

  mutating func add(_ count: UInt64, at bucket: Int) {
    guard count > 0 else { return }
    if buckets.isEmpty { buckets = Array(repeating: 0, count: LatencyScale.bucketCount) }
    buckets[bucket] &+= count
    total &+= count
  }

  mutating func add(nanoseconds: UInt64) { add(1, at: LatencyScale.bucket(of: nanoseconds)) }

  /// What `percent` of 100 calls do not exceed, in nanoseconds; 0 if there are none.
  package func percentile(_ percent: Double) -> UInt64 {
    guard total > 0 else { return 0 }
    let wanted = max(1, UInt64((min(percent, 100) / 100 * Double(total)).rounded(.up)))
    var seen: UInt64 = 0
    for (i, count) in buckets.enumerated() {
      seen += count
      if seen >= wanted { return LatencyScale.largest(in: i) }
    }
    return LatencyScale.largest(in: LatencyScale.bucketCount - 1)
  }

  /// How many calls took at most so long, in Redis's steps: microseconds, each about twice the one before. A step that adds
  /// none is left out.
  ///
  /// - Parameter calls: how many there were, those not timed among them.
  package func distribution(of calls: UInt64) -> [(microseconds: UInt64, calls: UInt64)] {
    guard total > 0 else { return [] }
    var found: [(microseconds: UInt64, calls: UInt64)] = []
    var (seen, bucket, step) = (UInt64(0), 0, UInt64(0))
    while seen < total {
      // Redis's steps are 1024 ns and its doublings, to the end of the bucket of its histogram that they fall into.
      let end = 1024 << step + 8 << step - 1
      let before = seen
      while bucket < buckets.count, LatencyScale.largest(in: bucket) <= end || step > 30 {
        seen += buckets[bucket]
        bucket += 1
      }
      if seen > before {
        let share = seen == total ? calls : UInt64(Double(seen) / Double(total) * Double(calls))
        found.append((UInt64(end) / 1000, share))
      }
      step += 1
    }
    return found
  }
}
