import Core

/// What a node does beside its clients: each kind is a machine of its own that goes on in steps.
package enum BackgroundDuty: Sendable {
  /// `Rounds`
  case maintenance
  /// `Compaction`
  case compaction
  /// `Scrub`
  case scrub
  /// `DigestRepair`
  case digestRepair
}

/// One machine of background work. Its host decides when a step runs: the server gives each machine a thread, the simulator
/// a place in its queue. Both run the same steps.
package protocol BackgroundWork: AnyObject, Sendable {
  /// Does one bounded piece of what is due; may block on disk. Never called again inside a call.
  /// - Returns: after so many milliseconds the next step is due, earlier if the host is asked to wake this duty; 0: at once.
  func step(now: Tick) -> UInt64
  /// The node ends, no step follows: whoever still waits for an answer gets one.
  func end()
}
