/// What one seed came to.
package struct SimulationResult: Sendable {
  package let seed: UInt64
  package var violations: [Violation] = []
  package var steps = 0
  package var simulatedMilliseconds = 0
  package var commands = 0
  package var acknowledged = 0
  package var starts = 0
  package var fullSyncs = 0
  package var deltaSyncs = 0
  package var partialSyncs = 0
  /// How many full syncs went by which rule of the planner.
  package var fullSyncRules: [String: Int] = [:]
  /// How often what went wrong.
  package var faults: [String: Int] = [:]
  /// Bits of sealed files that turned over, and files that were repaired from other nodes.
  package var flippedBits = 0
  package var repairedFiles = 0
  /// Entries of a slave's index that were taken out on purpose; the digests find them.
  package var lostEntries = 0
  /// Nodes with a damaged record in the end that no other node had any more.
  package var unrepairedNodes = 0
  package var lostFiles = 0
  /// Of everything that happened, in order: the same seed gives the same number.
  package var fingerprint: UInt64 = 0
  /// Overlapping commands that the search for an order gave up on.
  package var undecided = 0
  /// Terms that had two masters.
  package var sharedTerms = 0
  package init(seed: UInt64) { self.seed = seed }
}
