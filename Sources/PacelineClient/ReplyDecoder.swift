import NIOCore

/// Turns received bytes into `RESPValue`s, one reply at a time, however the bytes were cut into packets.
///
/// It remembers how far it came, so each byte is looked at once (O(n) over a connection's life). Nested replies live
/// on an explicit stack, not on the call stack. Memory follows what was received, never what was announced.
///
/// Owned by one connection and used on its event loop.
/// Invariant: `open` holds the aggregates that have begun and still miss elements, the outermost first.
public struct ReplyDecoder: Sendable {
  public struct Limits: Sendable {
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
  public enum Malformed: Error, Equatable, CustomStringConvertible {
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

  private enum Aggregate { case array, set, push, map, attribute }
  private enum Bulk { case string, error, verbatim }

  private struct Open {
    let kind: Aggregate
    var missing: Int
    var elements: [RESPValue] = []
  }

  private enum Expected {
    /// A line, of which the first `scanned` bytes are known to hold no line end.
    case line(scanned: Int)
    case body(Bulk, byteCount: Int)
  }

  public let limits: Limits
  private var expected = Expected.line(scanned: 0)
  private var open: [Open] = []
  private var replyBytes = 0

  public init(limits: Limits = Limits()) { self.limits = limits }

  /// Takes the next whole reply off `buffer`; nil when more bytes are needed. What it consumed belongs to the reply
  /// that is being built, so keep handing in the same buffer with newer bytes appended.
  /// - Throws: `Malformed`; do not call again after it.
  public mutating func next(from buffer: inout ByteBuffer) throws(Malformed) -> RESPValue? {
    while let value = try element(from: &buffer) {
      if let reply = try closing(with: value) {
        replyBytes = 0
        return reply
      }
    }
    return nil
  }

  // MARK: One element

  private enum Element {
    case value(RESPValue)
    /// An aggregate has begun: its elements come next.
    case begun
  }

  private mutating func element(from buffer: inout ByteBuffer) throws(Malformed) -> Element? {
    while true {
      switch expected {
      case .body(let kind, let byteCount):
        guard buffer.readableBytes >= byteCount + 2 else { return nil }
        expected = .line(scanned: 0)
        // Both reads succeed: their bytes were counted just now.
        let bytes = buffer.readBytes(length: byteCount) ?? []
        guard buffer.readInteger(as: UInt16.self) == 0x0D0A else { throw .missingLineEnd }
        return .value(Self.value(of: kind, bytes))

      case .line(let scanned):
        let view = buffer.readableBytesView
        guard let end = view.dropFirst(scanned).firstIndex(of: UInt8(ascii: "\n")) else {
          guard view.count <= limits.lineBytesMax else { throw .lineTooLong(limit: limits.lineBytesMax) }
          expected = .line(scanned: view.count)
          return nil
        }
        let lineBytes = end - view.startIndex + 1
        guard lineBytes <= limits.lineBytesMax else { throw .lineTooLong(limit: limits.lineBytesMax) }
        guard lineBytes >= 3, view[end - 1] == UInt8(ascii: "\r") else { throw .missingLineEnd }
        let type = view[view.startIndex]
        let text = String(decoding: view[(view.startIndex + 1)..<(end - 1)], as: UTF8.self)
        buffer.moveReaderIndex(forwardBy: lineBytes)
        expected = .line(scanned: 0)
        try count(lineBytes)
        if let element = try line(type, text) { return element }
      }
    }
  }

