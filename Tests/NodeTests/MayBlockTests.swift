import Core
import LogStore
import Node
import Simulator
import Testing

/// Threads that serve clients are marked, and a loop of the simulator is so only while it runs.
struct MayBlockTests {
  @Test func `a thread begins without the mark`() {
    #expect(!MayBlock.isForbidden)
    MayBlock.check("a disk")
  }

  @Test func `a simulated loop that serves clients is marked while it works`() {
    let queue = EventQueue()
    let process = SimulatedProcess(queue: queue)
    var seen: [Bool] = []
    let clients = SimulatedLoop(process: process, seed: 1, mayBlock: false)
    let other = SimulatedLoop(process: process, seed: 2)
    // Safe to share: a test has one thread.
    nonisolated(unsafe) let record: (Bool) -> Void = { seen.append($0) }
    clients.execute { record(MayBlock.isForbidden) }
    while queue.runNext(until: 1_000_000) {}
    other.execute { record(MayBlock.isForbidden) }
    while queue.runNext(until: 2_000_000) {}
    #expect(seen == [true, false])
    #expect(!MayBlock.isForbidden)
  }

  @Test func `who looks at a generation does not wait for the disk that writes the next one`() throws {
    let disk = SimulatedFileSystem()
    let (directory, _) = try DataDirectory.open("data", fileSystem: disk) { Array(repeating: 7, count: $0) }
    var looked: UInt64 = 0
    try directory.change { _ in looked = directory.current.generation }
    #expect(looked == 1)
    #expect(directory.current.generation == 2)
    // Nothing changed, nothing written.
    let writes = disk.callCount(.write)
    try directory.change(ifDifferent: true) { _ in }
    #expect(disk.callCount(.write) == writes)
    #expect(directory.current.generation == 2)
  }
}
