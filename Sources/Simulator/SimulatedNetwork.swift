import Node

/// Byte streams between sites: slow, cut, lost, half open, as the seed has it. Never reordered inside a connection.
///
/// A site is a machine: a node's or a client's. A site that lost its power says nothing; one whose process ended answers
/// for it, as a kernel does.
package final class SimulatedNetwork: @unchecked Sendable {
  // Safe to share: a simulation has one thread.
  package struct Settings: Sendable {
    package var latencyMicroseconds = 50...500
    /// Of a hundred chunks, how many take up to `spikeMicroseconds` longer.
    package var spikePercent = 1
    package var spikeMicroseconds = 20_000
    package var bytesPerMillisecond = 100_000
    /// Of a million chunks, how many end their connection instead of arriving.
    package var lossPerMillion = 0
    package var connectTimeoutMilliseconds: UInt64 = 1500
    package init() {}
  }

  /// Who takes connections at a site.
  package struct Listener {
    package let process: SimulatedProcess
    /// For every connection: the loop on which it lives, and what makes its reader there.
    package let place: () -> (SimulatedLoop, (SimulatedConnection) -> any ConnectionReceiver)
    package init(
      process: SimulatedProcess, place: @escaping () -> (SimulatedLoop, (SimulatedConnection) -> any ConnectionReceiver)
    ) {
      self.process = process
      self.place = place
    }
  }

  private struct Direction: Hashable {
    let from: Int
    let to: Int
  }

  package let queue: EventQueue
  package var settings: Settings
  var random: SplitMix64
  private var listeners: [Int: Listener] = [:]
  private var sitesDown: Set<Int> = []
  private var cuts: [Direction: Int] = [:]
  private var ends: [SimulatedConnection] = []
  /// Bytes that arrived anywhere.
  package internal(set) var bytesDelivered = 0

  package init(queue: EventQueue, seed: UInt64, settings: Settings = Settings()) {
    self.queue = queue
    self.settings = settings
    random = SplitMix64(seed: seed)
  }

  // MARK: Sites

  package func listen(at site: Int, _ listener: Listener) {
    listeners[site] = listener
    sitesDown.remove(site)
    resume()
  }

  /// The process at a site ended, and its kernel closes its connections; bytes that were sent still leave.
  package func processEnded(at site: Int) {
    listeners[site] = nil
    for end in ends where end.site == site && end.isOpen { end.close() }
    forgetClosed()
  }

  /// The site loses its power: nothing leaves it any more, nobody is told.
  package func powerLost(at site: Int) {
    listeners[site] = nil
    sitesDown.insert(site)
    for end in ends where end.site == site { end.vanish() }
  }

  /// The site has power again: from here on it reaches others, and its kernel answers for it.
  package func powerReturned(at site: Int) {
    guard sitesDown.remove(site) != nil else { return }
    resume()
  }

  package func isDown(_ site: Int) -> Bool { sitesDown.contains(site) }

  // MARK: Cuts

  /// Bytes from one site to another do not arrive until as many `heal` as `cut` were called.
  package func cut(from: Int, to: Int) { cuts[Direction(from: from, to: to), default: 0] += 1 }

  package func heal(from: Int, to: Int) {
    let direction = Direction(from: from, to: to)
    if let count = cuts[direction], count > 1 { cuts[direction] = count - 1 } else { cuts[direction] = nil }
    resume()
  }

  package func healAll() {
    cuts = [:]
    resume()
  }

  func isCut(from: Int, to: Int) -> Bool { cuts[Direction(from: from, to: to)] != nil || sitesDown.contains(to) }

  private func resume() {
    for end in ends { end.resume() }
    forgetClosed()
  }

  /// Both ends of every connection of a site hear that it is gone.
  package func dropConnections(of site: Int) {
    for end in ends where end.site == site && end.isOpen { end.reset("connection reset by peer") }
    forgetClosed()
  }

  private func forgetClosed() { ends.removeAll { $0.isGone } }

  // MARK: Connections

  /// Connects a process at a site with whoever listens at another. The receiver hears of a failure as of a closed
  /// connection.
  ///
  /// - Parameter tag: shown to the other side, outside of what is sent: who a client is, for the checkers.
  package func connect(
    from site: Int, to other: Int, on loop: SimulatedLoop, to receiver: any ConnectionReceiver, tag: AnyObject? = nil
  ) {
    let process = loop.process
    func fail(afterMicroseconds delay: UInt64, _ reason: String) {
      process.at(queue.now + delay) { loop.run { receiver.closed(reason) } }
    }
    queue.after(latency()) { [self] in
      guard process.isAlive else { return }
      if isCut(from: site, to: other) || isCut(from: other, to: site) {
        return fail(afterMicroseconds: settings.connectTimeoutMilliseconds * 1000, "connecting timed out")
      }
      guard let listener = listeners[other] else {
        return fail(afterMicroseconds: latency(), "connection refused")
      }
      let (theirLoop, accept) = listener.place()
      let own = SimulatedConnection(network: self, site: site, peerSite: other, loop: loop)
      let theirs = SimulatedConnection(network: self, site: other, peerSite: site, loop: theirLoop)
      own.peer = theirs
      theirs.peer = own
      theirs.tag = tag
      if ends.count > 64 { forgetClosed() }
      ends.append(own)
      ends.append(theirs)
      theirLoop.run {
        guard theirs.isOpen else { return }
        theirs.opened(by: accept(theirs))
      }
      process.at(queue.now + latency()) { loop.run { own.opened(by: receiver) } }
    }
  }

  func latency() -> UInt64 {
    let range = settings.latencyMicroseconds
    var latency = range.lowerBound + random.below(range.upperBound - range.lowerBound + 1)
    if random.chance(settings.spikePercent) { latency += random.below(settings.spikeMicroseconds) }
    return UInt64(latency)
  }
}

extension SimulatedLoop {
  /// The same as `execute`, for work that never leaves the simulation's thread.
  package func run(_ work: @escaping () -> Void) {
    // Safe to share: it is run where it was made, on the simulation's thread.
    nonisolated(unsafe) let work = work
    execute { work() }
  }
}
