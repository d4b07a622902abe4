import ArgumentParser
import PacelineServer

/// The flags of `master` and `slave`. They are text here: the table `Setting.all` says what each means, and is the same
/// for flags, environment and file. A field's name is the setting's: `syncRate` is `--sync-rate`. Values that may begin
/// with a dash are parsed unconditionally.
protocol SettingFlags: ParsableArguments {}

extension SettingFlags {
  /// Names and values of the flags that were given, in the order of the fields.
  var given: [(name: String, value: String)] {
    Mirror(reflecting: self).children.compactMap { child in
      guard let label = child.label else { return nil }
      let value: String? =
        switch child.value {
        case let option as Option<String?>: option.wrappedValue
        case let flag as Flag<Bool>: flag.wrappedValue ? "yes" : nil
        default: nil
        }
      return value.map { (SettingFlagName.of(field: label), $0) }
    }
  }
}

enum SettingFlagName {
  /// `_syncRate` is `sync-rate`.
  static func of(field: String) -> String {
    field.drop { $0 == "_" }.reduce(into: "") { name, character in
      name += character.isUppercase ? "-\(character.lowercased())" : String(character)
    }
  }
}

extension ArgumentHelp {
  /// The help of a setting's flag, with its default.
  static func setting(_ name: String) -> ArgumentHelp {
    guard let setting = Setting.named(name) else { preconditionFailure("no setting \(name)") }
    let shown = setting.isSwitch || setting.defaultText.isEmpty ? "" : " (default: \(setting.defaultText))"
    return ArgumentHelp("\(setting.help)\(shown)", valueName: setting.valueName)
  }
}

struct NetworkOptions: SettingFlags {
  @Option(help: .setting("bind")) var bind: String?
  @Option(help: .setting("port")) var port: String?
  @Option(help: .setting("announce")) var announce: String?
  @Option(parsing: .unconditional, help: .setting("requirepass")) var requirepass: String?
  @Option(help: .setting("requirepass-file")) var requirepassFile: String?
  @Option(help: .setting("protected-mode")) var protectedMode: String?
  @Option(help: .setting("enable-debug-command")) var enableDebugCommand: String?
  @Option(help: .setting("loops")) var loops: String?
}

struct DataOptions: SettingFlags {
  @Option(help: .setting("data")) var data: String?
  @Option(help: .setting("durability")) var durability: String?
  @Option(help: .setting("fsync-interval")) var fsyncInterval: String?
  @Option(help: .setting("segment-bytes")) var segmentBytes: String?
  @Option(help: .setting("ops-buffer")) var opsBuffer: String?
  @Option(help: .setting("compaction")) var compaction: String?
  @Option(help: .setting("compaction-rate")) var compactionRate: String?
  @Option(help: .setting("garbage-ratio")) var garbageRatio: String?
  @Option(help: .setting("scrub-interval")) var scrubInterval: String?
  @Option(help: .setting("compression")) var compression: String?
  @Option(help: .setting("databases")) var databases: String?
}

/// What only a slave is started with.
struct UpstreamOptions: SettingFlags {
  @Option(help: .setting("master")) var master: String?
}

struct ReplicationOptions: SettingFlags {
  @Option(help: .setting("peers")) var peers: String?
  @Flag(help: .setting("new-data-set")) var newDataSet = false
  @Option(parsing: .unconditional, help: .setting("masterauth")) var masterauth: String?
  @Option(help: .setting("masterauth-file")) var masterauthFile: String?
  @Option(help: .setting("sync-mode")) var syncMode: String?
  @Flag(help: .setting("accept-data-loss")) var acceptDataLoss = false
  @Option(help: .setting("forget-terms-above")) var forgetTermsAbove: String?
  @Option(help: .setting("replaced-keep")) var replacedKeep: String?
  @Option(help: .setting("sync-rate")) var syncRate: String?
  @Option(help: .setting("shutdown-timeout")) var shutdownTimeout: String?
  @Option(help: .setting("max-slaves")) var maxSlaves: String?
  @Option(help: .setting("slave-lease")) var slaveLease: String?
  @Option(help: .setting("slave-pin-max")) var slavePinMax: String?
  @Option(help: .setting("wal-keep")) var walKeep: String?
}

