// Raw memory: an inline command is unquoted into the argument list's own bytes, which never get longer than the line.

/// Splits one line as a shell would: blanks between arguments, `"…"` with escapes (`\n \r \t \b \a \xHH`), `'…'`
/// with `\'`.
///
/// The rules are those of Redis's `sdssplitargs`. A line of blanks and one that begins with NUL hold no arguments.
/// - Returns: nil and the arguments in `list`, or what is wrong with the line.
func splitInlineCommand(
  _ line: UnsafeRawBufferPointer, countMax: Int, into list: inout ArgumentList
) -> ProtocolError? {
  list.removeAll()
  let out = list.ownBytes(atLeast: line.count)
  var written = 0
  var i = 0
  while true {
    while i < line.count, isSpace(line[i]) { i += 1 }
    guard i < line.count else { return nil }
    if line[i] == 0 && list.count == 0 { return nil }
    if list.count >= countMax {
      return countMax <= RequestLimits.unauthenticatedCountMax
        ? .unauthenticatedMultibulkLength : .invalidMultibulkLength
    }
    let begin = written
    if let error = unquote(line, at: &i, to: out, written: &written) { return error }
    list.append(offset: begin, length: written - begin)
  }
}

/// Copies one argument that begins at `i`; afterwards `i` is the byte behind it.
private func unquote(
  _ line: UnsafeRawBufferPointer, at i: inout Int, to out: UnsafeMutableRawPointer, written: inout Int
) -> ProtocolError? {
  var quote: UInt8 = 0
  // Each turn writes at most one byte and reads at least one, so `written` stays within the line's length.
  while i < line.count {
    var byte = line[i]
    if quote == 0 {
      switch byte {
      case 0x20, 0x0A, 0x0D, 0x09: return nil
      case 0: return .nulInInline
      case UInt8(ascii: "\""), UInt8(ascii: "'"):
        quote = byte
        i += 1
        continue
      default: break
      }
    } else if byte == quote {
      // A closing quote must be followed by a blank or by nothing.
      i += 1
      return i < line.count && !isSpace(line[i]) ? .unbalancedQuotes : nil
    } else if byte == UInt8(ascii: "\\"), i + 1 < line.count {
      if quote == UInt8(ascii: "'") {
        if line[i + 1] == quote {
          i += 1
          byte = quote
        }
      } else if line[i + 1] == UInt8(ascii: "x"), i + 3 < line.count,
        let high = hexDigit(line[i + 2]), let low = hexDigit(line[i + 3])
      {
        byte = high << 4 | low
        i += 3
      } else {
        i += 1
        byte = unescaped(line[i])
      }
    } else if byte == 0 {
      return .nulInInline
    }
    out.storeBytes(of: byte, toByteOffset: written, as: UInt8.self)
    written += 1
    i += 1
  }
  return quote == 0 ? nil : .unbalancedQuotes
}

private func unescaped(_ byte: UInt8) -> UInt8 {
  switch byte {
  case UInt8(ascii: "n"): 0x0A
  case UInt8(ascii: "r"): 0x0D
  case UInt8(ascii: "t"): 0x09
  case UInt8(ascii: "b"): 0x08
  case UInt8(ascii: "a"): 0x07
  default: byte
  }
}

private func hexDigit(_ byte: UInt8) -> UInt8? {
  switch byte {
  case 0x30...0x39: byte - 0x30
  case 0x41...0x46: byte - 0x41 + 10
  case 0x61...0x66: byte - 0x61 + 10
  default: nil
  }
}

/// C's `isspace`: blank, tab, newline, vertical tab, form feed, carriage return.
@inline(__always)
func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) }
