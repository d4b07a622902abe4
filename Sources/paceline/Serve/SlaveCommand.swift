import ArgumentParser

package struct SlaveCommand: AsyncParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "slave",
    abstract: "Follow a master: keep a copy of its data, and serve reads from it.",
    usage: "paceline slave --master <host:port> [--port <port>] [--data <directory>] [<options>]",
    discussion: """
      Registers at the master, fetches what is missing, and follows. The first time
      that is all the data; after a restart or a broken link it is the part of the
      log that was missed. It answers reads all the while, from the data that it
      has; writes are refused and name the master. Its copy is in the directory of
      --data: give each server its own. It goes on trying while the master is away.

      EXAMPLES
        A slave of a master on this machine:
          paceline slave --master 127.0.0.1:7400 --port 7401 --data ./slave-data
        Of a master with a password, with one for its own clients:
          paceline slave --master 10.0.0.5:7400 --bind 0.0.0.0 \\
            --masterauth-file /etc/paceline/password \\
            --requirepass-file /etc/paceline/password
        A slave of a slave:
          paceline slave --master 127.0.0.1:7401 --port 7402 --data ./third
        How far is it?
          paceline status --node 127.0.0.1:7401 --watch
        Make it a server of its own:
          redis-cli -p 7401 REPLICAOF NO ONE

      \(ServerOptions.discussion)
      """)

  @OptionGroup(title: "Master") var upstream: UpstreamOptions
  @OptionGroup var options: ServerOptions

  package init() {}

  package func run() async throws {
    try await ServeCommand(
      role: .slave, flags: upstream.given + options.given, configurationPath: options.config
    ).run()
  }
}
