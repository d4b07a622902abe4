import Core

/// What happens when the slaves that a commit level asks for do not answer in time (`--sync-policy`).
package enum CommitTimeoutPolicy: String, Hashable, Sendable, CaseIterable {
  /// Writes wait; their clients are told that the wait timed out. Nothing is called good that is not.
  case consistency
  /// The master goes on alone, loudly, until the slaves are back.
  case availability
}

package struct CommitWatchConfig: Hashable, Sendable {
  package var policy = CommitTimeoutPolicy.consistency
  /// `--sync-timeout`. Also the longest that the way back may hold writes up at a time.
  package var timeoutMilliseconds: UInt64 = 5000
  /// What may wait for slaves; past it new writes are refused.
  package var pendingRecordsMax: UInt64 = 1_000_000
  package var pendingBytesMax: UInt64 = 256 << 20
  package init() {}
}

/// What the watch looks at; all of one moment.
package struct CommitObservation: Hashable, Sendable {
  package struct Pending: Hashable, Sendable {
    /// The oldest record that waits for this level.
    package var oldestLSN: LSN
    /// When it became durable here.
    package var since: Tick
    package init(oldestLSN: LSN, since: Tick) {
      self.oldestLSN = oldestLSN
      self.since = since
    }
  }
  package var durableLSN: LSN
  /// What `CommitTracker` says of this level.
  package var heldLSN: LSN
  package var pending: Pending?
  /// Slaves that follow the stream and count for this level, and how many of them it takes.
  package var streamingSlaves: Int
  package var neededSlaves: Int
  package init(durableLSN: LSN, heldLSN: LSN, pending: Pending? = nil, streamingSlaves: Int, neededSlaves: Int) {
    self.durableLSN = durableLSN
    self.heldLSN = heldLSN
    self.pending = pending
    self.streamingSlaves = streamingSlaves
    self.neededSlaves = neededSlaves
  }
}

package enum CommitWatchState: Hashable, Sendable {
  /// Good is what the level's nodes hold.
  case normal
  /// Good is what this node has on disk. `goal` is a durable LSN of a while ago that the slaves are to reach first.
  case degraded(goal: LSN, since: Tick)
  /// Nothing new is called good until the slaves hold everything that ever was.
  case restoring(target: LSN, since: Tick)
}

package enum CommitWatchEvent: Hashable, Sendable {
  /// After every change of what it looks at.
  case observed(CommitObservation)
  case configured(CommitWatchConfig)
  case tick
}

package enum CommitWatchAction: Hashable, Sendable {
  /// To be told loudly: from here on a loss of this node loses what it acknowledges.
  case degraded(reason: String)
  /// The level holds again for everything ever acknowledged.
  case restored(upTo: LSN)
}

