import Core
import LogStore
import Logging
import Replication

// A master that meets another data set, and the orders by which a node gives its own up. Off the clients' loops: generations
// are written.
extension NodeCore {
  /// The data set of which a node claims this master's place: until an operator decides, no writes are taken.
  package var rival: DataSetState.Rival? { rivalBox.withLock { $0 } }

  /// A node that holds another data set follows this address, and nothing says that this master's is the one that counts.
  func rivalSeen(_ lineage: NodeID, at place: NodeAddress) {
    guard isMaster else { return }
    hold(against: DataSetState.Rival(lineage: lineage, place: "\(place)"))
  }

  /// Writes stop with the call; a restart goes on so. Nothing else changes: reads go on, and so do the slaves.
  func hold(against rival: DataSetState.Rival) {
    guard !directory.current.dataSet.isConfirmed else { return }
    let isNew = rivalBox.withLock { box in
      defer { box = box ?? rival }
      return box == nil
    }
    guard isNew else { return }
    reviewWriteBar()
    logger.error(
      "THIS MASTER TAKES NO WRITES: a node of another data set claims its place, an operator must decide",
      metadata: [
        "dataset.own": "\(directory.lineage)", "dataset.other": "\(rival.lineage)",
        "replication.node": "\(rival.place)",
        "dataset.keep": "MS_NEW_DATA_SET here, or a start with --new-data-set",
        "dataset.give.up": "REPLICAOF a node of the other data set, here",
      ])
    write { $0.rival = rival }
    host.stateChanged()
  }

  /// The hold is over: an operator decided, or slaves that hold this data set follow this master.
  func liftRival(_ why: String) {
    guard rivalBox.withLock({ $0 }) != nil else { return }
    rivalBox.withLock { $0 = nil }
    write { $0.rival = nil }
    reviewWriteBar()
    logger.notice(
      "this master takes writes again", metadata: ["dataset.own": "\(directory.lineage)", "reason": "\(why)"])
    host.stateChanged()
  }

  /// `--new-data-set`, MS_NEW_DATA_SET: this data set is the one that counts, whatever other nodes hold.
  func confirmDataSet() {
    write {
      $0.isConfirmed = true
      $0.rival = nil
    }
    liftRival("an operator said that this data set counts")
  }

  /// An order gives up this node's data for that data set: written down, so that it also holds for a sync that goes on
  /// after a restart, and for no other data set.
  func noteOrder(_ lineage: NodeID) throws {
    try directory.change { $0.dataSet.ordered = lineage }
    logger.notice(
      "this node's data is given up for its master's, as ordered",
      metadata: ["dataset.own": "\(directory.lineage)", "dataset.other": "\(lineage)"])
  }

  /// Another order, or another master, takes its place.
  func forgetOrder() { write { $0.ordered = nil } }

  private func write(_ change: (inout DataSetState) -> Void) {
    var next = directory.current.dataSet
    change(&next)
    guard next != directory.current.dataSet else { return }
    do {
      try directory.change { change(&$0.dataSet) }
    } catch {
      logger.error("what was decided about the data set cannot be written down", metadata: ["error": "\(error)"])
    }
  }

  /// MS_NEW_DATA_SET. Calls `done` with nil, or the reason why not.
  package func declareDataSet(then done: @escaping @Sendable (String?) -> Void) {
    if isMaster {
      confirmDataSet()
      return done(nil)
    }
    guard waitsForPeers != nil else {
      return done(
        "this node follows a master: REPLICAOF NO ONE makes it one, MS_NEW_DATA_SET is for a master that takes no writes"
      )
    }
    becomeMaster { [self] failure in
      if failure == nil { confirmDataSet() }
      done(failure.map { "\($0)" })
    }
  }

  // MARK: Stores that were given up

  /// The live store goes under a name of its own when another one takes its place; nil: it is not kept.
  func beginSettingAside() throws -> ReplacedStore? {
    guard configuration.replacedKeepSeconds > 0 else { return nil }
    commitNow()
    let store = self.store
    let last = store.withWriteLock { _ in store.terms.position(at: store.positions.durable) }
    return try directory.beginSettingAside(last: last, atSeconds: host.wall.milliseconds / 1000)
  }

  /// After every loop has left it. A failure leaves the rest to the next start.
  func finishSettingAside(_ aside: ReplacedStore) {
    do {
      let kept = try directory.finishSettingAside(aside)
      logger.notice(
        "the data that was given up is set aside",
        metadata: [
          "replaced.store": "\(kept.name)", "replaced.bytes": "\(kept.bytes)", "dataset.old": "\(kept.lineage)",
        ])
    } catch {
      logger.error(
        "the data that was given up is not set aside yet, the next start does it", metadata: ["error": "\(error)"])
    }
  }

  /// Removes what was kept long enough, and the oldest while the disk is short of space. On a thread that may block.
  ///
  /// - Parameter wantedBytes: what somebody is about to write.
  package func reviewReplacedStores(wantedBytes: UInt64 = 0) {
    let stores = directory.replacedStores
    guard !stores.isEmpty else { return }
    let settings = configuration
    let least = UInt64(settings.store.segmentBytes) * Self.segmentsFree
    let dropped = ReplacedStoreRule.dropped(
      stores, nowSeconds: host.wall.milliseconds / 1000, keepSeconds: settings.replacedKeepSeconds,
      freeBytes: (try? fileSystem.freeBytes(directory.path)) ?? .max, wantedBytes: max(least, wantedBytes))
    for store in dropped {
      removeReplaced(store, "it was kept for \(settings.replacedKeepSeconds) s, or the disk is short of space")
    }
  }
  /// So many segments of free space are always left, as far as stores that were set aside can give them.
  private static let segmentsFree: UInt64 = 4

  /// MS_REPLACED REMOVE. Gives how many were removed.
  package func removeReplaced(named name: String?) -> Int {
    let chosen = directory.replacedStores.filter { name == nil || $0.name == name }
    return chosen.count { removeReplaced($0, "an operator removed it") }
  }

  @discardableResult
  private func removeReplaced(_ store: ReplacedStore, _ why: String) -> Bool {
    do {
      try directory.removeReplaced(store)
      logger.notice(
        "a store that was set aside is removed",
        metadata: ["replaced.store": "\(store.name)", "replaced.bytes": "\(store.bytes)", "reason": "\(why)"])
      return true
    } catch {
      logger.error(
        "a store that was set aside cannot be removed",
        metadata: ["replaced.store": "\(store.name)", "error": "\(error)"])
      return false
    }
  }
}
