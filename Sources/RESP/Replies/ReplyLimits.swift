/// How much of one reply a reader takes before it gives the connection up.
public struct ReplyLimits: Hashable, Sendable {
  /// Bytes of one whole reply, its headers included. Default 512 MiB and a little: one bulk of Redis's largest size.
  public var replyBytesMax: Int
  /// Arrays within arrays. Default 64.
  public var depthMax: Int
  /// Bytes of one line: a status, an error, a number or a header. Default 64 KiB.
  public var lineBytesMax: Int

  public init(replyBytesMax: Int = 513 << 20, depthMax: Int = 64, lineBytesMax: Int = 64 << 10) {
    self.replyBytesMax = replyBytesMax
    self.depthMax = depthMax
    self.lineBytesMax = lineBytesMax
  }
}

/// The bytes are not RESP, or more than the limits allow. The connection cannot be used any more.
public enum MalformedReply: Error, Equatable, CustomStringConvertible {
  case unknownType(UInt8)
  case invalidNumber(String)
  case missingLineEnd
  case lineTooLong(limit: Int)
  case replyTooLarge(limit: Int)
  case tooDeep(limit: Int)

  public var description: String {
    switch self {
    case .unknownType(let byte):
      "no RESP reply starts with the byte \(byte); is this the port of a Redis-compatible server?"
    case .invalidNumber(let text): "'\(text)' stands where RESP has a number"
    case .missingLineEnd: "a RESP string does not end with CR LF"
    case .lineTooLong(let limit): "a reply line is longer than \(limit) bytes"
    case .replyTooLarge(let limit): "a reply is larger than \(limit) bytes"
    case .tooDeep(let limit): "a reply is nested deeper than \(limit) levels"
    }
  }
}
