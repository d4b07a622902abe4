import ArgumentParser
import PacelineClient

struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show the master and all its slaves at a glance.",
    discussion: """
      Any node of the row will do: a slave leads to its master, the master to all
      its slaves.

        appended    LSN of the newest record in the node's log
        durable     newest LSN that is on its disk
        committed   newest LSN that is good at its commit level
        applied     newest LSN that reads on this node see
        lag         how far a slave is behind, as its master sees it:
                    records, bytes, milliseconds
        state       what a slave does: following, syncing (with plan, progress,
                    rate, ETA), or what is wrong

      What a node does not tell is shown as '-' (a Redis has no LSNs). A narrow
      terminal shows fewer numbers; --json has them all.

      EXAMPLES
        paceline status --node 127.0.0.1:7400
        paceline status --node 127.0.0.1:7401 --watch --interval 0.5
        paceline status --node '[::1]:7400' --json | jq '.nodes[].lag_ms'

      Exit code 0: the node and the row's master answered; 1: the node did not;
      2: wrong usage; 3: NO MASTER: no node that answered is one.
      """)

  @Option(
    help: ArgumentHelp("A node of the row; without a port it is 7400.", valueName: "host:port"),
    transform: NodeAddress.init(parsing:))
  var node: NodeAddress

  @Flag(help: "Draw again and again, until Ctrl-C.")
  var watch = false

  @Option(help: ArgumentHelp("Seconds between two drawings, 0.1 to 3600.", valueName: "seconds"))
  var interval = 1.0

  @Flag(help: "Print one JSON object; with --watch one line per drawing.")
  var json = false

  @Option(help: "Password of the nodes; better in PACELINE_PASSWORD, where no process list shows it.")
  var password: String?

  @Option(help: ArgumentHelp("Seconds to wait for a node, 0.1 to 60.", valueName: "seconds"))
  var timeout = 2.0

  func validate() throws {
    guard (0.1...3600).contains(interval) else {
      throw ValidationError("--interval takes seconds from 0.1 to 3600, not \(interval).")
    }
    guard (0.1...60).contains(timeout) else {
      throw ValidationError("--timeout takes seconds from 0.1 to 60, not \(timeout).")
    }
  }

  func run() async throws {
    let collector = RowCollector(
      start: node, password: PasswordOption.resolve(password), timeout: .milliseconds(Int64(timeout * 1000)))
    let first = await collector.collect()
    draw(first, clearing: drawsInPlace)
    if watch {
      try await runUntilInterrupted {
        while (try? await Task.sleep(for: .milliseconds(Int64(interval * 1000)))) != nil {
          draw(await collector.collect())
        }
      }
    }
    await collector.close()
    // If the node asked does not answer, no other is known.
    guard watch || first.contains(where: \.isReachable) else { throw ExitCode(1) }
    guard watch || NodeReport.hasMaster(first) else { throw ExitCode(3) }
  }

  private var drawsInPlace: Bool { watch && !json && Terminal.outputIsTerminal }

  private func draw(_ reports: [NodeReport], clearing: Bool = false) {
    if json {
      let nodes = JSONText.array(reports.map(\.json))
      Terminal.write(
        JSONText.object([
          ("asked", .string(node.description)), ("has_master", .boolean(NodeReport.hasMaster(reports))),
          ("nodes", nodes),
        ]).description + "\n")
      return
    }
    let size = Terminal.size
    var lines = NodeReport.lines(reports, colour: Terminal.wantsColour, widthMax: size?.columns ?? .max)
    if let warning = NodeReport.missingMaster(reports) { lines.append(warning) }
    guard drawsInPlace else {
      Terminal.write(lines.joined(separator: "\n") + (watch ? "\n\n" : "\n"))
      return
    }
    // Overwrites the old picture line by line and clears what is left of it: nothing is blank in between.
    if let rows = size?.rows, lines.count > rows - 1 { lines = Array(lines.prefix(max(1, rows - 1))) }
    Terminal.write((clearing ? "\u{1B}[2J" : "") + "\u{1B}[H" + lines.map { $0 + "\u{1B}[K\r\n" }.joined() + "\u{1B}[J")
  }
}
