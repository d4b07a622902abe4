import PacelineClient

/// Asks all nodes of one row for their `INFO`: from the node given up to its master, and from there down to all slaves.
///
/// Keeps one connection per node for the next round. Owned by one command; an actor because the nodes of one level are
/// asked at the same time.
actor RowCollector {
  /// More nodes than a row can sensibly have: ends the walk if nodes name ever new ones.
  static let nodesMax = 256

  private let start: NodeAddress
  private let password: String?
  private let timeout: Duration
  private var connections: [NodeAddress: PacelineConnection] = [:]

  init(start: NodeAddress, password: String?, timeout: Duration) {
    self.start = start
    self.password = password
    self.timeout = timeout
  }

  /// One report per node: the master first, then its slaves in its order, then theirs. Takes two times the timeout per
  /// level at most, and does not throw: a node that does not answer is a report, too.
  func collect() async -> [NodeReport] {
    var top = await report(on: start)
    var asked: Set<NodeAddress> = [start]
    var below: [NodeReport] = []
    while !top.isMaster, let master = top.master, asked.insert(master).inserted {
      below.insert(top, at: 0)
      top = await report(on: master)
      // What is above an unreachable master is unknown: it stays a row, and its slave is the place to go on from.
    }

    var row = [top]
    var level = row
    while !level.isEmpty, row.count < Self.nodesMax {
      let lines = level.flatMap(\.slaves)
      let known = below
      let next = await withTaskGroup(of: (Int, NodeReport?).self) { group in
        for (i, line) in lines.prefix(Self.nodesMax - row.count).enumerated() {
          guard let address = line.address else { continue }
          group.addTask {
            let report = known.first { $0.address == address }
            return (i, await self.report(on: address, known: report, line: line.pairs))
          }
        }
        var answers: [(Int, NodeReport?)] = []
        for await answer in group { answers.append(answer) }
        return answers
      }
      level = next.sorted { $0.0 < $1.0 }.compactMap(\.1).filter { candidate in
        !row.contains { $0.address == candidate.address || ($0.identity != nil && $0.identity == candidate.identity) }
      }
      row += level
    }
    // A slave that its master does not list (any more) is shown all the same.
    row += below.filter { one in
      !row.contains { $0.address == one.address || ($0.identity != nil && $0.identity == one.identity) }
    }
    return row
  }

  private func report(
    on address: NodeAddress, known: NodeReport? = nil, line: InfoText.Pairs? = nil
  ) async -> NodeReport {
    if var known {
      known.lineAtMaster = line
      return known
    }
    do {
      let connection = try await connection(to: address)
      // Redis 7 and Paceline give everything for a bare INFO.
      guard let text = try await connection.command(["INFO"]).get().string else {
        return NodeReport(address: address, answer: .unreachable(reason: "its INFO is no text"), lineAtMaster: line)
      }
      return NodeReport(address: address, answer: .status(ReportedStatus(InfoText(text))), lineAtMaster: line)
    } catch {
      connections[address] = nil
      return NodeReport(address: address, answer: .unreachable(reason: Self.reason(error)), lineAtMaster: line)
    }
  }

  private func connection(to address: NodeAddress) async throws -> PacelineConnection {
    if let open = connections[address], open.isOpen { return open }
    var options = PacelineConnection.Options()
    options.connectTimeout = timeout
    options.replyTimeout = timeout
    options.replyLimits = .init(replyBytesMax: 4 << 20)
    let fresh = try await PacelineConnection.connect(
      host: address.host, port: address.port, password: password, options: options)
    connections[address] = fresh
    return fresh
  }

  private static func reason(_ error: any Error) -> String {
    switch error {
    case PacelineError.cannotConnect(_, let reason), PacelineError.connectionLost(_, let reason): reason
    case PacelineError.notAuthenticated(_, let reason): reason
    case let error as RESPValue.ServerError where error.code == "NOAUTH": "wants a password (--password)"
    default: String(describing: error)
    }
  }

  func close() async {
    for connection in connections.values { await connection.close() }
    connections = [:]
  }
}
