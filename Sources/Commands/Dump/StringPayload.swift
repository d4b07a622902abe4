// Raw memory: strings are read from and written to bytes in place.
import Core
import RESP

/// A string as DUMP serialises it and RESTORE reads it: the bytes of an RDB file, with a footer. Pure; knows no key.
///
///     bytes   what
///     1       type of the value: 0 = string; the others are those of collections
///     ...     the string, see below
///     2       version of RDB that the bytes are of, little endian: 10 is written, up to 12 is read
///     8       CRC-64 of Jones over everything before, little endian
///
/// A string begins with a byte whose upper two bits say what it is:
///
///     00nnnnnn               n bytes follow
///     01nnnnnn n             n of 14 bits, big endian; n bytes follow
///     10000000 nnnn          n of 32 bits, big endian; n bytes follow
///     10000001 nnnnnnnn      n of 64 bits, big endian; n bytes follow
///     11000000 i             the decimal digits of an integer of 8 bits
///     11000001 ii            of 16 bits, little endian
///     11000010 iiii          of 32 bits, little endian
///     11000011 c n ...       c bytes of LZF that expand to n; both are lengths coded as above
///
/// Integers of up to 32 bits are written as such where their digits are the value exactly, all else as plain bytes.
package enum StringPayload {
  static let writtenVersion: UInt16 = 10
  static let readVersionMax: UInt16 = 12
  private static let footerBytes = 10
  private static let stringType: UInt8 = 0

  // MARK: Writing

  /// Bytes of the whole payload.
  package static func byteCount(of value: UnsafeRawBufferPointer) -> Int {
    let content: Int
    if let number = shortInteger(value) {
      content = 1 + integerBytes(number)
    } else {
      content = lengthBytes(value.count) + value.count
    }
    return 1 + content + footerBytes
  }

  /// Fills `target`, which has `byteCount` bytes. O(value).
  package static func write(_ value: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) {
    precondition(target.count == byteCount(of: value), "room of \(target.count) bytes for another payload")
    guard let start = target.baseAddress else { return }
    start.put(stringType, at: 0)
    if let number = shortInteger(value) {
      switch integerBytes(number) {
      case 1:
        start.put(UInt8(0xC0), at: 1)
        start.put(UInt8(truncatingIfNeeded: number), at: 2)
      case 2:
        start.put(UInt8(0xC1), at: 1)
        start.put(UInt16(truncatingIfNeeded: number), at: 2)
      default:
        start.put(UInt8(0xC2), at: 1)
        start.put(UInt32(truncatingIfNeeded: number), at: 2)
      }
    } else {
      let length = lengthBytes(value.count)
      switch length {
      case 1: start.put(UInt8(value.count), at: 1)
      case 2: start.put((UInt16(value.count) | 0x4000).byteSwapped, at: 1)
      case 5:
        start.put(UInt8(0x80), at: 1)
        start.put(UInt32(value.count).byteSwapped, at: 2)
      default:
        start.put(UInt8(0x81), at: 1)
        start.put(UInt64(value.count).byteSwapped, at: 2)
      }
      copy(value, to: start + 1 + length)
    }
    start.put(writtenVersion, at: target.count - footerBytes)
    let checked = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(target)[..<(target.count - 8)])
    start.put(CRC64.checksum(checked), at: target.count - 8)
  }

  /// The integer whose digits the value is, if it has at most 32 bits.
  private static func shortInteger(_ value: UnsafeRawBufferPointer) -> Int32? {
    guard value.count <= 11, let number = parseInteger(value) else { return nil }
    return Int32(exactly: number)
  }

  private static func integerBytes(_ number: Int32) -> Int {
    Int8(exactly: number) != nil ? 1 : Int16(exactly: number) != nil ? 2 : 4
  }

  private static func lengthBytes(_ count: Int) -> Int {
    count < 1 << 6 ? 1 : count < 1 << 14 ? 2 : count <= UInt32.max ? 5 : 9
  }

  // MARK: Reading

  /// What a payload holds.
  enum Content {
    /// Where the bytes lie in the payload.
    case plain(UnsafeRawBufferPointer)
    case integer(Int32)
    case compressed(UnsafeRawBufferPointer, expandedBytes: Int)
  }

  enum Failure: Error {
    /// Too short, of a later version, or damaged.
    case footer
    case malformed
    /// Whole, and no string.
    case collection
  }

  /// Checks the footer, then reads what is above it. O(payload).
  static func read(_ payload: UnsafeRawBufferPointer) throws(Failure) -> Content {
    guard payload.count >= footerBytes else { throw .footer }
    let end = payload.count - footerBytes
    let version = UInt16(littleEndian: payload.loadUnaligned(fromByteOffset: end, as: UInt16.self))
    let sum = UInt64(littleEndian: payload.loadUnaligned(fromByteOffset: end + 2, as: UInt64.self))
    guard version <= readVersionMax,
      CRC64.checksum(UnsafeRawBufferPointer(rebasing: payload[..<(end + 2)])) == sum
    else { throw .footer }
    var reader = Reader(bytes: UnsafeRawBufferPointer(rebasing: payload[..<end]))
    switch try reader.byte() {
    case stringType: return try reader.string()
    // Types of 7.4 end at 25; 6 was never written, 8 is none.
    case 1...5, 7, 9...25: throw .collection
    default: throw .malformed
    }
  }

  private struct Reader {
    let bytes: UnsafeRawBufferPointer
    var at = 0

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func byte() throws(Failure) -> UInt8 { try take(1)[0] }

    mutating func take(_ count: Int) throws(Failure) -> UnsafeRawBufferPointer {
      guard count <= bytes.count - at else { throw .malformed }
      defer { at += count }
      return UnsafeRawBufferPointer(rebasing: bytes[at..<at + count])
    }

    mutating func string() throws(Failure) -> Content {
      let first = try byte()
      switch first {
      case 0xC0: return .integer(Int32(Int8(bitPattern: try byte())))
      case 0xC1:
        return .integer(Int32(Int16(littleEndian: try take(2).loadUnaligned(as: Int16.self))))
      case 0xC2: return .integer(Int32(littleEndian: try take(4).loadUnaligned(as: Int32.self)))
      case 0xC3:
        let compressed = try length(try byte())
        let expanded = try length(try byte())
        return .compressed(try take(compressed), expandedBytes: expanded)
      default: return .plain(try take(try length(first)))
      }
    }

    /// The length that begins with this byte.
    private mutating func length(_ first: UInt8) throws(Failure) -> Int {
      switch first {
      case 0..<0x40: return Int(first)
      case 0x40..<0x80: return Int(first & 0x3F) << 8 | Int(try byte())
      case 0x80: return Int(UInt32(bigEndian: try take(4).loadUnaligned(as: UInt32.self)))
      case 0x81:
        guard let length = Int(exactly: UInt64(bigEndian: try take(8).loadUnaligned(as: UInt64.self))) else {
          throw .malformed
        }
        return length
      default: throw .malformed
      }
    }
  }
}
