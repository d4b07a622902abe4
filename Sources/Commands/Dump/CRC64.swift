// Raw memory: reads bytes where they lie.

/// The checksum under a value that Redis serialised: CRC-64 of Jones (polynomial 0xad93d23594c935a9, reflected, from 0, no last
/// exclusive-or). Of `123456789` it is 0xe9c6d914c4b8d9ca.
enum CRC64 {
  private static let polynomial: UInt64 = 0x95AC_9329_AC4B_C9B5

  /// Eight tables of 256: the k-th says what a byte does that is followed by k more.
  private static let tables: [UInt64] = {
    var tables = [UInt64](repeating: 0, count: 8 * 256)
    for byte in 0..<256 {
      var sum = UInt64(byte)
      for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ polynomial : sum >> 1 }
      tables[byte] = sum
    }
    for k in 1..<8 {
      for byte in 0..<256 {
        let before = tables[(k - 1) * 256 + byte]
        tables[k * 256 + byte] = tables[Int(before & 0xFF)] ^ before >> 8
      }
    }
    return tables
  }()

  /// O(bytes), eight at a time.
  static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    tables.withUnsafeBufferPointer { tables in
      var sum: UInt64 = 0
      var at = 0
      while at + 8 <= bytes.count {
        let word = sum ^ UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
        sum = 0
        for k in 0..<8 { sum ^= tables[(7 - k) * 256 + Int(word >> UInt64(8 * k) & 0xFF)] }
        at += 8
      }
      while at < bytes.count {
        sum = tables[Int((sum ^ UInt64(bytes[at])) & 0xFF)] ^ sum >> 8
        at += 1
      }
      return sum
    }
  }
}
