// Raw memory: hands views of text to the number parser.
import RESP

/// One parameter of CONFIG: its name, its present value, and whether and how it may change while the server runs.
struct ConfigParameter: Sendable {
  enum Change: Sendable {
    /// A whole number in a range.
    case integer(ClosedRange<Int64>, @Sendable (inout ServerConfiguration, Int) -> Void)
    /// Bytes, with Redis's units.
    case memory(ClosedRange<UInt64>, @Sendable (inout ServerConfiguration, UInt64) -> Void)
    /// One of Paceline's settings, in its own words.
    case setting(Setting)
    case yesNo(@Sendable (inout ServerConfiguration, Bool) -> Void)
    /// Decided when the server starts.
    case atStart
    /// Something of Redis that has only one value here: it may be set to that.
    case constant
  }

  let name: String
  let read: @Sendable (ServerConfiguration) -> String
  let change: Change

  /// All of them, in the order of CONFIG GET. Redis's names come first, then Paceline's own settings.
  static let all: [ConfigParameter] = {
    let redis =
      named + constants.map { name, value in ConfigParameter(name: name, read: { _ in value }, change: .constant) }
    let known = Set(redis.map(\.name))
    let own = Setting.all.filter { !known.contains($0.name) }.map { setting in
      ConfigParameter(
        name: setting.name, read: setting.read, change: changeable.contains(setting.name) ? .setting(setting) : .atStart
      )
    }
    return redis + own
  }()
  private static let byName = Dictionary(all.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
  static func named(_ name: String) -> ConfigParameter? { byName[name] }

  /// Settings that are asked for their value whenever it is needed, so that a change takes effect.
  private static let changeable: Set<String> = [
    "requirepass", "masterauth", "protected-mode", "sync-mode", "sync-rate", "max-clients", "query-buffer-max",
    "output-buffer-max", "unauthenticated-bytes", "auth-timeout",
    "wal-keep", "accept-data-loss", "replaced-keep", "loglevel", "compaction", "compaction-rate", "garbage-ratio",
    "compression",
    "scrub-interval", "commit", "sync-timeout", "on-sync-timeout", "unsynced-records", "unsynced-bytes", "min-slaves",
    "min-slaves-max-lag", "forward-writes", "read-lease", "latency-tracking", "latency-tracking-info-percentiles",
  ]

  private static func fixed(_ name: String, _ read: @escaping @Sendable (ServerConfiguration) -> String)
    -> ConfigParameter
  {
    ConfigParameter(name: name, read: read, change: .atStart)
  }

  /// Redis's names for what Paceline has, in Redis's format.
  private static let named: [ConfigParameter] = [
    ConfigParameter(
      name: "maxclients", read: { String($0.clientsMax) }, change: .integer(1...4_294_967_295) { $0.clientsMax = $1 }),
    ConfigParameter(
      name: "protected-mode", read: { $0.protectedMode ? "yes" : "no" }, change: .yesNo { $0.protectedMode = $1 }),
    ConfigParameter(
      name: "slowlog-log-slower-than", read: { String($0.slowlogMicroseconds) },
      change: .integer(-1...Int64.max) { $0.slowlogMicroseconds = $1 }),
    ConfigParameter(
      name: "slowlog-max-len", read: { String($0.slowlogEntriesMax) },
      change: .integer(0...1_000_000) { $0.slowlogEntriesMax = $1 }),
    ConfigParameter(
      name: "client-query-buffer-limit", read: { String($0.queryBufferBytesMax) },
      change: .memory((1 << 20)...UInt64(Int64.max)) { $0.queryBufferBytesMax = Int(min($1, (1 << 32) - 1)) }),
    ConfigParameter(
      name: "min-replicas-to-write", read: { String($0.minSlaves) }, change: .integer(0...1024) { $0.minSlaves = $1 }),
    ConfigParameter(
      name: "min-slaves-to-write", read: { String($0.minSlaves) }, change: .integer(0...1024) { $0.minSlaves = $1 }),
    ConfigParameter(
      name: "min-replicas-max-lag", read: { String($0.minSlavesMaxLagMilliseconds / 1000) },
      change: .integer(1...3600) { $0.minSlavesMaxLagMilliseconds = $1 * 1000 }),
    ConfigParameter(
      name: "shutdown-timeout", read: { String($0.shutdownTimeoutSeconds) },
      change: .integer(0...86_400) { $0.shutdownTimeoutSeconds = $1 }),
    fixed("proto-max-bulk-len") { String($0.store.valueBytesMax) },
    fixed("appendfsync") { configuration in
      switch configuration.durability {
      case .fsync: "always"
      case .interval: "everysec"
      case .none: "no"
      }
    },
    fixed("databases") { String($0.databases) },
    fixed("bind") { $0.bind },
    fixed("port") { String($0.port) },
    fixed("dir") { absolutePath($0.dataDirectory) },
    fixed("io-threads") { String($0.loops) },
    fixed("replicaof") { $0.upstream.map { "\($0.host) \($0.port)" } ?? "" },
    fixed("slaveof") { $0.upstream.map { "\($0.host) \($0.port)" } ?? "" },
    fixed("repl-backlog-size") { String($0.walKeepBytes) },
    fixed("replica-announce-ip") { $0.announceHost ?? "" },
    fixed("replica-announce-port") { String($0.announcePort ?? 0) },
  ]

  /// What Redis lets choose and Paceline does not; its tools and clients ask for some of it.
  private static let constants: [(String, String)] = [
    ("save", ""), ("appendonly", "yes"), ("maxmemory", "0"), ("maxmemory-policy", "noeviction"),
    ("maxmemory-samples", "5"), ("maxmemory-clients", "0"), ("timeout", "0"), ("tcp-keepalive", "300"),
    ("client-output-buffer-limit", "normal 0 0 0 slave 0 0 0 pubsub 0 0 0"), ("repl-timeout", "60"),
    ("replica-read-only", "yes"), ("slave-read-only", "yes"), ("replica-serve-stale-data", "yes"),
    ("slave-serve-stale-data", "yes"), ("replica-priority", "100"), ("slave-priority", "100"),
    ("repl-diskless-sync", "yes"), ("repl-diskless-load", "disabled"),
    ("masteruser", ""), ("latency-monitor-threshold", "0"), ("hz", "10"),
    ("dynamic-hz", "no"), ("logfile", ""), ("pidfile", ""), ("unixsocket", ""), ("supervised", "no"),
    ("daemonize", "no"), ("cluster-enabled", "no"), ("tls-port", "0"), ("notify-keyspace-events", ""),
    ("aclfile", ""), ("lazyfree-lazy-eviction", "yes"), ("lazyfree-lazy-expire", "yes"),
    ("lazyfree-lazy-server-del", "yes"), ("lazyfree-lazy-user-del", "yes"), ("lazyfree-lazy-user-flush", "yes"),
    ("activedefrag", "no"), ("active-expire-effort", "1"), ("stop-writes-on-bgsave-error", "yes"),
    ("rdbcompression", "yes"), ("rdbchecksum", "yes"), ("no-appendfsync-on-rewrite", "no"),
    ("auto-aof-rewrite-percentage", "0"), ("auto-aof-rewrite-min-size", "0"),
    ("lua-time-limit", "5000"), ("busy-reply-threshold", "5000"), ("lfu-log-factor", "10"), ("lfu-decay-time", "1"),
  ]

  /// Changes a configuration. Returns what is wrong instead, in Redis's words.
  func write(_ text: String, to configuration: inout ServerConfiguration) -> String? {
    switch change {
    case .atStart: return read(configuration) == text ? nil : "can't set immutable config"
    case .constant: return read(configuration) == text ? nil : "this server has only '\(read(configuration))'"
    case .integer(let range, let assign):
      guard let value = parsed(text) else { return "argument couldn't be parsed into an integer" }
      guard range.contains(value) else {
        return "argument must be between \(range.lowerBound) and \(range.upperBound) inclusive"
      }
      assign(&configuration, Int(value))
    case .memory(let range, let assign):
      guard let value = try? SettingText.bytes(text, 0...UInt64.max) else { return "argument must be a memory value" }
      guard range.contains(value) else {
        return "argument must be between \(range.lowerBound) and \(range.upperBound) inclusive"
      }
      assign(&configuration, value)
    case .yesNo(let assign):
      switch text.lowercased() {
      case "yes": assign(&configuration, true)
      case "no": assign(&configuration, false)
      default: return "argument must be 'yes' or 'no'"
      }
    case .setting(let setting):
      do throws(SettingError) {
        try setting.write(text, to: &configuration, from: .flag)
      } catch {
        return "argument \(error.reason)"
      }
    }
    return nil
  }

  private func parsed(_ text: String) -> Int64? {
    var text = text
    return text.withUTF8 { parseInteger(UnsafeRawBufferPointer($0)) }
  }
}

/// The text of a configuration file after CONFIG REWRITE: its lines as they are, but for settings that have another
/// value now; what is not the default and not in the file stands at the end.
struct RewrittenConfiguration {
  let text: String

