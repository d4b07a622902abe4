import Commands
import LogStore
import Testing

/// What string and bitmap commands write: how many records, in which units, with which expiry.
@Suite(.storedBothWays) struct StringWriteTests {
  let harness = CommandHarness()

  /// The expiry of a key's newest record in the log; nil if that is a removal.
  private func expiry(_ key: String) -> UInt64? {
    var found: UInt64?
    harness.forEachRecord(after: 0) { record in
      guard record.key.elementsEqual(key.utf8) else { return }
      found = record.kind == RecordKind.put.rawValue ? record.expiry : nil
    }
    return found
  }

  @Test(
    "A write that changes nothing appends no record",
    arguments: [
      "SET k v NX", "SET absent v XX", "SET absent v PXAT 1", "SETNX k w", "GETEX k", "GETEX k PERSIST",
      "GETEX absent EX 10", "GETDEL absent", "APPEND k \"\"", "SETRANGE k 0 \"\"", "SETRANGE absent 3 \"\"",
      "MSETNX new 1 k 2",
      "BITOP AND absent none", "SETBIT k 0 0", "INCR k", "INCRBYFLOAT k 1", "SET k v EX 0", "SETRANGE k -1 x",
      "MSET a 1 b",
    ])
  func unchanged(_ command: String) {
    harness.run("SET k v")
    #expect(harness.recordsAppended { harness.run(command) } == 0)
  }

  @Test func severalKeysAreOneUnit() {
    harness.run("MSET a 1 b 2 c 3")
    harness.run("SET d 4")
    harness.run("MSETNX e 5 f 6")
    harness.run("BITOP OR g a b")
    #expect(harness.units(after: 0) == [3, 1, 2, 1])
  }

