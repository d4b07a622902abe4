import PacelineClient

/// Who is who among the nodes to be measured.
struct NodeSurvey: Sendable {
  /// The nodes given, in their order; then the master, if only its slaves were given.
  private(set) var nodes: [NodeAddress]
  private(set) var roles: [NodeRole?]
  /// How many of `nodes` were given, and get reads.
  let readNodeCount: Int
  /// Things a user should know before trusting the numbers.
  private(set) var warnings: [String] = []

  var master: Int? { roles.firstIndex { $0?.isMaster == true } }
  var slaves: [Int] { roles.indices.filter { if case .slave = roles[$0] { true } else { false } } }

  /// Connects to every node and asks for its role.
  /// - Throws: `BenchFailure` for the first node that cannot be reached or refuses to answer.
  static func take(nodes: [NodeAddress], password: String?) async throws(BenchFailure) -> NodeSurvey {
    var survey = NodeSurvey(nodes: nodes, roles: [], readNodeCount: nodes.count)
    for node in nodes { survey.roles.append(try await role(of: node, password: password)) }
    if survey.master == nil {
      let named = survey.roles.lazy.compactMap { role -> NodeAddress? in
        if case .slave(let master, _) = role { master } else { nil }
      }.first
      if let named {
        survey.nodes.append(named)
        survey.roles.append(try await role(of: named, password: password))
      }
    }
    let masters = survey.roles.indices.filter { survey.roles[$0]?.isMaster == true }
    if masters.count > 1 {
      let others = masters.dropFirst().map { survey.nodes[$0].description }.joined(separator: ", ")
      survey.warnings.append(
        "more than one master: writes go to \(survey.nodes[masters[0]]) only, not to \(others)"
      )
    }
    return survey
  }

  private static func role(of node: NodeAddress, password: String?) async throws(BenchFailure) -> NodeRole? {
    do {
      return try await ask(node, password: password, timeout: .seconds(3))
    } catch PacelineError.cannotConnect(_, let reason) {
      throw BenchFailure(
        "cannot connect to \(node): \(reason). Is the node running, and is this its address? "
          + "'redis-cli -h \(node.host) -p \(node.port) ping' should say PONG."
      )
    } catch PacelineError.notAuthenticated(_, let reason) {
      throw BenchFailure("\(node) refused the password: \(reason)")
    } catch let error as RESPValue.ServerError where error.code == "NOAUTH" {
      throw BenchFailure("\(node) wants a password: give it with --password or in PACELINE_PASSWORD")
    } catch {
      throw BenchFailure("\(node) does not answer ROLE: \(error)")
    }
  }

  private static func ask(_ node: NodeAddress, password: String?, timeout: Duration) async throws -> NodeRole? {
    var options = PacelineConnection.Options()
    options.connectTimeout = timeout
    options.replyTimeout = timeout
    let connection = try await PacelineConnection.connect(
      host: node.host, port: node.port, password: password, options: options)
    do {
      let role = NodeRole(try await connection.command(["ROLE"]).get())
      await connection.close()
      return role
    } catch {
      await connection.close()
      throw error
    }
  }

  /// Asks again who is master; nil if none of the nodes answers as one.
  func masterNow(password: String?) async -> Int? {
    for (i, node) in nodes.enumerated() {
      if let role = try? await Self.ask(node, password: password, timeout: .seconds(1)), role.isMaster { return i }
    }
    return nil
  }

  /// Writes once more and waits until every slave has that write, so that what was loaded is there to be read.
  /// - Returns: a warning if that could not be made sure of.
  func waitForSlaves(password: String?) async -> String? {
    guard let master, !slaves.isEmpty else { return nil }
    do {
      let node = nodes[master]
      let connection = try await PacelineConnection.connect(host: node.host, port: node.port, password: password)
      // Slaves of slaves follow their own master; WAIT counts the direct ones.
      let direct = InfoText(try await connection.command(["INFO", "replication"]).string ?? "")
      let waited = min(slaves.count, direct["connected_slaves"].flatMap { Int($0) } ?? slaves.count)
      let replies = try await connection.commands([
        ["SET", "paceline:bench:loaded", "1"], ["WAIT", String(waited), "20000"],
      ])
      await connection.close()
      _ = try replies[0].get()
      let reached = try replies[1].get().int ?? 0
      return reached >= waited
        ? nil : "after 20 s only \(reached) of \(waited) slaves had all loaded keys: expect misses"
    } catch {
      return "could not wait for the slaves (\(error)): expect misses at first"
    }
  }
}