struct CommitOptions: SettingFlags {
  @Option(help: .setting("commit")) var commit: String?
  @Option(help: .setting("sync-timeout")) var syncTimeout: String?
  @Option(help: .setting("on-sync-timeout")) var onSyncTimeout: String?
  @Option(help: .setting("unsynced-records")) var unsyncedRecords: String?
  @Option(help: .setting("unsynced-bytes")) var unsyncedBytes: String?
  @Option(help: .setting("min-slaves")) var minSlaves: String?
  @Option(help: .setting("min-slaves-max-lag")) var minSlavesMaxLag: String?
  @Option(help: .setting("voter")) var voter: String?
  @Option(help: .setting("voters-max")) var votersMax: String?
  @Option(help: .setting("forward-writes")) var forwardWrites: String?
  @Option(help: .setting("read-lease")) var readLease: String?
}

struct LimitOptions: SettingFlags {
  @Option(help: .setting("max-clients")) var maxClients: String?
  @Option(help: .setting("query-buffer-max")) var queryBufferMax: String?
  @Option(help: .setting("output-buffer-max")) var outputBufferMax: String?
  @Option(help: .setting("log-buffer-max")) var logBufferMax: String?
  @Option(help: .setting("unauthenticated-bytes")) var unauthenticatedBytes: String?
  @Option(help: .setting("auth-timeout")) var authTimeout: String?
  @Option(help: .setting("key-bytes-max")) var keyBytesMax: String?
  @Option(help: .setting("value-bytes-max")) var valueBytesMax: String?
  @Option(parsing: .unconditional, help: .setting("slowlog-log-slower-than")) var slowlogLogSlowerThan: String?
  @Option(help: .setting("slowlog-max-len")) var slowlogMaxLen: String?
  @Option(help: .setting("latency-tracking")) var latencyTracking: String?
  @Option(help: .setting("latency-tracking-info-percentiles")) var latencyTrackingInfoPercentiles: String?
}

struct LogOptions: SettingFlags {
  @Option(help: .setting("loglevel")) var loglevel: String?
  @Option(help: .setting("log-format")) var logFormat: String?
}

/// What both commands have.
struct ServerOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Configuration file: lines of 'name value', # begins a comment (environment: PACELINE_CONFIG).", valueName: "file"
    ))
  var config: String?

  @OptionGroup(title: "Network") var network: NetworkOptions
  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Replication") var replication: ReplicationOptions
  @OptionGroup(title: "Commit") var commit: CommitOptions
  @OptionGroup(title: "Limits") var limits: LimitOptions
  @OptionGroup(title: "Logs") var logs: LogOptions

  var given: [(name: String, value: String)] {
    network.given + data.given + replication.given + commit.given + limits.given + logs.given
  }

  /// What the help of both commands says about settings.
  static let discussion = """
    SETTINGS
      Each option below is also a line of the configuration file (its name without
      the dashes, then its value) and an environment variable: --sync-rate 50mb is
      'sync-rate 50mb' and PACELINE_SYNC_RATE=50mb. Options win over environment
      variables, these over the file, the file over the defaults. Bytes take b, k
      (1000), kb (1024), m, mb, g, gb; times take ms, s, m, h, d.

    Log lines go to standard output, the reason of a failed start to standard
    error. SIGTERM or Ctrl-C ends the server cleanly, when its slaves have the rest
    of the log (--shutdown-timeout); a second Ctrl-C at once.

    Exit code 0: ended as told; 1: could not start, or failed; 2: wrong usage.
    """
}
