// Raw memory: the writers of every RESP2 and RESP3 reply. Each reserves its largest size first, then stores.

extension ReplyBuffer {
  /// Room for a type byte, 20 digits and CR LF, with some to spare.
  @usableFromInline static var headerBytesMax: Int { 24 }

  // The writers of `String` are disfavoured so that a literal is a `StaticString`: one copy, nothing to look through.

  // MARK: - Simple strings and errors

  /// `+text`. The text is ours and holds no line ends.
  public mutating func simple(_ text: StaticString) {
    line(UInt8(ascii: "+"), text)
  }

  /// `+text`, line ends in the text made blanks.
  @_disfavoredOverload
  public mutating func simple(_ text: String) {
    line(UInt8(ascii: "+"), text)
  }

  /// `+OK`.
  @inlinable @inline(__always)
  public mutating func ok() {
    reserve(8)
    // "+OK\r\n" is five bytes; eight are stored at once and the last three overwritten later.
    cursor.storeBytes(of: UInt64(0x0A_0D4B_4F2B).littleEndian, as: UInt64.self)
    used &+= 5
  }

  /// `-text`. The text begins with its upper-case code (`ERR`, `WRONGTYPE`, ...).
  public mutating func error(_ text: StaticString) {
    line(UInt8(ascii: "-"), text)
  }

  /// `-text`; what a client may have put into the text cannot end the line: CR and LF become blanks.
  @_disfavoredOverload
  public mutating func error(_ text: String) {
    line(UInt8(ascii: "-"), text)
  }

  // MARK: - Numbers

  /// `:value`.
  public mutating func integer(_ value: Int64) {
    reserve(Self.headerBytesMax)
    putByte(UInt8(ascii: ":"))
    if _fastPath(value >= 0 && value < 10) {
      putByte(UInt8(truncatingIfNeeded: value) &+ 0x30)
    } else {
      used &+= formatInteger(value, at: cursor)
    }
    putLineEnd()
  }

  /// A boolean: `#t`, `#f`; in RESP2 `:1`, `:0`.
  public mutating func boolean(_ value: Bool) {
    reserve(4)
    if protocolVersion >= 3 {
      putByte(UInt8(ascii: "#"))
      putByte(value ? UInt8(ascii: "t") : UInt8(ascii: "f"))
    } else {
      putByte(UInt8(ascii: ":"))
      putByte(value ? UInt8(ascii: "1") : UInt8(ascii: "0"))
    }
    putLineEnd()
  }

  /// A floating-point number with 17 significant digits: `,value`; in RESP2 a bulk string.
  public mutating func double(_ value: Double) {
    let text = formatDouble(value)
    if protocolVersion >= 3 { line(UInt8(ascii: ","), text) } else { bulk(text) }
  }

  /// A number beyond 64 bits, given in decimal: `(digits`; in RESP2 a bulk string.
  public mutating func bigNumber(_ digits: String) {
    if protocolVersion >= 3 { line(UInt8(ascii: "("), digits) } else { bulk(digits) }
  }

  // MARK: - Bulk strings

  /// `$length`, the bytes. One reservation, one copy.
  @inline(__always)
  public mutating func bulk(_ value: UnsafeRawBufferPointer) {
    let length = value.count
    reserve(length &+ Self.headerBytesMax)
    putBulkHeader(length)
    if let source = value.baseAddress { putBytes(source, length) }
    putLineEnd()
  }

  public mutating func bulk(_ value: StaticString) {
    bulk(UnsafeRawBufferPointer(start: value.utf8Start, count: value.utf8CodeUnitCount))
  }

  @_disfavoredOverload
  public mutating func bulk(_ value: String) {
    var value = value
    value.withUTF8 { bulk(UnsafeRawBufferPointer($0)) }
  }

  public mutating func bulk(_ value: [UInt8]) {
    value.withUnsafeBytes { bulk($0) }
  }

  /// The number as a bulk string (`TIME`, `CONFIG GET`, values kept as integers).
  public mutating func bulk(integer value: Int64) {
    reserve(Self.headerBytesMax * 2)
    let digits = digitCount(value.magnitude) + (value < 0 ? 1 : 0)
    putBulkHeader(digits)
    used &+= formatInteger(value, at: cursor)
    putLineEnd()
  }

  /// Writes a bulk string's header and line end and answers where its `length` bytes belong.
  ///
  /// For values that are decompressed or gathered straight into the reply. The caller fills all of the memory before
  /// the buffer is touched again; `truncate(to:)` takes the reply back if that fails.
  public mutating func bulkUninitialized(_ length: Int) -> UnsafeMutableRawBufferPointer {
    precondition(length >= 0, "negative length")
    reserve(length &+ Self.headerBytesMax)
    putBulkHeader(length)
    let body = UnsafeMutableRawBufferPointer(start: cursor, count: length)
    used &+= length
    putLineEnd()
    return body
  }

  /// Text that says how it is to be shown: `=length`, then `format` (three letters: `txt`, `mkd`) and the text; in
  /// RESP2 a bulk string.
  public mutating func verbatim(_ text: String, format: StaticString = "txt") {
    guard protocolVersion >= 3 else { return bulk(text) }
    precondition(format.utf8CodeUnitCount == 3, "a verbatim format has three letters")
    var text = text
    text.withUTF8 { utf8 in
      reserve(utf8.count + 4 + Self.headerBytesMax)
      putHeader(UInt8(ascii: "="), utf8.count + 4)
      putBytes(format.utf8Start, 3)
      putByte(UInt8(ascii: ":"))
      if let source = utf8.baseAddress { putBytes(source, utf8.count) }
      putLineEnd()
    }
  }

