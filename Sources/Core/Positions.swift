/// Log sequence number of a record: +1 per record. 0 means "none".
public struct LSN: Comparable, Hashable, Sendable, CustomStringConvertible {
  public var value: UInt64
  @inlinable public init(_ value: UInt64) { self.value = value }
  public static let none = LSN(0)
  @inlinable public static func < (a: LSN, b: LSN) -> Bool { a.value < b.value }
  /// The LSN after this one.
  @inlinable public var next: LSN { LSN(value &+ 1) }
  /// The LSN before this one; `none` stays `none`.
  @inlinable public var previous: LSN { LSN(value == 0 ? 0 : value &- 1) }
  public var description: String { String(value) }
}

/// +1 at every start or change of master. 0 means "none yet". See `Reign`.
public struct Term: Comparable, Hashable, Sendable, CustomStringConvertible {
  public var value: UInt32
  @inlinable public init(_ value: UInt32) { self.value = value }
  public static let none = Term(0)
  @inlinable public static func < (a: Term, b: Term) -> Bool { a.value < b.value }
  public var description: String { String(value) }
}

/// The reign of one master: its term, and the node that began it.
///
/// Where a majority votes, a term has one owner. Elsewhere two nodes that do not hear each other may begin a reign in the
/// same term; their records are told apart by the owner. Between two reigns the newer one counts: that of the higher term,
/// of the same term that of the larger owner. Every node decides alike by this order. Where an owner is `unknown`, the
/// reign is the smallest of its term.
public struct Reign: Comparable, Hashable, Sendable, CustomStringConvertible {
  public var term: Term
  public var owner: NodeID
  public init(term: Term, owner: NodeID) {
    self.term = term
    self.owner = owner
  }
  public static let none = Reign(term: .none, owner: .unknown)
  public static func < (a: Reign, b: Reign) -> Bool { a.term == b.term ? a.owner < b.owner : a.term < b.term }
  public var description: String { owner == .unknown ? "term \(term)" : "term \(term) of \(owner)" }
}

/// A place in the replicated history. Two nodes that share a position share every record up to it.
public struct Position: Comparable, Hashable, Sendable, CustomStringConvertible {
  public var reign: Reign
  public var lsn: LSN
  public var term: Term { reign.term }
  public init(_ reign: Reign, lsn: LSN) {
    self.reign = reign
    self.lsn = lsn
  }
  public static let none = Position(.none, lsn: .none)
  public static func < (a: Position, b: Position) -> Bool { a.reign == b.reign ? a.lsn < b.lsn : a.reign < b.reign }
  /// Whether a log that ends here holds all that one that ended at `other` held. In a newer reign it does: its master began
  /// it with all that counts. Where the owner of `other` is not known, the term stands for the reign.
  public func reaches(_ other: Position) -> Bool {
    other.reign.owner == .largest && term == other.term ? lsn >= other.lsn : self >= other
  }
  public var description: String { "\(term):\(lsn)" }
}

/// Milliseconds on the monotonic clock, handed in by the shell; decisions never read a clock.
public struct Tick: Comparable, Hashable, Sendable {
  public var milliseconds: UInt64
  @inlinable public init(milliseconds: UInt64) { self.milliseconds = milliseconds }
  @inlinable public static func < (a: Tick, b: Tick) -> Bool { a.milliseconds < b.milliseconds }
  /// Milliseconds from `earlier` to this tick; 0 if `earlier` is later.
  @inlinable public func since(_ earlier: Tick) -> UInt64 {
    milliseconds > earlier.milliseconds ? milliseconds - earlier.milliseconds : 0
  }
  @inlinable public func advanced(by ms: UInt64) -> Tick { Tick(milliseconds: milliseconds &+ ms) }
}

/// Milliseconds since 1970 on the master's wall clock. Expiry is decided on it.
public struct WallClock: Comparable, Hashable, Sendable {
  public var milliseconds: UInt64
  @inlinable public init(milliseconds: UInt64) { self.milliseconds = milliseconds }
  @inlinable public static func < (a: WallClock, b: WallClock) -> Bool { a.milliseconds < b.milliseconds }
}
