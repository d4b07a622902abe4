// Raw memory: reads a key in 8-byte words.

/// The 64-bit hash that places a key in the index: multiply-mix over 8-byte words (the construction of wyhash).
/// Seeded per data set, so that nobody outside can choose keys that collide.
public enum KeyHash {
  @usableFromInline static let k0: UInt64 = 0xA076_1D64_78BD_642F
  @usableFromInline static let k1: UInt64 = 0xE703_7ED1_A0B4_28DB
  @usableFromInline static let k2: UInt64 = 0x8EBC_6AF0_9C88_C6E3

  @inlinable @inline(__always) public static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.high ^ product.low
  }

  /// O(count). Reads exactly `count` bytes.
  @inlinable @inline(__always)
  public static func hash(_ start: UnsafeRawPointer, count: Int, seed: UInt64) -> UInt64 {
    var a: UInt64
    var b: UInt64
    var state = seed ^ k0
    if count <= 16 {
      if count >= 4 {
        let quarter = (count >> 3) << 2
        a = UInt64(start.u32(0)) << 32 | UInt64(start.u32(quarter))
        b = UInt64(start.u32(count - 4)) << 32 | UInt64(start.u32(count - 4 - quarter))
      } else if count > 0 {
        a = UInt64(start.u8(0)) << 16 | UInt64(start.u8(count >> 1)) << 8 | UInt64(start.u8(count - 1))
        b = 0
      } else {
        a = 0
        b = 0
      }
    } else {
      var at = 0
      while count - at > 16 {
        state = mix(start.u64(at) ^ k1, start.u64(at + 8) ^ state)
        at += 16
      }
      a = start.u64(count - 16)
      b = start.u64(count - 8)
    }
    return mix(k1 ^ UInt64(truncatingIfNeeded: count), mix(a ^ k1, b ^ state ^ k2))
  }

  @inlinable public static func hash(_ bytes: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
    guard let start = bytes.baseAddress else { return mix(k1, mix(k1, seed ^ k0 ^ k2)) }
    return hash(start, count: bytes.count, seed: seed)
  }
}
