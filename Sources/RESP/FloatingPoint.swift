// Raw memory: numbers go to and come from the C library as zero-terminated text on the stack.
#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

#if arch(x86_64) && !os(Windows) && !os(Android)
  /// C's `long double`: 80 bits where the processor has them, so that `INCRBYFLOAT` answers as Redis does.
  public typealias LongDouble = Float80
#else
  /// Without 80-bit numbers `INCRBYFLOAT` works on doubles, as Redis does where `long double` is no longer than that.
  public typealias LongDouble = Double
#endif

/// Longest text that is tried as a number, and longest that is printed: Redis's `MAX_LONG_DOUBLE_CHARS`.
private let floatBytesMax = 5 * 1024

/// Reads a number as Redis's `string2ld`: all that `strtold` takes (`inf` and hexadecimal included), but no blanks
/// before or behind, no NaN, and nothing that overflows or underflows to zero.
/// - Returns: nil otherwise; the answer then is `value is not a valid float`.
public func parseFloat(_ bytes: UnsafeRawBufferPointer) -> LongDouble? {
  guard bytes.count > 0, bytes.count < floatBytesMax, !isSpace(bytes[0]) else { return nil }
  return withUnsafeTemporaryAllocation(of: CChar.self, capacity: bytes.count + 1) { text -> LongDouble? in
    guard let start = text.baseAddress else { return nil }
    UnsafeMutableRawBufferPointer(text).copyMemory(from: bytes)
    text[bytes.count] = 0
    var end: UnsafeMutablePointer<CChar>?
    errno = 0
    #if arch(x86_64) && !os(Windows) && !os(Android)
      let value = strtold(start, &end)
    #else
      let value = strtod(start, &end)
    #endif
    // Without a NUL inside, `strtold` reached the end only if it took every byte.
    guard end == start + bytes.count, !value.isNaN else { return nil }
    if errno == ERANGE && (value.isInfinite || value.isZero) { return nil }
    return errno == EINVAL ? nil : value
  }
}

/// Prints a number as Redis's `ld2string(LD_STR_HUMAN)`: 17 decimals, trailing zeros cut, never an exponent.
public func formatFloat(_ value: LongDouble) -> String {
  if value.isInfinite { return value > 0 ? "inf" : "-inf" }
  #if arch(x86_64) && !os(Windows) && !os(Android)
    var text = print("%.17Lf", value)
  #else
    var text = print("%.17f", value)
  #endif
  if text.utf8.contains(UInt8(ascii: ".")) {
    while text.utf8.last == UInt8(ascii: "0") { text.removeLast() }
    if text.utf8.last == UInt8(ascii: ".") { text.removeLast() }
  }
  return text == "-0" ? "0" : text
}

/// Prints a number as Redis replies with it: `%.17g`, `inf`, `-inf`.
public func formatDouble(_ value: Double) -> String {
  if value.isInfinite { return value > 0 ? "inf" : "-inf" }
  return value.isNaN ? "nan" : print("%.17g", value)
}

private func print(_ format: String, _ value: some CVarArg) -> String {
  withVaList([value]) { arguments in
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: floatBytesMax) { buffer in
      let length = vsnprintf(buffer.baseAddress, floatBytesMax, format, arguments)
      precondition(length >= 0 && length < floatBytesMax, "a number of more than \(floatBytesMax) characters")
      return String(decoding: UnsafeRawBufferPointer(buffer).prefix(Int(length)), as: UTF8.self)
    }
  }
}
