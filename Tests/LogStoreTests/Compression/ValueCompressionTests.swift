import Core
import LogStore
import Simulator
import Testing

/// A record of its own in memory, uncompressed.
private func image(
  _ value: [UInt8], key: [UInt8] = Array("key".utf8), expiry: UInt64 = 0, lsn: UInt64 = 7, flags: UInt8 = 0
) -> [UInt8] {
  var out = ByteWriter()
  let bytes = RecordView.bytes(key: key.count, value: value.count, expires: expiry != 0)
  var content: [UInt8] = []
  if expiry != 0 { content += withUnsafeBytes(of: expiry.littleEndian) { Array($0) } }
  content += key + value
  out.u32(UInt32(value.count))
  out.u16(UInt16(key.count))
  out.u8(RecordKind.put.rawValue)
  out.u8(flags | (expiry != 0 ? RecordFlag.expiry : 0))
  out.u32(5)
  out.u64(lsn)
  out.u32(2)
  out.u32(CRC32C.checksum(content))
  let checksum = CRC32C.checksum(out.bytes)
  let head = withUnsafeBytes(of: checksum.littleEndian) { Array($0) } + out.bytes
  return head + content + Array(repeating: 0, count: bytes - head.count - content.count)
}

private func text(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
  var random = SplitMix64(seed: seed)
  let words = ["alpha", "beta ", "gamma, ", "delta: ", "\nepsilon", "42", "Version: 1.", "Depends: lib"]
  var out: [UInt8] = []
  while out.count < count { out += Array(words.randomElement(using: &random)!.utf8) }
  return Array(out.prefix(count))
}
private func noise(_ count: Int, seed: UInt64 = 3) -> [UInt8] {
  var random = SplitMix64(seed: seed)
  return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
}

private func compressed(
  _ record: [UInt8], _ method: ValueMethod, dictionary: ValueDictionary? = nil,
  by compressor: ValueCompressor = ValueCompressor()
) -> [UInt8]? {
  record.withUnsafeBytes { bytes in
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
    defer { room.deallocate() }
    let view = RecordView(bytes.baseAddress!)
    return compressor.compress(method, record: view, dictionary: dictionary, into: room).map {
      [UInt8](UnsafeRawBufferPointer(start: $0.base, count: $0.recordBytes))
    }
  }
}

private func expanded(
  _ record: [UInt8], dictionary: ValueDictionary? = nil, by expander: ValueExpander = ValueExpander()
) throws(ExpandFailure) -> [UInt8] {
  let result: Result<[UInt8], ExpandFailure> = record.withUnsafeBytes { bytes in
    Result { () throws(ExpandFailure) in
      let view = RecordView(bytes.baseAddress!)
      guard let needed = ValueExpander.expandedBytes(view) else { throw .damaged }
      let room = UnsafeMutableRawBufferPointer.allocate(byteCount: needed, alignment: 8)
      defer { room.deallocate() }
      let out = try expander.expand(view, dictionary: dictionary, into: room)
      return [UInt8](UnsafeRawBufferPointer(start: out.base, count: out.recordBytes))
    }
  }
  return try result.get()
}
private func verdict(_ record: [UInt8], available: Int? = nil) -> RecordView.Verdict {
  record.withUnsafeBytes { RecordView($0.baseAddress!).verify(available: available ?? $0.count) }
}

/// Values of one kind, as a catalogue of packages has them.
private func stanzas(_ count: Int) -> [[UInt8]] {
  (0..<count).map { i in
    Array(
      """
      Package: lib\(i * 7919 % 1000)-dev
      Version: \(i % 9).\(i % 31)-\(i % 4)
      Installed-Size: \(i * 37 % 5000)
      Maintainer: Debian Team \(i % 13) <team\(i % 13)@lists.debian.org>
      Architecture: amd64
      Depends: libc6 (>= 2.3\(i % 10)), libgcc-s1 (>= 4.\(i % 7))
      Description: library number \(i) for programs of kind \(i % 17)
      Section: \(["libs", "devel", "net"][i % 3])
      Priority: optional
      """.utf8)
  }
}
private func trained(_ values: [[UInt8]]) -> DictionaryTrainer.Trained? {
  var trainer = DictionaryTrainer()
  for value in values { value.withUnsafeBytes { trainer.add($0) } }
  return trainer.train(totalValueBytes: values.reduce(0) { $0 + $1.count })
}

