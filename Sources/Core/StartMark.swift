/// A reign that began by a mere start of a node, without votes or an order, and which start it was.
///
/// A node begins a reign once, so a term and its owner name one history. That does not hold for a node that is started with an
/// older copy of its directory: it begins the same term again. The mark, the wall clock of the start, tells the two apart.
public struct StartMark: Hashable, Sendable {
  public var reign: Reign
  public var mark: UInt64
  public init(_ reign: Reign, mark: UInt64) {
    self.reign = reign
    self.mark = mark
  }
}
