// Raw memory: views of arguments are copied.

/// Commands on their way to a server, one behind the other: each an array of strings, by the writer that also writes
/// replies.
///
/// Owned by one connection and used again for every batch: then a command costs no allocation.
public struct RequestBuffer: ~Copyable {
  private var out: ReplyBuffer

  public init(capacity: Int = 256) { out = ReplyBuffer(capacity: capacity) }

  /// The commands written. Valid until the next change of the buffer.
  public var bytes: UnsafeRawBufferPointer { out.bytes }

  /// Forgets all commands; memory beyond `bytes` is given back.
  public mutating func removeAll(retainingAtMost bytes: Int = 64 << 10) { out.removeAll(retainingAtMost: bytes) }

  /// - Parameter arguments: the command's name and its arguments; not empty.
  public mutating func command(_ arguments: [[UInt8]]) {
    out.array(arguments.count)
    for argument in arguments { argument.withUnsafeBytes { out.bulk($0) } }
  }

  public mutating func command(_ words: [String]) {
    out.array(words.count)
    for word in words { out.bulk(word) }
  }

  public mutating func command(_ arguments: borrowing ArgumentList) {
    out.array(arguments.count)
    for i in 0..<arguments.count { out.bulk(arguments[i]) }
  }

  /// Begins a command of `count` words, which follow one by one.
  public mutating func begin(words count: Int) { out.array(count) }
  public mutating func word(_ bytes: UnsafeRawBufferPointer) { out.bulk(bytes) }
  public mutating func word(_ text: StaticString) { out.bulk(text) }
  public mutating func word(integer value: Int64) { out.bulk(integer: value) }
  /// Where the `length` bytes of the next word belong; the caller fills all of it before it touches the buffer again.
  public mutating func uninitializedWord(_ length: Int) -> UnsafeMutableRawBufferPointer {
    out.bulkUninitialized(length)
  }

  /// A few commands as bytes of their own.
  public static func encoded(_ commands: [[String]]) -> [UInt8] {
    var buffer = RequestBuffer()
    for words in commands { buffer.command(words) }
    return Array(buffer.bytes)
  }
}
