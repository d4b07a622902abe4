import Core

/// Collects what samples of some bytes compress to, as a sum that counts each kind of bytes as often as there are bytes of
/// it. For the estimate of a sync when no finished one has measured the ratio.
package struct SampledRatio: Hashable, Sendable {
  private var weighted = 0.0
  private var weight = 0.0

  package init() {}

  /// - Parameters:
  ///   - totalBytes: how many bytes the sample stands for.
  ///   - sampleBytes: 0 = there was nothing to sample: they count as bytes that do not shrink.
  package mutating func add(totalBytes: UInt64, sampleBytes: Int, compressedBytes: Int) {
    let ratio = sampleBytes > 0 ? min(1, Double(compressedBytes) / Double(sampleBytes)) : 1
    weighted += Double(totalBytes) * ratio
    weight += Double(totalBytes)
  }

  /// nil when nothing was added.
  package var value: Double? { weight > 0 ? weighted / weight : nil }

  /// Places of `count` samples of `bytes` each, spread evenly over `total` bytes; fewer when they would overlap.
  package static func offsets(total: UInt64, bytes: UInt64, count: Int) -> [UInt64] {
    guard total > bytes, count > 1 else { return total > 0 ? [0] : [] }
    let places = min(UInt64(count), max(1, total / bytes))
    guard places > 1 else { return [(total - bytes) / 2] }
    return (0..<places).map { (total - bytes) / (places - 1) * $0 }
  }
}
