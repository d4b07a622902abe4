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

/// The reign of one master: +1 at every start or change of master. 0 means "none yet".
public struct Term: Comparable, Hashable, Sendable, CustomStringConvertible {
  public var value: UInt32
  @inlinable public init(_ value: UInt32) { self.value = value }
  public static let none = Term(0)
  @inlinable public static func < (a: Term, b: Term) -> Bool { a.value < b.value }
  public var description: String { String(value) }
}

/// A place in the replicated history. Two nodes that share a position share every record up to it.
public struct Position: Comparable, Hashable, Sendable, CustomStringConvertible {
  public var term: Term
  public var lsn: LSN
  @inlinable public init(term: Term, lsn: LSN) {
    self.term = term
    self.lsn = lsn
  }
  public static let none = Position(term: .none, lsn: .none)
  public static func < (a: Position, b: Position) -> Bool { (a.term, a.lsn) < (b.term, b.lsn) }
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
