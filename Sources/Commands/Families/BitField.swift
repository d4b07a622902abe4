// Raw memory: integers of any width are read and written in the middle of values.
import RESP

/// An integer of 1 to 64 bits somewhere in a value, most significant bit first: what BITFIELD calls `i8` or `u63`.
///
/// The arithmetic is Redis 7.0's, also where it is odd: a signed limit is worked out with numbers that wrap around.
struct BitField {
  let isSigned: Bool
  /// 1...64, 1...63 without sign.
  let bits: Int

  /// `i1` to `i64`, `u1` to `u63`; nil for anything else.
  init?(_ text: UnsafeRawBufferPointer) {
    guard let kind = text.first, kind == UInt8(ascii: "i") || kind == UInt8(ascii: "u") else { return nil }
    isSigned = kind == UInt8(ascii: "i")
    guard let bits = parseInteger(UnsafeRawBufferPointer(rebasing: text.dropFirst())), bits >= 1,
      bits <= (isSigned ? 64 : 63)
    else { return nil }
    self.bits = Int(bits)
  }

  /// What becomes of a result that does not fit.
  enum Overflow {
    /// The lower bits stay.
    case wrap
    /// The nearest number that fits.
    case saturate
    /// Nothing is written, and the answer is null.
    case fail
  }

  // MARK: Reading and writing

  /// The integer at bit `offset`; bits behind the end of the value are 0. O(1).
  func read(_ value: UnsafeRawBufferPointer, at offset: Int) -> Int64 {
    let raw = Self.window(value, at: offset) >> UInt64(64 - bits)
    guard isSigned, bits < 64, raw >> UInt64(bits - 1) == 1 else { return Int64(bitPattern: raw) }
    return Int64(bitPattern: raw | UInt64.max << UInt64(bits))
  }

  /// 64 bits from bit `offset` on.
  private static func window(_ value: UnsafeRawBufferPointer, at offset: Int) -> UInt64 {
    let first = offset >> 3
    let shift = UInt64(offset & 7)
    var word: UInt64 = 0
    for i in first..<first + 8 { word = word << 8 | UInt64(i < value.count ? value[i] : 0) }
    let next = first + 8 < value.count ? value[first + 8] : 0
    return shift == 0 ? word : word << shift | UInt64(next) >> (8 - shift)
  }

  /// Puts the lower bits of `number` at bit `offset`; the value reaches that far. O(bits).
  func write(_ number: Int64, to value: UnsafeMutableRawPointer, at offset: Int) {
    var at = offset
    for bit in stride(from: bits - 1, through: 0, by: -1) {
      let mask = UInt8(0x80) >> UInt8(at & 7)
      let old = value.load(fromByteOffset: at >> 3, as: UInt8.self)
      let isSet = number >> Int64(bit) & 1 == 1
      value.storeBytes(of: isSet ? old | mask : old & ~mask, toByteOffset: at >> 3, as: UInt8.self)
      at += 1
    }
  }

  // MARK: Arithmetic

  /// `number + step` as it is stored; nil: it does not fit, and `overflow` says that nothing is done then.
  func sum(_ number: Int64, _ step: Int64, _ overflow: Overflow) -> Int64? {
    isSigned ? signedSum(number, step, overflow) : unsignedSum(number, step, overflow)
  }

  private func signedSum(_ number: Int64, _ step: Int64, _ overflow: Overflow) -> Int64? {
    let most = Int64.max >> Int64(64 - bits)
    let least = -most - 1
    let stepMost = most &- number
    let stepLeast = least &- number
    let limit: Int64
    if number > most || bits != 64 && step > stepMost || number >= 0 && step > 0 && step > stepMost {
      limit = most
    } else if number < least || bits != 64 && step < stepLeast || number < 0 && step < 0 && step < stepLeast {
      limit = least
    } else {
      return number &+ step
    }
    switch overflow {
    case .fail: return nil
    case .saturate: return limit
    case .wrap:
      let unused = Int64(64 - bits)
      return ((number &+ step) << unused) >> unused
    }
  }

  private func unsignedSum(_ number: Int64, _ step: Int64, _ overflow: Overflow) -> Int64? {
    let value = UInt64(bitPattern: number)
    let most = UInt64.max >> UInt64(64 - bits)
    let limit: UInt64
    if value > most || step > 0 && step > Int64(bitPattern: most &- value) {
      limit = most
    } else if step < 0, step < Int64(bitPattern: 0 &- value) {
      limit = 0
    } else {
      return number &+ step
    }
    switch overflow {
    case .fail: return nil
    case .saturate: return Int64(bitPattern: limit)
    case .wrap: return Int64(bitPattern: UInt64(bitPattern: number &+ step) & most)
    }
  }
}
