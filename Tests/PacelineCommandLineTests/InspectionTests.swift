import Core
import LogStore
import Simulator
import Testing

@testable import paceline

@Suite struct InspectionTests {
  private func inspect(_ files: SimulatedFileSystem, _ path: String, records: Bool = false) throws -> (
    text: String, damage: Int
  ) {
    let lines = Lines()
    var inspection = Inspection(fileSystem: files, showRecords: records) { lines.all.append($0) }
    try inspection.inspect(path)
    return (lines.all.joined(separator: "\n"), inspection.damageCount)
  }
  private final class Lines { var all: [String] = [] }

  private func disk() throws -> InspectedDisk {
    let disk = try InspectedDisk()
    disk.begin()
    for i in 0..<30 { disk.put("key\(i)", String(repeating: "v", count: 300), expiry: i % 5 == 0 ? 99_000 : 0) }
    disk.remove("key3")
    disk.put("odd\n\"\u{1b}[31m\\", "x")
    try disk.seal()
    return disk
  }

  @Test func aGoodDirectoryIsDescribedWithoutDamage() throws {
    let disk = try disk()
    let (text, damage) = try inspect(disk.files, "data/")
    #expect(damage == 0 && !text.contains("DAMAGED"))
    for part in [
      "newest good generation: 1", "node \(disk.lineage)", "terms: 1 from LSN 1", "it agrees with its segment",
      "all checksums are good", "keys alive by these files: 30, with an expiry: 6", "not listed, younger",
      "the log ends at offset",
    ] {
      #expect(text.contains(part), "\(part) in \(text)")
    }
  }

  @Test func recordsAreListedWithEscapedKeys() throws {
    let disk = try disk()
    let (text, _) = try inspect(disk.files, "data", records: true)
    #expect(text.contains("lsn 1 term 1 no-op table 0 key \"\" value 20 bytes offset 64"))
    #expect(text.contains("put table 1 key \"key0\" value 300 bytes"))
    #expect(text.contains("key \"odd\\n\\\"\\x1b[31m\\\\\""))
    #expect(text.contains("delete table 1 key \"key3\" value 0 bytes"))
    #expect(text.contains("(expires 99000)"))
  }

  @Test func damageIsMarkedWithFileOffsetAndLSN() throws {
    let disk = try disk()
    let path = disk.firstFile
    disk.files.flipBit(path, offset: 64 + 56 + 50)
    let (text, damage) = try inspect(disk.files, path)
    #expect(damage >= 1 && text.contains("DAMAGED \(path): offset 120, after LSN 1"))
    #expect(text.contains("good records go on at offset"))
  }

  @Test func aTornTailIsNotDamage() throws {
    let disk = try InspectedDisk()
    disk.put("a", "1")
    disk.put("b", String(repeating: "2", count: 100))
    _ = disk.store.commit(flush: false)
    let path = disk.firstFile
    var bytes = try #require(disk.files.contents(path))
    for i in 150..<bytes.count { bytes[i] = 0 }
    disk.files.setContents(path, bytes)
    let (text, damage) = try inspect(disk.files, path)
    #expect(damage == 0 && text.contains("torn tail"))
  }

  @Test func noBytesMakeItCrash() throws {
    let disk = try disk()
    var random = SplitMix64(seed: 21)
    for path in disk.files.paths {
      let bytes = try #require(disk.files.contents(path))
      for round in 0..<60 {
        var odd = bytes
        if round % 3 == 0 { odd = Array(odd.prefix(random.below(odd.count))) }
        for _ in 0..<random.below(20) where !odd.isEmpty {
          odd[random.below(odd.count)] = UInt8(truncatingIfNeeded: random.next())
        }
        if round % 10 == 9 { odd = odd.map { _ in UInt8(truncatingIfNeeded: random.next()) } }
        let files = disk.files.copy()
        files.setContents(path, odd)
        _ = try inspect(files, path, records: true)
        _ = try inspect(files, "data")
      }
    }
    #expect(throws: FileError.self) { try inspect(disk.files, "nowhere") }
  }
}
