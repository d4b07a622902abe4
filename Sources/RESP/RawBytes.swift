// Raw memory: unaligned loads and small byte comparisons that the whole module shares.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

extension UnsafeRawPointer {
  @inline(__always)
  func byte(_ offset: Int) -> UInt8 { load(fromByteOffset: offset, as: UInt8.self) }

  /// Two bytes, the first one lowest.
  @inline(__always)
  func word16(_ offset: Int) -> UInt16 {
    UInt16(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  /// Four bytes, the first one lowest.
  @inline(__always)
  func word32(_ offset: Int) -> UInt32 {
    UInt32(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  /// Eight bytes, the first one lowest.
  @inline(__always)
  func word64(_ offset: Int) -> UInt64 {
    UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  /// Where `byte` is first found in `range`, or nil.
  func firstIndex(of byte: UInt8, in range: Range<Int>) -> Int? {
    guard let found = memchr(self + range.lowerBound, Int32(byte), range.count) else { return nil }
    return UnsafeRawPointer(found) - self
  }
}

/// True if `bytes` are `text`, which must be lower-case ASCII, in any mixture of cases. Allocates nothing.
public func equalsIgnoringCase(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
  guard bytes.count == text.utf8CodeUnitCount else { return false }
  let expected = text.utf8Start
  for i in 0..<bytes.count where lowercased(bytes[i]) != expected[i] { return false }
  return true
}

/// ASCII letters to lower case, every other byte as it is.
@inline(__always)
package func lowercased(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

/// ASCII letters to upper case, every other byte as it is.
@inline(__always)
func uppercased(_ byte: UInt8) -> UInt8 { byte &- 0x61 < 26 ? byte & 0xDF : byte }
