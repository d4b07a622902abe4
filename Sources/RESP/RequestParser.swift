// Raw memory: the RESP hot path reads the receive buffer in place. Every read is behind a comparison with `count`.

/// What one call of `RequestParser.next` found.
public enum ParseResult: Equatable, Sendable {
  /// The list holds a whole command, which took this many bytes.
  case command(bytesConsumed: Int)
  /// More bytes are needed. Call again with the same bytes followed by more.
  case incomplete
  /// A command without arguments (empty line, `*0`, `*-1`): nothing to do and nothing to answer.
  case nothing(bytesConsumed: Int)
  /// These bytes are not a command. Answer the error unless it is silent, then close.
  case failed(ProtocolError)
}

/// Finds the commands in a client's bytes: RESP arrays of bulk strings, and inline commands.
///
/// One per connection, on that connection's event loop, always with the same `ArgumentList`. It copies nothing, except
/// for inline commands. It is resumable: it remembers how far the current command was looked at, so a command of n
/// bytes costs O(n) however it is cut.
/// Invariant: `position` and `scanned` are offsets from the first byte of the current command, never above the
/// `count` of the last call, and what lies before them does not change.
public struct RequestParser: Sendable {
  /// Arguments announced by the current command; 0 = its first line is not read yet.
  private var argumentsExpected = 0
  /// First byte not yet understood.
  private var position = 0
  /// Bytes before this offset hold no end of line (only while a line is incomplete).
  private var scanned = 0
  /// Length of the argument that begins at `position`; -1 = its `$` line is not read yet.
  private var bulkLength = -1
  private var bytesWanted = 0
  /// Arguments that the list held when the last call answered `.incomplete`: guards against a swapped list.
  private var argumentsRead = 0

  public init() {}

  /// How many bytes the current incomplete command needs in all, as far as known; 0 = unknown.
  /// At most twice the bytes received (or 64 KiB more than them): a hint that is safe to allocate.
  public var bytesWantedAtLeast: Int { bytesWanted }

  /// Looks for the next command.
  ///
  /// - Parameters:
  ///   - start: the first byte of the current command. The buffer may have moved since the last call.
  ///   - count: bytes there; never less than in the last call that answered `.incomplete`.
  ///   - list: this connection's list. Its views are valid after `.command` until the next call.
  /// - Returns: after `.command` and `.nothing`, the next call's `start` is `bytesConsumed` further.
  /// - Complexity: O(bytes not yet looked at).
  public mutating func next(
    _ start: UnsafeRawPointer, count: Int, limits: borrowing RequestLimits, into list: inout ArgumentList
  ) -> ParseResult {
    if argumentsExpected == 0 {
      guard count > 0 else { return .incomplete }
      if scanned == 0 { list.removeAll() }
      let first = start.load(as: UInt8.self)
      guard first == UInt8(ascii: "*") else {
        return inline(start, count: count, first: first, limits: limits, into: &list)
      }
      if count >= 4, start.byte(1) &- 0x31 < 9, start.word16(2) == crlf, limits.multibulkCountMax >= 9 {
        argumentsExpected = Int(start.byte(1) &- 0x30)
        position = 4
      } else if let result = multibulkHeader(start, count: count, limits: limits) {
        return result
      }
    } else {
      precondition(position <= count, "fewer bytes than in the last call")
      precondition(argumentsRead == list.count, "not the list of the last call")
    }
    return arguments(start, count: count, limits: limits, into: &list)
  }

  /// Forgets the current command.
  public mutating func reset() { self = RequestParser() }

  // MARK: - Array of bulk strings

