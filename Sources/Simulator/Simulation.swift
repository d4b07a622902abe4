import Core
import LogStore
import Node
import Replication

/// One run: a whole cluster of real nodes on one thread, with clients, faults and checkers, made from one seed.
///
/// Everything random comes from the seed and every event from one queue, so a run can be repeated to the byte.
package final class Simulation: @unchecked Sendable {
  // Safe to share: a simulation has one thread.
  package let plan: FaultPlan
  package let queue = EventQueue()
  let network: SimulatedNetwork
  private(set) var nodes: [SimulatedNode] = []
  private var clients: [SimulatedClient] = []
  private var liars: [SimulatedLiar] = []
  /// Reigns that began when a newer one had begun already: without a quorum there may be two masters.
  private var lateReigns: Set<TermHistory.Entry> = []
  private var knownReigns: Set<TermHistory.Entry> = []
  /// The node that reigns in the newest term.
  private(set) var masterNumber = 0
  private var newestReign: TermHistory.Entry?
  /// The history that the node that reigns began its reign with.
  private var newestBranch = TermHistory()
  private(set) var isHealing = false
  /// Entries of an index were taken out on purpose; see `breakIndexOfSlave`.
  var hasBrokenIndex = false
  var nodeOfBrokenIndex: Int?
  /// When the operator last looked for a master in the place of one that came back empty.
  var emptyMasterAt: UInt64 = 0
  private var healingSince: UInt64 = 0
  var random: SplitMix64
  private let output: ((String) -> Void)?

  // Checkers.
  var written = WrittenHistory()
  var acknowledged = AcknowledgedChecker()
  var prefixes = PrefixChecker()
  var onDisk = LevelChecker()
  private var reigns = ReignChecker()
  /// At which level a record was written, and how many voters there were.
  var levels: [Position: (level: RecordLevel, voters: Int)] = [:]
  var registers: [String: [(order: Int, operation: RegisterOperation)]] = [:]
  /// How many values were written, and how many connections made.
  var values = 0
  var lines = 0
  private var visibility = VisibilityChecker()
  var open: [ClientCommand] = []
  var cleanStops: [CleanStop] = []
  /// When the newest reign began, and when a client heard last that its write is done.
  private(set) var reignSince: UInt64 = 0
  var lastAcknowledged: UInt64 = 0
  var result: SimulationResult

  /// - Parameter trace: gets a line for everything that happens.
  package init(plan: FaultPlan, trace: ((String) -> Void)? = nil) {
    self.plan = plan
    output = trace
    random = SplitMix64(seed: plan.seed ^ 0x5EED)
    result = SimulationResult(seed: plan.seed)
    var settings = SimulatedNetwork.Settings()
    settings.latencyMicroseconds = plan.latencyMicroseconds
    settings.lossPerMillion = plan.connectionLossPerMillion
    network = SimulatedNetwork(queue: queue, seed: random.next(), settings: settings)
    nodes = (0..<plan.nodes).map { SimulatedNode(number: $0, simulation: self) }
    clients = (0..<plan.clients).map { SimulatedClient(number: $0, simulation: self) }
    liars = (0..<plan.liars).map { SimulatedLiar(number: $0, simulation: self) }
    if plan.namesPeers { return }
    for node in nodes.dropFirst() { node.startMaster = plan.shape == .chain ? node.number - 1 : 0 }
  }

  package convenience init(seed: UInt64, trace: ((String) -> Void)? = nil) {
    self.init(plan: FaultPlan(seed: seed), trace: trace)
  }

  /// Longest time that a cluster may take to come together when nothing goes wrong any more.
  private static let healingMicroseconds: UInt64 = 90_000_000
  /// After this the operator looks for masters that have not heard of the newest.
  private static let patienceMicroseconds: UInt64 = 10_000_000

  package func run() -> SimulationResult {
    for node in nodes { queue.at(UInt64(random.below(20_000))) { node.start() } }
    for client in clients { queue.at(50_000 + UInt64(random.below(100_000))) { client.start() } }
    for liar in liars { queue.at(200_000 + UInt64(random.below(500_000))) { liar.start() } }
    for planned in plan.faults { queue.at(UInt64(planned.at) * 1000) { [self] in apply(planned.fault) } }
    watchClocks()
    let end = UInt64(plan.milliseconds) * 1000
    while result.violations.isEmpty, queue.runNext(until: end) {}
    checkProgress()
    heal()
    let begin = queue.now
    let limit = begin + Self.healingMicroseconds
    var unhealed: String? = "not looked at"
    while result.violations.isEmpty, unhealed != nil, queue.now < limit {
      let next = queue.now + 200_000
      while result.violations.isEmpty, queue.runNext(until: next) {}
      restartFailed()
      replaceEmptyMaster()
      replaceRefused()
      if queue.now > begin + Self.patienceMicroseconds {
        attachStragglers()
        acceptEmptyMaster()
        decideDataSets()
        promoteByForce()
        if plan.damagesFiles { compactDamaged() }
      }
      if plan.damagesFiles, queue.now > begin + 3 * Self.patienceMicroseconds { replaceDamagedMaster() }
      unhealed = whatIsMissing()
      if unhealed == nil, breakIndexOfSlave() { unhealed = "an index lost entries" }
    }
    if plan.stepsClocks, result.violations.isEmpty {
      // What has expired is looked for now and then.
      let later = queue.now + 6_000_000
      while result.violations.isEmpty, queue.runNext(until: later) {}
      unhealed = whatIsMissing()
      checkReclaimed()
    }
    if let unhealed, result.violations.isEmpty { report(Violation("does not heal", unhealed)) }
    if !result.violations.isEmpty { traceDifferences() }
    if result.violations.isEmpty { checkTheEnd() }
    result.steps = queue.steps
    result.simulatedMilliseconds = Int(queue.now / 1000)
    result.starts = nodes.reduce(0) { $0 + $1.starts }
    result.acknowledged = acknowledged.acknowledgedCount
    result.sharedTerms = reigns.sharedTerms
    for node in nodes { node.kill() }
    for client in clients { client.end() }
    for liar in liars { liar.end() }
    queue.removeAll()
    return result
  }

  // MARK: Healing

  private func heal() {
    trace("healing")
    isHealing = true
    healingSince = queue.now
    for client in clients { client.stop() }
    for liar in liars { liar.stop() }
    network.healAll()
    network.settings.lossPerMillion = 0
    for node in nodes {
      node.diskIsGood()
      node.resume()
      node.life?.heal()
      if !node.isAlive { node.start() }
    }
  }

  /// A row that nothing is wrong with goes on.
  private func checkProgress() {
    guard plan.sendsEdges, queue.now > lastAcknowledged + 3_000_000, result.violations.isEmpty else { return }
    report(Violation("stands still", "no write was done for \((queue.now - lastAcknowledged) / 1000) ms"))
  }

  /// A log that a disk error has closed needs a restart.
  private func restartFailed() {
    for node in nodes where node.isAlive && node.needsRestart {
      node.kill()
      node.start()
    }
  }

  /// Masters that nobody could tell of the newest reign (those that told did not know of them) are attached by the
  /// operator. So are voters that follow another slave, when commits stand still: only a master's own slaves vouch for
  /// what they hold.
  private func attachStragglers() {
    let master = SimulatedNode.address(masterNumber)
    let waiting = nodes[masterNumber].life.flatMap {
      $0.store.positions.committed < $0.store.positions.appended ? $0 : nil
    }
    let voters = waiting?.core.commitment.voters.ids ?? []
    for node in nodes where node.isAlive && node.number != masterNumber {
      guard let life = node.life else { continue }
      // Two logs went apart at a mere start: which one counts is for the operator to say.
      let dissents = life.core.replication.upstream.view.dissentsFrom != nil && !plan.restoresBackups
      // An order to follow a node with data of its own gave it another data set: only an order brings it back.
      let isStranger = plan.level == .async && life.core.directory.lineage != nodes[masterNumber].directory?.lineage
      let isStraggler = life.core.isMaster && plan.level != .quorum || dissents || isStranger
      let isVoterBelow =
        !life.core.isMaster && life.core.role != .slave(of: master) && voters.contains(life.core.directory.node)
      guard isStraggler || isVoterBelow else { continue }
      node.log("is told by the operator")
      life.core.replicaOf(master) {}
    }
  }

  /// A tombstone that nobody else has any more goes when what is older has been cleaned: by COMPACT.
  private func compactDamaged() {
    for node in nodes where node.isAlive && node.life?.remainingDamage != nil { node.life?.compactAll() }
  }

  private func whatIsMissing() -> String? {
    guard let master = nodes[masterNumber].life, nodes[masterNumber].isAlive else { return nodes[masterNumber].row }
    guard nodes[masterNumber].isServing, master.core.isMaster else { return "no master: " + nodes[masterNumber].row }
    let last = master.store.positions.appended
    guard master.store.positions.committed == last else { return nodes[masterNumber].row }
    for node in nodes where node.number != masterNumber {
      guard let life = node.life, node.isAlive, !life.core.isMaster else { return node.row }
      guard life.core.replication.upstream.view.isInSync, life.store.positions.applied == last,
        life.store.terms.reign(of: last) == master.store.terms.reign(of: last)
      else { return node.row }
    }
    if plan.damagesFiles {
      for node in nodes where !node.isDamagedForGood {
        guard let damage = node.life?.remainingDamage else { continue }
        guard queue.now > healingSince + Self.healingMicroseconds / 2, node.life?.isDamagedForGood == true else {
          return "node \(node.number): \(damage)"
        }
        node.isDamagedForGood = true
        result.unrepairedNodes += 1
      }
    }
    return indexDifference
  }

  // MARK: What nodes tell

  /// What it writes may be lost, and what it calls good of older reigns that the newest one does not have.
  private func noteLate(_ reign: TermHistory.Entry, _ branch: TermHistory) {
    guard knownReigns.insert(reign).inserted, reign != newestReign, plan.level != .quorum else { return }
    lateReigns.insert(reign)
    permit(PermittedLoss(.only(reign.reign), keptUpTo: reign.firstLSN.previous))
    let begin = reign.firstLSN.previous
    let common = newestBranch.lastCommonLSN(endingAt: LSN(.max), with: branch, endingAt: begin)
    for older in branch.entries.dropLast() where common < begin {
      permit(PermittedLoss(.only(older.reign), keptUpTo: common), ofWhatIsToldLater: true)
    }
  }

  /// A master, or one that stepped down in this step, calls everything up to `lsn` good.
  private func noteGood(_ lsn: LSN, _ node: SimulatedNode, _ history: TermHistory) {
    guard let reign = history.last else { return }
    let reigns = reign == newestReign && node.number == masterNumber || lateReigns.contains(reign)
    // One that was replaced may hear late of slaves that hold its records: no new promise, where the newest master began
    // with the same records. What it has of its own beside that is not good any more.
    let kept = reigns ? lsn : newestBranch.lastCommonLSN(endingAt: LSN(.max), with: history, endingAt: lsn)
    visibility.isGood(upTo: kept, in: history)
  }

  /// After every step of a node.
  func stepEnded(_ node: SimulatedNode) {
    guard let life = node.life, node.isAlive else { return }
    let store = life.store
    let positions = store.positions
    let (appended, written, durable, applied) = (
      positions.appended, positions.written, positions.durable, positions.applied
    )
    fingerprint(UInt64(node.number) << 56 ^ queue.now, appended.value << 32 ^ durable.value << 16 ^ applied.value)
    if durable > written || written > appended || applied > appended {
      report(Violation("positions out of order", node.row))
    }
    node.catalogLSNs.insert(store.catalogRecordLSN)
    onDisk.holds(node.number, upTo: durable, in: store.terms)
    // A log that was cut back begins again with what its generation says is good, as after a restart.
    if node.lookedAt !== store.identity {
      prefixes.restarted(node.number)
      node.lookedAt = store.identity
      node.reigned = false
    }
    let stepsDown = store.isReplica && node.reigned
    node.reigned = !store.isReplica
    // What a master, or one that was, has of its own is held back until it is good.
    let shown = store.isReplica && !store.isGated ? applied : min(applied, positions.committed)
    let position = store.terms.position(at: shown)
    if position.term > .none {
      if let violation = prefixes.visible(position, node: node.number, mayGoBack: { acknowledged.isPermitted($0) }) {
        report(violation)
      }
      if stepsDown { noteGood(positions.committed, node, store.terms) }
      if !life.core.isMaster, store.isReplica,
        let early = visibility.tooEarly(
          shown, in: store.terms, mayBeLost: { acknowledged.isPermitted($0) }, isGoodByItself: isOnItsMastersDisk)
      {
        report(Violation("visible before it was safe", "\(early) on \(node.row)"))
      }
    }
    if !store.isReplica, let reign = store.terms.last {
      let areVotesAsked = plan.level == .quorum && store.votersInLog.count > 1
      if let violation = reigns.reigns(node.number, reign, byVotes: areVotesAsked) { report(violation) }
      if reign.reign > newestReign?.reign ?? .none { reignBegan(reign, store.terms, node) }
      noteLate(reign, store.terms)
      noteGood(positions.committed, node, store.terms)
    }
    if output != nil { traceRow(node) }
  }

  /// An `async` record that is durable where it was written.
  private func isOnItsMastersDisk(_ position: Position) -> Bool {
    // What no client was told of has the row's level, if there is but one.
    guard levels[position]?.level ?? (plan.mixesLevels ? nil : plan.level.ofRecords) == .async,
      let writer = nodes.first(where: { $0.directory?.node == position.reign.owner })
    else { return false }
    return onDisk.holders(of: position).contains(writer.number)
  }

  func planned(_ report: PlanReport, by node: SimulatedNode) {
    node.log("plan: \(report.summary)")
    switch report.mode {
    case .full: result.fullSyncs += 1
    case .delta: result.deltaSyncs += 1
    case .partial: result.partialSyncs += 1
    case nil: break
    }
  }

  func repaired() { result.repairedFiles += 1 }

  func permit(_ loss: PermittedLoss, ofWhatIsToldLater: Bool = false) {
    trace("\(loss)")
    acknowledged.permit(loss, ofWhatIsToldLater: ofWhatIsToldLater)
  }

  func report(_ violation: Violation) {
    trace("VIOLATION \(violation)")
    result.violations.append(violation)
  }

  // MARK: The trace

  var isTraced: Bool { output != nil }
  private var lastRow = ""

  func trace(_ text: @autoclosure () -> String) {
    guard let output else { return }
    output("\(Self.seconds(queue.now)) \(text())")
  }
  private func traceRow(_ node: SimulatedNode) {
    let row = node.row
    guard row != lastRow else { return }
    lastRow = row
    trace(row)
  }
  private static func seconds(_ microseconds: UInt64) -> String {
    let fraction = String(microseconds % 1_000_000)
    return "\(microseconds / 1_000_000)." + String(repeating: "0", count: 6 - fraction.count) + fraction
  }

  func fingerprint(_ a: UInt64, _ b: UInt64) {
    result.fingerprint = (result.fingerprint ^ a &* 0x9E37_79B9_7F4A_7C15) &* 0xBF58_476D_1CE4_E5B9 ^ b
    result.fingerprint ^= result.fingerprint >> 29
  }

  /// A node begins a reign above all others.
  private func reignBegan(_ reign: TermHistory.Entry, _ branch: TermHistory, _ node: SimulatedNode) {
    // A machine whose directory was emptied is another node.
    let isSame = node.number == masterNumber && (newestReign.map { $0.owner == reign.owner } ?? true)
    // The master before may have gone another way already where this one's log still follows the one before that.
    let common = newestBranch.lastCommonLSN(endingAt: LSN(.max), with: branch, endingAt: reign.firstLSN.previous)
    if plan.sendsEdges, newestReign != nil {
      report(Violation("a message changed the master", "node \(node.number) begins \(reign.reign)"))
    }
    if !isSame { checkCleanStop(before: reign, by: node, common: common, after: newestReign) }
    reignSince = queue.now
    newestReign = reign
    newestBranch = branch
    masterNumber = node.number
    trace("node \(node.number) is master in term \(reign.term)")
    // `quorum` loses nothing, whoever becomes master; the other levels nothing as long as the master stays the same.
    guard !plan.restoresBackups else { return }
    guard plan.durability != .fsync || !isSame && plan.level != .quorum else { return }
    let isPrefix = isSame || plan.durability == .fsync && plan.level == .async
    permit(PermittedLoss(.before(reign.reign), keptUpTo: isPrefix ? common : .none))
  }
}
