import Core

/// Which compression suits the link of one sync: none where the link takes bytes faster than a processor compresses
/// them, zstd where the link is what everybody waits for. Decided anew from every run of chunks; pure, one per stream.
package struct LinkCompression: Hashable, Sendable {
  enum Level: Int, Hashable, Sendable { case none, light, dense }

  /// A link that is full at this rate is no slow link: the other side's processor is busy (about a gigabit per second).
  package static let fastLinkBytesPerSecond: UInt64 = 100_000_000
  package static let chunksPerDecision = 8
  /// For so many decisions a level at which a slow link was full is not tried again.
  package static let floorDecisions = 64

  private var light: CompressionChooser
  private var dense: CompressionChooser
  private var plain = CompressionChooser(method: .none)
  private(set) var level = Level.light
  private var floor = Level.none
  private var floorLeft = 0
  private let isRateLimited: Bool
  private var chunks = 0
  private var heldBack = 0
  private var wireBytes: UInt64 = 0
  private var since: Tick

  /// - Parameter isRateLimited: bytes are scarce by the operator's word (`--sync-rate`): always as dense as can be.
  package init(negotiated: Capabilities, isRateLimited: Bool = false, now: Tick) {
    light = CompressionChooser(negotiated: negotiated, preferRatio: false)
    dense = CompressionChooser(negotiated: negotiated, preferRatio: true)
    self.isRateLimited = isRateLimited
    since = now
    if isRateLimited { level = .dense }
  }

  /// The chooser for the next chunk; give it back changed.
  package var chooser: CompressionChooser {
    get {
      switch level {
      case .none: plain
      case .light: light
      case .dense: dense
      }
    }
    set {
      switch level {
      case .none: plain = newValue
      case .light: light = newValue
      case .dense: dense = newValue
      }
    }
  }

  /// A chunk was handed to the link.
  /// - Parameter linkIsFull: the socket took no more at that moment.
  package mutating func sent(wireBytes bytes: Int, linkIsFull: Bool, now: Tick) {
    chunks += 1
    heldBack += linkIsFull ? 1 : 0
    wireBytes &+= UInt64(bytes)
    guard chunks == Self.chunksPerDecision, !isRateLimited else { return }
    decide(rate: wireBytes.multipliedReportingOverflow(by: 1000).partialValue / max(1, now.since(since)))
    chunks = 0
    heldBack = 0
    wireBytes = 0
    since = now
  }

  private mutating func decide(rate: UInt64) {
    if floorLeft > 0 { floorLeft -= 1 } else { floor = .none }
    if heldBack * 2 >= chunks, rate < Self.fastLinkBytesPerSecond {
      level = Level(rawValue: min(level.rawValue + 1, Level.dense.rawValue)) ?? .dense
      floor = level
      floorLeft = Self.floorDecisions
    } else if heldBack == 0 {
      level = Level(rawValue: max(level.rawValue - 1, floor.rawValue)) ?? .none
    }
  }
}
