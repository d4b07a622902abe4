import ArgumentParser
import PacelineClient

struct CompactCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compact",
    abstract: "Rewrite a node's log without what is dead, and show how far it is.",
    discussion: """
      Overwritten, deleted and expired data leaves the disk. The node does this by
      itself when --garbage-ratio is passed; this does it now, for everything that
      no slave still has to get. Clients are served meanwhile.

      EXAMPLES
        paceline compact --node 127.0.0.1:7400

      Exit code 0: done; 1: the node cannot be reached, or says why not; 2: wrong
      usage.
      """)

  @Option(
    help: ArgumentHelp("The node; without a port it is 7400.", valueName: "host:port"),
    transform: NodeAddress.init(parsing:))
  var node: NodeAddress

  @Option(help: "Password of the node; better in PACELINE_PASSWORD, where no process list shows it.")
  var password: String?

  func run() async throws {
    let password = PasswordOption.resolve(password)
    let work: PacelineConnection
    let look: PacelineConnection
    do {
      work = try await PacelineConnection.connect(host: node.host, port: node.port, password: password)
      look = try await PacelineConnection.connect(host: node.host, port: node.port, password: password)
    } catch {
      Terminal.writeError("\(error)\n")
      throw ExitCode(1)
    }
    let before = try await figures(look)
    let progress = Task {
      let begin = ContinuousClock.now
      while (try? await Task.sleep(for: .seconds(1))) != nil, let now = try? await figures(look) {
        let read = now.read - before.read + now.done
        let seconds = Double((ContinuousClock.now - begin).components.seconds)
        let rate = Double(read) / max(1, seconds)
        let left = rate > 0 ? Double(max(0, before.data - read)) / rate : 0
        Terminal.write(
          "\(HumanText.bytes(UInt64(read))) of at most \(HumanText.bytes(UInt64(before.data))) read, "
            + "\(HumanText.bytes(UInt64(rate)))/s, at most \(Int(left)) s left\n")
      }
    }
    let answer = try await work.command(["COMPACT"])
    progress.cancel()
    if let refusal = answer.serverError {
      Terminal.writeError("\(refusal.message)\n")
      throw ExitCode(1)
    }
    let after = try await figures(look)
    Terminal.write(
      "done: \(HumanText.bytes(UInt64(before.data))) of log before, \(HumanText.bytes(UInt64(after.data))) now, "
        + "\(HumanText.bytes(UInt64(after.live))) of them live\n")
    await work.close()
    await look.close()
  }

  private func figures(_ connection: PacelineConnection) async throws -> (data: Int, live: Int, read: Int, done: Int) {
    let info = InfoText(try await connection.command(["INFO", "paceline"]).string ?? "")
    func figure(_ name: String) -> Int { Int(info.integer(name) ?? 0) }
    return (
      figure("data_bytes"), figure("live_bytes"), figure("compaction_bytes_read"), figure("compaction_bytes_done")
    )
  }
}
