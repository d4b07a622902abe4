import Commands
import Synchronization

/// Figures of one event loop: written by that loop only, read by any thread. Publishing is plain stores.
final class LoopCounters: Sendable {
  private let commands = Atomic<UInt64>(0)
  private let hits = Atomic<UInt64>(0)
  private let misses = Atomic<UInt64>(0)
  private let batches = Atomic<UInt64>(0)
  private let input = Atomic<UInt64>(0)
  private let output = Atomic<UInt64>(0)
  private let writes = Atomic<UInt64>(0)
  private let forwarded = Atomic<UInt64>(0)
  private let forwardErrors = Atomic<UInt64>(0)

  /// After every batch.
  @inline(__always)
  func publish(_ executor: Executor) {
    commands.store(executor.commandsProcessed, ordering: .relaxed)
    hits.store(executor.keys.hits, ordering: .relaxed)
    misses.store(executor.keys.misses, ordering: .relaxed)
    batches.store(batches.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
  }
  @inline(__always)
  func received(_ bytes: Int) {
    input.store(input.load(ordering: .relaxed) &+ UInt64(truncatingIfNeeded: bytes), ordering: .relaxed)
  }
  @inline(__always)
  func sent(_ bytes: Int) {
    output.store(output.load(ordering: .relaxed) &+ UInt64(truncatingIfNeeded: bytes), ordering: .relaxed)
    writes.store(writes.load(ordering: .relaxed) &+ 1, ordering: .relaxed)
  }
  func forwarded(_ commands: Int, errors: Int) {
    forwarded.store(forwarded.load(ordering: .relaxed) &+ UInt64(clamping: commands), ordering: .relaxed)
    forwardErrors.store(forwardErrors.load(ordering: .relaxed) &+ UInt64(clamping: errors), ordering: .relaxed)
  }

  var figures: ServerFigures {
    ServerFigures(
      commands: commands.load(ordering: .relaxed), hits: hits.load(ordering: .relaxed),
      misses: misses.load(ordering: .relaxed), reads: batches.load(ordering: .relaxed),
      writes: writes.load(ordering: .relaxed), input: input.load(ordering: .relaxed),
      output: output.load(ordering: .relaxed), forwarded: forwarded.load(ordering: .relaxed),
      forwardErrors: forwardErrors.load(ordering: .relaxed))
  }
}

/// The sums over all loops.
struct ServerFigures: Equatable, Sendable {
  var commands: UInt64 = 0
  var hits: UInt64 = 0
  var misses: UInt64 = 0
  var reads: UInt64 = 0
  var writes: UInt64 = 0
  var input: UInt64 = 0
  var output: UInt64 = 0
  var forwarded: UInt64 = 0
  var forwardErrors: UInt64 = 0
  var connections: UInt64 = 0
  var rejected: UInt64 = 0

  static func + (a: ServerFigures, b: ServerFigures) -> ServerFigures { a.combined(b, &+) }
  static func - (a: ServerFigures, b: ServerFigures) -> ServerFigures { a.combined(b) { $0 > $1 ? $0 - $1 : 0 } }

  private func combined(_ other: ServerFigures, _ operation: (UInt64, UInt64) -> UInt64) -> ServerFigures {
    ServerFigures(
      commands: operation(commands, other.commands), hits: operation(hits, other.hits),
      misses: operation(misses, other.misses), reads: operation(reads, other.reads),
      writes: operation(writes, other.writes), input: operation(input, other.input),
      output: operation(output, other.output), forwarded: operation(forwarded, other.forwarded),
      forwardErrors: operation(forwardErrors, other.forwardErrors),
      connections: operation(connections, other.connections), rejected: operation(rejected, other.rejected))
  }
}
