import Commands
import Node

extension Setting {
  private static let sizesMax: ClosedRange<UInt64> = 0...(1 << 50)

  /// All settings, in the order of the help. The only list of them: flags, environment, configuration file and CONFIG go by it.
  package static let all: [Setting] = network + data + replication + commit + limits + logs

  private static let network: [Setting] = [
    Setting(
      "bind", "address",
      help: """
        The one IP address or host name to listen on. 0.0.0.0 or :: means all, so that other machines can connect: set \
        --requirepass first.
        """,
      read: { $0.bind },
      parse: { configuration, text throws(SettingText.Unreadable) in configuration.bind = try SettingText.host(text) }),
    integer("port", "port", \.port, 1...65535, "TCP port for clients, slaves and tools, 1 to 65535."),
    Setting(
      "announce", "host[:port]",
      help: """
        The address that other nodes are told. Set it where they do not reach this server under the address that it \
        listens on: behind NAT, in a container.
        """,
      read: { configuration in
        guard let host = configuration.announceHost else { return "" }
        guard let port = configuration.announcePort else { return host.contains(":") ? "[\(host)]" : host }
        return ServerConfiguration.Upstream(host: host, port: port).description
      },
      parse: { configuration, text throws(SettingText.Unreadable) in
        let address = text.isEmpty ? nil : try SettingText.address(text)
        configuration.announceHost = address?.host
        configuration.announcePort = address?.port
      }),
    optionalText(
      "requirepass", "password", \.password, isSecret: true,
      "Password that clients must give with AUTH. On the command line every user of the machine sees it; better in a file."
    ),
    optionalText(
      "requirepass-file", "file", \.passwordFile, "File whose first line is the password: instead of --requirepass."),
    yesNo(
      "protected-mode", \.protectedMode,
      "Without a password, refuse clients of other machines. No only where the network itself keeps strangers out."),
    choice(
      "enable-debug-command", \.debugCommand,
      "Who may use DEBUG, which is for tests: everybody (yes), clients of this machine (local), nobody (no)."),
    integer(
      "loops", "threads", \.loops, 0...1024,
      "Event loops (threads) that serve clients, 0 = one a core. Fewer leave cores to other programs."),
  ]

  private static let data: [Setting] = [
    Setting(
      "data", "directory",
      help: "Where the data is: made if it does not exist. One running server per directory.",
      read: { $0.dataDirectory },
      parse: { configuration, text throws(SettingText.Unreadable) in
        guard !text.isEmpty, !text.utf8.contains(0) else { throw SettingText.Unreadable("a path") }
        configuration.dataDirectory = text
      }),
    choice(
      "durability", \.durability,
      """
      When a write is acknowledged. fsync: when it is on disk, nothing acknowledged is lost. interval: at once, synced \
      every --fsync-interval, a power cut loses that much. none: at once, it is synced every few seconds.
      """),
    time(
      "fsync-interval", \.fsyncIntervalMilliseconds, 1...3_600_000, unit: .millisecond,
      "Time between two syncs with --durability interval, 1ms to 1h. Shorter loses less in a power cut."),
    bytes(
      "segment-bytes", \.store.segmentBytes, 4096...(64 << 20), multipleOf: 8,
      "Size of one log file, 4kb to 64mb. Smaller ones free disk space sooner, but there are more of them."),
    bytes(
      "ops-buffer", \.store.opsBufferBytes, sizesMax,
      """
      Memory for the newest part of the log, which feeds slaves without disk reads. Raise it if slaves fall behind under \
      bursts; it is never a limit for them.
      """),
    yesNo(
      "compaction", \.compaction,
      "Rewrite older log in the background without what is dead. No leaves it to COMPACT; the disk fills meanwhile."),
    bytes(
      "compaction-rate", \.compactionRateBytes, sizesMax,
      "Bytes of log a second that compaction reads, 0 = no limit. Lower it if compaction takes the disk from clients."),
    Setting(
      "garbage-ratio", "ratio",
      help: """
        Bytes on disk beyond the live data, index files and replaced files included, for every live byte: more, and \
        older log is rewritten, 0.05 to 100. Smaller saves disk space and costs more rewriting.
        """,
      read: { "\($0.garbageRatio)" },
      parse: { configuration, text throws(SettingText.Unreadable) in
        guard let ratio = Double(text), ratio >= 0.05, ratio <= 100 else {
          throw SettingText.Unreadable("a number from 0.05 to 100")
        }
        configuration.garbageRatio = ratio
      }),
    time(
      "scrub-interval", \.scrubIntervalSeconds, 0...31_536_000_000, unit: .second,
      "Time in which every sealed log file is read and checked once, slowly, 0 = only by SCRUB. Damage is repaired from another node."
    ),
    choice(
      "compression", \.store.compression,
      """
      How values of 64 bytes to 1mb are stored where it saves an eighth. lz4: cheap, for memory, disk and slaves at once. \
      zstd: as lz4, and with zstd and a dictionary a table in compacted files. none: as they are. Not that of the links.
      """),
    integer(
      "databases", "count", \.databases, 1...65_535,
      """
      Databases to SELECT from, 1 to 65535, of a new data set. Later the number belongs to the data set: slaves take it over, \
      and only a master that starts with a higher one raises it.
      """),
  ]

