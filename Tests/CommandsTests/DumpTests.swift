import RESP
import Testing

@testable import Commands

/// DUMP and RESTORE. Payloads and replies are those of Redis 7.0.15.
@Suite(.storedBothWays) struct DumpTests {
  @Test("DUMP writes short integers as such, all else as plain bytes")
  func dumps() {
    expectReplies(
      #"""
      SET k "0" -> +OK\r\n
      DUMP k -> $13\r\n\x00\xc0\x00\n\x00\x98@\xa7x\xf8P\x03\x08\r\n
      SET k "-1" -> +OK\r\n
      DUMP k -> $13\r\n\x00\xc0\xff\n\x00\x0c\x93~$\x85\x08\x9d\xc5\r\n
      SET k "128" -> +OK\r\n
      DUMP k -> $14\r\n\x00\xc1\x80\x00\n\x00\xebz\xb3\xb5\x10\xcfKe\r\n
      SET k "-129" -> +OK\r\n
      DUMP k -> $14\r\n\x00\xc1\x7f\xff\n\x00\x17`\x82(T\x80\x84\x80\r\n
      SET k "32768" -> +OK\r\n
      DUMP k -> $16\r\n\x00\xc2\x00\x80\x00\x00\n\x00E\xd8.\xed\xd5\xbd\xa9\x10\r\n
      SET k "2147483648" -> +OK\r\n
      DUMP k -> $22\r\n\x00\n2147483648\n\x00\xe7\xb1)\xa3L\x1dv\xee\r\n
      SET k "-2147483648" -> +OK\r\n
      DUMP k -> $16\r\n\x00\xc2\x00\x00\x00\x80\n\x00\xc7O\x87>3U\x81\x87\r\n
      SET k "007" -> +OK\r\n
      DUMP k -> $15\r\n\x00\x03007\n\x00rX\xe2{Li\xba\xd9\r\n
      SET k "" -> +OK\r\n
      DUMP k -> $12\r\n\x00\x00\n\x00]\x9b\\@\x0f\x7f\xa2\xda\r\n
      SET k "abc" -> +OK\r\n
      DUMP k -> $15\r\n\x00\x03abc\n\x00\xd9\xac0=Ar\xa2\xe2\r\n
      DUMP absent -> $-1\r\n
      """#)
  }

  @Test("RESTORE reads what Redis wrote: LZF, a list is refused, damage is found")
  func restores() {
    let harness = CommandHarness()
    // 'abcdefgh' 50 times, then 'xyz' 100 times.
    #expect(harness.restore(Self.compressed) == "+OK\r\n")
    #expect(
      harness.run("GET n")
        == "$700\r\n" + String(repeating: "abcdefgh", count: 50) + String(repeating: "xyz", count: 100) + "\r\n")
    #expect(harness.restore(Self.compressed) == "-BUSYKEY Target key name already exists.\r\n")
    #expect(harness.restore(Self.compressed, ttl: "x") == "-BUSYKEY Target key name already exists.\r\n")
    #expect(harness.restore(Self.list, "REPLACE").hasPrefix("-ERR Bad data format: the payload is no string"))
    for i in Self.compressed.indices {
      var damaged = Self.compressed
      damaged[i] ^= 1
      #expect(harness.restore(damaged, "REPLACE") == "-ERR DUMP payload version or checksum are wrong\r\n")
      #expect(
        harness.restore(Array(Self.compressed.prefix(i)), "REPLACE")
          == "-ERR DUMP payload version or checksum are wrong\r\n")
    }
    #expect(harness.run("STRLEN n") == ":700\r\n")
  }

  @Test("every payload that DUMP writes is one that RESTORE reads, and versions up to 12 are")
  func roundTrips() {
    let harness = CommandHarness()
    for count in [0, 1, 11, 12, 63, 64, 16_383, 16_384, 100_000] {
      let value = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ $0 >> 8) }
      harness.run([Array("SET".utf8), Array("n".utf8), value])
      let payload = harness.dump("n")
      harness.run("DEL n")
      for version: UInt8 in [6, 10, 11, 12] {
        #expect(harness.restore(payload.of(version: version), "REPLACE") == "+OK\r\n")
        #expect(
          harness.run([Array("SET".utf8), Array("n".utf8), value, Array("GET".utf8)]).unicodeScalars.count > count)
        #expect(harness.dump("n") == payload)
      }
      #expect(
        harness.restore(payload.of(version: 13), "REPLACE") == "-ERR DUMP payload version or checksum are wrong\r\n")
    }
  }

  @Test("payloads that lie about their lengths are refused")
  func lies() {
    let harness = CommandHarness()
    for body: [UInt8] in [
      [0], [0, 5, 1], [0, 0x40], [0, 0x80, 0, 0], [0, 0x80, 0xFF, 0xFF, 0xFF, 0xFF, 1],
      [0, 0x81, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], [0, 0x82, 1], [0, 0xC0], [0, 0xC1, 1],
      [0, 0xC2, 1, 2, 3],
      [0, 0xC3, 2, 5, 0, 97], [0, 0xC3, 2, 1, 0x20, 0], [0, 0xC3, 1, 1, 0xE0], [0, 0xC3, 3, 1, 1, 97, 98],
      [0, 0xC4, 1],
      [6, 1, 97], [8, 1, 97], [99, 1, 97],
    ] {
      #expect(
        harness.restore((body + Array(repeating: 0, count: 10)).of(version: 10)) == "-ERR Bad data format\r\n",
        "\(body)")
    }
    let huge: [UInt8] = [0, 0xC3, 1, 0x80, 0x40, 0, 0, 0, 0]
    #expect(
      harness.restore((huge + Array(repeating: 0, count: 10)).of(version: 10))
        == "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n")
    #expect(harness.run("EXISTS n") == ":0\r\n")
  }

  @Test("the options of RESTORE")
  func options() {
    let harness = CommandHarness()
    let abc = [0, 3, 97, 98, 99].of10
    #expect(harness.restore(abc, ttl: "5000") == "+OK\r\n")
    #expect(harness.run("PTTL n") == ":5000\r\n")
    #expect(harness.restore(abc, ttl: "\(harness.now + 9000)", "REPLACE", "ABSTTL") == "+OK\r\n")
    #expect(harness.run("PTTL n") == ":9000\r\n")
    #expect(harness.restore(abc, "replace", "idletime", "100") == "+OK\r\n")
    #expect(harness.run("PTTL n") == ":-1\r\n")
    // A moment that has passed: the old value goes, the new one does not come.
    #expect(harness.restore(abc, ttl: "1000", "REPLACE", "ABSTTL") == "+OK\r\n")
    #expect(harness.run("EXISTS n") == ":0\r\n")
    #expect(harness.recordsAppended { harness.restore(abc, ttl: "9223372036854775807") } == 0)
    #expect(harness.restore(abc, "FREQ", "255") == "+OK\r\n")
    harness.run("DEL n")
    for (options, error) in [
      (["IDLETIME", "-1"], "ERR Invalid IDLETIME value, must be >= 0"), (["IDLETIME"], "ERR syntax error"),
      (["IDLETIME", "x"], "ERR value is not an integer or out of range"),
      (["FREQ", "256"], "ERR Invalid FREQ value, must be >= 0 and <= 255"),
      (["FREQ", "1", "IDLETIME", "1"], "ERR syntax error"), (["BOGUS"], "ERR syntax error"),
    ] {
      #expect(harness.restore(abc, options) == "-\(error)\r\n")
    }
    #expect(harness.restore(abc, ttl: "-1") == "-ERR Invalid TTL value, must be >= 0\r\n")
    #expect(harness.restore(abc, ttl: "x") == "-ERR value is not an integer or out of range\r\n")
    #expect(harness.run("EXISTS n") == ":0\r\n")
  }

  @Test("the checksum is Jones's CRC-64")
  func checksum() {
    #expect(Array("123456789".utf8).withUnsafeBytes { CRC64.checksum($0) } == 0xE9C6_D914_C4B8_D9CA)
  }

  private static let compressed: [UInt8] =
    [0x00, 0xC3, 0x1D, 0x42, 0xBC, 0x08] + Array("abcdefgha".utf8) + [0xE0, 0xFF, 0x07, 0xE1, 0x76, 0x07, 0x02]
    + Array("xyz".utf8) + [0xE0, 0xFF, 0x02, 0xE1, 0x16, 0x07, 0x01] + Array("yz".utf8)
    + [0x0A, 0x00, 0x12, 0x24, 0x16, 0xC8, 0xBE, 0x86, 0x55, 0x33]
  private static let list: [UInt8] = [
    0x12, 0x01, 0x02, 0x0A, 0x0A, 0x00, 0x00, 0x00, 0x01, 0x00, 0x81, 0x61, 0x02, 0xFF, 0x0A, 0x00, 0x09, 0xB9, 0xED,
    0xF5, 0x94, 0xDE, 0xD9, 0x95,
  ]
}

extension CommandHarness {
  @discardableResult
  fileprivate func restore(_ payload: [UInt8], ttl: String = "0", _ options: String...) -> String {
    restore(payload, ttl: ttl, options)
  }

  fileprivate func restore(_ payload: [UInt8], ttl: String = "0", _ options: [String]) -> String {
    run([Array("RESTORE".utf8), Array("n".utf8), Array(ttl.utf8), payload] + options.map { Array($0.utf8) })
  }

  fileprivate func dump(_ key: String) -> [UInt8] {
    let reply = run("DUMP \(key)").unicodeScalars.map { UInt8($0.value) }
    guard let header = reply.firstIndex(of: 10) else { return [] }
    return Array(reply[(header + 1)...].dropLast(2))
  }
}

extension [UInt8] {
  /// A payload with another version, and the checksum that goes with it.
  fileprivate func of(version: UInt8) -> [UInt8] {
    var payload = Array(dropLast(10)) + [version, 0]
    let sum = payload.withUnsafeBytes { CRC64.checksum($0) }
    for i in 0..<8 { payload.append(UInt8(truncatingIfNeeded: sum >> UInt64(8 * i))) }
    return payload
  }

  fileprivate var of10: [UInt8] { (self + Array(repeating: 0, count: 10)).of(version: 10) }
}
