import Core
import LogStore
import Logging
import Node
import Replication

/// One machine of the cluster: its disk, its clock, and the process that runs there at present.
package final class SimulatedNode: @unchecked Sendable {
  // Safe to share: a simulation has one thread.
  package let number: Int
  unowned let simulation: Simulation
  let disk: SimulatedFileSystem
  private(set) var life: NodeProcess?
  private(set) var process: SimulatedProcess?
  /// The master that it is started with; nil for itself. What it became later it knows by itself.
  var startMaster: Int?
  var wallOffset: Int64 = 0
  /// On the simulation's clock; 0: never.
  var clockSteppedAt: UInt64 = 0
  /// How its clock for expiries stood to the simulated time when it was looked at last, and when that changed.
  var expiryOffset: Int64 = 0
  var expirySteppedAt: UInt64 = 0
  /// For those who look at clocks.
  var inSyncSince: UInt64 = 0
  var flushMicroseconds: ClosedRange<Int>
  /// Why a start may fail, or the log be closed.
  var diskMayFail = false { didSet { startMayFail = startMayFail || diskMayFail } }
  /// What failed since the start began may end it when the faults are over.
  private(set) var startMayFail = false
  private(set) var starts = 0
  private(set) var startedAt: UInt64 = 0
  /// A file of its directory was lost or spoiled, which may be a reason to refuse a start.
  var hasLostFiles = false
  /// Since when it refuses to start for that; 0: it does not.
  private(set) var refusedSince: UInt64 = 0
  var isRefused: Bool { refusedSince > 0 }
  /// The directory of its last life.
  private(set) var directory: DataDirectory?
  /// Of the catalog records that were the newest here at some time.
  var catalogLSNs: Set<LSN> = []
  var isDamagedForGood = false
  /// Pieces of the log of which a bit was turned over, in the records or in the index.
  var spoiled: Set<String> = []
  /// Its ids before its directory was emptied.
  private(set) var formerIDs: Set<NodeID> = []
  /// Its start is over: it knows its role.
  private(set) var isServing = false
  /// The store that the checkers saw last.
  var lookedAt: StoreIdentity?
  /// Whether that store was a master's at the end of the last step.
  var reigned = false
  /// An older copy of its directory.
  var backup: SimulatedFileSystem?
  /// Its operator has started it with --accept-data-loss.
  var acceptsDataLoss = false
  private var random: SplitMix64

  init(number: Int, simulation: Simulation) {
    self.number = number
    self.simulation = simulation
    random = SplitMix64(seed: simulation.plan.seed &* 31 &+ UInt64(number) &+ 1)
    disk = SimulatedFileSystem(seed: random.next())
    flushMicroseconds = simulation.plan.flushMicroseconds
    disk.setFlushLatency(microseconds: flushMicroseconds)
  }

  var queue: EventQueue { simulation.queue }
  var network: SimulatedNetwork { simulation.network }
  var isAlive: Bool { process?.isAlive ?? false }
  var isPaused: Bool { process?.isPaused ?? false }

  // MARK: What its process asks

  static func address(_ number: Int) -> NodeAddress {
    NodeAddress(host: "node-\(number)", port: 7000 + number)!  // such names are always good
  }
  static func number(of address: NodeAddress) -> Int { Int(address.port) - 7000 }

  var configuration: NodeConfiguration {
    let plan = simulation.plan
    var configuration = NodeConfiguration(address: Self.address(number))
    configuration.store.segmentBytes = plan.segmentBytes
    configuration.store.opsBufferBytes = plan.opsBufferBytes
    configuration.store.databases = plan.usesTwoDatabases && plan.databases.isEmpty ? 2 : 1
    configuration.databases = plan.databases.isEmpty ? configuration.store.databases : plan.databases[number]
    configuration.store.compression = plan.compresses ? .lz4 : .none
    configuration.walKeepBytes = plan.walKeepBytes
    configuration.compaction.stepBytes = 2000
    configuration.compaction.idleMilliseconds = UInt64(plan.compactionIntervalMilliseconds)
    configuration.digestIntervalMilliseconds = 700
    configuration.scrub.intervalMilliseconds =
      simulation.isHealing && plan.damagesFiles ? 200 : UInt64(plan.scrubMilliseconds)
    configuration.scrub.idleMilliseconds = plan.damagesFiles ? 50 : 500
    configuration.scrub.retryMilliseconds = 500
    // A master that flushed nothing may come back empty.
    configuration.acceptDataLoss = plan.durability != .fsync || acceptsDataLoss
    configuration.syncMode = plan.alwaysSyncsFully ? .full : .auto
    configuration.syncRateBytes = UInt64(plan.syncRateBytes)
    configuration.sync.timeoutMilliseconds = UInt64(plan.syncTimeoutMilliseconds)
    configuration.commit = CommitSetting(level: plan.level.ofRecords)
    configuration.sharesOutTerms = plan.sharesOutTerms
    if plan.namesPeers { configuration.peers = (0..<plan.nodes).map(Self.address) }
    configuration.durability =
      switch plan.durability {
      case .fsync: .fsync
      case .interval: .interval
      case .none: .none
      }
    return configuration
  }
  var wall: WallClock {
    WallClock(milliseconds: UInt64(Int64(1_700_000_000_000) + Int64(queue.now / 1000) + wallOffset))
  }
  func flushDelay() -> UInt64 {
    UInt64(
      flushMicroseconds.lowerBound + random.below(flushMicroseconds.upperBound - flushMicroseconds.lowerBound + 1))
  }
  var logger: Logger { Logger(label: "node") { [unowned self] _ in SimulatedLog(node: self) } }
  func log(_ text: @autoclosure () -> String) { simulation.trace("node \(number): \(text())") }
  func planned(_ report: PlanReport) { simulation.planned(report, by: self) }
  func plannedFully(_ planned: ReplicationService.Planned, for slave: NodeID) {
    simulation.checkFullSync(planned, from: self, to: slave)
  }
  func stepEnded() { simulation.stepEnded(self) }

  // MARK: Lives

  func start() {
    guard !isAlive else { return }
    starts += 1
    startedAt = queue.now
    isServing = false
    startMayFail = diskMayFail || hasLostFiles
    let process = SimulatedProcess(queue: queue)
    self.process = process
    simulation.prefixes.restarted(number)
    network.powerReturned(at: number)
    do {
      let life = try NodeProcess(site: self, process: process, seed: random.next())
      self.life = life
      directory = life.core.directory
      life.takeRole { [self] failure in
        guard self.process === process, process.isAlive else { return }
        if let failure { return startFailed(failure) }
        (isServing, refusedSince) = (true, 0)
        network.listen(at: number, .init(process: process) { [unowned life] in life.place() })
      }
      _ = disk.takeLatency()
    } catch {
      guard process.isAlive else { return }
      startFailed(error)
    }
  }

  private func startFailed(_ error: any Error) {
    log("cannot start: \(error)")
    if hasLostFiles, !isRefused { refusedSince = max(1, queue.now) }
    if !startMayFail { simulation.report(Violation("cannot start", "node \(number): \(error)")) }
    // Not in the middle of what it does.
    let process = process
    queue.at(queue.now) { [self] in
      guard self.process === process else { return }
      endProcess()
      queue.after(300_000) { [self] in start() }
    }
  }

  private func endProcess() {
    process?.kill()
    network.processEnded(at: number)
    disk.killProcess()
    life?.dismantle()
    life = nil
    process = nil
  }

  func kill() {
    guard process != nil else { return }
    log("killed")
    endProcess()
  }

  func losePower() {
    guard process != nil else { return }
    log("loses power")
    process?.kill()
    network.powerLost(at: number)
    disk.crash()
    life?.dismantle()
    life = nil
    process = nil
  }

  /// In the middle of the n-th call to the disk from now.
  func stop(atCall call: Int, losesPower: Bool, downFor milliseconds: Int) {
    guard let process, process.isAlive else { return }
    disk.stopProcess(atCall: call) {
      process.halt()
      self.queue.at(self.queue.now) {
        guard self.process === process else { return }
        if losesPower { self.losePower() } else { self.kill() }
        self.queue.after(UInt64(milliseconds) * 1000) { self.start() }
      }
    }
  }

  /// The directory is gone when it is started again.
  func emptyDirectory() {
    kill()
    log("loses its directory")
    if let directory { formerIDs.insert(directory.node) }
    disk.wipe()
    (catalogLSNs, spoiled, directory) = ([], [], nil)
    (hasLostFiles, refusedSince) = (false, 0)
  }

  func pause() { process?.pause() }
  func resume() { process?.resume() }

  // MARK: Looking at it

  var row: String {
    guard let life, isAlive else { return "node \(number) down" }
    let positions = life.store.positions
    let role = life.core.isMaster ? "master" : "slave"
    let link = life.core.isMaster ? "" : " \(life.core.replication.upstream.view.state)"
    let paused = isPaused ? " stopped" : ""
    return
      "node \(number) \(role) t\(life.core.term) appended \(positions.appended) durable \(positions.durable) committed \(positions.committed) applied \(positions.applied)\(link)\(paused)"
  }
}

/// The node's log lines go into the trace; those that say that data is wrong are violations.
struct SimulatedLog: LogHandler {
  let node: SimulatedNode
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.info
  init(node: SimulatedNode) {
    self.node = node
    if !node.simulation.isTraced { logLevel = .error }
  }
  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }
  func log(event: LogEvent) {
    let details = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
      .joined(separator: " ")
    node.log("\(event.level) \(event.message) \(details)")
    if node.simulation.plan.damagesFiles { return }
    if "\(event.message)".hasPrefix("DATA DIFFERS") || "\(event.message)".hasPrefix("A STORED RECORD IS DAMAGED")
      || "\(event.message)".hasPrefix("A FILE OF THE LOG IS DAMAGED")
    {
      node.simulation.report(Violation("the node says", "node \(node.number): \(event.message) \(details)"))
    }
  }
}
