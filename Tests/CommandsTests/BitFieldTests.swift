import Testing

@testable import Commands

/// BITFIELD and BITFIELD_RO. The replies are those of Redis 7.0.15. An empty line begins a new store.
@Suite(.storedBothWays) struct BitFieldTests {
  @Test("integers of any width are read and written")
  func readsAndWrites() {
    expectReplies(
      #"""
      BITFIELD k -> *0\r\n
      BITFIELD k SET u8 0 255 GET u8 0 GET i8 0 GET u4 6 -> *4\r\n:0\r\n:255\r\n:-1\r\n:12\r\n
      GET k -> $1\r\n\xff\r\n
      BITFIELD k SET i64 3 -2 GET i64 3 -> *2\r\n:-576460752303423488\r\n:-2\r\n
      STRLEN k -> :9\r\n
      BITFIELD k INCRBY u5 #2 3 -> *1\r\n:2\r\n
      BITFIELD_RO absent GET u63 0 -> *1\r\n:0\r\n
      EXISTS absent -> :0\r\n
      BITFIELD_RO k GET u8 0 SET u8 0 1 -> -ERR BITFIELD_RO only supports the GET subcommand\r\n
      """#)
  }

  @Test("what does not fit wraps around, stops at the limit or fails")
  func overflows() {
    expectReplies(
      #"""
      BITFIELD k SET i8 0 127 INCRBY i8 0 1 -> *2\r\n:0\r\n:-128\r\n
      BITFIELD k SET u2 8 3 INCRBY u2 8 1 -> *2\r\n:0\r\n:0\r\n
      BITFIELD k OVERFLOW SAT INCRBY i8 0 -1 INCRBY u2 8 9 -> *2\r\n:-128\r\n:3\r\n
      BITFIELD k OVERFLOW FAIL INCRBY i8 0 -1 INCRBY u2 8 1 GET u2 8 -> *3\r\n$-1\r\n$-1\r\n:3\r\n
      BITFIELD k OVERFLOW SAT SET i8 0 -9223372036854775808 GET i8 0 -> *2\r\n:-128\r\n:127\r\n
      BITFIELD k SET i64 0 9223372036854775807 INCRBY i64 0 1 -> *2\r\n:9205357638345293824\r\n:-9223372036854775808\r\n
      """#)
  }

  @Test("a mistake in any step is told before the first is done")
  func refuses() {
    expectReplies(
      #"""
      BITFIELD k SET u8 0 1 GET -> -ERR syntax error\r\n
      BITFIELD k SET u64 0 1 -> -ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.\r\n
      BITFIELD k SET u8 #x 1 -> -ERR bit offset is not an integer or out of range\r\n
      BITFIELD k GET i64 #9223372036854775807 -> -ERR bit offset is not an integer or out of range\r\n
      BITFIELD k SET u8 0 x -> -ERR value is not an integer or out of range\r\n
      BITFIELD k OVERFLOW LEAST SET u8 0 1 -> -ERR Invalid OVERFLOW type specified\r\n
      EXISTS k -> :0\r\n
      """#)
  }

  @Test("a record is written only if the value changes, and keeps its expiry")
  func writesWhatChanges() {
    let harness = CommandHarness()
    harness.run("SET k abc EX 100")
    #expect(harness.recordsAppended { harness.run("BITFIELD k GET u8 0 SET u8 0 97 INCRBY u8 8 0") } == 0)
    #expect(harness.recordsAppended { harness.run("BITFIELD k OVERFLOW FAIL INCRBY u8 0 500") } == 0)
    #expect(harness.recordsAppended { harness.run("BITFIELD k SET u8 0 98 SET u8 8 99") } == 1)
    #expect(harness.run("GET k") == "$3\r\nbcc\r\n")
    #expect(harness.run("TTL k") == ":100\r\n")
    #expect(harness.recordsAppended { harness.run("BITFIELD k OVERFLOW FAIL INCRBY u2 100 4") } == 1)
    #expect(harness.run("STRLEN k") == ":13\r\n")
  }

  @Test("a slave serves BITFIELD_RO only")
  func slaves() {
    let harness = CommandHarness()
    harness.run("SET k a")
    harness.takesWrites = false
    #expect(harness.run("BITFIELD_RO k GET u8 0") == "*1\r\n:97\r\n")
    #expect(harness.run("BITFIELD k GET u8 0").hasPrefix("-READONLY"))
  }
}
