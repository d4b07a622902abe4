/// What the shell wants to see or hold back of every command. Empty on the hot path: then commands take the short way.
package struct Attention: OptionSet, Sendable {
  package let rawValue: UInt8
  package init(rawValue: UInt8) { self.rawValue = rawValue }
  /// MONITOR clients are to see every command.
  package static let monitors = Attention(rawValue: 1)
  /// A CLIENT PAUSE may be on.
  package static let paused = Attention(rawValue: 2)
  /// SLOWLOG wants so short times that every command is timed.
  package static let timed = Attention(rawValue: 4)
  /// Another node may be master by now: what needs a quorum waits until a majority was heard of.
  package static let unconfirmed = Attention(rawValue: 8)
  /// The log that waits to be written is full: writes wait.
  package static let full = Attention(rawValue: 16)
  /// This batch has taken long, or has written much: what is left of it waits until the loop has served others.
  package static let turnIsOver = Attention(rawValue: 32)
}
