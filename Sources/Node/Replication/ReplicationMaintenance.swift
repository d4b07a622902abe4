import Core
import LogStore
import Replication
import Synchronization

// What the maintenance thread does for replication.
extension ReplicationService {
  // MARK: On the maintenance thread

  /// In every round.
  package func sampleWrites() {
    let now = core.host.monotonic
    guard rates.withLock({ $0.wantsSample(now: now) }) else { return }
    let store = core.store
    let totals = store.withWriteLock { _ in
      WriteRateMeter.Totals(records: store.positions.appended.value, bytes: store.appendedBytes)
    }
    rates.withLock { $0.sample(totals, now: now) }
  }

  /// Every second.
  package func measure() {
    let store = core.store
    let lags = store.withWriteLock { access in
      slaves.map { slave in
        (slave.id, UInt64(store.logBytes(from: max(slave.ack.appliedLSN.next, store.logStart), access)))
      }
    }
    for (id, lag) in lags { step(.measured(id, lagBytes: lag)) }
    step(.leaseTick)
  }

  /// Sends the digest of this moment to the slaves that follow the stream.
  package func sendDigest() {
    let streaming = streams
    guard !streaming.isEmpty else { return }
    let digest = core.digestSamples.take(core)
    let body = digest.encoded()
    for runner in streaming { runner.broadcast(.digest, body, at: digest.lsn) }
  }
}

extension NodeCore {
  /// As of now: the registry's own figure is measured once a second.
  package func lag(of slave: Slave) -> Lag {
    let store = self.store
    var lag = slave.lag(masterLast: store.positions.appended, masterClock: clock)
    if lag.records > 0 {
      let bytes = store.withWriteLock { access in
        store.logBytes(from: max(slave.ack.appliedLSN.next, store.logStart), access)
      }
      lag.bytes = UInt64(bytes)
    }
    return lag
  }

  package var votersInLog: [NodeID] {
    let store = self.store
    return store.withWriteLock { _ in store.votersInLog }
  }
}