/// Watches one commit level, `fullsync` or `quorum`, of one master: whether its slaves answer in time, and what is called
/// good meanwhile. The shell makes one for each level and lets clients wait on `goodLSN`.
///
/// The way back has two steps, so that it neither lies nor holds writes up for long. First, still degraded, the slaves
/// must reach within one timeout the LSN that was durable when it began (else a new try begins); so they keep
/// up with what is written. Then nothing new is called good until they hold everything that was called good, at
/// most one timeout long; what is written meanwhile waits, as it does in the normal state.
///
/// Invariants: `goodLSN` never goes back. In the normal state the level's nodes hold everything up to it. Under
/// `consistency` it never gets ahead of what they hold, but for what was called good before the policy was changed.
package struct CommitWatch: Hashable, Sendable {
  package private(set) var config: CommitWatchConfig
  package private(set) var state = CommitWatchState.normal
  package private(set) var goodLSN: LSN
  private var seen: CommitObservation?

  package init(config: CommitWatchConfig = CommitWatchConfig(), goodLSN: LSN = .none) {
    self.config = config
    self.goodLSN = goodLSN
  }

  package var isDegraded: Bool {
    switch state {
    case .normal: false
    case .degraded, .restoring: true
    }
  }

  /// Whether a new write may join those that wait for slaves.
  package func mayWrite(pendingRecords: UInt64, pendingBytes: UInt64) -> Bool {
    pendingRecords < config.pendingRecordsMax && pendingBytes < config.pendingBytesMax
  }

  package mutating func step(_ event: CommitWatchEvent, now: Tick) -> [CommitWatchAction] {
    switch event {
    case .observed(let observation): seen = observation
    case .configured(let config): self.config = config
    case .tick: break
    }
    guard let seen else { return [] }
    goodLSN = max(goodLSN, seen.heldLSN)
    switch state {
    case .normal: return watch(seen, now)
    case .degraded(let goal, let since): return catchUp(seen, goal, since, now)
    case .restoring(let target, let since): return restore(seen, target, since, now)
    }
  }

  private mutating func watch(_ seen: CommitObservation, _ now: Tick) -> [CommitWatchAction] {
    guard config.policy == .availability, let pending = seen.pending, pending.oldestLSN > goodLSN,
      now.since(pending.since) >= config.timeoutMilliseconds
    else { return [] }
    state = .degraded(goal: seen.durableLSN, since: now)
    goodLSN = max(goodLSN, seen.durableLSN)
    return [
      .degraded(
        reason:
          "LSN \(pending.oldestLSN) waited \(now.since(pending.since)) ms for slaves: \(seen.neededSlaves) must have it "
          + "on disk, \(seen.streamingSlaves) follow the stream, LSN \(seen.heldLSN) is held; writes are good with this "
          + "node's disk alone until they are back")
    ]
  }

  private mutating func catchUp(
    _ seen: CommitObservation, _ goal: LSN, _ since: Tick, _ now: Tick
  ) -> [CommitWatchAction] {
    switch config.policy {
    case .consistency:
      // From here on writes wait again, however long the slaves take.
      state = .restoring(target: goodLSN, since: now)
      return restore(seen, goodLSN, now, now)
    case .availability: goodLSN = max(goodLSN, seen.durableLSN)
    }
    guard seen.streamingSlaves >= seen.neededSlaves else {
      state = .degraded(goal: seen.durableLSN, since: now)
      return []
    }
    guard seen.heldLSN >= goal else {
      if now.since(since) > config.timeoutMilliseconds { state = .degraded(goal: seen.durableLSN, since: now) }
      return []
    }
    state = .restoring(target: goodLSN, since: now)
    return restore(seen, goodLSN, now, now)
  }

  private mutating func restore(
    _ seen: CommitObservation, _ target: LSN, _ since: Tick, _ now: Tick
  ) -> [CommitWatchAction] {
    if seen.heldLSN >= target {
      state = .normal
      return [.restored(upTo: target)]
    }
    switch config.policy {
    case .consistency: return []
    case .availability: break
    }
    guard seen.streamingSlaves < seen.neededSlaves || now.since(since) >= config.timeoutMilliseconds else { return [] }
    state = .degraded(goal: seen.durableLSN, since: now)
    goodLSN = max(goodLSN, seen.durableLSN)
    return []
  }
}

/// `--min-slaves n` and `--min-slaves-max-lag ms`: writes are refused while fewer slaves keep up.
package struct MinSlaves: Hashable, Sendable {
  /// 0 = no check.
  package var slaves: Int
  package var lagMillisecondsMax: UInt64
  package init(slaves: Int = 0, lagMillisecondsMax: UInt64 = 10_000) {
    self.slaves = slaves
    self.lagMillisecondsMax = lagMillisecondsMax
  }

  /// - Parameter lagMilliseconds: of each slave that follows the stream; nil = not known yet, which does not count.
  package func isMet(lagMilliseconds: [UInt64?]) -> Bool {
    guard slaves > 0 else { return true }
    return lagMilliseconds.count(where: { $0.map { $0 <= lagMillisecondsMax } ?? false }) >= slaves
  }
}
