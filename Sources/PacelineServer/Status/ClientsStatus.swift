/// The connections of clients.
struct ClientsStatus: Sendable {
  let connected: Int
  let connectedMax: Int
  let inputBytesMax: Int
  let outputBytesMax: Int
  let suspended: Int
  let strangerBytes: Int
  let strangersRefused: UInt64

  init(_ server: ServerCore) {
    let entries = server.service.clients.all()
    connected = entries.count { $0.kind == .normal }
    connectedMax = server.configuration.clientsMax
    inputBytesMax = entries.map { Int($0.state.queryBytes) }.max() ?? 0
    outputBytesMax = entries.map { Int($0.state.heldBytes) }.max() ?? 0
    suspended = server.workers.reduce(0) { $0 + $1.loop.blockedCount.load(ordering: .relaxed) }
    strangerBytes = Int(server.service.strangers.heldBytes)
    strangersRefused = UInt64(server.service.strangers.refusedConnections)
  }

  static let fields: [StatusField<ClientsStatus>] = [
    .init("connected_clients", .count, "connections of clients, without slaves and MONITOR") { .count($0.connected) },
    .constant("cluster_connections", "0"),
    .init("maxclients", .count, "`--max-clients`") { .count($0.connectedMax) },
    .init("client_recent_max_input_buffer", .bytes, "the most that one client has sent of an unfinished command") {
      .count($0.inputBytesMax)
    },
    .init("client_recent_max_output_buffer", .bytes, "the most that is kept of one client's replies") {
      .count($0.outputBytesMax)
    },
    .init(
      "blocked_clients", .count,
      "clients whose command waits: for slaves, a level, the disk, a handover, or the end of CLIENT PAUSE"
    ) {
      .count($0.suspended)
    },
    .constant("tracking_clients", "0"),
    .constant("clients_in_timeout_table", "0"),
    .init("unauthenticated_bytes", .bytes, "held of clients that have not given the password") {
      .count($0.strangerBytes)
    },
    .init("unauthenticated_refused", .count, "connections that were closed because these held too much") {
      .number($0.strangersRefused)
    },
  ]
}