@Suite struct ValueCodecTests {
  @Test(arguments: [ValueMethod.lz4, .zstd])
  func whatIsExpandedIsTheRecordThatWasCompressed(method: ValueMethod) throws {
    let compressor = ValueCompressor()
    let expander = ValueExpander()
    for size in [80, 100, 1000, 4096, 65_535, 100_000, CompressedValue.rawBytesMax] {
      for expiry in [UInt64(0), 1_800_000_000_123] {
        for flags in [UInt8(0), RecordFlag.unitContinues] {
          let record = image(
            Array(repeating: UInt8(ascii: "x"), count: 60) + text(size - 60), expiry: expiry, flags: flags)
          let small = try #require(compressed(record, method, by: compressor), "\(size)")
          #expect(small.count < record.count && small.count % 8 == 0)
          #expect(verdict(small) == .good)
          small.withUnsafeBytes { bytes in
            let view = RecordView(bytes.baseAddress!)
            let whole = record.withUnsafeBytes { RecordView($0.baseAddress!).contentHash }
            #expect(view.isCompressed && view.rawValueBytes == size && view.contentHash == whole)
            #expect(view.expiry == expiry && view.key.elementsEqual("key".utf8) && view.lsn == 7 && view.term == 2)
          }
          #expect(try expanded(small, by: expander) == record)
        }
      }
    }
  }

  @Test(arguments: [ValueMethod.lz4, .zstd])
  func whatDoesNotShrinkEnoughIsLeftAsItIs(method: ValueMethod) {
    #expect(compressed(image(noise(5000)), method) == nil)
    #expect(compressed(image(text(63)), method) == nil)
    #expect(compressed(image([]), method) == nil)
    #expect(compressed(image(Array(repeating: 1, count: CompressedValue.rawBytesMax + 1)), method) == nil)
    // A tenth of it could be saved, an eighth must be.
    #expect(compressed(image(noise(900) + Array(repeating: 0, count: 100)), method) == nil)
    #expect(compressed(image(noise(500) + Array(repeating: 0, count: 500)), method) != nil)
  }

  @Test func aValueThatWouldExpandTooFarIsNotStoredSo() throws {
    let zeros = image(Array(repeating: 0, count: 1 << 20))
    #expect(compressed(zeros, .zstd) == nil)
    let small = try #require(compressed(zeros, .lz4))
    #expect(small.count < 8192)
    #expect(try expanded(small) == zeros)
  }

