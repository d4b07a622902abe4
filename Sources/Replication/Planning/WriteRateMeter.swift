import Core

/// How fast clients write just now: what the planner expects to come during a sync. Forgets a burst within a second
/// after its end.
///
/// Owned by whoever measures: `sample` whenever `wantsSample` says so (a second may pass between), `rate` when a plan is
/// made.
package struct WriteRateMeter: Hashable, Sendable {
  package struct Totals: Hashable, Sendable {
    package var records: UInt64
    package var bytes: UInt64
    package init(records: UInt64, bytes: UInt64) {
      self.records = records
      self.bytes = bytes
    }
  }
  private struct Sample: Hashable {
    var totals: Totals
    var at: Tick
  }
  /// Newest last.
  private var samples: [Sample] = []
  /// A shorter time tells of one batch of commands, not of a rate.
  private static let shortMilliseconds: UInt64 = 200
  private static let longMilliseconds: UInt64 = 1000
  private static let samplesMax = 8

  package init() {}

  package func wantsSample(now: Tick) -> Bool {
    samples.last.map { now.since($0.at) >= Self.shortMilliseconds } ?? true
  }

  package mutating func sample(_ totals: Totals, now: Tick) {
    // Another store with another count: what was measured says nothing about it.
    if let last = samples.last, totals.records < last.totals.records || totals.bytes < last.totals.bytes {
      samples = []
    }
    samples.append(Sample(totals: totals, at: now))
    if samples.count > Self.samplesMax { samples.removeFirst() }
  }

  /// Records and bytes per second. The lower of the rates over the last second and over its end: what
  /// has stopped is not expected to go on. 0 while nothing was measured.
  package func rate(_ totals: Totals, now: Tick) -> (recordsPerSecond: UInt64, bytesPerSecond: UInt64) {
    func since(_ age: UInt64) -> (UInt64, UInt64)? {
      guard let sample = samples.last(where: { now.since($0.at) >= age }) else { return nil }
      let elapsed = now.since(sample.at)
      func rate(_ new: UInt64, _ old: UInt64) -> UInt64 {
        let (product, overflow) = (new > old ? new - old : 0).multipliedReportingOverflow(by: 1000)
        return (overflow ? .max : product) / max(1, elapsed)
      }
      return (rate(totals.records, sample.totals.records), rate(totals.bytes, sample.totals.bytes))
    }
    guard let short = since(Self.shortMilliseconds) else { return (0, 0) }
    guard let long = since(Self.longMilliseconds) else { return short }
    return (min(short.0, long.0), min(short.1, long.1))
  }
}
