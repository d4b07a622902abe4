import NIOCore
import NIOPosix
import PacelineClient

/// The phases of a benchmark: survey, connect, load, warm up, measure, drain. Each ends by itself.
struct BenchRunner: Sendable {
  let plan: BenchPlan
  /// Called about once a second while something runs.
  let progress: @Sendable (BenchProgress) -> Void
  let warn: @Sendable (String) -> Void

  /// A `LoadLoop` for callers that are not on its thread.
  private struct LoopHandle: Sendable {
    let eventLoop: any EventLoop
    let loop: NIOLoopBound<LoadLoop>

    func call<T: Sendable>(_ body: @escaping @Sendable (LoadLoop) throws -> T) async throws -> T {
      try await eventLoop.submit { try body(loop.value) }.get()
    }
  }

  /// Cancelling the task ends the measurement early; the report then covers what was measured until then.
  /// - Throws: `BenchFailure`.
  func run() async throws -> BenchReport {
    let survey = try await NodeSurvey.take(nodes: plan.nodes, password: plan.password)
    survey.warnings.forEach(warn)
    if survey.master == nil, plan.loadsKeys || plan.readShare < 1 || plan.measuresStaleness {
      throw BenchFailure(
        "none of the nodes is a master: for reads only, use --read-share 1 --no-load without --staleness")
    }
    if plan.measuresStaleness, survey.slaves.isEmpty {
      throw BenchFailure("--staleness measures slaves, and there is none among the nodes")
    }

    let group = MultiThreadedEventLoopGroup(numberOfThreads: plan.threads)
    let probeGroup = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    var loops: [LoopHandle] = []
    let result: Result<BenchReport, any Error>
    do {
      loops = try await makeLoops(on: group, survey)
      result = .success(try await measure(loops, survey, probeGroup.next()))
    } catch {
      result = .failure(error)
    }
    for handle in loops { try? await handle.call { $0.close() } }
    try? await group.shutdownGracefully()
    try? await probeGroup.shutdownGracefully()
    // The lanes' handlers refer to their loops without owning them: now the last handler is gone.
    withExtendedLifetime(loops) {}
    return try result.get()
  }

  private func makeLoops(on group: MultiThreadedEventLoopGroup, _ survey: NodeSurvey) async throws -> [LoopHandle] {
    let requests = RequestTemplates(valueBytes: plan.valueBytes, seed: plan.seed)
    let writesEver = plan.loadsKeys || plan.readShare < 1
    var loops: [LoopHandle] = []
    for (i, eventLoop) in group.makeIterator().enumerated() {
      // Client c reads from node c modulo nodes and lives on loop c modulo loops, shifted so that the two do not beat.
      let readNodes = stride(from: i, to: plan.clients, by: plan.threads)
        .map { ($0 / plan.threads + i) % survey.readNodeCount }
      let loop = try await eventLoop.submit {
        let loop = LoadLoop(
          eventLoop: eventLoop, plan: plan, nodes: survey.nodes, master: writesEver ? survey.master : nil,
          readNodes: readNodes, requests: requests, seed: plan.seed &+ UInt64(i) &* 0x9E37_79B9)
        loop.start()
        return NIOLoopBound(loop, eventLoop: eventLoop)
      }.get()
      loops.append(LoopHandle(eventLoop: eventLoop, loop: loop))
    }
    return loops
  }

  private func measure(
    _ loops: [LoopHandle], _ survey: NodeSurvey, _ probeLoop: any EventLoop
  ) async throws -> BenchReport {
    try await connect(loops)
    if plan.loadsKeys { try await load(loops, survey) }

    let probe = plan.measuresStaleness ? makeProbe(survey, probeLoop) : nil
    let probing = probe.map { probe in Task { await probe.run() } }
    defer { probing?.cancel() }

    if plan.warmupSeconds > 0 {
      try await begin(loops, requests: .max)
      _ = try await watch(loops, survey, phase: "warm-up", seconds: plan.warmupSeconds)
      // Counted requests must not include late replies of the warm-up's.
      if case .afterRequests = plan.end { try await drain(loops) }
    }
    try await probe?.beginMeasuring()
    _ = try await takeMeasures(loops, nodeCount: survey.nodes.count)
    let cpuBefore = ProcessCPU.seconds
    let started = ContinuousClock.now
    let watched: Watched
    switch plan.end {
    case .afterSeconds(let seconds):
      if plan.warmupSeconds == 0 { try await begin(loops, requests: .max) }
      watched = try await watch(loops, survey, phase: "run", seconds: seconds)
    case .afterRequests(let requests):
      try await begin(loops, requests: requests)
      watched = try await watch(loops, survey, phase: "run", seconds: nil)
    }
    let elapsed = (ContinuousClock.now - started).seconds
    let cpu = ProcessCPU.seconds - cpuBefore
    let staleness = try await probe?.results() ?? []
    for handle in loops { try await handle.call { $0.begin(.nothing) } }
    probing?.cancel()
    await probing?.value

    var firstError: String?
    for handle in loops where firstError == nil { firstError = try await handle.call { $0.firstError } }
    let report = BenchReport(
      survey: survey, measures: watched.measures, elapsedSeconds: elapsed, cpuSeconds: cpu, staleness: staleness,
      firstError: firstError, gaveUp: watched.gaveUp)
    guard report.total.operations > 0 || Task.isCancelled else {
      throw BenchFailure("not one request was answered; the first error: \(firstError ?? "none")")
    }
    return report
  }

  private func makeProbe(_ survey: NodeSurvey, _ eventLoop: any EventLoop) -> StalenessProbe? {
    survey.master.map { master in
      StalenessProbe(
        survey: survey, master: survey.nodes[master], password: plan.password, seed: plan.seed, eventLoop: eventLoop)
    }
  }

