// Raw memory: values are built of whole replies where they lie. `ReplyScanner` has been over every byte before.

/// Turns received bytes into `RESPValue`s, one reply at a time, however the bytes were cut into packets.
///
/// The scanner goes over each byte once and remembers how far it came; a value is built when the whole reply is there. So
/// memory follows what was received, never what was announced.
///
/// Owned by one connection and used on its event loop. After an error it cannot be used any more.
public struct ReplyDecoder: Sendable {
  private var scanner: ReplyScanner
  /// Bytes of the present reply that the scanner has seen.
  private var scanned = 0

  public init(limits: ReplyLimits = ReplyLimits()) { scanner = ReplyScanner(limits: limits) }

  /// The first whole reply; nil when more bytes are needed.
  ///
  /// - Parameter bytes: all that was received and not taken yet: a reply that was given out, `byteCount` bytes, is to be
  ///   left out of the next call; bytes of one that is not whole come again, with newer ones behind them.
  /// - Complexity: O(new bytes), and O(its elements and bytes) for the reply that is whole.
  public mutating func next(
    _ bytes: UnsafeRawBufferPointer
  ) throws(MalformedReply) -> (value: RESPValue, byteCount: Int)? {
    guard let end = try scanner.scan(UnsafeRawBufferPointer(rebasing: bytes[min(scanned, bytes.count)...])) else {
      scanned = bytes.count
      return nil
    }
    let byteCount = scanned + end
    scanned = 0
    var walk = Walk(bytes: UnsafeRawBufferPointer(rebasing: bytes[..<byteCount]))
    return (try walk.value(), byteCount)
  }

  /// Builds the value of a whole reply. Its framing is known to be right, and its depth to be within the limit.
  private struct Walk {
    let bytes: UnsafeRawBufferPointer
    var at = 0

    mutating func value() throws(MalformedReply) -> RESPValue {
      while true {
        let type = bytes[at]
        let line = line()
        switch type {
        case UInt8(ascii: "+"): return .simple(text(line))
        case UInt8(ascii: "-"): return .error(.init(text(line)))
        case UInt8(ascii: ":"): return .integer(try number(line))
        case UInt8(ascii: "_"): return .null
        case UInt8(ascii: "("): return .bigNumber(text(line))
        case UInt8(ascii: "#"): return .boolean(try boolean(line))
        case UInt8(ascii: ","): return .double(try double(line))
        case UInt8(ascii: "$"): return try string(line).map { .bulk(Array($0)) } ?? .null
        case UInt8(ascii: "!"): return try string(line).map { .error(.init(text($0))) } ?? .null
        case UInt8(ascii: "="): return try string(line).map(verbatim) ?? .null
        case UInt8(ascii: "*"): return try elements(line).map { .array($0) } ?? .null
        case UInt8(ascii: "~"): return try elements(line).map { .set($0) } ?? .null
        case UInt8(ascii: ">"): return try elements(line).map { .push($0) } ?? .null
        case UInt8(ascii: "%"):
          return .map(try entries(line))
        // Said about the value that follows, and not an element of its own.
        case UInt8(ascii: "|"): _ = try entries(line)
        default: throw .unknownType(type)
        }
      }
    }

    /// What stands between the type and the line end.
    private mutating func line() -> UnsafeRawBufferPointer {
      let begin = at + 1
      while bytes[at] != 0x0A { at += 1 }
      at += 1
      return UnsafeRawBufferPointer(rebasing: bytes[begin..<at - 2])
    }

    private func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

    private func number(_ line: UnsafeRawBufferPointer) throws(MalformedReply) -> Int64 {
      guard let number = parseInteger(line) else { throw invalid(line) }
      return number
    }

    private func boolean(_ line: UnsafeRawBufferPointer) throws(MalformedReply) -> Bool {
      guard line.count == 1, line[0] == UInt8(ascii: "t") || line[0] == UInt8(ascii: "f") else { throw invalid(line) }
      return line[0] == UInt8(ascii: "t")
    }

    private func double(_ line: UnsafeRawBufferPointer) throws(MalformedReply) -> Double {
      guard let double = Double(text(line)) else { throw invalid(line) }
      return double
    }

    private func invalid(_ line: UnsafeRawBufferPointer) -> MalformedReply {
      .invalidNumber(String(decoding: line.prefix(32), as: UTF8.self))
    }

    /// nil for the null of RESP2.
    private mutating func string(_ length: UnsafeRawBufferPointer) throws(MalformedReply) -> UnsafeRawBufferPointer? {
      let length = Int(try number(length))
      guard length >= 0 else { return nil }
      defer { at += length + 2 }
      return UnsafeRawBufferPointer(rebasing: bytes[at..<at + length])
    }

    private func verbatim(_ bytes: UnsafeRawBufferPointer) -> RESPValue {
      guard bytes.count >= 4, bytes[3] == UInt8(ascii: ":") else { return .verbatim(format: "txt", text: Array(bytes)) }
      return .verbatim(
        format: String(decoding: bytes[..<3], as: UTF8.self), text: Array(bytes[4...]))
    }

    private mutating func elements(_ count: UnsafeRawBufferPointer) throws(MalformedReply) -> [RESPValue]? {
      let count = Int(try number(count))
      guard count >= 0 else { return nil }
      var elements: [RESPValue] = []
      elements.reserveCapacity(count)
      for _ in 0..<count { elements.append(try value()) }
      return elements
    }

    private mutating func entries(_ count: UnsafeRawBufferPointer) throws(MalformedReply) -> [RESPValue.Entry] {
      var entries: [RESPValue.Entry] = []
      for _ in 0..<Int(try number(count)) { entries.append(.init(key: try value(), value: try value())) }
      return entries
    }
  }
}
