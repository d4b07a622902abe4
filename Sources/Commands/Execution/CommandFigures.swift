// Raw memory: counters by the number of a command, written by one loop and read by any thread.
import Synchronization

/// How often each command of a table was called on one event loop, how it ended, and how long it took.
///
/// Written by that loop only, so a plain load and store count; read by INFO and LATENCY from wherever they run. Memory: 48 bytes a
/// command, and 6.5 KiB for the latencies of each that was timed.
///
/// A look at the clock costs as much as a GET does: of what is fast, the first calls are timed and then every 32nd one, and
/// the others are thought to have taken as long. What may take long is always timed.
package final class CommandFigures: @unchecked Sendable {
  // Safe to share: the memory is of atomics and stays where it is until the end.
  private struct Counters: ~Copyable {
    let calls = Atomic<UInt64>(0)
    let rejected = Atomic<UInt64>(0)
    let failed = Atomic<UInt64>(0)
    /// Calls that were timed, and how long they took together.
    let timed = Atomic<UInt64>(0)
    let nanoseconds = Atomic<UInt64>(0)
    /// Made at the first call that is timed, never freed before the end.
    let latencies = Atomic<UnsafeMutablePointer<Atomic<UInt64>>?>(nil)
  }
  private let counters: UnsafeMutablePointer<Counters>
  private let count: Int
  /// The loop's own: latencies are kept, and not only their sum.
  package var keepsLatencies = true

  /// - Parameter count: of the figures of a table, `CommandTable.figures`.
  init(count: Int) {
    self.count = count
    counters = .allocate(capacity: count)
    for i in 0..<count { (counters + i).initialize(to: Counters()) }
  }

  deinit {
    for i in 0..<count { counters[i].latencies.load(ordering: .relaxed)?.deallocate() }
    counters.deinitialize(count: count)
    counters.deallocate()
  }

  // MARK: On the loop

  /// Counts a call. True if it is to be timed whatever command it is.
  @inline(__always)
  func called(_ figure: Int) -> Bool {
    let calls = counters[figure].calls.load(ordering: .relaxed)
    counters[figure].calls.store(calls &+ 1, ordering: .relaxed)
    return calls < 32 || calls & 31 == 0
  }

  /// It was another command's call: that of a subcommand.
  func move(from container: Int, to subcommand: Int) {
    takeBack(container)
    _ = called(subcommand)
  }

  /// It was no call after all.
  func takeBack(_ figure: Int) { add(&-, 1, to: counters[figure].calls) }

  func failed(_ figure: Int) { add(&+, 1, to: counters[figure].failed) }

  /// Refused before it was called.
  func rejected(_ figure: Int) { add(&+, 1, to: counters[figure].rejected) }

  func took(_ nanoseconds: UInt64, _ figure: Int) {
    add(&+, 1, to: counters[figure].timed)
    add(&+, nanoseconds, to: counters[figure].nanoseconds)
    guard keepsLatencies else { return }
    let latencies = counters[figure].latencies.load(ordering: .relaxed) ?? makeLatencies(figure)
    add(&+, 1, to: latencies[LatencyScale.bucket(of: nanoseconds)])
  }

  private func makeLatencies(_ figure: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
    let buckets = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: LatencyScale.bucketCount)
    for i in 0..<LatencyScale.bucketCount { (buckets + i).initialize(to: Atomic(0)) }
    counters[figure].latencies.store(buckets, ordering: .releasing)
    return buckets
  }

  /// CONFIG RESETSTAT.
  package func reset() {
    for i in 0..<count {
      counters[i].calls.store(0, ordering: .relaxed)
      counters[i].rejected.store(0, ordering: .relaxed)
      counters[i].failed.store(0, ordering: .relaxed)
      counters[i].timed.store(0, ordering: .relaxed)
      counters[i].nanoseconds.store(0, ordering: .relaxed)
      resetLatencies(i)
    }
  }

  private func resetLatencies(_ figure: Int) {
    guard let buckets = counters[figure].latencies.load(ordering: .relaxed) else { return }
    for i in 0..<LatencyScale.bucketCount { buckets[i].store(0, ordering: .relaxed) }
  }

  private func add(_ operation: (UInt64, UInt64) -> UInt64, _ value: UInt64, to counter: borrowing Atomic<UInt64>) {
    counter.store(operation(counter.load(ordering: .relaxed), value), ordering: .relaxed)
  }

  // MARK: On any thread

  /// What one command has come to, perhaps on several loops.
  package struct Sum: Sendable {
    package var calls: UInt64 = 0
    package var rejected: UInt64 = 0
    package var failed: UInt64 = 0
    fileprivate var timed: UInt64 = 0
    fileprivate var timedNanoseconds: UInt64 = 0
    package var latencies = Latencies()

    package init() {}

    package var isEmpty: Bool { calls == 0 && rejected == 0 && failed == 0 }

    /// Of all calls, those not timed reckoned like the others.
    package var nanoseconds: UInt64 {
      timed == 0 ? 0 : UInt64(Double(timedNanoseconds) / Double(timed) * Double(calls))
    }
  }

  package func add(_ figure: Int, to sum: inout Sum, withLatencies: Bool = false) {
    sum.calls &+= counters[figure].calls.load(ordering: .relaxed)
    sum.rejected &+= counters[figure].rejected.load(ordering: .relaxed)
    sum.failed &+= counters[figure].failed.load(ordering: .relaxed)
    sum.timed &+= counters[figure].timed.load(ordering: .relaxed)
    sum.timedNanoseconds &+= counters[figure].nanoseconds.load(ordering: .relaxed)
    guard withLatencies, let buckets = counters[figure].latencies.load(ordering: .acquiring) else { return }
    for i in 0..<LatencyScale.bucketCount { sum.latencies.add(buckets[i].load(ordering: .relaxed), at: i) }
  }
}
