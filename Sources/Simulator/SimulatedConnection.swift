// Raw memory: bytes on their way to and from a connection.
import Node

/// One end of a connection. What one end sends arrives at the other in order, in pieces of any size.
package final class SimulatedConnection: NodeConnection, @unchecked Sendable {
  // Safe to share: a simulation has one thread.
  private struct Write {
    var bytes: ArraySlice<UInt8>
    /// When its first byte can be there.
    let readyAt: UInt64
    /// Nothing comes behind it.
    let isLast: Bool
  }
  private enum State {
    case open
    /// By the other side or the network; the receiver reads what came before, then hears of it.
    case ending
    case closed
  }

  unowned let network: SimulatedNetwork
  package let site: Int
  private let loop: SimulatedLoop
  private let peerSite: Int
  weak var peer: SimulatedConnection?
  /// What the connecting side showed.
  package internal(set) var tag: AnyObject?
  private var receiver: (any ConnectionReceiver)?
  private var state = State.open
  private var outgoing: [Write] = []
  private var outgoingBytes = 0
  private var isTransferring = false
  private var inbox: [UInt8] = []
  private var wasWritable = true

  static let windowBytes = 64 << 10

  init(network: SimulatedNetwork, site: Int, peerSite: Int, loop: SimulatedLoop) {
    self.network = network
    self.site = site
    self.peerSite = peerSite
    self.loop = loop
    loop.process.ended.append { [weak self] in self?.forgetReceiver() }
  }

  var isOpen: Bool { state == .open }
  /// Closed, and nothing of it is on its way.
  var isGone: Bool { state != .open && outgoing.isEmpty }
  private var queue: EventQueue { network.queue }

  func opened(by receiver: any ConnectionReceiver) {
    guard isOpen else { return receiver.closed("connection reset by peer") }
    self.receiver = receiver
    receiver.opened(self)
    deliver()
  }

  // MARK: Sending

  package var isWritable: Bool { isOpen && outgoingBytes < Self.windowBytes }

  @discardableResult
  package func send(capacity: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
    let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { space, count in
      count = fill(UnsafeMutableRawBufferPointer(space))
    }
    // A process that died in the middle of this step has sent nothing since.
    if isOpen, loop.process.isAlive, !bytes.isEmpty { append(bytes[...], isLast: false) }
    if !isWritable { wasWritable = false }
    return bytes.count
  }

  /// After what was sent has left.
  package func close() {
    guard isOpen else {
      state = .closed
      return
    }
    state = .closed
    append([], isLast: true)
    tellClosed("closed")
  }

  private func append(_ bytes: ArraySlice<UInt8>, isLast: Bool) {
    let readyAt = max(outgoing.last?.readyAt ?? 0, queue.now + network.latency())
    outgoing.append(Write(bytes: bytes, readyAt: readyAt, isLast: isLast))
    outgoingBytes += bytes.count
    transfer(at: readyAt)
  }

  // MARK: On the way

  private func transfer(at time: UInt64) {
    guard !isTransferring, !outgoing.isEmpty else { return }
    isTransferring = true
    queue.at(max(time, outgoing[0].readyAt)) { [weak self] in self?.arrive() }
  }

  /// A cut is healed, or the other side reads again.
  func resume() { transfer(at: queue.now) }

  private func arrive() {
    isTransferring = false
    // What is cut off stays where it is: TCP sends it again and again.
    guard !outgoing.isEmpty, !network.isCut(from: site, to: peerSite) else { return }
    guard let peer, peer.isOpen, peer.loop.process.isAlive || outgoing[0].isLast else {
      // Nobody is there: the other kernel says so.
      discard()
      return closedByPeer()
    }
    if network.settings.lossPerMillion > 0, network.random.below(1_000_000) < network.settings.lossPerMillion {
      return reset("connection reset by peer")
    }
    if outgoing[0].isLast {
      discard()
      return peer.closedByPeer()
    }
    guard peer.hasRoom else { return }
    let bytes = moveChunk(to: peer)
    network.bytesDelivered += bytes
    peer.loop.run { [weak peer] in peer?.deliver() }
    transfer(at: queue.now + UInt64(bytes * 1000 / max(1, network.settings.bytesPerMillisecond)))
    announceRoom()
  }

  /// Moves some of what is ready to the other end.
  private func moveChunk(to peer: SimulatedConnection) -> Int {
    let limit = network.random.chance(12) ? 1 + network.random.below(40) : 1 + network.random.below(32 << 10)
    var taken = 0
    while taken < limit, let first = outgoing.first, !first.isLast, first.readyAt <= queue.now {
      let part = first.bytes.prefix(limit - taken)
      peer.inbox.append(contentsOf: part)
      taken += part.count
      if part.count == first.bytes.count {
        outgoing.removeFirst()
      } else {
        outgoing[0].bytes = first.bytes.dropFirst(part.count)
      }
    }
    outgoingBytes -= taken
    return taken
  }

  private func announceRoom() {
    guard isOpen, !wasWritable, outgoingBytes < Self.windowBytes / 2 else { return }
    wasWritable = true
    loop.run { [weak self] in
      guard let self, self.isOpen else { return }
      self.receiver?.writabilityChanged(true)
    }
  }

  private func discard() {
    outgoing = []
    outgoingBytes = 0
  }

  // MARK: Receiving

  /// One message may be longer than the window: then there is room for it.
  private var hasRoom: Bool { inbox.count < max(Self.windowBytes, receiver?.wantedBytes ?? 0) }

  private func deliver() {
    while state != .closed, let receiver, !inbox.isEmpty {
      let bytes = inbox
      let taken = bytes.withUnsafeBytes { receiver.received($0) }
      guard taken > 0 else { break }
      inbox.removeFirst(min(taken, inbox.count))
    }
    if hasRoom { peer?.resume() }
  }

  /// The receiver takes bytes again that it left lying.
  func readAgain() { loop.run { [weak self] in self?.deliver() } }

  // MARK: Closing

  private func closedByPeer() {
    guard isOpen else { return }
    state = .ending
    discard()
    tellClosed("closed by the other side")
  }

  private func tellClosed(_ reason: String) {
    loop.run { [weak self] in
      guard let self else { return }
      self.state = .closed
      let receiver = self.receiver
      self.receiver = nil
      receiver?.closed(reason)
    }
  }

  /// Both ends hear that the connection is gone.
  func reset(_ reason: String) {
    for end in [self, peer] {
      guard let end, end.isOpen else { continue }
      end.state = .ending
      end.discard()
      end.tellClosed(reason)
    }
  }

  /// Its process ended: nobody reads any more. Receivers hold their connections too.
  private func forgetReceiver() {
    receiver = nil
    tag = nil
  }

  /// The machine is gone: what had not arrived never will, and the other end learns it when it sends to a machine that
  /// is up again.
  func vanish() {
    state = .closed
    discard()
    receiver = nil
  }
}
