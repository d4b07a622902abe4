/// The first word of an error reply, such as READONLY, as far as 16 bytes go: enough to tell codes apart without keeping
/// the text.
public struct ErrorCode: Hashable, Sendable {
  private var low: UInt64 = 0
  private var high: UInt64 = 0
  private var count: UInt8 = 0

  /// The empty code, of an error that has no word.
  public init() {}

  public init(_ text: StaticString) {
    for i in 0..<text.utf8CodeUnitCount { append(text.utf8Start[i]) }
  }

  /// This node is no master.
  public static let readOnly = ErrorCode("READONLY")
  /// A transaction of which nothing was done.
  public static let execAborted = ErrorCode("EXECABORT")

  /// Bytes beyond the sixteenth are not kept.
  mutating func append(_ byte: UInt8) {
    guard count < 16 else { return }
    if count < 8 {
      low |= UInt64(byte) << (8 * UInt64(count))
    } else {
      high |= UInt64(byte) << (8 * UInt64(count - 8))
    }
    count += 1
  }
}
