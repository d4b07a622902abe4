// Raw memory: integers are read from and written to bytes in place.

/// Reads a signed decimal integer exactly as Redis's `string2ll`: an optional `-`, no `+`, no leading zeros, no blanks,
/// not `-0`, and within 64 bits.
/// - Returns: nil for everything else, the empty string included. Cost: O(length), no allocation.
public func parseInteger(_ bytes: UnsafeRawBufferPointer) -> Int64? {
  guard var at = bytes.baseAddress, bytes.count >= 1, bytes.count <= 20 else { return nil }
  var left = bytes.count
  var negative = false
  if at.byte(0) == UInt8(ascii: "-") {
    negative = true
    at += 1
    left -= 1
    if left == 0 { return nil }
  }
  let first = at.byte(0) &- 0x30
  if first &- 1 >= 9 { return first == 0 && left == 1 && !negative ? 0 : nil }
  var value = UInt64(first)
  // 18 digits cannot overflow 64 bits; the last two are checked.
  let unchecked = min(left, 18)
  var i = 1
  while i < unchecked {
    let digit = at.byte(i) &- 0x30
    guard digit <= 9 else { return nil }
    value = value &* 10 &+ UInt64(digit)
    i &+= 1
  }
  while i < left {
    let digit = at.byte(i) &- 0x30
    guard digit <= 9 else { return nil }
    let (product, over) = value.multipliedReportingOverflow(by: 10)
    let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
    if over || carry { return nil }
    value = sum
    i &+= 1
  }
  if negative {
    guard value <= UInt64(1) << 63 else { return nil }
    return Int64(bitPattern: 0 &- value)
  }
  return value <= UInt64(Int64.max) ? Int64(value) : nil
}

/// Bytes that `formatInteger` may write: `-9223372036854775808`.
public let formattedIntegerBytesMax = 20

/// Writes `value` in decimal at `target`, which must have room for `formattedIntegerBytesMax` bytes.
/// - Returns: the number of bytes written.
@discardableResult
public func formatInteger(_ value: Int64, at target: UnsafeMutableRawPointer) -> Int {
  if value >= 0 { return formatUnsigned(UInt64(value), at: target) }
  target.storeBytes(of: UInt8(ascii: "-"), as: UInt8.self)
  return 1 + formatUnsigned(value.magnitude, at: target + 1)
}

/// Number of decimal digits of `value`.
@inline(__always)
func digitCount(_ value: UInt64) -> Int {
  if value < 10 { return 1 }
  if value < 100 { return 2 }
  if value < 1000 { return 3 }
  if value < 10_000 { return 4 }
  return longDigitCount(value)
}

@inline(never)
private func longDigitCount(_ value: UInt64) -> Int {
  var count = 4
  var rest = value / 10_000
  while rest > 0 {
    count += 1
    rest /= 10
  }
  return count
}

/// Writes `value` in decimal at `target`; room for 20 bytes. Returns the number of bytes written.
@inline(__always)
func formatUnsigned(_ value: UInt64, at target: UnsafeMutableRawPointer) -> Int {
  if value < 10 {
    target.storeBytes(of: UInt8(truncatingIfNeeded: value) &+ 0x30, as: UInt8.self)
    return 1
  }
  return formatLong(value, at: target)
}

@inline(never)
private func formatLong(_ value: UInt64, at target: UnsafeMutableRawPointer) -> Int {
  let count = digitCount(value)
  // A literal's address is a constant: no lazy global on this path.
  let pairs = UnsafeRawPointer(twoDigits.utf8Start)
  var rest = value
  var end = count
  while rest >= 100 {
    let (quotient, pair) = rest.quotientAndRemainder(dividingBy: 100)
    end &-= 2
    target.storeBytes(of: pairs.word16(Int(pair) &* 2).littleEndian, toByteOffset: end, as: UInt16.self)
    rest = quotient
  }
  if rest >= 10 {
    target.storeBytes(of: pairs.word16(Int(rest) &* 2).littleEndian, toByteOffset: 0, as: UInt16.self)
  } else {
    target.storeBytes(of: UInt8(truncatingIfNeeded: rest) &+ 0x30, as: UInt8.self)
  }
  return count
}

private var twoDigits: StaticString {
  @inline(__always) get {
    """
    0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
    5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899
    """
  }
}
