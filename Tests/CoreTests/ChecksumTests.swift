import Core
import Testing

@Suite struct ChecksumTests {
  /// RFC 3720, appendix B.4, and the usual check value.
  @Test func theKnownVectorsHold() {
    #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xE306_9283)
    #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(CRC32C.checksum((0..<32).map { UInt8($0) }) == 0x46DD_794E)
    #expect(CRC32C.checksum((0..<32).reversed().map { UInt8($0) }) == 0x113F_DB5C)
    #expect(CRC32C.checksum([]) == 0)
  }

  @Test func theInstructionAndTheTableAgreeForEveryLengthAndSplit() {
    let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ 13) }
    for count in 0...300 {
      let piece = Array(bytes.prefix(count))
      let whole = CRC32C.checksum(piece)
      #expect(whole == CRC32C.portableChecksum(piece))
      let cut = count * 2 / 3
      #expect(CRC32C.checksum(Array(piece[cut...]), seed: CRC32C.checksum(Array(piece[..<cut]))) == whole)
    }
  }
}
