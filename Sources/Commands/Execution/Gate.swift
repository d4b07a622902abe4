import Core

/// How far a connection's replies must wait: the newest records they tell of that were not good yet, by what makes them
/// good. As a bound: how far is good now.
///
/// Records at the level `async` are good when they are durable here. All others when everything up to them is good:
/// slaves acknowledge the log from its beginning, so nothing is held elsewhere with a gap before it.
package struct Gate: Equatable, Sendable {
  package var durable: UInt64 = 0
  package var committed: UInt64 = 0
  @inlinable @inline(__always) package init(durable: UInt64 = 0, committed: UInt64 = 0) {
    self.durable = durable
    self.committed = committed
  }
  /// Nothing waits.
  package static let open = Gate(durable: .max, committed: .max)

  @inlinable @inline(__always)
  package func isPassed(_ good: Gate) -> Bool { durable <= good.durable && committed <= good.committed }
}

/// Why writes are refused although the log would take them.
package enum WriteBar: UInt8, Sendable {
  case none
  /// Fewer slaves keep up than `--min-slaves` asks for.
  case fewSlaves
  /// Too many writes wait for slaves already.
  case queueFull
  /// A node of another data set claims this master's place: an operator must decide.
  case otherDataSet
}

/// READ MAXLAG: how old what a read shows may be.
package enum StalenessBound: Equatable, Sendable {
  case milliseconds(UInt64)
  case records(UInt64)
}
