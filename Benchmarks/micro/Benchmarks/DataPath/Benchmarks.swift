import AllocationCounter
import Benchmark

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Calls of malloc, in the measured region, for every 1000 operations; below one is 0. A segment that fills up and an
/// index that grows allocate now and then; a command must not. Not reported where they cannot be counted.
let allocations = BenchmarkMetric.custom(
  "Allocations per 1000 operations", polarity: .prefersSmaller, useScalingFactor: false)

let benchmarks: @Sendable () -> Void = {
  let isShort = getenv("PACELINE_MICRO_SHORT") != nil
  Benchmark.defaultConfiguration = .init(
    metrics: [.wallClock] + (allocation_count_works() == 1 ? [allocations] : []),
    timeUnits: .nanoseconds, warmupIterations: isShort ? 1 : 3, scalingFactor: .kilo,
    maxDuration: isShort ? .milliseconds(100) : .seconds(1))
  parsing()
  indexing()
  storing()
  executing()
  framing()
  recovering()
}

/// Adds a benchmark: an iteration is 1000 rounds of `operations` operations each, and times are shown per round.
///
/// - Parameters:
///   - make: the state, once.
///   - prepare: before every iteration, not measured.
///   - round: what is measured.
func add<State>(
  _ name: String, operations: Int = 1, scale: BenchmarkScalingFactor = .kilo, make: @escaping () throws -> State,
  prepare: @escaping (State) throws -> Void = { _ in }, round: @escaping (State) throws -> Void
) {
  var configuration = Benchmark.defaultConfiguration
  configuration.scalingFactor = scale
  Benchmark(
    name, configuration: configuration,
    closure: { (benchmark: Benchmark, state: State) throws -> Void in
      try prepare(state)
      benchmark.startMeasurement()
      let before = allocation_count()
      for _ in benchmark.scaledIterations { try round(state) }
      let calls = allocation_count() - before
      benchmark.stopMeasurement()
      if allocation_count_works() == 1 {
        let all = benchmark.scaledIterations.count * operations
        benchmark.measurement(allocations, Int(calls) * 1000 / all)
      }
    },
    setup: { try make() })
}