  @inline(__always)
  private mutating func putBulkHeader(_ length: Int) {
    if _fastPath(length < 10) {
      // "$L\r\n" as one word.
      let word = 0x0A0D_3024 &+ UInt32(truncatingIfNeeded: length) &<< 8
      cursor.storeBytes(of: word.littleEndian, as: UInt32.self)
      used &+= 4
    } else {
      putHeader(UInt8(ascii: "$"), length)
    }
  }

  // MARK: - Nothing

  /// No value: `$-1`; in RESP3 `_`.
  @inlinable @inline(__always)
  public mutating func null() {
    reserve(8)
    if protocolVersion >= 3 {
      cursor.storeBytes(of: UInt32(0x0A_0D5F).littleEndian, as: UInt32.self)
      used &+= 3
    } else {
      cursor.storeBytes(of: UInt64(0x0A_0D31_2D24).littleEndian, as: UInt64.self)
      used &+= 5
    }
  }

  /// No array (an aborted `EXEC`): `*-1`; in RESP3 `_`.
  public mutating func nullArray() {
    if protocolVersion >= 3 { return null() }
    reserve(Self.headerBytesMax)
    putHeader(UInt8(ascii: "*"), -1)
  }

  // MARK: - Aggregates: the header only, the elements follow

  /// `*count`.
  public mutating func array(_ count: Int) { header(UInt8(ascii: "*"), count) }

  /// `pairs` keys with their values: `%pairs`; in RESP2 an array of twice as many elements.
  public mutating func map(_ pairs: Int) {
    if protocolVersion >= 3 { header(UInt8(ascii: "%"), pairs) } else { header(UInt8(ascii: "*"), pairs * 2) }
  }

  /// `~count`; in RESP2 an array.
  public mutating func set(_ count: Int) {
    header(protocolVersion >= 3 ? UInt8(ascii: "~") : UInt8(ascii: "*"), count)
  }

  /// A message that answers no request: `>count`; in RESP2 an array.
  public mutating func push(_ count: Int) {
    header(protocolVersion >= 3 ? UInt8(ascii: ">") : UInt8(ascii: "*"), count)
  }

  /// Where an aggregate begins whose count is not known yet.
  public struct Mark: Sendable { fileprivate let offset: Int }

  /// Leaves room for the header of an array (or map, or set) that follows; an inner one ends before its outer one.
  public mutating func beginArray() -> Mark {
    reserve(Self.headerBytesMax)
    let mark = Mark(offset: used)
    putHeader(UInt8(ascii: "*"), 0)
    return mark
  }

  /// Writes the header of the array that began at `mark`. Cost: O(bytes since) if `count` has more than one digit.
  public mutating func endArray(_ mark: Mark, count: Int) { finish(mark, UInt8(ascii: "*"), count) }

  /// As `endArray`, for a map of `pairs` keys and values.
  public mutating func endMap(_ mark: Mark, pairs: Int) {
    if protocolVersion >= 3 { finish(mark, UInt8(ascii: "%"), pairs) } else { endArray(mark, count: pairs * 2) }
  }

  /// As `endArray`, for a set.
  public mutating func endSet(_ mark: Mark, count: Int) {
    finish(mark, protocolVersion >= 3 ? UInt8(ascii: "~") : UInt8(ascii: "*"), count)
  }

  private mutating func finish(_ mark: Mark, _ kind: UInt8, _ count: Int) {
    precondition(count >= 0 && mark.offset + 4 <= used, "an aggregate that did not begin")
    // The room left is for one digit: "*0\r\n".
    let more = digitCount(UInt64(count)) - 1
    if more > 0 {
      reserve(more)
      let body = memory + mark.offset + 4
      (body + more).copyMemory(from: body, byteCount: used - mark.offset - 4)
    }
    let end = used + more
    used = mark.offset
    putHeader(kind, count)
    used = end
  }

  // MARK: - Bytes as they are

  /// Appends bytes that already are a reply, or a frame.
  public mutating func raw(_ source: UnsafeRawBufferPointer) {
    guard let start = source.baseAddress else { return }
    reserve(source.count)
    putBytes(start, source.count)
  }

  public mutating func raw(_ source: StaticString) {
    raw(UnsafeRawBufferPointer(start: source.utf8Start, count: source.utf8CodeUnitCount))
  }

  // MARK: - Shared

  @inline(__always)
  private mutating func header(_ kind: UInt8, _ count: Int) {
    reserve(Self.headerBytesMax)
    putHeader(kind, count)
  }

  private mutating func line(_ kind: UInt8, _ text: StaticString) {
    let length = text.utf8CodeUnitCount
    reserve(length + 3)
    putByte(kind)
    putBytes(text.utf8Start, length)
    putLineEnd()
  }

  private mutating func line(_ kind: UInt8, _ text: String) {
    var text = text
    text.withUTF8 { utf8 in
      reserve(utf8.count + 3)
      putByte(kind)
      for byte in utf8 { putByte(byte == 0x0D || byte == 0x0A ? 0x20 : byte) }
      putLineEnd()
    }
  }
}