  // MARK: Phases

  /// Waits until every connection is up: what is missing now would be missing in the numbers.
  private func connect(_ loops: [LoopHandle]) async throws {
    let deadline = ContinuousClock.now + .seconds(2 * BenchPlan.replyTimeoutSeconds)
    while true {
      var up = 0
      var wanted = 0
      var firstError: String?
      for handle in loops {
        let load = try await handle.call({ ($0.load, $0.firstError) })
        up += load.0.lanesUp
        wanted += load.0.lanesWanted
        firstError = firstError ?? load.1
      }
      if up == wanted { return }
      guard ContinuousClock.now < deadline, firstError == nil else {
        throw BenchFailure(
          "only \(up) of \(wanted) connections came about: \(firstError ?? "no answer"). Fewer --clients may help, "
            + "or a higher limit of open files (ulimit -n) or of clients at the server."
        )
      }
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  private func load(_ loops: [LoopHandle], _ survey: NodeSurvey) async throws {
    let keyCount = plan.keyCount
    let loopCount = UInt64(loops.count)
    for (i, handle) in loops.enumerated() {
      let begin = keyCount * UInt64(i) / loopCount
      let end = keyCount * UInt64(i + 1) / loopCount
      try await handle.call { $0.begin(.load(next: begin, end: end)) }
    }
    let measures = try await watch(loops, survey, phase: "load", seconds: nil).measures
    try Task.checkCancellation()
    let written = measures.reduce(0) { $0 + $1.writes }
    guard written == keyCount else {
      var firstError: String?
      for handle in loops where firstError == nil { firstError = try await handle.call { $0.firstError } }
      throw BenchFailure(
        "only \(written) of \(keyCount) keys could be loaded: \(firstError ?? "the master did not answer")")
    }
    if let warning = await survey.waitForSlaves(password: plan.password) { warn(warning) }
  }

  private func begin(_ loops: [LoopHandle], requests: Int) async throws {
    for (i, handle) in loops.enumerated() {
      let share = requests == .max ? .max : requests / loops.count + (i < requests % loops.count ? 1 : 0)
      try await handle.call { $0.begin(.mixed(left: share)) }
    }
  }

  /// Sends nothing more and waits for what is out; a connection that does not answer is given up on the way.
  private func drain(_ loops: [LoopHandle]) async throws {
    for handle in loops { try await handle.call { $0.begin(.nothing) } }
    for handle in loops {
      while try await !handle.call({ $0.isFinished }) { try await Task.sleep(for: .milliseconds(2)) }
    }
  }

  private struct Watched {
    var measures: [NodeMeasure]
    /// It ended because nobody answered any more.
    var gaveUp: Bool
  }

  /// Collects until the time is over, the work is done, the task is cancelled, or nobody has answered for too long.
  private func watch(
    _ loops: [LoopHandle], _ survey: NodeSurvey, phase: String, seconds: Double?
  ) async throws -> Watched {
    let clock = ContinuousClock()
    let started = clock.now
    var lastReport = started
    var lastAnswer = started
    var total = Array(repeating: NodeMeasure(), count: survey.nodes.count)
    while true {
      let passed = (clock.now - started).seconds
      let left = seconds.map { $0 - passed } ?? .infinity
      // Work that is counted is looked at often, so that its end is seen soon.
      let nap = min(left, seconds == nil ? 0.02 : 0.25)
      if nap > 0 { try? await Task.sleep(for: .seconds(nap)) }
      let cancelled = Task.isCancelled

      var finished = true
      if seconds == nil {
        for handle in loops where finished { finished = try await handle.call { $0.isFinished } }
      } else {
        finished = (clock.now - started).seconds >= seconds ?? 0
      }
      let sinceReport = (clock.now - lastReport).seconds
      guard finished || cancelled || sinceReport >= 1 else { continue }

      let recent = try await takeMeasures(loops, nodeCount: survey.nodes.count)
      for (i, measure) in recent.enumerated() { total[i].add(measure) }
      let sum = recent.reduce(into: NodeMeasure()) { $0.add($1) }
      if sum.operations > 0 { lastAnswer = clock.now }
      lastReport = clock.now
      progress(BenchProgress(phase: phase, seconds: (clock.now - started).seconds, interval: sinceReport, measure: sum))
      if finished || cancelled { return Watched(measures: total, gaveUp: false) }
      if (clock.now - lastAnswer).seconds > BenchPlan.silenceSecondsMax {
        warn("no request was answered for \(Int(BenchPlan.silenceSecondsMax)) s: the \(phase) ends here")
        return Watched(measures: total, gaveUp: true)
      }
      if sum.errors > 0 { try await findMasterAgain(loops, survey) }
    }
  }

  private func takeMeasures(_ loops: [LoopHandle], nodeCount: Int) async throws -> [NodeMeasure] {
    var sum = Array(repeating: NodeMeasure(), count: nodeCount)
    for handle in loops {
      for (i, measure) in try await handle.call({ $0.takeMeasures() }).enumerated() { sum[i].add(measure) }
    }
    return sum
  }

  /// After a change of master the writes follow it.
  private func findMasterAgain(_ loops: [LoopHandle], _ survey: NodeSurvey) async throws {
    var inDoubt = false
    for handle in loops where !inDoubt { inDoubt = try await handle.call { $0.masterIsInDoubt } }
    guard inDoubt, let master = await survey.masterNow(password: plan.password) else { return }
    for handle in loops { try await handle.call { $0.moveMaster(to: master) } }
  }
}

extension Duration {
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
