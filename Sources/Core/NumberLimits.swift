// How large numbers may be that come from outside: from a client, from another node, from a file. Each kind is bounded here,
// and read nowhere without it. Below the bounds no sum, difference or conversion of two of them can overflow; what adds to
// them stops at the end of its range instead of trapping.

extension Term {
  /// The largest term that a node takes from outside or begins. Terms rise by one a reign: nobody gets here in a lifetime,
  /// and what lies above it stays free, so that a directory which an older version let rise further can still be read.
  public static let limit = Term(4_000_000_000)
  /// How far a term may lie beyond the newest known one when nothing but a message says so. What the log's own history or
  /// the votes of a majority say is taken at any distance.
  public static let unprovenDistance: UInt32 = 1 << 20

  /// nil beyond the limit.
  public init?(outside value: UInt64) {
    guard value <= UInt64(Self.limit.value) else { return nil }
    self.init(UInt32(value))
  }
  public var isWithinLimit: Bool { self <= Self.limit }
  /// The term so many after this one; stops at the largest number there is.
  public func advanced(by count: UInt32 = 1) -> Term {
    let (sum, overflow) = value.addingReportingOverflow(count)
    return Term(overflow ? .max : sum)
  }
  /// Whether a node that knows this term may hear of `other` without proof.
  public func isNear(_ other: Term) -> Bool {
    other <= self || other.value - value <= Self.unprovenDistance
  }
}

extension LSN {
  /// So many records are never written; every conversion to a signed number is safe.
  public static let limit = LSN(1 << 62)
  /// nil beyond the limit.
  public init?(outside value: UInt64) {
    guard value <= Self.limit.value else { return nil }
    self.init(value)
  }
}

extension WallClock {
  /// The end of the year 9999.
  public static let limit = WallClock(milliseconds: 253_402_300_799_999)
  /// nil beyond the limit.
  public init?(outside milliseconds: UInt64) {
    guard milliseconds <= Self.limit.milliseconds else { return nil }
    self.init(milliseconds: milliseconds)
  }
}

/// Sizes, counts and durations that have no type of their own.
public enum OutsideNumber {
  public static let limit: UInt64 = 1 << 62
}