  @Test func aRecordIsNotCompressedTwiceNorWithoutRoom() throws {
    let record = image(text(1000))
    let small = try #require(compressed(record, .lz4))
    #expect(compressed(small, .lz4) == nil)
    record.withUnsafeBytes { bytes in
      let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 100, alignment: 8)
      defer { room.deallocate() }
      let compressor = ValueCompressor()
      #expect(compressor.compress(.lz4, record: RecordView(bytes.baseAddress!), into: room) == nil)
    }
    small.withUnsafeBytes { bytes in
      let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 512, alignment: 8)
      defer { room.deallocate() }
      #expect(throws: ExpandFailure.noRoom(bytesNeeded: record.count)) {
        try ValueExpander().expand(RecordView(bytes.baseAddress!), into: room)
      }
    }
  }

  /// Every bit of a compressed record, changed: refused by its checksum, and if the checksum is made to fit, the value
  /// is either the right one or none.
  @Test(arguments: [ValueMethod.lz4, .zstd])
  func noDamageGivesAWrongValue(method: ValueMethod) throws {
    let record = image(text(200), expiry: 1_800_000_000_000)
    let small = try #require(compressed(record, method))
    let value = text(200)
    let expander = ValueExpander()
    for at in small.indices {
      for bit in 0..<8 {
        var bad = small
        bad[at] ^= 1 << UInt8(bit)
        #expect(verdict(bad) != .good, "byte \(at) bit \(bit)")
        guard at >= 4, at != 11 else { continue }
        // As if a writer had meant it; lengths that leave the memory are refused before.
        let fits = bad.withUnsafeBytes { RecordView($0.baseAddress!).recordBytes == $0.count }
        guard fits else { continue }
        let checksum = bad.withUnsafeBytes { RecordView($0.baseAddress!).expectedChecksum }
        withUnsafeBytes(of: checksum.littleEndian) { bad.replaceSubrange(0..<4, with: $0) }
        guard let out = try? expanded(bad, by: expander) else { continue }
        // Only header fields that the content hash does not cover may differ.
        #expect(out.withUnsafeBytes { RecordView($0.baseAddress!).value.elementsEqual(value) })
        #expect(out.withUnsafeBytes { RecordView($0.baseAddress!).key.elementsEqual("key".utf8) })
      }
    }
  }

  @Test func whatIsNoCompressedPutIsRefused() throws {
    let small = try #require(compressed(image(text(300)), .lz4))
    func changed(_ change: (inout [UInt8]) -> Void) -> RecordView.Verdict {
      var bad = small
      change(&bad)
      let checksum = bad.withUnsafeBytes { RecordView($0.baseAddress!).expectedChecksum }
      withUnsafeBytes(of: checksum.littleEndian) { bad.replaceSubrange(0..<4, with: $0) }
      return verdict(bad)
    }
    #expect(changed { _ in } == .good)
    #expect(changed { $0[11] |= RecordFlag.compressionMask } == .damaged)
    #expect(changed { $0[11] |= RecordFlag.elementOfCollection } == .damaged)
    for kind in [RecordKind.delete, .catalog, .noop] { #expect(changed { $0[10] = kind.rawValue } == .damaged) }
    // The announced size stands behind the key of 3 bytes: nothing, and more than the bytes can hold.
    let sizeAt = RecordView.headerBytes + 3
    #expect(changed { $0.replaceSubrange(sizeAt..<sizeAt + 4, with: [0, 0, 0, 0]) } == .damaged)
    #expect(changed { $0.replaceSubrange(sizeAt..<sizeAt + 4, with: [0, 0, 0, 32]) } == .damaged)
    #expect(changed { $0.replaceSubrange(sizeAt..<sizeAt + 4, with: [255, 255, 255, 255]) } == .damaged)
    #expect(verdict(small, available: small.count - 1) == .incomplete)
    #expect(verdict(small, available: 31) == .incomplete)
  }

  @Test func hostileBytesExpandToNothing() {
    let expander = ValueExpander()
    var random = SplitMix64(seed: 11)
    for round in 0..<4000 {
      var record = image(noise(Int.random(in: 5...200, using: &random), seed: UInt64(round)))
      record[11] |= round % 2 == 0 ? RecordFlag.lz4 : RecordFlag.zstd
      let at = RecordView.headerBytes + 3
      let size = UInt32.random(in: 1...2000, using: &random)
      withUnsafeBytes(of: size.littleEndian) { record.replaceSubrange(at..<at + 4, with: $0) }
      if round % 4 == 1, record.count >= at + 12 {
        record.replaceSubrange(at + 4..<at + 8, with: [0x28, 0xB5, 0x2F, 0xFD])
      }
      #expect(throws: ExpandFailure.self) { try expanded(record, by: expander) }
    }
  }
}

