import Core
import LogStore
import Logging
import Replication
import Simulator

@testable import Node

/// One `NodeCore` on a simulated disk, with a clock and loops that a test moves by hand, and nobody to talk to.
final class SingleNode: NodeHost, @unchecked Sendable {
  // Safe to share: a test has one thread.
  let files: SimulatedFileSystem
  private(set) var core: NodeCore!
  var nodeConfiguration: NodeConfiguration
  var startRole = Role.master
  var now = Tick(milliseconds: 1)
  /// Called with every hint about writes.
  var hinted: (Bool) -> Void = { _ in }
  private let work = ManualLoop()

  init(_ configuration: NodeConfiguration, files: SimulatedFileSystem = SimulatedFileSystem(seed: 1)) throws {
    self.files = files
    nodeConfiguration = configuration
    let directory = try DataDirectoryTests.open(files).directory
    let opened = try directory.openStoreAtStart(
      configuration: configuration.store, workers: 1, run: DataDirectoryTests.inTurn)
    core = NodeCore(
      host: self, directory: directory, store: opened.store, damage: opened.damage,
      logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
  }

  /// Does all that is due now.
  func run() { work.run(until: now) }

  /// Lets time pass, in steps of 10 ms.
  func pass(milliseconds: UInt64) {
    for _ in 0..<milliseconds / 10 {
      now = now.advanced(by: 10)
      run()
    }
  }

  var monotonic: Tick { now }
  var wall: WallClock { WallClock(milliseconds: 1_000_000 + now.milliseconds) }
  func drawLot() -> UInt64 { 7 }
  var upstreamLoop: any WorkLoop { work }
  func relayLoop() -> any WorkLoop { work }
  var cores: Int { 1 }
  var parallel: ParallelRunner { DataDirectoryTests.inTurn }
  func beside(_ name: String, _ work: @escaping @Sendable () -> Void) -> any Joinable {
    work()
    return Done()
  }
  private struct Done: Joinable { func join() {} }
  func pause(milliseconds: Int) {}
  func connect(_ address: NodeAddress, on loop: any WorkLoop, to receiver: sending any ConnectionReceiver) {
    receiver.closed("nobody is there")
  }
  func closeClient(_ link: LinkID) {}
  func wakeCommit() {}
  @discardableResult func commitNow() -> CommitResult {
    let store = core.store
    let result = store.commit(flush: true)
    core.committed(store, result)
    return result
  }
  func betweenCommits<Result>(_ body: () throws -> Result) rethrows -> Result { try body() }
  func commits(in store: LogStore) {}
  func moveReaders(to store: LogStore) {}
  func takesWrites(_ yes: Bool) { hinted(yes) }
  func commitAdvanced() {}
  func stateChanged() {}
  func pauseWrites(_ yes: Bool) {}
  func wake(_ duty: BackgroundDuty) {}
  var isEnding: Bool { false }
}

/// Work in the order in which it is due.
private final class ManualLoop: WorkLoop, @unchecked Sendable {
  // Safe to share: a test has one thread.
  private var queue: [(due: Tick, work: @Sendable () -> Void)] = []
  private var now = Tick(milliseconds: 0)
  private final class Stop: Cancellable, @unchecked Sendable {
    // Safe to share: a test has one thread.
    var isStopped = false
    func cancel() { isStopped = true }
  }

  func run(until now: Tick) {
    self.now = now
    while let next = queue.indices.filter({ queue[$0].due <= now }).min(by: { queue[$0].due < queue[$1].due }) {
      queue.remove(at: next).work()
    }
  }
  func execute(_ work: @escaping @Sendable () -> Void) { schedule(afterMilliseconds: 0, work) }
  func schedule(afterMilliseconds: UInt64, _ work: @escaping @Sendable () -> Void) {
    queue.append((now.advanced(by: afterMilliseconds), work))
  }
  func every(milliseconds: UInt64, _ work: @escaping @Sendable () -> Void) -> any Cancellable {
    let stop = Stop()
    repeated(milliseconds, stop, work)
    return stop
  }
  private func repeated(_ milliseconds: UInt64, _ stop: Stop, _ work: @escaping @Sendable () -> Void) {
    schedule(afterMilliseconds: milliseconds) { [self] in
      guard !stop.isStopped else { return }
      work()
      repeated(milliseconds, stop, work)
    }
  }
}