  /// What one line means; nil when it is the header of a bulk whose bytes come next.
  private mutating func line(_ type: UInt8, _ text: String) throws(Malformed) -> Element? {
    switch type {
    case UInt8(ascii: "+"): return .value(.simple(text))
    case UInt8(ascii: "-"): return .value(.error(.init(text)))
    case UInt8(ascii: ":"): return .value(.integer(try number(text)))
    case UInt8(ascii: "_"): return .value(.null)
    case UInt8(ascii: "("): return .value(.bigNumber(text))
    case UInt8(ascii: "#"):
      guard text == "t" || text == "f" else { throw .invalidNumber(text) }
      return .value(.boolean(text == "t"))
    case UInt8(ascii: ","):
      guard let double = Double(text) else { throw .invalidNumber(text) }
      return .value(.double(double))
    case UInt8(ascii: "$"): return try bulk(.string, text)
    case UInt8(ascii: "!"): return try bulk(.error, text)
    case UInt8(ascii: "="): return try bulk(.verbatim, text)
    case UInt8(ascii: "*"): return try aggregate(.array, text)
    case UInt8(ascii: "~"): return try aggregate(.set, text)
    case UInt8(ascii: ">"): return try aggregate(.push, text)
    case UInt8(ascii: "%"): return try aggregate(.map, text)
    case UInt8(ascii: "|"): return try aggregate(.attribute, text)
    default: throw .unknownType(type)
    }
  }

  private mutating func bulk(_ kind: Bulk, _ text: String) throws(Malformed) -> Element? {
    let announced = try number(text)
    if announced == -1 { return .value(.null) }
    guard announced >= 0 else { throw .invalidNumber(text) }
    guard announced <= limits.replyBytesMax else { throw .replyTooLarge(limit: limits.replyBytesMax) }
    try count(Int(announced) + 2)
    expected = .body(kind, byteCount: Int(announced))
    return nil
  }

  private mutating func aggregate(_ kind: Aggregate, _ text: String) throws(Malformed) -> Element? {
    let announced = try number(text)
    if announced == -1 { return .value(.null) }
    guard announced >= 0 else { throw .invalidNumber(text) }
    // Every element takes three bytes at least, so a count beyond the byte limit cannot be honest.
    guard announced <= limits.replyBytesMax / 3 else { throw .replyTooLarge(limit: limits.replyBytesMax) }
    guard open.count < limits.depthMax else { throw .tooDeep(limit: limits.depthMax) }
    let perEntry = kind == .map || kind == .attribute ? 2 : 1
    open.append(Open(kind: kind, missing: Int(announced) * perEntry))
    return .begun
  }

  // MARK: Putting elements together

  /// Adds an element to the innermost open aggregate and closes what is complete; returns a whole reply.
  private mutating func closing(with element: Element) throws(Malformed) -> RESPValue? {
    var finished: RESPValue?
    if case .value(let value) = element { finished = value }
    while true {
      guard let last = open.indices.last else { return finished }
      if let value = finished {
        open[last].elements.append(value)
        open[last].missing -= 1
        finished = nil
      }
      guard open[last].missing == 0 else { return nil }
      let complete = open.removeLast()
      switch complete.kind {
      case .array: finished = .array(complete.elements)
      case .set: finished = .set(complete.elements)
      case .push: finished = .push(complete.elements)
      case .map: finished = .map(Self.entries(complete.elements))
      case .attribute: return nil  // Said about the value that follows, and not an element of its own.
      }
    }
  }

  private static func entries(_ flat: [RESPValue]) -> [RESPValue.Entry] {
    stride(from: 0, to: flat.count, by: 2).map { .init(key: flat[$0], value: flat[$0 + 1]) }
  }

  private static func value(of kind: Bulk, _ bytes: [UInt8]) -> RESPValue {
    switch kind {
    case .string: .bulk(bytes)
    case .error: .error(.init(String(decoding: bytes, as: UTF8.self)))
    case .verbatim where bytes.count >= 4 && bytes[3] == UInt8(ascii: ":"):
      .verbatim(format: String(decoding: bytes[..<3], as: UTF8.self), text: Array(bytes[4...]))
    case .verbatim: .verbatim(format: "txt", text: bytes)
    }
  }

  private func number(_ text: String) throws(Malformed) -> Int64 {
    guard let number = Int64(text) else { throw .invalidNumber(String(text.prefix(32))) }
    return number
  }

  private mutating func count(_ bytes: Int) throws(Malformed) {
    replyBytes += bytes
    guard replyBytes <= limits.replyBytesMax else { throw .replyTooLarge(limit: limits.replyBytesMax) }
  }
}
