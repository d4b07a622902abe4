// Raw memory: reads received bytes in place. Every index is below the buffer's count by the loops' conditions.

/// Finds where one whole reply of RESP2 or RESP3 ends, however its bytes are cut. The only code that knows how replies are
/// framed: `ReplyDecoder` builds values of what it found, the forwarder hands the bytes on, the load generator counts.
///
/// Builds no values and keeps no bytes; allocates for nested replies only, 8 bytes a level. It checks the framing (types,
/// lengths, line ends, limits) and not what a line says: `:12x` is a line to it.
///
/// Owned by one connection, used on its event loop. After an error it cannot be used any more.
public struct ReplyScanner: Sendable {
  /// What kind of reply ended last.
  public enum Kind: Hashable, Sendable {
    /// A status line, a number or another single line.
    case line
    case error(ErrorCode)
    case null
    case string
    /// An array, map, set or push, or whatever has attributes.
    case aggregate
  }

  private enum Step { case type, line, length, lengthEnd, body, bodyEnd, bodyLineFeed }

  public let limits: ReplyLimits
  /// Of the reply whose end `scan` found last.
  public private(set) var kind = Kind.line
  private var step = Step.type
  /// The first byte of the present element.
  private var type: UInt8 = 0
  // The present line: its bytes so far, and whether the last of them is CR.
  private var lineBytes = 0
  private var endsInReturn = false
  // A length or a count so far.
  private var number = 0
  private var digits = 0
  private var isNegative = false
  /// Bytes of the present string that are still to come, its line end not counted.
  private var missing = 0
  // The first word of an error.
  private var code = ErrorCode()
  private var codeIsWhole = false
  /// Bytes of the present reply, as far as its lines and lengths say.
  private var replyBytes = 0
  /// Elements still to come of every open aggregate, the outermost first.
  private var open: [Int] = []

  public init(limits: ReplyLimits = ReplyLimits()) { self.limits = limits }

  /// Goes on in the present reply.
  ///
  /// - Returns: how many of `bytes` belong to it if it ends among them; nil if all of them do and it goes on.
  /// - Complexity: O(bytes outside of strings).
  public mutating func scan(_ bytes: UnsafeRawBufferPointer) throws(MalformedReply) -> Int? {
    var at = 0
    while at < bytes.count {
      switch step {
      case .type:
        try begin(bytes[at])
        at += 1
      case .line:
        guard try endLine(bytes, &at) else { return nil }
        if ended() { return at }
      case .length:
        try lengthByte(bytes[at])
        at += 1
      case .lengthEnd:
        guard bytes[at] == 0x0A else { throw .missingLineEnd }
        at += 1
        if try hasLength() { return at }
      case .body:
        let here = min(missing, bytes.count - at)
        if type == UInt8(ascii: "!") { keepCode(bytes, at..<at + here) }
        at += here
        missing -= here
        if missing == 0 { step = .bodyEnd }
      case .bodyEnd:
        guard bytes[at] == 0x0D else { throw .missingLineEnd }
        at += 1
        step = .bodyLineFeed
      case .bodyLineFeed:
        guard bytes[at] == 0x0A else { throw .missingLineEnd }
        at += 1
        if ended() { return at }
      }
    }
    return nil
  }

