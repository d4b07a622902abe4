import Core

/// Chooses what to compact next. Pure: figures of all pieces in, a run of neighbours out.
///
/// A run must be worth its cost: it frees at least `leastGain` of what it writes, so for every byte that clients write at
/// most 1 / `leastGain` bytes are rewritten, whatever the load, and `leastFreedBytes`, so that a trickle of writes is no
/// reason for one run after the other. What no run can free (raw log that is held for somebody,
/// the newest segments in memory, reserved space) is never the reason for one.
public enum CompactionPlanner {
  /// One piece of the log, in the order of the log.
  public struct Piece: Equatable, Sendable {
    public var bytes: Int
    /// Bytes of records that the index points at.
    public var liveBytes: Int
    /// Bytes of tombstones and catalog records.
    public var keptBytes: Int
    /// Sealed, settled, in no pin, undamaged.
    public var isEligible: Bool
    public var lastLSN: LSN
    /// No record in it is dead because of a record up to here: tombstones up to here in younger pieces need it no more.
    public var cleanUpTo: LSN
    public init(
      bytes: Int, liveBytes: Int, keptBytes: Int = 0, isEligible: Bool = true, lastLSN: LSN = .none,
      cleanUpTo: LSN = .none
    ) {
      self.bytes = bytes
      self.liveBytes = liveBytes
      self.keptBytes = keptBytes
      self.isEligible = isEligible
      self.lastLSN = lastLSN
      self.cleanUpTo = cleanUpTo
    }
  }

  public struct Policy: Equatable, Sendable {
    /// Bytes on disk beyond the live ones, for every live byte, that are allowed.
    public var garbageRatio: Double
    /// Largest file to make.
    public var fileBytesMax: Int
    /// Index files: they shrink with the log.
    public var indexBytes: Int
    /// What the disk holds besides, whatever is compacted: reserved space, replaced files on their way out.
    public var reservedBytes: Int
    /// A rewritten piece is clean up to now. Not so while a slave is far behind: then rewriting pieces for the sake of
    /// tombstones elsewhere would have to be done again.
    public var cleansForTombstones: Bool
    /// Rewrites everything that has something to free, whatever the ratio.
    public var forced: Bool
    public init(
      garbageRatio: Double, fileBytesMax: Int, indexBytes: Int = 0, reservedBytes: Int = 0,
      cleansForTombstones: Bool = true, forced: Bool = false
    ) {
      self.garbageRatio = garbageRatio
      self.fileBytesMax = fileBytesMax
      self.indexBytes = indexBytes
      self.reservedBytes = reservedBytes
      self.cleansForTombstones = cleansForTombstones
      self.forced = forced
    }
    /// A run frees at least this part of what it writes,
    public var leastGain: Double { CompactionPlanner.leastGarbage * garbageRatio * 0.9 }
    /// and at least so many bytes.
    public var leastFreedBytes: Int { fileBytesMax / 32 }
  }

  /// Work begins at this part of the allowed garbage: what clients overwrite meanwhile fills the rest.
  static let beginsAt = 0.8
  /// What no compaction can free makes it begin earlier, but not below this part.
  static let beginsAtLeast = 0.5
  /// However large the index files are: below this part of the allowed garbage, rewriting costs more than space is worth.
  static let leastGarbage = 0.3
  /// So many neighbours that fit into one file are merged.
  static let smallNeighbours = 4
  /// So many ends are tried when pieces are rewritten for the sake of tombstones.
  private static let endsTried = 32

  /// The next run, nil when nothing is worth doing. O(pieces).
  public static func choose(_ pieces: [Piece], _ policy: Policy) -> Range<Int>? {
    let survey = Survey(pieces, policy)
    if policy.forced {
      // From the oldest on: tombstones in younger pieces can go when older ones are clean.
      if let oldest = pieces.indices.first(where: { pieces[$0].isEligible && survey.freed[$0] > 0 }) {
        return extended(oldest, survey, policy) { _ in false }
      }
    } else if Double(survey.freeable) > survey.allowed(policy), let run = best(survey, policy) {
      return run
    }
    return smallRun(pieces, policy)
  }

  /// What the pieces are made of, and what a rewrite of each would leave.
  private struct Survey {
    let pieces: [Piece]
    /// What a rewritten file would have, and what would be gone.
    var rewritten: [Int] = []
    var freed: [Int] = []
    /// Eligible pieces with tombstones that go when older pieces are clean, and these can be cleaned.
    var waiting: [Int] = []
    var live = 0
    /// What runs can free, with the tombstones of `waiting`.
    var freeable = 0
    /// What is dead in pieces that cannot be rewritten now.
    var held = 0