  private static let replication: [Setting] = [
    Setting(
      "master", "host:port",
      help: "The master to follow; without a port it is 7400. Any node with the data will do, a slave, too.",
      read: { $0.upstream?.description ?? "" },
      parse: { configuration, text throws(SettingText.Unreadable) in
        let address = text.isEmpty ? nil : try SettingText.address(text)
        configuration.upstream = address.map { ServerConfiguration.Upstream(host: $0.host, port: $0.port ?? 7400) }
      }),
    Setting(
      "peers", "host:port,...",
      help: """
        All nodes of the row, this one among them, the same list on all of them. A start without data asks them before it \
        does anything: it follows the master of the row, or waits for it; where all are empty and a majority answers, the \
        first of the list begins. So one start command does for all nodes.
        """,
      read: { $0.peers.map(\.description).joined(separator: ",") },
      parse: { configuration, text throws(SettingText.Unreadable) in
        configuration.peers = try SettingText.addresses(text).map {
          ServerConfiguration.Upstream(host: $0.host, port: $0.port ?? 7400)
        }
      }),
    yesNo(
      "new-data-set", \.newDataSet, isSwitch: true,
      """
      This server's data set counts, also where other nodes hold another one: it begins without asking its peers, and goes \
      on taking writes. Once, to decide; a running server takes MS_NEW_DATA_SET.
      """),
    optionalText(
      "masterauth", "password", \.masterPassword, isSecret: true,
      "The master's --requirepass. On the command line every user of the machine sees it; better in a file."),
    optionalText(
      "masterauth-file", "file", \.masterPasswordFile,
      "File whose first line is the master's password: instead of --masterauth."),
    choice(
      "sync-mode", \.syncMode,
      """
      How this server, as a slave, catches up. auto: the cheapest way by measured cost. full: always all the data. \
      partial: only the missing log; an error if it is gone. delta: only what changed since; an error if deletions are \
      forgotten already.
      """),
    yesNo(
      "accept-data-loss", \.acceptDataLoss, isSwitch: true,
      """
      Let this server's data be given up for that of its master, whatever that holds. Without this switch a master that is \
      empty is refused, and one with another data set, too, unless REPLICAOF names it now.
      """),
    time(
      "replaced-keep", \.replacedKeepSeconds, 0...(3650 * 86_400_000), unit: .second,
      """
      How long data that was given up for another data set is kept, in replaced-... in the data directory; 0s: not at all. \
      The oldest goes before, while the disk is short of space. MS_REPLACED lists and removes it.
      """),
    integer(
      "forget-terms-above", "term", \.forgetTermsAbove, 0...4_000_000_000,
      """
      One start: votes and records of terms above this one are given up, the records into a lost file. For a node that a \
      liar or an older version brought to the end of all terms; 0 = nothing is given up.
      """),
    bytes(
      "sync-rate", \.syncRateBytes, sizesMax,
      "Bytes a second that one sync of a slave may take, 0 = no limit. Set it if syncs take the network from clients."),
    time(
      "shutdown-timeout", \.shutdownTimeoutSeconds, 0...(86_400 * 1000), unit: .second,
      """
      How long the server, told to end, waits until every connected slave has the rest of the log; writes wait meanwhile. \
      0 = it does not wait.
      """),
    integer("max-slaves", "count", \.slavesMax, 0...1024, "Slaves that may be connected at one time, 0 to 1024."),
    time(
      "slave-lease", \.slaveLeaseSeconds, 0...(3650 * 86_400_000), unit: .second,
      """
      How long the log is kept for a slave that is away. Longer than your longest repair: within it a slave comes back \
      without a full sync.
      """),
    bytes(
      "slave-pin-max", \.slavePinBytesMax, sizesMax,
      "Most log that is kept for one slave that is away or slow. Bounds the disk space that it can cost."),
    bytes(
      "wal-keep", \.walKeepBytes, sizesMax,
      "Log kept beyond what known slaves need, so that others can catch up from it."),
  ]

