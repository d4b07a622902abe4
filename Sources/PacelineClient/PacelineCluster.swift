import NIOCore
import NIOPosix
import RESP

/// A master and its slaves as one store: writes go to the master, reads to the slaves in turn.
///
///     let cluster = PacelineCluster(nodes: try NodeAddress.list(parsing: "10.0.0.1:7400,10.0.0.2:7400"))
///     let written = try await cluster.write(["SET", "greeting", "hello"])
///     let value = try await cluster.read(["GET", "greeting"], notBefore: written.token)  // sees the write
///
/// The master is found by `ROLE`, when first needed and again after it was lost or answered `READONLY`. One connection
/// per node, shared by all callers. A read that fails goes on to the next node; a write is repeated only when it was
/// surely not done.
public actor PacelineCluster {
  /// A place in the master's log. A slave that has reached it shows the write that gave it. Opaque: pass it on as it is,
  /// also to other processes.
  public struct WriteToken: Hashable, Sendable {
    public let text: String
    public init(text: String) { self.text = text }
  }

  public struct Written: Sendable {
    /// The reply of the write itself.
    public let reply: RESPValue
    /// nil from a server that has no `LASTLSN`.
    public let token: WriteToken?
  }

  public struct Options: Sendable {
    public var password: String?
    public var connection = PacelineConnection.Options()
    /// How long a slave may take to reach a write token before the next node is asked. Default 1 second.
    public var catchUpTimeout: Duration = .seconds(1)
    /// How long a node that failed is passed over. Default 1 second.
    public var retryAfter: Duration = .seconds(1)
    public init() {}
  }

  public nonisolated let nodes: [NodeAddress]
  private let options: Options
  private let started = ContinuousClock.now
  private var router: ReadRouter
  private var master: NodeAddress?
  private var connections: [NodeAddress: Task<PacelineConnection, any Error>] = [:]
  private var search: Task<NodeAddress, any Error>?

  /// - Parameter nodes: some or all nodes, in any order; not empty. Reads go to these; the master is also found if only
  ///   slaves are given.
  public init(nodes: [NodeAddress], options: Options = Options()) {
    precondition(!nodes.isEmpty, "a cluster has one node at least")
    self.nodes = nodes
    self.options = options
    router = ReadRouter(retryAfter: options.retryAfter)
  }

  // MARK: Writes

  /// Sends a write to the master and asks for its token in the same packet.
  /// - Throws: `RESPValue.ServerError` for an error reply, `PacelineError.noMaster`, or another `PacelineError`. After
  ///   `.connectionLost` nobody knows whether the write was done; after all others it was surely not.
  public func write(_ arguments: [String]) async throws -> Written {
    try await write(arguments.map { Array($0.utf8) })
  }

  /// As the other `write`, with arguments that need not be text.
  public func write(_ arguments: [[UInt8]]) async throws -> Written {
    do {
      return try await writeOnce(arguments, to: findMaster())
    } catch let error as RESPValue.ServerError where error.code == "READONLY" {
      master = nil  // It was one; ask who is now.
    } catch PacelineError.cannotConnect {
      master = nil
    } catch PacelineError.closed {
      // Not sent: an old connection. A new one may do.
    }
    return try await writeOnce(arguments, to: findMaster())
  }

  private func writeOnce(_ arguments: [[UInt8]], to node: NodeAddress) async throws -> Written {
    let replies: [RESPValue]
    do {
      replies = try await connection(to: node).commands([arguments, [Array("LASTLSN".utf8)]])
    } catch {
      if node == master { master = nil }
      throw error
    }
    let token = replies[1].int.map(String.init) ?? replies[1].string
    return Written(reply: try replies[0].get(), token: token.map(WriteToken.init(text:)))
  }

  // MARK: Reads

  /// Reads from a slave; from the master if no slave can answer.
  /// - Parameter notBefore: the token of a write that the read must see. A slave that does not reach it within
  ///   `catchUpTimeout` is passed over.
  /// - Throws: `RESPValue.ServerError` for an error reply that every node would give, such as `WRONGTYPE`;
  ///   `PacelineError.noReadableNode` when all nodes failed.
  public func read(_ arguments: [String], notBefore token: WriteToken? = nil) async throws -> RESPValue {
    try await read(arguments.map { Array($0.utf8) }, notBefore: token)
  }

  /// As the other `read`, with arguments that need not be text.
  public func read(_ arguments: [[UInt8]], notBefore token: WriteToken? = nil) async throws -> RESPValue {
    if master == nil { _ = try? await findMaster() }  // Without a master the slaves still answer.
    var lastFailure = ""
    for node in router.order(slaves: nodes.filter { $0 != master }, master: master, now: now) {
      do {
        let reply = try await readOnce(arguments, from: node, notBefore: node == master ? nil : token)
        router.succeeded(node)
        return try reply.get()
      } catch let error as RESPValue.ServerError where !Self.anotherNodeMayAnswer(error) {
        throw error
      } catch {
        lastFailure = "\(node): \(error)"
        router.failed(node, now: now)
        if node == master { master = nil }
      }
    }
    throw PacelineError.noReadableNode(nodes, lastFailure: lastFailure)
  }

  private func readOnce(
    _ arguments: [[UInt8]], from node: NodeAddress, notBefore token: WriteToken?
  ) async throws -> RESPValue {
    let connection = try await connection(to: node)
    if let token {
      let reached = try await connection.command(["WAITLSN", token.text, String(options.catchUpTimeout.milliseconds)])
        .get()
      // A server that counts instead of refusing says 0 when the time ran out.
      if reached == .integer(0) { throw RESPValue.ServerError("STALE \(node) has not reached \(token.text)") }
    }
    return try await connection.command(arguments)
  }

  /// Errors that speak about this node's state, not about the command.
  private static func anotherNodeMayAnswer(_ error: RESPValue.ServerError) -> Bool {
    ["STALE", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TIMEOUT", "WAITLSN", "BUSY", "NOAUTH"].contains(error.code)
  }

  // MARK: Finding the master

  /// The master's address, asked for once however many callers wait.
  /// - Throws: `PacelineError.noMaster`.
  public func findMaster() async throws -> NodeAddress {
    if let master { return master }
    if let search { return try await search.value }
    let task = Task { try await searchMaster() }
    search = task
    defer { search = nil }
    let found = try await task.value
    master = found
    return found
  }

  private func searchMaster() async throws -> NodeAddress {
    var candidates = nodes
    var next = 0
    // A slave names its master; masters named so are asked as well, one step each.
    while next < candidates.count, candidates.count <= nodes.count * 2 {
      let node = candidates[next]
      next += 1
      switch try? await role(of: node) {
      case .master: return node
      case .slave(let named?, _) where !candidates.contains(named): candidates.append(named)
      case .slave, .other, nil: break
      }
    }
    throw PacelineError.noMaster(nodes)
  }

  /// Asks a node for its role; nil if it does not answer in that shape.
  public func role(of node: NodeAddress) async throws -> NodeRole? {
    NodeRole(try await connection(to: node).command(["ROLE"]).get())
  }

  // MARK: Connections

  private func connection(to node: NodeAddress) async throws -> PacelineConnection {
    while let pending = connections[node] {
      let connection = try await pending.value
      if connection.isOpen { return connection }
      if connections[node] == pending { connections[node] = nil }  // Unless somebody else has replaced it meanwhile.
    }
    let options = options
    let task = Task {
      try await PacelineConnection.connect(
        host: node.host, port: node.port, password: options.password, options: options.connection)
    }
    connections[node] = task
    do {
      return try await task.value
    } catch {
      if connections[node] == task { connections[node] = nil }
      throw error
    }
  }

  /// Closes all connections. The cluster may be used again: it connects anew.
  public func close() async {
    let tasks = connections.values
    connections = [:]
    master = nil
    for task in tasks { await (try? task.value)?.close() }
  }

  private var now: Duration { ContinuousClock.now - started }
}

extension Duration {
  /// Whole milliseconds, rounded down.
  package var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}