  init(_ old: String, _ configuration: ServerConfiguration) {
    var left = Self.settings(of: configuration)
    var lines: [String] = []
    for line in old.split(separator: "\n", omittingEmptySubsequences: false) {
      guard let words = ConfigurationFile.words(String(line)), let name = words.first?.lowercased(),
        Setting.named(name) != nil
      else {
        lines.append(String(line))
        continue
      }
      // A value that was taken away takes its line along.
      guard let value = left.removeValue(forKey: name) else { continue }
      lines.append(words.count == 2 && words[1] == value ? String(line) : Self.line(name, value))
    }
    while lines.last?.isEmpty == true { lines.removeLast() }
    let defaults = ServerConfiguration()
    let added = Setting.all.compactMap { setting in
      left[setting.name].flatMap { $0 == setting.read(defaults) ? nil : Self.line(setting.name, $0) }
    }
    let title = "# Generated by CONFIG REWRITE"
    if !added.isEmpty, !lines.contains(title) { lines.append(title) }
    text = (lines + added).joined(separator: "\n") + "\n"
  }

  /// What has a value, but for a password that a file of its own holds.
  private static func settings(of configuration: ServerConfiguration) -> [String: String] {
    var settings: [String: String] = [:]
    for setting in Setting.all {
      let value = setting.read(configuration)
      if value.isEmpty { continue }
      if setting.name == "requirepass", configuration.passwordFile != nil { continue }
      if setting.name == "masterauth", configuration.masterPasswordFile != nil { continue }
      settings[setting.name] = value
    }
    return settings
  }

  private static func line(_ name: String, _ value: String) -> String {
    "\(name) \(ConfigurationFile.quotedIfNeeded(value))"
  }
}
