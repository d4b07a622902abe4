import Core

/// The process: what it is, where it runs, since when.
struct ProcessStatus: Sendable {
  let redisVersion: String
  let configuration: ServerConfiguration
  let node: NodeID
  let uptimeSeconds: UInt64
  let wall: WallClock
  let wallMicroseconds: UInt64
  let loops: Int
  /// Until the end that SHUTDOWN or SIGTERM began.
  let shutdownMilliseconds: UInt64?

  init(_ server: ServerCore) {
    redisVersion = server.redisVersion
    configuration = server.configuration
    node = server.directory.node
    uptimeSeconds = Clocks.monotonic.since(server.startedAt) / 1000
    wall = Clocks.wall
    wallMicroseconds = Clocks.wallMicroseconds
    loops = server.workers.count
    shutdownMilliseconds = server.shutdown.millisecondsLeft
  }

  static let fields: [StatusField<ProcessStatus>] = [
    .init("redis_version", .none, "the version of Redis whose commands are answered") { .text($0.redisVersion) },
    .constant("redis_git_sha1", "00000000"),
    .constant("redis_git_dirty", "0"),
    .constant("redis_build_id", "0"),
    .constant("redis_mode", "standalone"),
    .init("paceline_version", .none, "the version of Paceline") { _ in .text(PacelineVersion.current) },
    .init("os", .none, "the system that it runs on") { _ in .text(ProcessFigures.system) },
    .init("arch_bits", .none, "bits of an address") { _ in .count(Int.bitWidth) },
    .constant("monotonic_clock", "POSIX clock_gettime"),
    .constant("multiplexing_api", "epoll"),
    .constant("atomicvar_api", "swift-atomics"),
    .init("process_id", .none, "the system's number of the process") { _ in .text(String(ProcessFigures.id)) },
    .constant("process_supervised", "no"),
    .init("run_id", .none, "the node's id, the same at every start") { .text($0.node.description) },
    .init("tcp_port", .none, "the port that it listens on") { .text(String($0.configuration.port)) },
    .init("server_time_usec", .microseconds, "the wall clock, since 1970") { .number($0.wallMicroseconds) },
    .init("uptime_in_seconds", .seconds, "since the start of the process") { .number($0.uptimeSeconds) },
    .init("uptime_in_days", .count, "the same in whole days") { .number($0.uptimeSeconds / 86_400) },
    .constant("hz", "10"),
    .constant("configured_hz", "10"),
    .init("lru_clock", .none, "a field of Redis: the lowest 24 bits of the wall clock in seconds") {
      .number($0.wall.milliseconds / 1000 & 0xFF_FFFF)
    },
    .init("executable", .none, "the path of the program") { _ in .text(ProcessFigures.executable) },
    .init("config_file", .none, "the file of `--config`; empty without one") {
      .text($0.configuration.configurationFile ?? "")
    },
    .init("io_threads_active", .none, "1 with more than one event loop") { .flag($0.loops > 1) },
    .init("event_loops", .count, "threads that serve clients") { .count($0.loops) },
    .init("data_directory", .none, "the directory of `--data`") { .text($0.configuration.dataDirectory) },
    .init(
      "shutdown_in_milliseconds", .milliseconds,
      "how long the end that SHUTDOWN or SIGTERM began may still wait for slaves; left out otherwise"
    ) { $0.shutdownMilliseconds.map { .number($0) } },
  ]
}

/// What the process used of the processors since its start.
struct CPUStatus: Sendable {
  let system: Double
  let user: Double

  init() {
    let cpu = ProcessFigures.cpu
    (system, user) = (cpu.system, cpu.user)
  }

  static let fields: [StatusField<CPUStatus>] = [
    .init("used_cpu_sys", .seconds, "time in the system") { .decimal($0.system, digits: 6) },
    .init("used_cpu_user", .seconds, "time in the program") { .decimal($0.user, digits: 6) },
    .constant("used_cpu_sys_children", "0.000000"),
    .constant("used_cpu_user_children", "0.000000"),
  ]
}
