import ArgumentParser
import Core
import Simulator

struct SimulateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Run whole clusters in memory, with everything going wrong, and check them.",
    discussion: """
      Each seed is a cluster of up to five nodes with clients, on a simulated clock,
      network and disk: nodes crash and lose power, disks fail, links are cut. The
      code of the nodes is the real one. A seed that breaks a promise is printed,
      and runs the same way again:

      EXAMPLES
        paceline simulate --seeds 1000
        paceline simulate --seed 4711 --trace

      Exit code 0: all promises kept; 1: some broken; 2: wrong usage.
      """)

  @Option(help: "How many seeds to run. Default: 100, or the one of --seed.")
  var seeds: Int?

  @Option(help: "The first seed. Default: 1.")
  var seed: UInt64?

  @Flag(help: "Print everything that happens, with a row for each node that changes.")
  var trace = false

  #if PACELINE_PLANTED_BUGS
    @Option(help: "Make this mistake on purpose, and stop at the first seed that finds it; \(Self.plantedNames).")
    var planted: String?
    static var plantedNames: String { PlantedBug.allCases.map(\.rawValue).joined(separator: ", ") }
  #endif

  func validate() throws {
    if let seeds, seeds < 1 { throw ValidationError("--seeds must be 1 or more, not \(seeds)") }
  }

  func run() throws {
    let first = seed ?? 1
    let count = seeds ?? (seed == nil ? 100 : 1)
    let began = ContinuousClock.now
    var summary = Summary()
    #if PACELINE_PLANTED_BUGS
      if let planted { return try find(planted, first..<first + UInt64(count)) }
    #endif
    for number in first..<first + UInt64(count) {
      let output: ((String) -> Void)? = trace ? { Terminal.write($0 + "\n") } : nil
      let result = Simulation(seed: number, trace: output).run()
      summary.add(result)
      for violation in result.violations {
        Terminal.write("seed \(number): \(violation)\n  again: paceline simulate --seed \(number) --trace\n")
      }
      if summary.runs % 100 == 0, summary.runs < count { Terminal.write(summary.line(since: began)) }
    }
    Terminal.write(summary.totals + summary.line(since: began))
    if summary.failed > 0 { throw ExitCode(1) }
  }

  #if PACELINE_PLANTED_BUGS
    private func find(_ name: String, _ seeds: Range<UInt64>) throws {
      guard let bug = PlantedBug(rawValue: name) else { throw ValidationError("no such mistake: \(name)") }
      // Damage on disk has ways of its own to make runs differ.
      for seed in seeds where !FaultPlan(seed: seed).flipsBits {
        PlantedBug.planted = nil
        guard Simulation(seed: seed).run().violations.isEmpty else { continue }
        PlantedBug.planted = bug
        let result = Simulation(seed: seed).run()
        // A cluster that is stuck tells of no mistake in particular.
        guard let violation = result.violations.first(where: { $0.rule != "does not heal" }) else { continue }
        return Terminal.write("\(name): found by seed \(seed), the \(seed - seeds.lowerBound + 1). one: \(violation)\n")
      }
      Terminal.write("\(name): not found in \(seeds.count) seeds\n")
      throw ExitCode(1)
    }
  #endif

  private struct Summary {
    var runs = 0
    var failed = 0
    private var total = SimulationResult(seed: 0)

    mutating func add(_ result: SimulationResult) {
      runs += 1
      if !result.violations.isEmpty { failed += 1 }
      total.steps += result.steps
      total.simulatedMilliseconds += result.simulatedMilliseconds
      total.commands += result.commands
      total.acknowledged += result.acknowledged
      total.starts += result.starts
      total.fullSyncs += result.fullSyncs
      total.deltaSyncs += result.deltaSyncs
      total.partialSyncs += result.partialSyncs
      total.undecided += result.undecided
      total.sharedTerms += result.sharedTerms
      total.flippedBits += result.flippedBits
      total.repairedFiles += result.repairedFiles
      total.lostEntries += result.lostEntries
      total.unrepairedNodes += result.unrepairedNodes
      total.lostFiles += result.lostFiles
      total.fullSyncRules.merge(result.fullSyncRules, uniquingKeysWith: +)
      total.faults.merge(result.faults, uniquingKeysWith: +)
      total.fingerprint = total.fingerprint &* 31 &+ result.fingerprint
    }

    /// Printed once, at the end.
    var totals: String {
      func list(_ counts: [String: Int]) -> String {
        counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.key) \($0.value)" }.joined(
          separator: ", ")
      }
      let hours = Double(total.simulatedMilliseconds / 36_000) / 100
      return """
        simulated hours  \(hours)
        steps            \(total.steps)
        starts of nodes  \(total.starts)
        commands         \(total.commands), \(total.acknowledged) records acknowledged
        faults           \(list(total.faults))
        syncs            \(total.fullSyncs) full, \(total.deltaSyncs) delta, \(total.partialSyncs) partial
        full syncs       \(list(total.fullSyncRules))
        shared terms     \(total.sharedTerms)
        flipped bits     \(total.flippedBits), \(total.repairedFiles) files repaired, \(total.unrepairedNodes) nodes left with a record that nobody has; \(total.lostEntries) entries of an index lost and found
        lost files       \(total.lostFiles)

        """
    }

    func line(since began: ContinuousClock.Instant) -> String {
      let seconds = Double((ContinuousClock.now - began) / .milliseconds(1)) / 1000
      let rate = Int(Double(runs) / max(seconds, 0.001))
      let parts = [
        "\(runs) seeds, \(failed) failed", "\(rate) seeds/s", "\(total.simulatedMilliseconds / 1000) s simulated",
        "\(total.steps) steps", "\(total.commands) commands, \(total.acknowledged) records acknowledged",
        "\(total.starts) starts",
        "syncs: \(total.fullSyncs) full, \(total.deltaSyncs) delta, \(total.partialSyncs) partial",
        "\(total.undecided) keys undecided", "fingerprint \(String(total.fingerprint, radix: 16))",
      ]
      return parts.joined(separator: "; ") + "\n"
    }
  }
}