  private mutating func begin(_ byte: UInt8) throws(MalformedReply) {
    type = byte
    lineBytes = 1
    switch byte {
    case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "_"), UInt8(ascii: "#"),
      UInt8(ascii: ","), UInt8(ascii: "("):
      step = .line
      endsInReturn = false
    case UInt8(ascii: "$"), UInt8(ascii: "="), UInt8(ascii: "!"), UInt8(ascii: "*"), UInt8(ascii: "~"),
      UInt8(ascii: ">"), UInt8(ascii: "%"), UInt8(ascii: "|"):
      step = .length
      (number, digits, isNegative) = (0, 0, false)
    default: throw .unknownType(byte)
    }
    if byte == UInt8(ascii: "-") || byte == UInt8(ascii: "!") { (code, codeIsWhole) = (ErrorCode(), false) }
  }

  // MARK: Lines

  /// Goes to the end of the line; false if it is not there yet.
  private mutating func endLine(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) throws(MalformedReply) -> Bool {
    let begin = at
    while at < bytes.count, bytes[at] != 0x0A { at += 1 }
    lineBytes += at - begin + (at < bytes.count ? 1 : 0)
    guard lineBytes <= limits.lineBytesMax else { throw .lineTooLong(limit: limits.lineBytesMax) }
    if type == UInt8(ascii: "-") { keepCode(bytes, begin..<at) }
    if at > begin { endsInReturn = bytes[at - 1] == 0x0D }
    guard at < bytes.count else { return false }
    guard endsInReturn else { throw .missingLineEnd }
    at += 1
    try count(lineBytes)
    return true
  }

  private mutating func keepCode(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
    for i in range where !codeIsWhole {
      if bytes[i] <= UInt8(ascii: " ") { codeIsWhole = true } else { code.append(bytes[i]) }
    }
  }

  // MARK: Lengths and counts

  /// No length or count has more digits: its product with anything here stays below 2^63.
  private static let digitsMax = 15

  private mutating func lengthByte(_ byte: UInt8) throws(MalformedReply) {
    lineBytes += 1
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"):
      guard digits < Self.digitsMax else { throw .replyTooLarge(limit: limits.replyBytesMax) }
      number = number * 10 + Int(byte - UInt8(ascii: "0"))
      digits += 1
    case UInt8(ascii: "-") where digits == 0 && !isNegative: isNegative = true
    case 0x0D where digits > 0:
      lineBytes += 1
      step = .lengthEnd
    default: throw .invalidNumber(String(UnicodeScalar(byte)))
    }
  }

  /// The line of a length or a count has ended. True if the whole reply did with it.
  private mutating func hasLength() throws(MalformedReply) -> Bool {
    try count(lineBytes)
    if isNegative {
      guard number == 1, type == UInt8(ascii: "$") || type == UInt8(ascii: "*") else {
        throw .invalidNumber("-\(number)")
      }
      if open.isEmpty { kind = .null }
      return elementEnded()
    }
    switch type {
    case UInt8(ascii: "$"), UInt8(ascii: "="), UInt8(ascii: "!"):
      try count(number + 2)
      missing = number
      step = missing == 0 ? .bodyEnd : .body
      return false
    case UInt8(ascii: "%"): return try opens(number * 2)
    // Its pairs, and then the reply that it tells something about.
    case UInt8(ascii: "|"): return try opens(number * 2 + 1)
    default: return try opens(number)
    }
  }

  private mutating func opens(_ elements: Int) throws(MalformedReply) -> Bool {
    if open.isEmpty { kind = .aggregate }
    guard elements > 0 else { return elementEnded() }
    // Every element takes three bytes at least, so a count beyond the byte limit cannot be honest.
    guard number <= limits.replyBytesMax / 3 else { throw .replyTooLarge(limit: limits.replyBytesMax) }
    guard open.count < limits.depthMax else { throw .tooDeep(limit: limits.depthMax) }
    open.append(elements)
    step = .type
    return false
  }

  private mutating func count(_ bytes: Int) throws(MalformedReply) {
    guard bytes <= limits.replyBytesMax - replyBytes else { throw .replyTooLarge(limit: limits.replyBytesMax) }
    replyBytes += bytes
  }

  // MARK: Ends

  /// A line or a string is complete. True if the whole reply is.
  private mutating func ended() -> Bool {
    if open.isEmpty {
      switch type {
      case UInt8(ascii: "-"), UInt8(ascii: "!"): kind = .error(code)
      case UInt8(ascii: "_"): kind = .null
      case UInt8(ascii: "$"), UInt8(ascii: "="): kind = .string
      default: kind = .line
      }
    }
    return elementEnded()
  }

  private mutating func elementEnded() -> Bool {
    step = .type
    while let left = open.last {
      if left > 1 {
        open[open.count - 1] = left - 1
        return false
      }
      open.removeLast()
    }
    replyBytes = 0
    return true
  }
}
