import Commands

extension CommandRows {
  /// What Redis does not have: positions in the log, and the files that it is in.
  mutating func addLogCommands() {
    let server = HostFunctions<ServerCore>()
    group = .server
    command(
      "digest", arity: -1, [.readonly], [], since: "0.1.0",
      summary: "Return the digest of each key range at one position of the log",
      complexity: "O(P) where P is the number of partitions of the key index",
      tips: [.anyOutput],
      run: server(ServerCore.digest))
    command(
      "lastlsn", arity: 1, [.loading, .stale, .fast, .inPlace], [], since: "0.1.0",
      summary: "Return the position of the connection's last write, to be waited for elsewhere",
      complexity: "O(1)",
      tips: [.anyOutput],
      run: server(ServerCore.lastLSN))
    command(
      "compact", arity: -1, [.admin, .noScript, .noMulti], [.dangerous], since: "0.1.0",
      summary: "Rewrite the log without what is dead, and wait until it is done",
      complexity: "O(N) where N is the number of bytes on disk",
      tips: [.anyOutput],
      run: server(ServerCore.compact))
    command(
      "scrub", arity: 1, [.admin, .noScript, .noMulti, .stale], [.dangerous], since: "0.1.0",
      summary: "Check every sealed file of the log now, repair what another node has, and wait until it is done",
      complexity: "O(N) where N is the number of bytes on disk",
      tips: [.anyOutput],
      run: server(ServerCore.scrub))
  }
}
