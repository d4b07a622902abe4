/// A command of a `CommandTable`, by the number that the table gave it when it was built: the order of its rows.
///
/// What a command is and does stands in its row; a number means nothing without the table that it comes from. Numbers are
/// never stored or sent.
package struct Command: Equatable, Hashable, Sendable {
  package let number: UInt16

  @inlinable @inline(__always)
  init(number: UInt16) { self.number = number }
}
