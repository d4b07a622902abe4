import Core
import LogStore
import Simulator
import Testing

@testable import Commands

/// Values that pay are stored compressed, and no command sees it.
struct CompressedValueTests {
  let harness = CommandHarness()
  private let text = Array(String(repeating: "a line of some text, again and again; ", count: 30).utf8)

  init() { harness.store.compression = .lz4 }

  private func noise(_ count: Int, seed: UInt64 = 9) -> [UInt8] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
  }
  private func set(_ key: String, _ value: [UInt8], _ more: String...) {
    #expect(harness.run([Array("SET".utf8), Array(key.utf8), value] + more.map { Array($0.utf8) }) == "+OK\r\n")
  }
  private func bulk(_ bytes: some Collection<UInt8>) -> String {
    bytes.reduce(into: "$\(bytes.count)\r\n") { $0.unicodeScalars.append(Unicode.Scalar($1)) } + "\r\n"
  }
  /// For each record after `lsn`: the bytes of the value as stored, and whether it is compressed.
  private func stored(after lsn: UInt64 = 0) -> [(bytes: Int, isCompressed: Bool)] {
    var found: [(Int, Bool)] = []
    harness.forEachRecord(after: lsn) { found.append(($0.valueBytes, $0.isCompressed)) }
    return found
  }

  @Test func theSuitesAboveReallySeeCompressedValues() {
    CommandHarness.$compressesEverything.withValue(true) {
      let harness = CommandHarness()
      harness.run("SET k v")
      harness.forEachRecord(after: 0) {
        #expect($0.isCompressed && $0.rawValueBytes == 1)
        #expect($0.verify(available: $0.recordBytes) == .good)
      }
      #expect(harness.run("GET k") == "$1\r\nv\r\n")
      #expect(harness.records == 1)
    }
  }

  @Test func aValueIsCompressedWhereItPays() {
    set("text", text)
    set("short", Array(text.prefix(63)))
    set("noise", noise(2000))
    set("long", Array(repeating: 7, count: CompressedValue.rawBytesMax + 1))
    let found = stored()
    #expect(found.map(\.isCompressed) == [true, false, false, false])
    #expect(found[0].bytes < text.count / 4)
    for (key, value) in [("text", text), ("noise", noise(2000))] { #expect(harness.run("GET \(key)") == bulk(value)) }
    #expect(harness.run("STRLEN text") == ":\(text.count)\r\n")
    #expect(harness.run("STRLEN long") == ":\(CompressedValue.rawBytesMax + 1)\r\n")
    harness.store.compression = .none
    let before = harness.records
    set("text", text)
    #expect(stored(after: before).map(\.isCompressed) == [false])
  }

  @Test func everyWayToTakeAPartIsOfTheValueAsItWasWritten() {
    set("k", text)
    #expect(harness.run("GETRANGE k 100 199") == bulk(text[100..<200]))
    #expect(harness.run("GETBIT k 9") == ":\(text[1] >> 6 & 1)\r\n")
    #expect(harness.run("BITCOUNT k") == ":\(text.reduce(0) { $0 + $1.nonzeroBitCount })\r\n")
    #expect(harness.run("OBJECT ENCODING k") == "$3\r\nraw\r\n")
    #expect(harness.run("LCS k k LEN") == ":\(text.count)\r\n")
    #expect(harness.run("MGET k none k") == "*3\r\n\(bulk(text))$-1\r\n\(bulk(text))")
    #expect(harness.run("BITOP NOT inverse k") == ":\(text.count)\r\n")
    #expect(harness.run("GET inverse") == bulk(text.map { ~$0 }))
  }

  @Test func theValueAndTheExpiryAreCarried() {
    set("a", text, "PX", "5000")
    #expect(harness.run("RENAME a b") == "+OK\r\n")
    #expect(harness.run("COPY b c") == ":1\r\n")
    #expect(harness.run("MOVE c 1") == ":1\r\n")
    #expect(harness.run("PEXPIRE b 7000") == ":1\r\n")
    #expect(harness.run("PTTL b") == ":7000\r\n")
    #expect(harness.run("GETEX b PERSIST") == bulk(text))
    #expect(harness.run("PERSIST b") == ":0\r\n")
    #expect(harness.run("GETSET b v") == bulk(text))
    harness.run("SELECT 1")
    #expect(harness.run("PTTL c") == ":5000\r\n")
    #expect(harness.run("GETDEL c") == bulk(text))
  }

  /// A value that grows piece by piece is expanded once, not at every step.
  @Test func aValueThatIsChangedInPartIsStoredAsItIs() {
    set("k", text)
    let before = harness.records
    #expect(harness.run("APPEND k more") == ":\(text.count + 4)\r\n")
    #expect(harness.run("SETRANGE k 0 AAAA") == ":\(text.count + 4)\r\n")
    #expect(harness.run("SETBIT k 7 0") == ":1\r\n")
    #expect(stored(after: before).allSatisfy { !$0.isCompressed })
    var expected = text + Array("more".utf8)
    expected.replaceSubrange(0..<4, with: Array("@AAA".utf8))
    #expect(harness.run("GET k") == bulk(expected))
  }

  @Test func dataThatDoesNotShrinkIsTriedSeldom() {
    for i in 0..<300 { set("k\(i)", noise(200, seed: UInt64(i))) }
    // Soon enough, what shrinks is noticed again.
    let before = harness.records
    for i in 0..<CompressionTrials.skipMax + 1 { set("t\(i)", text) }
    #expect(stored().prefix(300).allSatisfy { !$0.isCompressed })
    #expect(stored(after: before).contains { $0.isCompressed })
    var trials = CompressionTrials()
    var tried = 0
    for _ in 0..<1000 where trials.isDue() {
      tried += 1
      trials.tried(paid: false)
    }
    #expect(tried < 25)
  }

  @Test func aTransactionOfCompressedValuesIsOneUnit() {
    harness.run("MULTI")
    for key in ["a", "b", "c"] {
      #expect(harness.run([Array("SET".utf8), Array(key.utf8), text]) == "+QUEUED\r\n")
    }
    #expect(harness.run("EXEC") == "*3\r\n+OK\r\n+OK\r\n+OK\r\n")
    #expect(harness.units(after: 0) == [3])
    // The last record was changed after it had been sealed.
    harness.forEachRecord(after: 0) { #expect($0.isCompressed && $0.verify(available: $0.recordBytes) == .good) }
    #expect(harness.run("MGET a b c") == "*3\r\n" + bulk(text) + bulk(text) + bulk(text))
  }

  @Test func valuesOfOnePipelineDoNotMix() {
    var sizes = [64, 100, 5000, 70_000, 300_000, 1000, 1 << 20, 200].map {
      Array(text.prefix(1)) + noise($0 / 8) + Array(repeating: UInt8(1), count: $0)
    }
    sizes += sizes
    harness.batch {
      for (i, value) in sizes.enumerated() { set("k\(i)", value) }
      for (i, value) in sizes.enumerated() { #expect(harness.run("GET k\(i)") == bulk(value)) }
    }
    // More than a turn may write: the pipeline was cut between two commands, and each ran exactly once.
    #expect(harness.turnsEnded > 0)
    #expect(harness.records == UInt64(sizes.count))
    let all = "MGET " + sizes.indices.map { "k\($0)" }.joined(separator: " ")
    #expect(harness.run(all) == sizes.reduce("*\(sizes.count)\r\n") { $0 + bulk($1) })
    harness.run("PING")
    #expect(harness.executor.keys.values.arena.allocatedBytes <= ValueArena.keptBytesMax)
  }

  @Test func theArenaGrowsAndShrinksAgain() {
    var arena = ValueArena()
    let start = arena.mark
    guard let first = arena.allocate(100), let second = arena.allocate(3 << 20) else {
      Issue.record("no room in an empty arena")
      return
    }
    first.initializeMemory(as: UInt8.self, repeating: 1)
    second.initializeMemory(as: UInt8.self, repeating: 2)
    #expect(first.allSatisfy { $0 == 1 } && second.allSatisfy { $0 == 2 })
    let tooMuch = arena.allocate(ValueArena.bytesMax)
    #expect(tooMuch == nil)
    arena.release(to: start)
    let left = arena.allocatedBytes
    #expect(left == ValueArena.pieceBytesMin)
    let again = arena.allocate(100)
    #expect(again?.baseAddress == first.baseAddress)
    _ = arena.allocate(500_000)
    arena.reset()
    let kept = arena.allocatedBytes
    #expect(kept <= ValueArena.keptBytesMax && kept > 500_000)
    for _ in 0..<5000 {
      _ = arena.allocate(64)
      arena.reset()
    }
    let atLast = arena.allocatedBytes
    #expect(atLast <= ValueArena.pieceBytesMin)
  }

  @Test func aDamagedValueIsNotServed() {
    set("k", text)
    let table = harness.store.table(0)
    let key = Array("k".utf8)
    key.withUnsafeBytes { key in
      guard case .found(let record) = harness.store.find(table, harness.store.hash(key), key) else {
        Issue.record("the key is missing")
        return
      }
      let bytes = UnsafeMutableRawPointer(mutating: record.value.baseAddress!)
      bytes.storeBytes(of: record.value[20] ^ 1, toByteOffset: 20, as: UInt8.self)
    }
    let before = harness.records
    for command in ["GET k", "GETRANGE k 0 1", "APPEND k x", "GETSET k v", "RENAME k l", "EXPIRE k 10", "MGET k"] {
      #expect(harness.run(command).hasPrefix("-CORRUPT "), "\(command)")
    }
    #expect(harness.records == before)
    #expect(harness.run("SET k v") == "+OK\r\n")
    #expect(harness.run("GET k") == "$1\r\nv\r\n")
  }
}
