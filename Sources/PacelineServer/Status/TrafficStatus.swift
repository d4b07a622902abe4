import Core

/// What was asked of this node since its start or CONFIG RESETSTAT, and how fast it comes.
struct TrafficStatus: Sendable {
  let figures: ServerFigures
  let rates: ServerStatistics.Rates
  let errors: [(code: String, count: UInt64)]
  let syncBytesSent: UInt64
  let fullSyncs: UInt64
  let partialSyncs: UInt64
  let expiredKeys: UInt64

  init(_ server: ServerCore) {
    let statistics = server.service.statistics
    let replication = server.replication
    figures = statistics.since(server.totals)
    rates = statistics.rates
    errors = statistics.errors
    syncBytesSent = UInt64(clamping: replication.wireBytesSent.load(ordering: .relaxed))
    fullSyncs = UInt64(clamping: replication.counters.full.load(ordering: .relaxed))
    partialSyncs = UInt64(clamping: replication.counters.partial.load(ordering: .relaxed))
    expiredKeys = UInt64(clamping: server.node.expiredKeys.load(ordering: .relaxed))
  }

  static let fields: [StatusField<TrafficStatus>] = [
    .init("total_connections_received", .count, "connections that were taken") { .number($0.figures.connections) },
    .init("total_commands_processed", .count, "commands that were executed") { .number($0.figures.commands) },
    .init("instantaneous_ops_per_sec", .perSecond, "commands in the last second") {
      .number($0.rates.commandsPerSecond)
    },
    .init("total_net_input_bytes", .bytes, "received from clients") { .number($0.figures.input) },
    .init("total_net_output_bytes", .bytes, "sent to clients") { .number($0.figures.output) },
    .constant("total_net_repl_input_bytes", "0"),
    .init("total_net_repl_output_bytes", .bytes, "sent to slaves") { .number($0.syncBytesSent) },
    .init("instantaneous_input_kbps", .kilobytesPerSecond, "received in the last second") {
      .decimal($0.rates.inputBytesPerSecond / 1024, digits: 2)
    },
    .init("instantaneous_output_kbps", .kilobytesPerSecond, "sent in the last second") {
      .decimal($0.rates.outputBytesPerSecond / 1024, digits: 2)
    },
    .init("rejected_connections", .count, "connections beyond `--max-clients`") { .number($0.figures.rejected) },
    .init("sync_full", .count, "full syncs that this node served") { .number($0.fullSyncs) },
    .init("sync_partial_ok", .count, "partial syncs that this node served") { .number($0.partialSyncs) },
    .constant("sync_partial_err", "0"),
    .init("expired_keys", .count, "keys that this node deleted because their time was over") {
      .number($0.expiredKeys)
    },
    .constant("expired_stale_perc", "0.00"),
    .constant("expired_time_cap_reached_count", "0"),
    .constant("evicted_keys", "0"),
    .constant("evicted_clients", "0"),
    .init("keyspace_hits", .count, "look-ups of keys that were there") { .number($0.figures.hits) },
    .init("keyspace_misses", .count, "look-ups of keys that were not") { .number($0.figures.misses) },
    .constant("pubsub_channels", "0"),
    .constant("pubsub_patterns", "0"),
    .constant("pubsubshard_channels", "0"),
    .constant("latest_fork_usec", "0"),
    .constant("total_forks", "0"),
    .constant("migrate_cached_sockets", "0"),
    .constant("slave_expires_tracked_keys", "0"),
    .constant("tracking_total_keys", "0"),
    .constant("unexpected_error_replies", "0"),
    .init("total_error_replies", .count, "error replies of all codes") {
      .number($0.errors.reduce(0) { $0 + $1.count })
    },
    .init("total_reads_processed", .count, "reads of sockets with commands in them") { .number($0.figures.reads) },
    .init("total_writes_processed", .count, "writes of replies to sockets") { .number($0.figures.writes) },
    .init("forwarded_commands", .count, "commands that the master answered for this node's clients") {
      .number($0.figures.forwarded)
    },
    .init("forward_errors", .count, "commands that it should have answered and did not") {
      .number($0.figures.forwardErrors)
    },
  ]

  static let errorFields: [StatusField<TrafficStatus>] = [
    .init(each: "errorstat_<CODE>", "how many error replies had this code") { status in
      status.errors.map { ("errorstat_\($0.code)", .text("count=\($0.count)")) }
    }
  ]
}
