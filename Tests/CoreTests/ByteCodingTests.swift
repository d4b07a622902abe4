import Core
import Testing

@Suite struct ByteCodingTests {
  @Test func whatIsWrittenIsReadBack() throws {
    var writer = ByteWriter()
    writer.u8(1)
    writer.u16(0x0203)
    writer.u32(0x0405_0607)
    writer.u64(0x0809_0A0B_0C0D_0E0F)
    writer.string("räd")
    writer.raw([9, 8])
    #expect(Array(writer.bytes.prefix(7)) == [1, 3, 2, 7, 6, 5, 4])
    var reader = ByteReader(writer.bytes)
    #expect(try reader.u8() == 1)
    #expect(try reader.u16() == 0x0203)
    #expect(try reader.u32() == 0x0405_0607)
    #expect(try reader.u64() == 0x0809_0A0B_0C0D_0E0F)
    #expect(try reader.string() == "räd")
    #expect(try reader.raw(2) == [9, 8])
    #expect(reader.remaining == 0)
  }

  @Test func readingBeyondTheEndIsAnErrorWithThePlace() {
    for count in 0..<8 {
      var reader = ByteReader([UInt8](repeating: 0xFF, count: count))
      #expect(throws: ByteReader.Truncated.self) { try reader.u64() }
      #expect(reader.offset == 0)
    }
    var reader = ByteReader([1, 2, 3])
    #expect(throws: ByteReader.Truncated.self) { try reader.raw(4) }
    #expect(throws: ByteReader.Truncated.self) { try reader.raw(-1) }
    #expect(throws: ByteReader.Truncated.self) { try reader.raw(.max) }
    var announced = ByteReader([0xFF, 0xFF, 65])
    #expect(throws: ByteReader.Truncated.self) { try announced.string() }
  }
}