    init(_ pieces: [Piece], _ policy: Policy) {
      self.pieces = pieces
      var olderAreCleanUpTo = LSN(.max)
      var olderCanBeCleanUpTo = LSN(.max)
      for (index, piece) in pieces.enumerated() {
        let tombstonesGo = piece.lastLSN <= olderAreCleanUpTo
        let left = piece.liveBytes + (tombstonesGo ? 0 : piece.keptBytes)
        rewritten.append(left)
        freed.append(max(0, piece.bytes - left))
        live += piece.liveBytes
        if piece.isEligible {
          freeable += freed[index]
          if !tombstonesGo, piece.keptBytes > 0, piece.lastLSN <= olderCanBeCleanUpTo, policy.cleansForTombstones {
            waiting.append(index)
            freeable += piece.keptBytes
          }
        } else {
          held += max(0, piece.bytes - piece.liveBytes)
          olderCanBeCleanUpTo = min(olderCanBeCleanUpTo, piece.cleanUpTo)
        }
        olderAreCleanUpTo = min(olderAreCleanUpTo, piece.cleanUpTo)
      }
    }

    /// So much may stay.
    func allowed(_ policy: Policy) -> Double {
      let share = policy.garbageRatio * Double(live)
      let index = Double(policy.indexBytes)
      return max(
        beginsAt * share - index - Double(policy.reservedBytes + held), beginsAtLeast * share - index,
        leastGarbage * share, Double(policy.leastFreedBytes))
    }

    /// Must be rewritten before the tombstones of piece `end` can go.
    func stands(_ index: Int, before end: Int) -> Bool {
      index == end || pieces[index].cleanUpTo < pieces[end].lastLSN
    }
  }

  /// What frees the most per byte rewritten: one piece; or all older pieces that keep tombstones from going, the oldest
  /// first. nil if nothing frees enough.
  private static func best(_ survey: Survey, _ policy: Policy) -> Range<Int>? {
    let pieces = survey.pieces
    var best: (start: Int, end: Int?, gain: Double)?
    func offer(_ start: Int, _ end: Int?, freed: Int, rewritten: Int) {
      guard freed >= policy.leastFreedBytes else { return }
      let gain = Double(freed) / Double(max(1, rewritten))
      if gain >= policy.leastGain, gain > best?.gain ?? 0 { best = (start, end, gain) }
    }
    for index in pieces.indices where pieces[index].isEligible {
      offer(index, nil, freed: survey.freed[index], rewritten: survey.rewritten[index])
    }
    let step = max(1, survey.waiting.count / endsTried)
    let tried = stride(from: survey.waiting.count - 1, through: 0, by: -step).map { survey.waiting[$0] }
    for end in tried {
      var (freed, rewritten, start) = (0, 0, end)
      for index in (0...end).reversed() where survey.stands(index, before: end) {
        freed += max(0, pieces[index].bytes - pieces[index].liveBytes)
        rewritten += pieces[index].liveBytes
        start = index
      }
      offer(start, end, freed: freed, rewritten: rewritten)
    }
    guard let best else { return nil }
    return extended(best.start, survey, policy) { index in
      best.end.map { index <= $0 && survey.stands(index, before: $0) } ?? false
    }
  }

  /// Takes neighbours along that are worth it and still fit into one file.
  private static func extended(
    _ start: Int, _ survey: Survey, _ policy: Policy, isDueAnyway: (Int) -> Bool
  ) -> Range<Int> {
    var range = start..<start + 1
    var size = survey.rewritten[start]
    var freed = survey.freed[start]
    func take(_ index: Int) -> Bool {
      let piece = survey.pieces[index]
      let (left, gone) = (survey.rewritten[index], survey.freed[index])
      guard piece.isEligible, size + left <= policy.fileBytesMax else { return false }
      let isWorth = Double(gone) >= max(policy.leastGain, policy.forced ? 0.3 : 0) * Double(left) && gone > 0
      // A small one is merged if the run as a whole stays worth it.
      let isSmall = piece.bytes * 4 <= policy.fileBytesMax
      let isCarried = policy.forced || Double(freed + gone) >= policy.leastGain * Double(size + left)
      guard isDueAnyway(index) || isWorth || isSmall && isCarried else { return false }
      size += left
      freed += gone
      return true
    }
    while range.upperBound < survey.pieces.count, take(range.upperBound) {
      range = range.lowerBound..<range.upperBound + 1
    }
    while range.lowerBound > 0, take(range.lowerBound - 1) { range = range.lowerBound - 1..<range.upperBound }
    return range
  }

  /// The first run of neighbours that together fill less than a file. None of them is larger than the others together: a
  /// byte is merged only into a file of twice the size, so not often.
  private static func smallRun(_ pieces: [Piece], _ policy: Policy) -> Range<Int>? {
    let least = policy.forced ? 2 : smallNeighbours
    var start = 0
    while start < pieces.count {
      var end = start
      var (size, largest) = (0, 0)
      while end < pieces.count, pieces[end].isEligible, pieces[end].bytes * 2 <= policy.fileBytesMax,
        size + pieces[end].bytes <= policy.fileBytesMax
      {
        size += pieces[end].bytes
        largest = max(largest, pieces[end].bytes)
        end += 1
      }
      if end - start >= least {
        if policy.forced || largest * 2 <= size { return start..<end }
        start += 1
      } else {
        start = max(start + 1, end)
      }
    }
    return nil
  }
}
