import LogStore
import Logging
import Node
import Replication

/// Everything that flags, environment and configuration file decide, with the defaults that `--help` shows. The table
/// `Setting.all` names each one, reads it and writes it.
package struct ServerConfiguration: Sendable {
  /// One address or host name to listen on.
  package var bind = "127.0.0.1"
  package var port = 7400
  package var dataDirectory = "./paceline-data"
  /// The master to follow; nil = this node is a master.
  package var upstream: Upstream?
  /// What this server says to its master after connecting.
  package var masterPassword: String?
  /// The address told to other nodes; nil = `bind`, or 127.0.0.1 if that is a wildcard:
  /// then set it, or other machines are told a wrong address.
  package var announceHost: String?
  /// nil = `port`.
  package var announcePort: Int?
  /// Event loops; 0 = one a core.
  package var loops = 0
  package var password: String?
  /// Who may use DEBUG.
  package var debugCommand = DebugPermission.no
  package var protectedMode = true
  package var durability = Durability.fsync
  package var fsyncIntervalMilliseconds = 1000
  /// The data set may have more; see `DatabaseCount`.
  package var databases = 16
  package var clientsMax = 10_000
  /// Most bytes that all connections together hold which owe a password.
  package var unauthenticatedBytesMax = 16 << 20
  /// How long a connection may owe its password, in seconds; 0 = for ever.
  package var authTimeoutSeconds = 60
  /// How long the server waits at its end for slaves that lack log, in seconds; 0 = not at all.
  package var shutdownTimeoutSeconds = 10
  /// Most bytes of one command that is not complete yet.
  package var queryBufferBytesMax = 1 << 30
  /// Most bytes of replies kept for a client that does not read; until it does, its commands wait.
  package var outputBufferBytesMax = 8 << 20
  package var slavesMax = 64
  /// How long a registered slave that is away keeps its log, in seconds.
  package var slaveLeaseSeconds = 24 * 3600
  /// Log kept beyond what slaves need, in bytes.
  package var walKeepBytes = 64 << 20
  /// Compacts in the background; by COMPACT in any case.
  package var compaction = true
  /// Bytes a second that compaction reads; 0 = no limit.
  package var compactionRateBytes: UInt64 = 64 << 20
  /// Dead bytes a live byte that may stay on disk.
  package var garbageRatio = 0.5
  /// Every sealed file is read and checked once in this time, in seconds; 0 = never by itself.
  package var scrubIntervalSeconds = 7 * 24 * 3600
  /// Most bytes of log that an absent slave may hold.
  package var slavePinBytesMax: UInt64 = 64 << 30
  /// Bytes a second of one sync; 0 = no limit.
  package var syncRateBytes: UInt64 = 0
  package var syncMode = SyncModeSetting.auto
  package var acceptDataLoss = false
  /// What this node knows of terms above this one is given up at the start; 0 = nothing is.
  package var forgetTermsAbove = 0
  /// The nodes of the row, this one among them; empty = not named.
  package var peers: [Upstream] = []
  package var newDataSet = false
  /// How long a store that was given up for another one is kept, in seconds; 0 = not at all.
  package var replacedKeepSeconds = 7 * 24 * 3600
  /// The level that every write has at least, and how many slaves `fullsync` waits for.
  package var commit = CommitSetting()
  package var syncTimeoutMilliseconds = 5000
  package var onSyncTimeout = CommitTimeoutPolicy.consistency
  /// Writes that may wait for slaves; past these new ones are refused.
  package var unsyncedRecordsMax = 1_000_000
  package var unsyncedBytesMax: UInt64 = 256 << 20
  package var minSlaves = 0
  package var minSlavesMaxLagMilliseconds = 10_000
  package var voter = true
  package var votersMax = 5
  package var forwardWrites = false
  package var readLease = true
  /// Commands that took at least so long are kept; 0 = all, negative = none.
  package var slowlogMicroseconds = 10_000
  package var slowlogEntriesMax = 128
  /// How long the calls of each command take is kept.
  package var latencyTracking = true
  /// Of these percentages INFO tells, 0...100.
  package var latencyPercentiles: [Double] = [50, 99, 99.9]
  package var logLevel = Logger.Level.info
  package var logFormat = LogFormatSetting.text
  package var store = StoreConfiguration()
  /// Where the configuration file was read from, for CONFIG REWRITE.
  package var configurationFile: String?
  /// Files that `password` and `masterPassword` were read from.
  package var passwordFile: String?
  package var masterPasswordFile: String?
  package init() {}

  /// `local`: clients of this machine.
  package enum DebugPermission: String, Sendable, CaseIterable { case yes, local, no }
  package enum SyncModeSetting: String, Sendable, CaseIterable { case auto, full, partial, delta }
  package enum LogFormatSetting: String, Sendable, CaseIterable { case text, json }

  package struct Upstream: Hashable, Sendable, CustomStringConvertible {
    package var host: String
    package var port: Int
    package init(host: String, port: Int) {
      self.host = host
      self.port = port
    }
    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
  }

  /// What to call the address it listens on.
  package var listenAddress: String { Upstream(host: bind, port: port).description }
}

/// Passwords stay out of whatever prints a configuration.
extension ServerConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  package var description: String {
    Setting.all.map { "\($0.name)=\($0.isSecret && $0.read(self) != "" ? "(hidden)" : $0.read(self))" }
      .joined(separator: " ")
  }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
