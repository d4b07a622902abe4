import Testing

@testable import Simulator

@Suite struct EventQueueTests {
  @Test func eventsRunInOrderOfTimeThenOfScheduling() {
    let queue = EventQueue()
    var ran: [String] = []
    queue.at(20) { ran.append("d") }
    queue.at(10) { ran.append("a") }
    queue.at(10) {
      ran.append("b")
      queue.at(5) { ran.append("c, asked for too late") }
    }
    while queue.runNext(until: 100) {}
    #expect(ran == ["a", "b", "c, asked for too late", "d"])
    #expect(queue.now == 100)
  }

  @Test func theClockStopsAtTheLimitAndCancelledEventsDoNotRun() {
    let queue = EventQueue()
    var ran = 0
    let ticket = queue.at(10) { ran += 1 }
    queue.at(11) { ran += 10 }
    queue.cancel(ticket)
    #expect(!queue.runNext(until: 9))
    #expect(queue.now == 9)
    #expect(queue.runNext(until: 11))
    #expect(ran == 10)
    #expect(queue.isEmpty)
  }

  @Test func manyEventsComeOutSorted() {
    let queue = EventQueue()
    var random = SplitMix64(seed: 7)
    var times: [UInt64] = []
    for _ in 0..<2000 { queue.at(UInt64(random.below(500))) { times.append(queue.now) } }
    while queue.runNext(until: 1000) {}
    #expect(times.count == 2000)
    #expect(times == times.sorted())
  }

  // MARK: Processes and loops

  @Test func aLoopKeepsItsOrderAndTwoLoopsMix() {
    var orders: Set<[Int]> = []
    for seed in UInt64(0)..<20 {
      let queue = EventQueue()
      let process = SimulatedProcess(queue: queue)
      let loops = [SimulatedLoop(process: process, seed: seed), SimulatedLoop(process: process, seed: seed &+ 1000)]
      var ran: [Int] = []
      for number in 0..<10 { for (i, loop) in loops.enumerated() { loop.run { ran.append(number * 2 + i) } } }
      while queue.runNext(until: 10_000_000) {}
      #expect(ran.filter { $0 % 2 == 0 } == Array(stride(from: 0, to: 20, by: 2)))
      #expect(ran.filter { $0 % 2 == 1 } == Array(stride(from: 1, to: 20, by: 2)))
      orders.insert(ran)
    }
    #expect(orders.count > 10)
  }

  @Test func aStoppedProcessGoesOnWhereItWasAndADeadOneNever() {
    let queue = EventQueue()
    let process = SimulatedProcess(queue: queue)
    var ran: [String] = []
    process.at(10) { ran.append("first") }
    process.at(20) { ran.append("second") }
    process.at(200) { ran.append("third") }
    process.pause()
    while queue.runNext(until: 100) {}
    #expect(ran.isEmpty)
    process.resume()
    while queue.runNext(until: 150) {}
    #expect(ran == ["first", "second"])
    process.kill()
    while queue.runNext(until: 300) {}
    #expect(ran == ["first", "second"])
  }

  @Test func timersRepeatUntilCancelledAndABlockedLoopIsLate() {
    let queue = EventQueue()
    let loop = SimulatedLoop(process: SimulatedProcess(queue: queue), seed: 1)
    // Safe to share: a test has one thread.
    nonisolated(unsafe) var ticks = 0
    let timer = loop.every(milliseconds: 50) { ticks += 1 }
    while queue.runNext(until: 1_000_000) {}
    #expect((15...20).contains(ticks))
    loop.block(microseconds: 500_000)
    let before = ticks
    while queue.runNext(until: 1_400_000) {}
    #expect(ticks == before)
    while queue.runNext(until: 2_000_000) {}
    #expect(ticks > before)
    timer.cancel()
    let end = ticks
    while queue.runNext(until: 3_000_000) {}
    #expect(ticks == end)
  }
}
