import ArgumentParser
import PacelineServer

@main
package struct Paceline: AsyncParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "paceline",
    abstract: "A replicated table store: one master takes the writes, many slaves serve the reads.",
    discussion: """
      Paceline speaks Redis's protocol: redis-cli, redis-benchmark and every Redis
      client work as they are. The master keeps a log on disk; slaves follow it, and
      one that was away catches up from where it was.

      EXAMPLES
        A master, and two slaves that follow it (each in its own terminal):
          paceline master --port 7400 --data ./m
          paceline slave --master 127.0.0.1:7400 --port 7401 --data ./s1
          paceline slave --master 127.0.0.1:7400 --port 7402 --data ./s2
        Write to the master, read from a slave:
          redis-cli -p 7400 SET greeting hello
          redis-cli -p 7401 GET greeting
        Who follows whom, how far behind, and what a sync is doing:
          paceline status --node 127.0.0.1:7400 --watch
        How much the three serve together:
          paceline bench --node 127.0.0.1:7400,127.0.0.1:7401,127.0.0.1:7402

      Exit code 0: done; 1: failed; 2: wrong usage.
      """,
    version: "paceline \(PacelineVersion.current)",
    subcommands: [
      MasterCommand.self, SlaveCommand.self, StatusCommand.self, BenchCommand.self, CompactCommand.self,
      InspectCommand.self, SimulateCommand.self, VersionCommand.self,
    ])

  package init() {}

  package static func main() async {
    do {
      var command = try parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      // ArgumentParser ends with 64 for wrong usage; the tools promise 2.
      guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
      Terminal.writeError(fullMessage(for: error) + "\n")
      ProcessEnd.now(2)
    }
  }
}