  @Test func aRefusedMSETWritesNothing() {
    let harness = CommandHarness {
      $0.keyBytesMax = 4; $0.valueBytesMax = 8
    }
    #expect(harness.run("MSET a 1 toolong 2").hasPrefix("-ERR key is too long"))
    #expect(
      harness.run("MSET a 1 b 123456789") == "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n")
    #expect(harness.records == 0)
    // The unit is closed again.
    #expect(harness.run("MSET a 1 b 2") == "+OK\r\n")
    #expect(harness.units(after: 0) == [2])
  }

  @Test(
    "An expiry becomes an absolute time",
    arguments: [
      ("SET k v EX 10", 1_700_000_010_000), ("SET k v PX 10", 1_700_000_000_010),
      ("SET k v EXAT 1800000000", 1_800_000_000_000),
      ("SET k v PXAT 1800000000001", 1_800_000_000_001), ("SETEX k 3 v", 1_700_000_003_000),
      ("PSETEX k 3 v", 1_700_000_000_003),
      ("GETEX k EX 7", 1_700_000_007_000), ("GETEX k PERSIST", 0), ("SET k v", 0), ("GETSET k v", 0), ("MSET k v", 0),
      ("BITOP NOT k k", 0), ("SET k v EX 9223370336854775", 9_223_372_036_854_775_000),
      // These keep what stood there.
      ("SET k v KEEPTTL", 1_700_000_100_000), ("APPEND k 1", 1_700_000_100_000), ("INCR k", 1_700_000_100_000),
      ("INCRBYFLOAT k 1.5", 1_700_000_100_000), ("SETRANGE k 9 x", 1_700_000_100_000),
      ("SETBIT k 1 0", 1_700_000_100_000),
    ] as [(String, UInt64)])
  func deadlines(_ command: String, _ expected: UInt64) {
    harness.run("SET k 5 EX 100")
    #expect(!harness.run(command).hasPrefix("-"))
    #expect(expiry("k") == expected)
  }

  @Test(
    "A deadline beyond 2^63 milliseconds is refused",
    arguments: [
      "SET k v EX 9223370336854776", "SET k v PX 9223370336854775808", "SET k v EXAT 9223372036854776",
    ])
  func tooLate(_ command: String) {
    #expect(harness.run(command) == "-ERR invalid expire time in 'set' command\r\n")
  }

  @Test func aDeadlineInThePastRemovesTheKey() {
    harness.run("SET k v")
    #expect(harness.run("SET k w PXAT 1699999999999") == "+OK\r\n")
    #expect(harness.run("GET k") == "$-1\r\n")
    #expect(expiry("k") == nil)
    harness.run("SET k v")
    #expect(harness.run("GETEX k EXAT 1") == "$1\r\nv\r\n")
    #expect(harness.run("GET k") == "$-1\r\n")
  }

  @Test func anExpiredValueIsNotThere() {
    harness.run("SET k 5 PX 10")
    harness.now += 10
    #expect(harness.run("GET k") == "$-1\r\n")
    #expect(harness.run("SET k v XX") == "$-1\r\n")
    #expect(harness.run("GETDEL k") == "$-1\r\n")
    #expect(harness.run("INCR k") == ":1\r\n")
    #expect(expiry("k") == 0)
  }

  @Test func hitsAndMissesCountAsInRedis() {
    for line in [
      "SET k v", "GET k", "GET x", "MGET k x", "GETSET k w", "SET k w GET", "SETNX k v", "INCR n", "LCS k x",
      "GETBIT x 1",
      "STRLEN k", "BITOP NOT d x", "GETDEL d",
    ] { harness.run(line) }
    #expect(harness.executor.keys.hits == 6)
    #expect(harness.executor.keys.misses == 6)
  }

  @Test(
    "A slave refuses every write before anything else",
    arguments: [
      "SET k v", "SET k v FOO", "GETEX k", "GETEX k FOO", "MSET a 1 b", "INCRBY k x", "SETBIT k x 1", "BITOP FOO a b",
      "SETEX k 0 v", "APPEND k v",
    ])
  func slave(_ command: String) {
    harness.takesWrites = false
    #expect(harness.run(command) == "-READONLY You can't write against a read only replica.\r\n")
  }

  @Test func aSlaveAnswersReads() {
    harness.run("SET k v")
    harness.takesWrites = false
    #expect(harness.run("MGET k x") == "*2\r\n$1\r\nv\r\n$-1\r\n")
    #expect(harness.run("BITCOUNT k") == ":5\r\n")
  }

  @Test func valuesEndAtTheLimit() {
    let harness = CommandHarness { $0.valueBytesMax = 8 }
    let tooLong = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"
    #expect(harness.run("SETRANGE k 7 x") == ":8\r\n")
    #expect(harness.run("SETRANGE k 8 x") == tooLong)
    #expect(harness.run("APPEND k x") == tooLong)
    #expect(harness.run("SET k 123456789") == tooLong)
    #expect(harness.run("GETSET k 123456789") == tooLong)
    #expect(harness.run("SETBIT k 63 1") == ":0\r\n")
    #expect(harness.run("SETBIT k 64 1") == "-ERR bit offset is not an integer or out of range\r\n")
    #expect(harness.run("GETBIT k 64") == ":0\r\n")
  }

  @Test func lcsHasRedissLimit() {
    let harness = CommandHarness { $0.valueBytesMax = 1 << 20 }
    harness.run([Array("SET".utf8), Array("a".utf8), [UInt8](repeating: 1, count: 11_585)])
    harness.run([Array("SET".utf8), Array("b".utf8), [UInt8](repeating: 1, count: 11_585)])
    #expect(
      harness.run("LCS a b LEN")
        == "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len\r\n")
  }

  @Test func mapsAreMapsInProtocol3() {
    harness.protocolVersion = 3
    harness.run("MSET a x b x")
    #expect(
      harness.run("LCS a b IDX")
        == "%2\r\n$7\r\nmatches\r\n*1\r\n*2\r\n*2\r\n:0\r\n:0\r\n*2\r\n:0\r\n:0\r\n$3\r\nlen\r\n:1\r\n")
    #expect(harness.run("GETDEL c") == "_\r\n")
  }

  @Test func aReplyWaitsForWhatItSaw() {
    harness.run("SET k v")
    harness.run("GETDEL k")
    harness.session.gate = Gate()
    harness.good = 1
    // "Nothing" rests on the removal, which is not good yet.
    harness.run("GETDEL k")
    #expect(harness.session.gate.durable == 2)
  }
}
