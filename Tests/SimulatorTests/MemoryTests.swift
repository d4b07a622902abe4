import LogStore
import Node
import Testing

@testable import Simulator

@Suite struct MemoryTests {
  private struct Seen {
    weak var life: NodeProcess?
    weak var core: NodeCore?
    weak var store: LogStore?
  }

  /// Thousands of seeds run in one process: nothing of one may stay behind.
  @Test func whatARunMadeIsFreedWithIt() {
    var lives = 0
    for seed in UInt64(1)...12 {
      weak var gone: Simulation?
      // Safe to share: a test has one thread.
      nonisolated(unsafe) var seen: [Seen] = []
      do {
        let simulation = Simulation(seed: seed)
        gone = simulation
        func look() {
          for life in simulation.nodes.compactMap(\.life)
          where !seen.contains(where: { $0.life === life && $0.store === life.store }) {
            seen.append(Seen(life: life, core: life.core, store: life.store))
          }
        }
        for moment in 1...100 { simulation.queue.at(UInt64(moment) * 20_000) { look() } }
        _ = simulation.run()
      }
      lives += seen.count
      #expect(gone == nil, "seed \(seed)")
      #expect(seen.count { $0.life != nil } == 0, "processes of seed \(seed)")
      #expect(seen.count { $0.core != nil } == 0, "nodes of seed \(seed)")
      #expect(seen.count { $0.store != nil } == 0, "stores of seed \(seed)")
    }
    #expect(lives > 40)
  }
}
