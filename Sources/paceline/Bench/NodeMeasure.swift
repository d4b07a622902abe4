import Histogram
import PacelineClient

/// What was counted about one node, or about all.
struct NodeMeasure: Sendable {
  var reads: UInt64 = 0
  var writes: UInt64 = 0
  /// Reads that found their key; the other reads missed.
  var hits: UInt64 = 0
  /// Error replies, requests lost with their connection, and requests not sent for want of one.
  var errors: UInt64 = 0
  /// Nanoseconds from sending a batch to each reply; resolution a quarter of a microsecond or 0.1 %.
  var latency = Histogram<UInt64>(
    lowestDiscernibleValue: 256, highestTrackableValue: latencyMax, numberOfSignificantValueDigits: .three)

  static let latencyMax: UInt64 = 60_000_000_000

  var operations: UInt64 { reads + writes }
  var misses: UInt64 { reads - hits }

  mutating func add(_ other: NodeMeasure) {
    reads += other.reads
    writes += other.writes
    hits += other.hits
    errors += other.errors
    latency.add(other.latency)
  }

  /// The latency that this percentage of the replies did not exceed, in milliseconds as text; `-` without replies.
  func percentile(_ percentage: Double) -> String {
    latency.totalCount == 0 ? "-" : HumanText.millisecondsText(nanoseconds: latency.valueAtPercentile(percentage))
  }

  var maximum: String { latency.totalCount == 0 ? "-" : HumanText.millisecondsText(nanoseconds: latency.maxRecorded) }
}
