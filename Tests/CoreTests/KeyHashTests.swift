import Core
import Testing

@Suite struct KeyHashTests {
  private func hash(_ bytes: [UInt8], seed: UInt64 = 1) -> UInt64 {
    bytes.withUnsafeBytes { KeyHash.hash($0, seed: seed) }
  }

  @Test func numberedKeysSpreadEvenlyOverPartitionsAndTags() {
    var partitions = [Int](repeating: 0, count: 1024)
    var tags: Set<UInt64> = []
    let count = 100_000
    for i in 0..<count {
      let value = hash(Array("key:\(i)".utf8))
      partitions[Int(value >> 54)] += 1
      tags.insert(value >> 30)
    }
    let mean = Double(count) / 1024
    let chiSquare = partitions.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) / mean }
    // 1023 degrees of freedom: five standard deviations.
    #expect(chiSquare > 1023 - 5 * 45.2 && chiSquare < 1023 + 5 * 45.2)
    #expect(tags.count > count - 5, "34 bits: hardly a collision")
  }

  @Test func oneBitOfTheKeyTurnsHalfTheBitsOfTheHash() {
    for length in [1, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100] {
      var turned = 0
      var tried = 0
      for salt in 0..<8 {
        let key = (0..<length).map { UInt8(truncatingIfNeeded: $0 * 37 + salt * 11) }
        let value = hash(key)
        for bit in 0..<length * 8 {
          var other = key
          other[bit / 8] ^= 1 << UInt8(bit % 8)
          turned += (value ^ hash(other)).nonzeroBitCount
          tried += 1
        }
      }
      let mean = Double(turned) / Double(tried)
      #expect(mean > 29 && mean < 35, "length \(length): \(mean)")
    }
  }

  @Test func lengthAndSeedChangeTheHash() {
    var values: Set<UInt64> = []
    for length in 0..<200 { values.insert(hash([UInt8](repeating: 0, count: length))) }
    for seed in UInt64(2)..<202 { values.insert(hash([], seed: seed)) }
    #expect(values.count == 400)
  }

  @Test func theHashIsThatOfTheIndexFilesOnDisk() {
    // A change of these values makes every .idx file unreadable: raise the version then.
    #expect(hash([], seed: 7) == KeyHash.hash(UnsafeRawBufferPointer(start: nil, count: 0), seed: 7))
    #expect(hash(Array("a".utf8), seed: 7) == 11_113_101_125_066_729_504)
    #expect(hash(Array("0123456789".utf8), seed: 7) == 1_445_497_715_686_222_410)
    #expect(hash(Array("0123456789012345678901234567890123456789".utf8), seed: 7) == 9_872_612_256_702_009_839)
  }
}
