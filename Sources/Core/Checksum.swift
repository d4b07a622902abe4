// Raw memory: hands views of bytes to the C function.
import CSupport

/// crc32c (Castagnoli), by the processor's instruction where there is one.
public enum CRC32C {
  /// - Parameters:
  ///   - seed: the checksum of what came before; 0 to start.
  @inlinable public static func checksum(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
    paceline_crc32c(seed, bytes.baseAddress, bytes.count)
  }
  @inlinable public static func checksum(_ start: UnsafeRawPointer, count: Int, seed: UInt32 = 0) -> UInt32 {
    paceline_crc32c(seed, start, count)
  }
  public static func checksum(_ bytes: [UInt8], seed: UInt32 = 0) -> UInt32 {
    bytes.withUnsafeBytes { checksum($0, seed: seed) }
  }
  /// The version without the instruction; tests compare the two.
  public static func portableChecksum(_ bytes: [UInt8]) -> UInt32 {
    bytes.withUnsafeBytes { paceline_crc32c_portable(0, $0.baseAddress, $0.count) }
  }
}
