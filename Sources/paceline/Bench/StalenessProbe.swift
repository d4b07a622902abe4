import Histogram
import NIOCore
import PacelineClient

/// Measures how old the data is that slaves serve while the load runs; `StalenessTracker` says what exactly "old" means.
///
/// One connection writes numbered values to one key on the master, one connection per slave reads them. All of them live
/// on one event loop of their own, so that acknowledgements and reads are put in order where they are seen, and the
/// load's threads do not delay them.
struct StalenessProbe: Sendable {
  struct Result: Sendable {
    let node: NodeAddress
    var reads: UInt64 = 0
    var errors: UInt64 = 0
    /// Nanoseconds.
    var ages = Histogram<UInt64>(
      lowestDiscernibleValue: 1000, highestTrackableValue: 86_400_000_000_000, numberOfSignificantValueDigits: .three)

    /// The age that this percentage of the reads did not exceed, in nanoseconds; ages below a microsecond are 0.
    func age(percentile: Double) -> UInt64 {
      let age = ages.valueAtPercentile(percentile)
      return age < 1024 ? 0 : age
    }

    /// The share of the reads that saw every acknowledged write (or missed one by less than a microsecond).
    var currentShare: Double { reads == 0 ? 0 : Double(ages.countForValue(0)) / Double(reads) }
  }

  private static let key = "paceline:bench:probe"
  private static let writeInterval = Duration.milliseconds(5)
  private static let readInterval = Duration.milliseconds(2)

  /// On the event loop only.
  private final class State {
    var tracker = StalenessTracker()
    var results: [Result]
    var isMeasuring = false
    init(slaves: [NodeAddress]) { results = slaves.map { Result(node: $0) } }
  }

  private let eventLoop: any EventLoop
  private let state: NIOLoopBoundBox<State>
  private let survey: NodeSurvey
  private let master: NodeAddress
  private let slaves: [NodeAddress]
  private let password: String?
  /// Marks this run's values: those of an earlier run count as none.
  private let runMark: String

  init(survey: NodeSurvey, master: NodeAddress, password: String?, seed: UInt64, eventLoop: any EventLoop) {
    self.eventLoop = eventLoop
    self.survey = survey
    self.master = master
    slaves = survey.slaves.map { survey.nodes[$0] }
    self.password = password
    runMark = "\(String(seed, radix: 16))-\(String(NIODeadline.now().uptimeNanoseconds, radix: 16))"
    state = .makeBoxSendingValue(State(slaves: slaves), eventLoop: eventLoop)
  }

  /// Writes and reads until the task is cancelled.
  func run() async {
    await withDiscardingTaskGroup { group in
      group.addTask { await write() }
      for index in slaves.indices { group.addTask { await read(slave: index) } }
    }
  }

  /// From now on ages are recorded.
  func beginMeasuring() async throws {
    try await eventLoop.submit { [state] in state.value.isMeasuring = true }.get()
  }

  func results() async throws -> [Result] {
    try await eventLoop.submit { [state] in
      state.value.isMeasuring = false
      return state.value.results
    }.get()
  }

  private func write() async {
    var sequence: UInt64 = 0
    var isFirst = true
    let findMaster: () async -> NodeAddress = {
      defer { isFirst = false }
      if isFirst { return master }
      return await survey.masterNow(password: password).map { survey.nodes[$0] } ?? master
    }
    await keepConnected(to: findMaster) { [state] connection in
      while !Task.isCancelled {
        sequence += 1
        let number = sequence
        let value = "\(runMark) \(number)"
        let command = ["SET", Self.key, value].map { Array($0.utf8) }
        try await connection.send([command]).flatMapThrowing { replies in
          _ = try replies[0].get()  // Refused: perhaps this is the master no longer.
          state.value.tracker.acknowledged(number, at: NIODeadline.now().uptimeNanoseconds)
        }.get()
        try await Task.sleep(for: Self.writeInterval)
      }
    }
  }

  private func read(slave: Int) async {
    let command = ["GET", Self.key].map { Array($0.utf8) }
    await keepConnected(to: { slaves[slave] }) { [state] connection in
      while !Task.isCancelled {
        do {
          let sentAt = NIODeadline.now().uptimeNanoseconds
          try await connection.send([command]).map { replies in
            guard state.value.isMeasuring else { return }
            if replies[0].serverError != nil {
              state.value.results[slave].errors += 1
              return
            }
            let age = state.value.tracker.age(seen: sequence(in: replies[0]), sentAt: sentAt)
            state.value.results[slave].reads += 1
            state.value.results[slave].ages.record(age)
          }.get()
        } catch {
          try await eventLoop.submit { if state.value.isMeasuring { state.value.results[slave].errors += 1 } }.get()
          throw error
        }
        try await Task.sleep(for: Self.readInterval)
      }
    }
  }

  /// The number of this run's write that the value came from; 0 if it is from none.
  private func sequence(in reply: RESPValue) -> UInt64 {
    guard let words = reply.string?.split(separator: " "), words.count == 2, words[0] == runMark else { return 0 }
    return UInt64(words[1]) ?? 0
  }

  /// Runs `body` with a connection, and again with a new one when it failed, until the task is cancelled.
  private func keepConnected(
    to node: () async -> NodeAddress, _ body: (PacelineConnection) async throws -> Void
  ) async {
    var options = PacelineConnection.Options()
    options.replyTimeout = .seconds(BenchPlan.replyTimeoutSeconds)
    while !Task.isCancelled {
      let node = await node()
      if let connection = try? await PacelineConnection.connect(
        host: node.host, port: node.port, password: password, options: options, on: eventLoop)
      {
        try? await body(connection)
        await connection.close()
      }
      try? await Task.sleep(for: .milliseconds(BenchPlan.reconnectMilliseconds))
    }
  }
}
