/// One reply of a server, in RESP2 or RESP3. Bulk strings are bytes: they need not be text.
public enum RESPValue: Hashable, Sendable {
  /// A status line such as `OK`.
  case simple(String)
  /// An error reply, sent as a line (`-`) or as a bulk (`!`).
  case error(ServerError)
  case integer(Int64)
  case bulk([UInt8])
  /// RESP3's null, or RESP2's null bulk (`$-1`) or null array (`*-1`).
  case null
  case array([RESPValue])
  case map([Entry])
  case set([RESPValue])
  /// A message that answers no command (RESP3).
  case push([RESPValue])
  case double(Double)
  case boolean(Bool)
  /// An integer of any size, as its decimal digits.
  case bigNumber(String)
  /// Text with its three-letter format, such as `txt` or `mkd`.
  case verbatim(format: String, text: [UInt8])

  public struct Entry: Hashable, Sendable {
    public var key: RESPValue
    public var value: RESPValue
    public init(key: RESPValue, value: RESPValue) {
      self.key = key
      self.value = value
    }
  }

  /// An error reply: `READONLY You can't write against a read only replica.` has the code `READONLY`.
  public struct ServerError: Error, Hashable, Sendable, CustomStringConvertible {
    public let message: String
    public init(_ message: String) { self.message = message }

    /// The first word if it is in upper case, as the convention has it; else empty.
    public var code: Substring {
      let word = message.prefix { $0 != " " }
      return word.allSatisfy { $0.isUppercase || ("0"..."9").contains($0) || $0 == "_" } ? word : ""
    }
    public var description: String { message }
  }
}

extension RESPValue {
  /// The bytes of a bulk, simple or verbatim string; nil for every other kind.
  public var bytes: [UInt8]? {
    switch self {
    case .bulk(let bytes), .verbatim(_, let bytes): bytes
    case .simple(let text), .bigNumber(let text): Array(text.utf8)
    case .error, .integer, .null, .array, .map, .set, .push, .double, .boolean: nil
    }
  }

  /// `bytes` as text; bytes that are not UTF-8 become U+FFFD.
  public var string: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

  /// An integer, also one that came as a string of digits; nil for every other kind.
  public var int: Int64? {
    if case .integer(let value) = self { return value }
    return string.flatMap { Int64($0) }
  }

  /// The elements of an array, set or push; nil for every other kind.
  public var elements: [RESPValue]? {
    switch self {
    case .array(let elements), .set(let elements), .push(let elements): elements
    case .simple, .error, .integer, .bulk, .null, .map, .double, .boolean, .bigNumber, .verbatim: nil
    }
  }

  public var serverError: ServerError? {
    if case .error(let error) = self { return error }
    return nil
  }

  /// The value itself, or the error reply thrown as `ServerError`.
  public func get() throws(ServerError) -> RESPValue {
    if let serverError { throw serverError }
    return self
  }
}