  @inline(__always)
  private mutating func arguments(
    _ start: UnsafeRawPointer, count: Int, limits: borrowing RequestLimits, into list: inout ArgumentList
  ) -> ParseResult {
    let bulkMax = min(limits.bulkBytesMax, 0x7FFF_FFFF)
    let fastMax = min(bulkMax, RequestLimits.unauthenticatedBulkBytesMax)
    let commandMax = limits.wholeBytesMax
    let expected = argumentsExpected
    var at = position
    var length = bulkLength
    list.base = start
    while list.pairCount < expected {
      if length < 0 {
        // `$L\r\n`, `$LL\r\n` and `$LLL\r\n` straight; the shortest argument, `$0\r\n\r\n`, has six bytes.
        if _fastPath(count &- at >= 6) {
          let word = start.word32(at)
          if word & 0xFFFF_00FF == 0x0A0D_0024 {
            length = Int((word &>> 8) & 0xFF) &- 0x30
            if _fastPath(length >= 0 && length <= 9) { at &+= 4 } else { length = -1 }
          } else {
            let tens = Int((word &>> 8) & 0xFF) &- 0x30
            let ones = Int((word &>> 16) & 0xFF) &- 0x30
            if word & 0xFF == 0x24, tens >= 1, tens <= 9, ones >= 0, ones <= 9 {
              if start.word16(at &+ 3) == crlf {
                length = tens &* 10 &+ ones
                at &+= 5
              } else {
                let last = Int(word &>> 24) &- 0x30
                if last >= 0, last <= 9, start.word16(at &+ 4) == crlf {
                  length = tens &* 100 &+ ones &* 10 &+ last
                  at &+= 6
                }
              }
            }
          }
        }
        if _slowPath(length < 0 || length > fastMax) {
          if length < 0 {
            switch bulkHeader(start, count: count, at: at, limits: limits) {
            case .read(let value, let next):
              length = value
              at = next
            case .incomplete:
              position = at
              bulkLength = -1
              bytesWanted = 0
              argumentsRead = list.count
              return .incomplete
            case .failed(let error):
              return fail(error)
            }
          }
          if length > bulkMax { return fail(.invalidBulkLength) }
          if !limits.authenticated && length > RequestLimits.unauthenticatedBulkBytesMax {
            return fail(.unauthenticatedBulkLength)
          }
        }
      }
      // No overflow: `at` is at most count, length below 2^31.
      let end = at &+ length &+ 2
      if _slowPath(end > commandMax) { return fail(.requestTooBig) }
      if _slowPath(end > count) {
        position = at
        bulkLength = length
        argumentsRead = list.count
        bytesWanted = min(end, max(count &* 2, count &+ 65_536))
        return .incomplete
      }
      if _slowPath(start.word16(end &- 2) != crlf) { return fail(.expectedTerminator) }
      list.append(offset: at, length: length)
      at = end
      length = -1
    }
    if _slowPath(at > commandMax) { return fail(.requestTooBig) }
    argumentsExpected = 0
    position = 0
    scanned = 0
    bulkLength = -1
    bytesWanted = 0
    argumentsRead = 0
    return .command(bytesConsumed: at)
  }

  /// Reads `*N\r\n` off the fast path. Answers nil when N > 0 arguments follow.
  @inline(never)
  private mutating func multibulkHeader(
    _ start: UnsafeRawPointer, count: Int, limits: borrowing RequestLimits
  ) -> ParseResult? {
    switch line(start, count: count, at: 0, limits: limits) {
    case .incomplete: return .incomplete
    case .failed: return fail(.multibulkCountTooBig)
    case .read(let end, let next):
      let digits = UnsafeRawBufferPointer(start: start + 1, count: end - 1)
      guard start.byte(end + 1) == 0x0A, let announced = parseInteger(digits),
        announced <= Int64(limits.multibulkCountMax)
      else { return fail(.invalidMultibulkLength) }
      if !limits.authenticated && announced > RequestLimits.unauthenticatedCountMax {
        return fail(.unauthenticatedMultibulkLength)
      }
      scanned = 0
      if announced <= 0 {
        bytesWanted = 0
        return .nothing(bytesConsumed: next)
      }
      argumentsExpected = Int(announced)
      position = next
      return nil
    }
  }

