import LogStore
import Synchronization
import Testing

@testable import Simulator

@Suite struct SimulatedDiskTests {
  private func disk() throws -> (SimulatedFileSystem, any OpenFile) {
    let disk = SimulatedFileSystem(seed: 1)
    try disk.makeDirectory("d")
    let file = try disk.open("d/f", .create)
    try disk.flushDirectory("d")
    return (disk, file)
  }

  @Test func aProcessThatStopsAtACallDoesNothingFromThereOn() throws {
    let (disk, file) = try disk()
    let counter = Counter()
    disk.stopProcess(atCall: 3) { counter.add() }
    try file.write([1], at: 0)
    try file.flush()
    #expect(throws: FileError.self) { try file.flush() }
    #expect(throws: FileError.self) { try file.write([2], at: 1) }
    #expect(throws: FileError.self) { _ = try disk.open("d/g", .create) }
    #expect(counter.value == 1)
    disk.crash()
    #expect(disk.contents("d/f") == [1])
    #expect(disk.contents("d/g") == nil)
    // The next process finds a disk that works.
    _ = try disk.open("d/g", .create)
  }

  @Test func aStoppedSyncLosesNothingThatALaterOneSyncs() throws {
    let (disk, file) = try disk()
    try file.write([1, 2, 3], at: 0)
    disk.stopProcess(atCall: 1) {}
    #expect(throws: FileError.self) { try file.flush() }
    disk.killProcess()
    let again = try disk.open("d/f", .readWrite)
    try again.flush()
    disk.crash()
    #expect(disk.contents("d/f") == [1, 2, 3])
  }

  @Test func callsFailByChance() throws {
    let (disk, file) = try disk()
    disk.setFailures(perMillion: [.flush: 500_000])
    var failed = 0
    for _ in 0..<200 { do { try file.flush() } catch { failed += 1 } }
    #expect((50...150).contains(failed))
    try file.write([1], at: 0)
    disk.setFailures(perMillion: [:])
    try file.flush()
  }

  @Test func syncsTakeTime() throws {
    let (disk, file) = try disk()
    #expect(disk.takeLatency() == 0)
    disk.setFlushLatency(microseconds: 100...200)
    try file.flush()
    try disk.flushDirectory("d")
    #expect((200...400).contains(disk.takeLatency()))
    #expect(disk.takeLatency() == 0)
  }

  final class Counter: Sendable {
    private let count = Mutex(0)
    func add() { count.withLock { $0 += 1 } }
    var value: Int { count.withLock { $0 } }
  }
}