  private static let commit: [Setting] = [
    Setting(
      "commit", "async|fullsync:n|quorum",
      help: """
        When a write is good, and can be read. async: durable on the master. fullsync:n: and on n slaves. quorum: and on a \
        majority of the voters, so no change of master undoes it. Databases and connections can raise it.
        """,
      read: { $0.commit.level == .fullsync ? "fullsync:\($0.commit.slaves)" : $0.commit.level.name },
      parse: { configuration, text throws(SettingText.Unreadable) in
        configuration.commit = try SettingText.commit(text)
      }),
    time(
      "sync-timeout", \.syncTimeoutMilliseconds, 10...3_600_000, unit: .millisecond,
      "How long a write waits for slaves before its client is told SYNCTIMEOUT, 10ms to 1h. The write is not undone."),
    choice(
      "on-sync-timeout", \.onSyncTimeout,
      """
      What happens then. consistency: writes go on waiting, nothing is shown that could be undone. availability: the master \
      goes on alone, loudly, until the slaves are back; what it acknowledges meanwhile is lost with it.
      """),
    integer(
      "unsynced-records", "count", \.unsyncedRecordsMax, 1...Int.max,
      "Writes that may wait for slaves; past it new ones are refused with SYNCQUEUE."),
    bytes(
      "unsynced-bytes", \.unsyncedBytesMax, (1 << 20)...(1 << 50),
      "Bytes of log that may wait for slaves; past it new writes are refused with SYNCQUEUE."),
    integer(
      "min-slaves", "count", \.minSlaves, 0...1024,
      "Refuse writes with NOREPLICAS while fewer slaves keep up, 0 = never. Promises nothing about a single write: --commit does."
    ),
    time(
      "min-slaves-max-lag", \.minSlavesMaxLagMilliseconds, 100...3_600_000, unit: .millisecond,
      "A slave not heard of for longer does not count for --min-slaves, 100ms to 1h."),
    yesNo(
      "voter", \.voter,
      "Let this node count for a quorum. No for a copy that is far away or often off."),
    integer(
      "voters-max", "count", \.votersMax, 1...64,
      "Slaves become voters by themselves while there are fewer than so many; further ones are learners, unless MS_VOTER adds them."
    ),
    yesNo(
      "read-lease", \.readLease,
      "Where a quorum commits, let reads wait, too, while a majority of the voters is not heard of: another master may have been made. No answers them at once, perhaps with what is old."
    ),
    yesNo(
      "forward-writes", \.forwardWrites,
      "On a slave, pass writes on to the master, and the reads behind them until this node has caught up, so that a client may talk to any node."
    ),
  ]

  private static let limits: [Setting] = [
    integer("max-clients", "count", \.clientsMax, 1...1_000_000, "Client connections at one time, 1 to 1000000."),
    bytes(
      "query-buffer-max", \.queryBufferBytesMax, (1 << 20)...((1 << 32) - 1),
      "Largest command that a client may send, 1mb to 4gb less 1 byte. Lower it to bound what clients can make the server hold."
    ),
    bytes(
      "output-buffer-max", \.outputBufferBytesMax, (64 << 10)...(4 << 30),
      "Replies kept for a client that does not read, 64kb to 4gb; its further commands wait until it reads."),
    bytes(
      "log-buffer-max", \.store.unwrittenBytesMax, (1 << 20)...(1 << 40),
      """
      Bytes of log that may wait to be written to disk, 1mb to 1tb; past it the connections that write wait, and reads go on. \
      Bounds the memory that a slow disk or a burst of large values can take.
      """),
    bytes(
      "unauthenticated-bytes", \.unauthenticatedBytesMax, (64 << 10)...(4 << 30),
      """
      Bytes that clients which have not given the password yet may make the server hold, all together, 64kb to 4gb; who asks \
      for more is disconnected.
      """),
    time(
      "auth-timeout", \.authTimeoutSeconds, 0...(86_400 * 1000), unit: .second,
      "With a password: how long a client may be connected without giving it, 0 = for ever."),
    bytes("key-bytes-max", \.store.keyBytesMax, 1...65_535, "Longest key, 1 to 65535 bytes."),
    bytes("value-bytes-max", \.store.valueBytesMax, 1...(512 << 20), "Longest value, 1 byte to 512mb."),
    integer(
      "slowlog-log-slower-than", "microseconds", \.slowlogMicroseconds, -1...Int.max,
      "Commands that take at least so many microseconds go to SLOWLOG; 0 = all, -1 = none."),
    integer("slowlog-max-len", "entries", \.slowlogEntriesMax, 0...1_000_000, "Entries that SLOWLOG keeps."),
    yesNo(
      "latency-tracking", \.latencyTracking,
      "Keep how long the calls of each command take, for LATENCY HISTOGRAM and INFO latencystats."),
    Setting(
      "latency-tracking-info-percentiles", "percent ...",
      help: "The percentages of calls of which INFO latencystats tells, 0 to 100, with blanks between them.",
      read: { $0.latencyPercentiles.map(SettingText.numberText).joined(separator: " ") },
      parse: { configuration, text throws(SettingText.Unreadable) in
        configuration.latencyPercentiles = try SettingText.percentages(text)
      }),
  ]

  private static let logs: [Setting] = [
    choice(
      "loglevel", \.logLevel, aliases: ["verbose": .info],
      "Least severe log line that is written. debug shows every step of a sync; notice is quiet."),
    choice("log-format", \.logFormat, "Log lines for people (text) or programs (json); both go to standard output."),
  ]
}
