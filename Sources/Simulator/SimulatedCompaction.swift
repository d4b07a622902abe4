import Core
import LogStore
import Node

/// Compaction of one node, in steps: reads, waits until the log is settled, installs.
final class SimulatedCompaction {
  private unowned let node: NodeProcess
  private let store: LogStore
  private let job: CompactionJob
  private var waitsFor: LSN?
  private var deadline: UInt64 = 0

  init?(_ node: NodeProcess, isForced: Bool) {
    let store = node.store
    let revision = store.upcomingRevision
    let rawFrom = isForced ? LSN(.max) : node.core.rawFrom(store)
    let bounds = store.compactionBounds(neededFrom: node.core.neededFrom, rawFrom: rawFrom)
    guard
      let job = store.nextCompaction(
        bounds, garbageRatio: 0.3, waitsToSettle: !node.core.replication.holdsForAbsent,
        forcedBelow: isForced ? revision : nil)
    else { return nil }
    self.node = node
    self.store = store
    self.job = job
  }

  /// Does some of it; false when it is over.
  func step() -> Bool {
    guard node.store === store else { return false }
    do {
      if let waitsFor {
        let settled = store.compactionBounds(neededFrom: node.core.neededFrom).settled
        guard settled >= waitsFor else { return node.queue.now < deadline }
        let result = try node.core.install(job, in: store)
        if let result { node.site.log("compacted \(result.sources) pieces, dropped \(result.recordsDropped) records") }
        return false
      }
      if try job.step(bytes: 2000) {
        waitsFor = try job.close()
        deadline = node.queue.now + 5_000_000
      }
      return true
    } catch {
      node.site.log("compaction failed: \(error)")
      return false
    }
  }
}

extension NodeProcess {
  func scheduleCompaction() {
    process.at(queue.now + site.compactionIntervalMicroseconds) { [self] in
      compact(isForced: false)
      scheduleCompaction()
    }
  }

  func compact(isForced: Bool) {
    background.run { [self] in
      guard compaction == nil else { return }
      if isForced {
        store.writeLock.lock()
        store.closeActiveSegment()
        store.writeLock.unlock()
        commitNow()
        core.maintainStore()
      }
      compaction = SimulatedCompaction(self, isForced: isForced)
      stepCompaction()
    }
  }

  private func stepCompaction() {
    guard let compaction else { return }
    guard compaction.step() else {
      self.compaction = nil
      return
    }
    process.at(queue.now + UInt64(100 + random.below(5000))) { [self] in
      background.run { [self] in stepCompaction() }
    }
  }
}
