import Core
import LogStore

/// When the log is written and when it is flushed. Pure: one a node, owned by who commits.
///
/// With `fsync` every commit flushes, and takes everything that was appended while the last one ran: the commits make their own
/// batches. Otherwise the log is written about every millisecond and flushed after a pause.
/// Example with a pause of 1000 ms: records are written at 1, 2 and 3 ms; the commit at 1001 ms is the one that flushes.
package struct CommitSchedule: Sendable {
  package enum Step: Hashable, Sendable {
    case nothing
    case commit(flush: Bool)
    /// The log is quiet: a mark behind its last record says that all of it is on disk, so that damage there is told from a
    /// torn tail.
    case mark
  }

  private let durability: Durability
  /// How long written records may stay not flushed; nil: not at all.
  private let flushPause: UInt64?
  private var lastFlush: Tick
  private var isMarked = true

  private static let idleMilliseconds: UInt64 = 1000
  private static let fullDiskMilliseconds: UInt64 = 200
  /// So long what comes is gathered into one write, where writes are not waited for.
  private static let gatherMilliseconds: UInt64 = 1

  package init(_ durability: Durability, intervalMilliseconds: Int, now: Tick) {
    self.durability = durability
    flushPause = durability.flushPauseMilliseconds(interval: intervalMilliseconds)
    lastFlush = now
  }

  /// How long to wait for a wish before the next look.
  package func waitMilliseconds(_ log: LogProgress) -> UInt64 {
    guard let flushPause, log.isUnflushed else { return Self.idleMilliseconds }
    return min(Self.idleMilliseconds, max(1, flushPause / 2))
  }

  /// - Parameter isAsked: somebody wished for a commit since the last look.
  package mutating func next(_ log: LogProgress, isAsked: Bool, now: Tick) -> Step {
    let isFlushDue = flushPause.map { log.isUnflushed && now.since(lastFlush) >= $0 } ?? false
    guard log.isUnwritten || isFlushDue || log.isDiskFull else {
      guard !isAsked, !isMarked, durability == .fsync else { return .nothing }
      isMarked = true
      return .mark
    }
    isMarked = false
    return .commit(flush: durability == .fsync || isFlushDue)
  }

  /// A commit is done. Returns how long the next one waits at least, whoever asks for it.
  package mutating func done(flush: Bool, isBlocked: Bool, now: Tick) -> UInt64 {
    if flush { lastFlush = now }
    if isBlocked { return Self.fullDiskMilliseconds }
    return durability == .fsync ? 0 : Self.gatherMilliseconds
  }
}

/// How far a log is, as who commits it sees it.
package struct LogProgress: Hashable, Sendable {
  package var isUnwritten: Bool
  package var isUnflushed: Bool
  /// Where there is no room for a new segment, nothing may wait for it, and nothing new is let in: it is tried again.
  package var isDiskFull: Bool

  package init(isUnwritten: Bool = false, isUnflushed: Bool = false, isDiskFull: Bool = false) {
    self.isUnwritten = isUnwritten
    self.isUnflushed = isUnflushed
    self.isDiskFull = isDiskFull
  }

  package init(_ store: LogStore) {
    let positions = store.positions
    isUnwritten = positions.written < positions.appended
    isUnflushed = positions.durable < positions.appended
    isDiskFull = if case .noSpace? = store.writeRefusal { true } else { false }
  }
}