@Suite struct ValueDictionaryTests {
  @Test func aDictionaryPaysForManySmallValuesOfOneKind() throws {
    let values = stanzas(3000)
    let found = try #require(trained(values))
    #expect(found.savedBytes > 0 && found.dictionary.bytes.count <= 64 << 10 && found.dictionary.id != 0)
    let again = try #require(trained(values))
    #expect(found.dictionary.bytes == again.dictionary.bytes)
    let compressor = ValueCompressor()
    var plain = 0
    var better = 0
    for value in values.prefix(200) {
      let record = image(value)
      let without = compressed(record, .zstd, by: compressor) ?? record
      let with = try #require(compressed(record, .zstd, dictionary: found.dictionary, by: compressor))
      plain += without.count
      better += with.count
      #expect(with.withUnsafeBytes { ValueExpander.needsDictionary(RecordView($0.baseAddress!)) })
      #expect(!without.withUnsafeBytes { ValueExpander.needsDictionary(RecordView($0.baseAddress!)) })
      #expect(try expanded(with, dictionary: found.dictionary) == record)
      if without != record { #expect(try expanded(without, dictionary: found.dictionary) == record) }
      #expect(throws: ExpandFailure.dictionaryMissing) { try expanded(with) }
    }
    #expect(better < plain * 3 / 4)
  }

  @Test func noDictionaryIsMadeWhereNoneHelps() {
    #expect(trained(stanzas(50)) == nil)
    #expect(trained((0..<2000).map { noise(400, seed: UInt64($0)) }) == nil)
    #expect(DictionaryTrainer().train(totalValueBytes: 0) == nil)
  }

  @Test func anotherDictionaryGivesNoValue() throws {
    let first = try #require(trained(stanzas(3000))).dictionary
    let others = stanzas(3000).map { Array(String(decoding: $0, as: UTF8.self).uppercased().utf8) }
    let second = try #require(trained(others)).dictionary
    let with = try #require(compressed(image(stanzas(1)[0]), .zstd, dictionary: first))
    #expect(first.id != second.id)
    #expect(throws: ExpandFailure.self) { try expanded(with, dictionary: second) }
  }

  @Test func dictionariesOfAFileReadBack() throws {
    let first = try #require(trained(stanzas(3000))).dictionary
    let bytes = ValueDictionary.encode([9: first, 2: first])
    #expect(bytes.count % 8 == 0 && ValueDictionary.encode([:]).isEmpty)
    #expect(bytes[0..<8].elementsEqual([2, 0, 0, 0, 0, 0, 0, 0]) && bytes[8] == 2)
    let read = try bytes.withUnsafeBytes { try ValueDictionary.decode($0) }
    #expect(read.keys.sorted() == [2, 9] && read[2]?.bytes == first.bytes && read[9]?.id == first.id)
    #expect(try ValueDictionary.decode(UnsafeRawBufferPointer(start: nil, count: 0)).isEmpty)
    let record = image(stanzas(2)[1])
    let with = try #require(compressed(record, .zstd, dictionary: first))
    #expect(try expanded(with, dictionary: read[9]) == record)
  }

  @Test func damagedDictionariesAreRefused() throws {
    let dictionary = try #require(trained(stanzas(3000))).dictionary
    let bytes = ValueDictionary.encode([3: dictionary])
    func refuses(_ bytes: [UInt8]) -> Bool {
      bytes.withUnsafeBytes { (try? ValueDictionary.decode($0)) == nil }
    }
    #expect(!refuses(bytes))
    // All of the head, and places all over the rest.
    for at in Array(0..<64) + Array(stride(from: 64, to: bytes.count, by: 97)) + [bytes.count - 1] {
      var bad = bytes
      bad[at] ^= 0x10
      #expect(refuses(bad), "byte \(at)")
    }
    for count in [1, 7, 8, 16, 24, 32, bytes.count - 8] { #expect(refuses(Array(bytes.prefix(count))), "\(count)") }
    #expect(refuses(bytes + Array(repeating: 0, count: 8)))
    #expect(ValueDictionary(noise(500)) == nil && ValueDictionary([]) == nil)
    #expect(ValueDictionary(Array(repeating: 0x37, count: ValueDictionary.bytesMax + 1)) == nil)
  }
}