  private enum Line {
    case read(Int, next: Int)
    case incomplete
    case failed(ProtocolError)
  }

  /// Reads `$L\r\n` at `at`, off the fast path. `.read` carries L and where the argument's bytes begin.
  @inline(never)
  private mutating func bulkHeader(
    _ start: UnsafeRawPointer, count: Int, at: Int, limits: borrowing RequestLimits
  ) -> Line {
    guard at < count else { return .incomplete }
    let first = start.byte(at)
    guard first == UInt8(ascii: "$") else { return .failed(.expectedDollar(got: first)) }
    switch line(start, count: count, at: at, limits: limits) {
    case .incomplete: return .incomplete
    case .failed: return .failed(.bulkCountTooBig)
    case .read(let end, let next):
      let digits = UnsafeRawBufferPointer(start: start + at + 1, count: end - at - 1)
      guard start.byte(end + 1) == 0x0A, let announced = parseInteger(digits), announced >= 0,
        announced <= Int64(limits.bulkBytesMax)
      else { return .failed(.invalidBulkLength) }
      scanned = 0
      return .read(Int(announced), next: next)
    }
  }

  /// Finds the CR that ends the line at `at`; the byte after it is there as well, and `next` is behind both.
  /// `.failed` = no CR within `lineBytesMax` bytes.
  private mutating func line(
    _ start: UnsafeRawPointer, count: Int, at: Int, limits: borrowing RequestLimits
  ) -> Line {
    let lineMax = limits.lineBytesMax
    let last = min(count, at + lineMax + 1)
    let from = max(at + 1, scanned)
    bytesWanted = 0
    guard from < last, let end = start.firstIndex(of: 0x0D, in: from..<last) else {
      if count - at > lineMax { return .failed(.inlineTooBig) }
      scanned = count
      return .incomplete
    }
    guard end + 1 < count else {
      scanned = end
      return .incomplete
    }
    return .read(end, next: end + 2)
  }

  // MARK: - Inline command

  @inline(never)
  private mutating func inline(
    _ start: UnsafeRawPointer, count: Int, first: UInt8, limits: borrowing RequestLimits, into list: inout ArgumentList
  ) -> ParseResult {
    if first == 0x16 { return fail(.tlsHandshake) }
    let lineMax = limits.lineBytesMax
    let last = min(count, lineMax + 1)
    bytesWanted = 0
    guard scanned < last, let end = start.firstIndex(of: 0x0A, in: scanned..<last) else {
      if count > lineMax { return fail(.inlineTooBig) }
      scanned = count
      return .incomplete
    }
    scanned = 0
    let length = end > 0 && start.byte(end - 1) == 0x0D ? end - 1 : end
    let countMax = limits.authenticated ? limits.multibulkCountMax : RequestLimits.unauthenticatedCountMax
    let line = UnsafeRawBufferPointer(start: start, count: length)
    if let error = splitInlineCommand(line, countMax: countMax, into: &list) { return fail(error) }
    if list.count == 0 { return .nothing(bytesConsumed: end + 1) }
    let name = list[0]
    if equalsIgnoringCase(name, "post") || equalsIgnoringCase(name, "host:") { return fail(.httpRequest) }
    // `GET / HTTP/1.1`: Redis answers an error and closes at the next line; however it is cut, nothing is said here.
    if list.count == 3, list[2].count == 8 {
      let version = UnsafeRawBufferPointer(rebasing: list[2][0..<5])
      if equalsIgnoringCase(version, "http/") { return fail(.httpRequest) }
    }
    return .command(bytesConsumed: end + 1)
  }

  @inline(never)
  private mutating func fail(_ error: ProtocolError) -> ParseResult {
    reset()
    return .failed(error)
  }
}

/// CR LF as a little-endian 16-bit word.
let crlf: UInt16 = 0x0A0D
