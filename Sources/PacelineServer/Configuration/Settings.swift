import Core
import Node
import Replication

/// The settings as they are now, and what of them the node asks for: made once for every change, asked for at every ack.
struct Settings {
  var server: ServerConfiguration { didSet { node = NodeConfiguration(server) } }
  private(set) var node: NodeConfiguration

  init(_ server: ServerConfiguration) {
    self.server = server
    node = NodeConfiguration(server)
  }
}

extension NodeConfiguration {
  init(_ settings: ServerConfiguration) {
    let host =
      settings.announceHost ?? (settings.bind == "0.0.0.0" || settings.bind == "::" ? "127.0.0.1" : settings.bind)
    // The port was checked with the configuration.
    let address =
      NodeAddress(host: host, port: settings.announcePort ?? settings.port)
      ?? NodeAddress(host: "localhost", port: 7400)!
    self.init(address: address)
    durability = settings.durability
    store = settings.store
    databases = settings.databases
    masterPassword = settings.masterPassword
    peerPassword = settings.masterPassword ?? settings.password
    slavesMax = settings.slavesMax
    slaveLeaseMilliseconds = UInt64(settings.slaveLeaseSeconds) * 1000
    slavePinBytesMax = settings.slavePinBytesMax
    syncRateBytes = settings.syncRateBytes
    syncMode = RequestedSyncMode(rawValue: settings.syncMode.rawValue) ?? .auto
    acceptDataLoss = settings.acceptDataLoss
    forgetTermsAbove = settings.forgetTermsAbove == 0 ? nil : Term(outside: UInt64(settings.forgetTermsAbove))
    peers = settings.peers.compactMap { NodeAddress(host: $0.host, port: $0.port) }
    beginsDataSet = settings.newDataSet
    replacedKeepSeconds = UInt64(settings.replacedKeepSeconds)
    walKeepBytes = settings.walKeepBytes
    compaction.isOn = settings.compaction
    compaction.garbageRatio = settings.garbageRatio
    scrub.intervalMilliseconds = UInt64(settings.scrubIntervalSeconds) * 1000
    compaction.rateBytes = settings.compactionRateBytes
    commit = settings.commit
    sync.policy = settings.onSyncTimeout
    sync.timeoutMilliseconds = UInt64(settings.syncTimeoutMilliseconds)
    sync.pendingRecordsMax = UInt64(settings.unsyncedRecordsMax)
    sync.pendingBytesMax = settings.unsyncedBytesMax
    minSlaves = MinSlaves(
      slaves: settings.minSlaves, lagMillisecondsMax: UInt64(settings.minSlavesMaxLagMilliseconds))
    isVoter = settings.voter
    votersMax = settings.votersMax
    readLease = settings.readLease
  }
}
