import Testing

@testable import Commands

/// What is counted of each command, and how long it took.
struct CommandFiguresTests {
  private func figures(of name: String, in harness: CommandHarness) -> CommandFigures.Sum {
    var sum = CommandFigures.Sum()
    let row = Array(name.utf8).withUnsafeBytes { harness.executor.table.row(named: $0) }
    if let row { harness.executor.figures.add(row.figure, to: &sum, withLatencies: true) }
    return sum
  }

  @Test("calls, refusals and failures are told apart")
  func counts() {
    let harness = CommandHarness()
    for _ in 0..<3 { harness.run("SET k v") }
    harness.run("INCR k")
    harness.run("GET")
    harness.run("GET k")
    harness.takesWrites = false
    harness.run("SET k v")
    let set = figures(of: "set", in: harness)
    #expect((set.calls, set.rejected, set.failed) == (3, 1, 0))
    let increment = figures(of: "incr", in: harness)
    #expect((increment.calls, increment.rejected, increment.failed) == (1, 0, 1))
    let get = figures(of: "get", in: harness)
    #expect((get.calls, get.rejected, get.failed) == (1, 1, 0))
    #expect(figures(of: "del", in: harness).isEmpty)
  }

  @Test("a subcommand counts for itself, and its container does not")
  func subcommands() {
    let harness = CommandHarness()
    harness.run("SET k v")
    harness.run("OBJECT ENCODING k")
    harness.run("OBJECT FREQ k")
    harness.run("OBJECT ENCODING")
    harness.run("OBJECT NOSUCH k")
    #expect(figures(of: "object", in: harness).isEmpty)
    let encoding = figures(of: "object|encoding", in: harness)
    #expect((encoding.calls, encoding.rejected, encoding.failed) == (1, 1, 0))
    let frequency = figures(of: "object|freq", in: harness)
    #expect((frequency.calls, frequency.failed) == (1, 1))
  }

  @Test("commands of a transaction count when it runs")
  func transactions() {
    let harness = CommandHarness()
    harness.run("MULTI")
    harness.run("SET k v")
    harness.run("SET k w")
    #expect(figures(of: "set", in: harness).calls == 0)
    harness.run("EXEC")
    #expect(figures(of: "set", in: harness).calls == 2)
    #expect(figures(of: "exec", in: harness).calls == 1)
  }

  @Test("the first calls of a fast command are timed, then some; time is reckoned for all")
  func times() {
    let harness = CommandHarness()
    harness.services.nanosecondsPerLook.withLock { $0 = 2000 }
    for _ in 0..<1000 { harness.run("GET k") }
    harness.run("KEYS *")
    let get = figures(of: "get", in: harness)
    #expect(get.calls == 1000)
    #expect(get.nanoseconds == 2_000_000)
    #expect(get.latencies.distribution(of: get.calls).map(\.calls) == [1000])
    #expect(figures(of: "keys", in: harness).nanoseconds == 2000)
    harness.executor.figures.reset()
    #expect(figures(of: "get", in: harness).isEmpty)
    harness.executor.figures.keepsLatencies = false
    harness.run("GET k")
    #expect(figures(of: "get", in: harness).latencies.isEmpty)
    #expect(figures(of: "get", in: harness).nanoseconds == 2000)
  }

  @Test("a latency is known to a thirtieth, up to a second")
  func scale() {
    var value: UInt64 = 0
    var last = -1
    while value < 3 << 30 {
      let bucket = LatencyScale.bucket(of: value)
      #expect(bucket >= last && bucket < LatencyScale.bucketCount)
      last = bucket
      if value < 1 << 30 {
        let largest = LatencyScale.largest(in: bucket)
        #expect(largest >= value && largest - value <= value / 32)
      }
      value += 1 + value / 100
    }
  }

  @Test("percentiles, and Redis's steps of a histogram")
  func percentiles() {
    var latencies = Latencies()
    #expect(latencies.percentile(50) == 0)
    for microseconds in 1...100 { latencies.add(nanoseconds: UInt64(microseconds) * 1000) }
    #expect((50_000...52_000).contains(latencies.percentile(50)))
    #expect((99_000...103_000).contains(latencies.percentile(99)))
    #expect(latencies.percentile(100) >= 100_000)
    #expect(latencies.percentile(0) >= 1000)
    let steps = latencies.distribution(of: 100)
    #expect(steps.map(\.microseconds) == [1, 2, 4, 8, 16, 33, 66, 132])
    #expect(steps.last?.calls == 100)
    #expect(zip(steps, steps.dropFirst()).allSatisfy { $0.calls < $1.calls })
    // Only some of the calls were timed.
    #expect(latencies.distribution(of: 3200).last?.calls == 3200)
  }

  @Test("look-ups count as hits and misses as in Redis")
  func hits() {
    let harness = CommandHarness()
    harness.run("MSET a 1 b 2")
    for (line, hits, misses) in [
      ("EXISTS a b none", 2, 1), ("TOUCH a none", 1, 1), ("TTL a", 1, 0), ("PTTL none", 0, 1), ("TYPE a", 1, 0),
      ("OBJECT ENCODING a", 1, 0), ("OBJECT FREQ none", 0, 1), ("DUMP a", 1, 0), ("DEL b", 0, 0),
      ("EXPIRE a 100", 0, 0),
    ] as [(String, UInt64, UInt64)] {
      let before = (harness.executor.keys.hits, harness.executor.keys.misses)
      harness.run(line)
      #expect(harness.executor.keys.hits - before.0 == hits, "\(line)")
      #expect(harness.executor.keys.misses - before.1 == misses, "\(line)")
    }
  }
}
