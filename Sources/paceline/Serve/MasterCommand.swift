import ArgumentParser

package struct MasterCommand: AsyncParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "master",
    abstract: "Serve a data directory as the master: it takes writes, slaves follow it.",
    usage: "paceline master [--port <port>] [--data <directory>] [<options>]",
    discussion: """
      Opens the data directory, or makes it, listens, and serves Redis clients until
      it is told to end. A write is acknowledged when it is on disk (--durability).
      All data is in the directory of --data: to move a node, stop it and move the
      directory. Never start two nodes from copies of one: start the second as an
      empty slave.

      EXAMPLES
        On this machine only:
          paceline master --port 7400 --data ./paceline-data
        For other machines, with a password that no process list shows:
          paceline master --bind 0.0.0.0 --data /var/lib/paceline \\
            --requirepass-file /etc/paceline/password
        Attach a slave while it runs (or tell a running server: REPLICAOF HOST 7400):
          paceline slave --master 127.0.0.1:7400 --port 7401 --data ./slave-data
        Is it well?
          paceline status --node 127.0.0.1:7400

      \(ServerOptions.discussion)
      """)

  @OptionGroup var options: ServerOptions

  package init() {}

  /// Names and values of the settings among the flags.
  package var givenSettings: [(name: String, value: String)] { options.given }

  package func run() async throws {
    try await ServeCommand(role: .master, flags: givenSettings, configurationPath: options.config).run()
  }
}
