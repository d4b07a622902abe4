import Core
import LogStore
import Simulator
import Testing

/// A slave's compaction has copied records; then they are damaged, and operations come that cannot find them.
@Suite struct MissedOperationTests {
  private func copyLog(from master: LogStore, to slave: LogStore) throws {
    let first = slave.positions.appended.next
    for record in try master.records(from: first, to: master.positions.appended) {
      try record.bytes.withUnsafeBytes { bytes in
        try slave.withWriteLock { access throws in try slave.appendReplicated(bytes, access) }
      }
    }
    _ = slave.commit(flush: true)
    slave.positions.set(committed: slave.positions.durable)
    try slave.withWriteLock { access throws in _ = try slave.apply(upTo: slave.positions.durable, access) }
  }

  /// Spoils the record that holds this text, on disk and where it is mapped.
  private func spoil(_ text: String, on disk: TestDisk) throws {
    let wanted = Array(text.utf8)
    var spoiled = 0
    for name in try disk.files.list(disk.directory) where name.hasSuffix(".wal") {
      let path = "\(disk.directory)/\(name)"
      let bytes = try #require(disk.files.contents(path))
      for at in 0..<max(0, bytes.count - wanted.count) where bytes[at] == wanted[0] {
        guard Array(bytes[at..<at + wanted.count]) == wanted else { continue }
        disk.files.flipBitWhereMapped(path, offset: at, bit: 1)
        spoiled += 1
      }
    }
    try #require(spoiled == 1)
  }

  @Test func whatTheyReplacedDoesNotComeBack() throws {
    let master = try TestDisk(seed: 1, segmentBytes: 4096).create()
    let disk = TestDisk(seed: 2, segmentBytes: 4096, opsBufferBytes: 0)
    let slave = try disk.create()
    slave.setReplica(true)
    master.withWriteLock { access in _ = master.beginTerm(Reign(term: Term(1), owner: disk.lineage), access) }
    for round in 0..<2 {
      for key in 0..<30 { master.put("key-\(key)", "value-\(round)-\(key)-" + String(repeating: "x", count: 80)) }
    }
    try copyLog(from: master, to: slave)
    try disk.settle(slave)
    let bounds = slave.compactionBounds(neededFrom: LSN(.max))
    let job = try #require(
      slave.nextCompaction(bounds, garbageRatio: 0.1, waitsToSettle: true, forcedBelow: 1 << 20))
    while try !job.step(bytes: 1000) {}
    try spoil("value-1-5-", on: disk)
    try spoil("value-1-6-", on: disk)
    master.remove("key-5")
    master.put("key-6", "newer")
    try copyLog(from: master, to: slave)
    _ = try job.close()
    #expect(slave.get("key-5") == .damaged)
    let result = try job.install()
    #expect(result.sources > 0)
    try disk.writeGeneration(slave)
    #expect(slave.get("key-5") == .missing)
    #expect(slave.get("key-6") == .text("newer"))
    for key in 7..<30 { #expect(slave.get("key-\(key)") == master.get("key-\(key)")) }
    #expect(slave.digests().map(\.sum) == master.digests().map(\.sum))
    #expect(slave.digests().map(\.keys) == master.digests().map(\.keys))
  }
}
