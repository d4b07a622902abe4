import Core

/// Chooses what to compact next. Pure: figures of all pieces in, a run of neighbours out.
public enum CompactionPlanner {
  /// One piece of the log, in the order of the log.
  public struct Piece: Equatable, Sendable {
    public var bytes: Int
    /// Bytes of records that the index points at.
    public var liveBytes: Int
    /// Bytes of tombstones and catalog records.
    public var keptBytes: Int
    /// The tombstones in it may go: all older pieces are clean up to it.
    public var tombstonesMayGo: Bool
    /// Sealed, settled, in no pin, undamaged.
    public var isEligible: Bool
    /// Dead records may be in it that older tombstone rules wait for.
    public var isClean: Bool
    public init(
      bytes: Int, liveBytes: Int, keptBytes: Int = 0, tombstonesMayGo: Bool = false, isEligible: Bool = true,
      isClean: Bool = false
    ) {
      self.bytes = bytes
      self.liveBytes = liveBytes
      self.keptBytes = keptBytes
      self.tombstonesMayGo = tombstonesMayGo
      self.isEligible = isEligible
      self.isClean = isClean
    }
    /// What a rewritten file would have.
    var rewritten: Int { liveBytes + (tombstonesMayGo ? 0 : keptBytes) }
    var freed: Int { max(0, bytes - rewritten) }
  }

  public struct Policy: Equatable, Sendable {
    /// Bytes on disk beyond the live ones, for every live byte, that are allowed.
    public var garbageRatio: Double
    /// Largest file to make.
    public var fileBytesMax: Int
    /// What the disk holds besides the pieces: index files, reserved space, replaced files on their way out.
    public var overheadBytes: Int
    /// Rewrites everything that has something to free, whatever the ratio.
    public var forced: Bool
    public init(garbageRatio: Double, fileBytesMax: Int, overheadBytes: Int = 0, forced: Bool = false) {
      self.garbageRatio = garbageRatio
      self.fileBytesMax = fileBytesMax
      self.overheadBytes = overheadBytes
      self.forced = forced
    }
  }

  /// Work begins at this part of the allowed garbage: what clients overwrite meanwhile fills the rest.
  static let beginsAt = 0.8
  /// However large the overhead is: below this part of the allowed garbage, rewriting costs more than space is worth.
  static let leastGarbage = 0.3
  /// Fewer bytes than this part of a file are not worth rewriting it on their own.
  static let leastFreed = 0.05
  /// So many neighbours that fit into one file are merged.
  static let smallNeighbours = 4

  /// The next run, nil when nothing is worth doing. O(pieces).
  public static func choose(_ pieces: [Piece], _ policy: Policy) -> Range<Int>? {
    let total = pieces.reduce(0) { $0 + $1.bytes }
    let live = pieces.reduce(0) { $0 + $1.liveBytes }
    let allowed = Double(live) * beginsAt * policy.garbageRatio - Double(policy.overheadBytes)
    let isOver = Double(total - live) > max(allowed, Double(live) * leastGarbage * policy.garbageRatio)
    if policy.forced || isOver {
      if let best = best(pieces, policy) { return extended(best, pieces, policy) }
      // What is left is tombstones: the oldest piece that is not clean keeps them.
      if isOver, let unclean = firstUnclean(pieces) { return unclean..<unclean + 1 }
    }
    return smallRun(pieces, policy)
  }

  /// The piece that frees the most per byte rewritten. By force the oldest that frees anything: tombstones in younger
  /// pieces can go when older ones are clean.
  private static func best(_ pieces: [Piece], _ policy: Policy) -> Int? {
    if policy.forced { return pieces.firstIndex { $0.isEligible && $0.freed > 0 } }
    var best: (index: Int, gain: Double)?
    for (index, piece) in pieces.enumerated() where piece.isEligible && piece.freed > 0 {
      guard Double(piece.freed) >= leastFreed * Double(piece.bytes) else { continue }
      let gain = Double(piece.freed) / Double(max(1, piece.rewritten))
      if gain > best?.gain ?? 0 { best = (index, gain) }
    }
    return best?.index
  }

  /// Takes neighbours along that are worth it and still fit into one file.
  private static func extended(_ start: Int, _ pieces: [Piece], _ policy: Policy) -> Range<Int> {
    var range = start..<start + 1
    var size = pieces[start].rewritten
    func fits(_ piece: Piece) -> Bool {
      let worth = piece.freed * 4 >= piece.bytes || piece.bytes * 4 <= policy.fileBytesMax
      return piece.isEligible && worth && size + piece.rewritten <= policy.fileBytesMax
    }
    while range.upperBound < pieces.count, fits(pieces[range.upperBound]) {
      size += pieces[range.upperBound].rewritten
      range = range.lowerBound..<range.upperBound + 1
    }
    while range.lowerBound > 0, fits(pieces[range.lowerBound - 1]) {
      size += pieces[range.lowerBound - 1].rewritten
      range = range.lowerBound - 1..<range.upperBound
    }
    return range
  }

  private static func firstUnclean(_ pieces: [Piece]) -> Int? {
    guard let tombstones = pieces.firstIndex(where: { $0.keptBytes > 0 && !$0.tombstonesMayGo }) else { return nil }
    return pieces[...tombstones].firstIndex { $0.isEligible && !$0.isClean && $0.bytes > $0.rewritten }
  }

  /// The longest run of neighbours that together fill less than a file.
  private static func smallRun(_ pieces: [Piece], _ policy: Policy) -> Range<Int>? {
    var start = 0
    while start < pieces.count {
      var end = start
      var size = 0
      while end < pieces.count, pieces[end].isEligible, pieces[end].bytes * 2 <= policy.fileBytesMax,
        size + pieces[end].bytes <= policy.fileBytesMax
      {
        size += pieces[end].bytes
        end += 1
      }
      if end - start >= (policy.forced ? 2 : smallNeighbours) { return start..<end }
      start = max(start + 1, end)
    }
    return nil
  }
}
