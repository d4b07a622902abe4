import ArgumentParser
import PacelineClient

struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure how much a master and its slaves can serve, and how fast.",
    discussion: """
      Simulates applications ("clients"): each sends a batch of --pipeline requests,
      waits for all replies, and sends the next. Its reads (GET) go to one of the
      nodes given, its writes (SET) to the master, which is found by itself.
      A latency is the time from sending a batch to receiving the reply. Replies
      with an error, requests lost with their connection, and requests that could
      not be sent are errors; the run goes on, reconnects, and follows a change of
      master.

      First all keys are written on the master, so that reads find something
      (key:000000000000 and so on: existing ones are OVERWRITTEN); --no-load leaves
      that out. The run ends after --seconds, or after --requests, or on Ctrl-C, or
      when nobody has answered for 10 seconds.

      --staleness measures how old the data is that slaves serve. A writer changes
      a probe key on the master every 5 ms, readers read it from each slave every
      2 ms. The age of a read is the time since the first write that had been
      acknowledged when the read was sent, and that the read does not show; 0 if it
      shows them all.

      The client takes CPU, too: on the nodes' machine it takes it from them. What
      it took is printed.

      EXAMPLES
        One node, 90 % reads:
          paceline bench --node 127.0.0.1:7400
        Only reads, from a master and a slave, in batches:
          paceline bench --node a:7400,b:7400 --read-share 1 --pipeline 16
        A few popular keys, and how stale the slave is:
          paceline bench --node a:7400,b:7400 --distribution zipfian --staleness
        For a script:
          paceline bench --node '[::1]:7400' --requests 1000000 --json

      Exit code 0: measured; 1: failed to run; 2: wrong usage.
      """)

  enum Distribution: String, ExpressibleByArgument, CaseIterable { case uniform, zipfian }

  @Option(
    help: ArgumentHelp(
      "Nodes that get the reads, separated by commas; without a port it is 7400.", valueName: "host:port,..."),
    transform: NodeAddress.list(parsing:))
  var node: [NodeAddress]

  @Option(help: "Simulated applications, 1 to 10000.")
  var clients = 50

  @Option(help: "Requests in a batch, 1 to 10000.")
  var pipeline = 1

  @Option(help: "Keys, 1 to 10^12.")
  var keys: UInt64 = 100_000

  @Option(help: ArgumentHelp("Bytes of a value, 0 to 16777216.", valueName: "bytes"))
  var valueSize = 100

  @Option(help: ArgumentHelp("Reads among the requests, 0 to 1.", valueName: "share"))
  var readShare = 0.9

  @Option(help: "Seconds to measure, 0.1 to 86400. (default: 10)")
  var seconds: Double?

  @Option(help: "Requests to measure, instead of --seconds.")
  var requests: Int?

  @Option(help: "Which keys: uniform (all alike) or zipfian (few popular ones, as YCSB).")
  var distribution = Distribution.uniform

  @Option(help: "Skew of zipfian, above 0 and below 1; higher is more skewed.")
  var theta = 0.99

  @Option(help: "Threads of this client, 1 to 64.")
  var threads = 1

  @Flag(inversion: .prefixedNo, help: "Write all keys first.")
  var load = true

  @Option(help: ArgumentHelp("Seconds before the measurement, 0 to 3600.", valueName: "seconds"))
  var warmup = 1.0

  @Option(help: "Password of the nodes; better in PACELINE_PASSWORD, where no process list shows it.")
  var password: String?

  @Flag(help: "Measure how old the slaves' data is.")
  var staleness = false

  @Option(help: "Start of the random numbers: the same seed asks for the same keys.")
  var seed: UInt64 = 1

  @Flag(help: "Print the result as one JSON object.")
  var json = false

  func validate() throws {
    func require(_ isGood: Bool, _ message: String) throws {
      if !isGood { throw ValidationError(message) }
    }
    try require((1...10_000).contains(clients), "--clients takes 1 to 10000, not \(clients).")
    try require((1...10_000).contains(pipeline), "--pipeline takes 1 to 10000, not \(pipeline).")
    try require((1...1_000_000_000_000).contains(keys), "--keys takes 1 to 10^12, not \(keys).")
    try require((0...16_777_216).contains(valueSize), "--value-size takes 0 to 16777216 bytes, not \(valueSize).")
    try require((0...1).contains(readShare), "--read-share takes 0 to 1, not \(readShare).")
    try require(seconds == nil || requests == nil, "--seconds and --requests exclude each other.")
    try require((0.1...86_400).contains(seconds ?? 10), "--seconds takes 0.1 to 86400, not \(seconds ?? 10).")
    try require(requests ?? 1 > 0, "--requests takes 1 or more, not \(requests ?? 1).")
    try require(theta > 0 && theta < 1, "--theta takes more than 0 and less than 1, not \(theta).")
    try require((1...64).contains(threads), "--threads takes 1 to 64, not \(threads).")
    try require(
      threads <= clients, "--threads \(threads) is more than --clients \(clients): a client lives on one thread.")
    try require((0...3600).contains(warmup), "--warmup takes 0 to 3600 seconds, not \(warmup).")
    try require(
      pipeline * (valueSize + 64) * clients <= 4 << 30,
      "--value-size \(valueSize), --pipeline \(pipeline), --clients \(clients): more than 4 GiB would be on the way."
    )
  }

  private var plan: BenchPlan {
    BenchPlan(
      nodes: node, password: PasswordOption.resolve(password), clients: clients, pipeline: pipeline, threads: threads,
      valueBytes: valueSize, readShare: readShare, keyCount: keys,
      distribution: distribution == .uniform
        ? .uniform(keyCount: keys) : .zipfian(Zipfian(itemCount: keys, theta: theta)),
      end: requests.map { .afterRequests($0) } ?? .afterSeconds(seconds ?? 10), warmupSeconds: warmup, loadsKeys: load,
      measuresStaleness: staleness, seed: seed)
  }

  func run() async throws {
    let isLive = Terminal.errorsAreTerminal
    let say: @Sendable (String) -> Void = { text in
      Terminal.writeError("\(isLive ? "\r\u{1B}[K" : "")paceline bench: \(HumanText.harmless(text))\n")
    }
    let runner = BenchRunner(
      plan: plan, progress: { if isLive { Terminal.writeError("\r\($0.line)\u{1B}[K") } }, warn: say)
    let json = json
    do {
      try await runUntilInterrupted {
        let report = try await runner.run()
        if isLive { Terminal.writeError("\r\u{1B}[K") }
        let text = json ? report.json.description : report.lines(colour: Terminal.wantsColour).joined(separator: "\n")
        Terminal.write(text + "\n")
        if report.gaveUp { throw BenchFailure("the run was given up before its end") }
      }
    } catch {
      say(error is CancellationError ? "interrupted" : "\(error)")
      throw ExitCode(1)
    }
  }
}
