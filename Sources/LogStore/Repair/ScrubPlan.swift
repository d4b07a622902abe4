import Core

/// Which sealed file is read and checked next. Pure: time comes in as ticks.
///
/// Every file is due once an interval. Those that are met for the first time are spread over the interval, so that a start does not
/// begin with reading everything.
public struct ScrubPlan: Sendable {
  /// How long a round over all files may take, in milliseconds; 0 = nothing is ever due.
  public var intervalMilliseconds: UInt64
  private var dueAt: [LogFileName: Tick] = [:]

  /// A check never reads faster than this when nobody waits for it, and never slower than the other.
  public static let bytesPerSecondMax: UInt64 = 64 << 20
  public static let bytesPerSecondMin: UInt64 = 1 << 20

  public init(intervalMilliseconds: UInt64) { self.intervalMilliseconds = intervalMilliseconds }

  /// The file that is due longest; nil when none is.
  public mutating func next(_ files: [(name: LogFileName, bytes: Int)], now: Tick) -> LogFileName? {
    let present = Set(files.map(\.name))
    dueAt = dueAt.filter { present.contains($0.key) }
    guard intervalMilliseconds > 0 else {
      dueAt = [:]
      return nil
    }
    let fresh = files.filter { dueAt[$0.name] == nil }
    for (position, file) in fresh.enumerated() {
      dueAt[file.name] = now.advanced(by: intervalMilliseconds / UInt64(fresh.count) * UInt64(position + 1))
    }
    let latest = now.advanced(by: intervalMilliseconds)
    let first = files.map(\.name).min { (dueAt[$0] ?? now, $0) < (dueAt[$1] ?? now, $1) }
    // A shorter interval counts at once.
    for (name, due) in dueAt where due > latest { dueAt[name] = latest }
    guard let first, let due = dueAt[first], due <= now else { return nil }
    return first
  }

  /// The file was checked.
  public mutating func checked(_ name: LogFileName, now: Tick) {
    dueAt[name] = now.advanced(by: intervalMilliseconds)
  }

  /// How fast to read, so that a round over so many bytes takes a quarter of the interval at most.
  public func bytesPerSecond(totalBytes: Int) -> UInt64 {
    let seconds = max(1, intervalMilliseconds / 4000)
    return min(Self.bytesPerSecondMax, max(Self.bytesPerSecondMin, UInt64(max(0, totalBytes)) / seconds))
  }
}
