// Raw memory: bytes on their way from and to a socket.
import Core
import LogStore
import NIOCore
import NIOPosix
import Node
import Replication
import Sockets
import Synchronization

/// What the node asks of its surroundings: threads, loops and sockets.
extension ServerCore: NodeHost {
  package var monotonic: Tick { Clocks.monotonic }
  package var wall: WallClock { Clocks.wall }
  package var startRole: Role {
    configuration.upstream.flatMap { NodeAddress(host: $0.host, port: $0.port) }.map(Role.slave) ?? .master
  }
  package func drawLot() -> UInt64 {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }
  package var cores: Int { System.coreCount }
  package var parallel: ParallelRunner { BackgroundThread.parallel }
  package func beside(_ name: String, _ work: @escaping @Sendable () -> Void) -> any Joinable {
    BackgroundThread(name, work)
  }
  package func pause(milliseconds: Int) {
    MayBlock.check("pause")
    Clocks.sleep(milliseconds: UInt64(max(0, milliseconds)))
  }

  package var nodeConfiguration: NodeConfiguration { settings.withLock { $0.node } }

  package func connect(_ address: NodeAddress, on loop: any WorkLoop, to receiver: sending any ConnectionReceiver) {
    guard let loop = loop as? BackgroundLoop else { preconditionFailure("a loop of another host") }
    let bound = NIOLoopBoundBox.makeBoxSendingValue(receiver, eventLoop: loop.eventLoop)
    Dialer(receiveBytes: 1 << 18)
      .connect(host: address.host, port: Int(address.port), on: loop.eventLoop) { channel in
        try channel.pipeline.syncOperations.addHandler(
          ConnectionHandler(bound.value, connection: ChannelConnection(channel)))
      }
      .whenFailure { bound.value.closed("\($0)") }
  }

  package func closeClient(_ link: LinkID) { closeClient(link.value) }

  package func moveReaders(to store: LogStore) {
    waitForLoops { $0.move(to: store) }
  }

  /// Runs on every loop between two batches; returns when all have. Blocks.
  private func waitForLoops(_ body: @escaping @Sendable (LoopWorker) -> Void) {
    MayBlock.check("wait for the loops")
    let allOver = Signal()
    let latch = Latch(count: workers.count)
    for worker in workers {
      worker.eventLoop.execute {
        body(worker)
        latch.countDown(allOver)
      }
    }
    while !latch.isOpen { allOver.wait(milliseconds: 100) }
  }
  package func takesWrites(_ yes: Bool) {
    roleTakesWrites.store(yes, ordering: .releasing)
    for worker in workers { worker.eventLoop.execute { worker.loop.takesWrites = yes } }
  }
  package func commitAdvanced() { for worker in workers { worker.commitAdvanced() } }
  package func pauseWrites(_ yes: Bool) { if yes { holdWrites(.handover) } else { releaseWrites(.handover) } }

  /// When this returns, no loop lets a write in for clients, until the reason is taken back. Blocks.
  func holdWrites(_ why: WriteHold) {
    service.hold(why)
    // A batch that began before has written when its loop comes here.
    waitForLoops { _ in }
    stateChanged()
  }
  func releaseWrites(_ why: WriteHold) {
    service.release(why)
    stateChanged()
  }
  package func wake(_ duty: BackgroundDuty) {
    switch duty {
    case .maintenance: maintenanceThread.wake()
    case .compaction: compactionThread.wake()
    case .scrub: scrubThread.wake()
    case .digestRepair: digestThread.wake()
    }
  }
  package var isEnding: Bool { service.holds.contains(.shutdown) }
}

/// An event loop for work that may block.
final class BackgroundLoop: WorkLoop {
  let eventLoop: any EventLoop
  init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

  func execute(_ work: @escaping @Sendable () -> Void) { eventLoop.execute(work) }
  func schedule(afterMilliseconds: UInt64, _ work: @escaping @Sendable () -> Void) {
    eventLoop.scheduleTask(in: .milliseconds(Int64(clamping: afterMilliseconds))) { work() }
  }
  func every(milliseconds: UInt64, _ work: @escaping @Sendable () -> Void) -> any Cancellable {
    let pause = TimeAmount.milliseconds(Int64(clamping: milliseconds))
    return Repeated(task: eventLoop.scheduleRepeatedTask(initialDelay: pause, delay: pause) { _ in work() })
  }
  private struct Repeated: Cancellable {
    let task: RepeatedTask
    func cancel() { task.cancel() }
  }
}

extension BackgroundThread: Joinable {}

/// A socket as who writes to it sees it.
///
/// Counts what is on its way itself: the channel learns of bytes from another loop only when its own comes to them, and
/// until then one could hand it any number of them.
final class ChannelConnection: NodeConnection {
  /// The socket's loop serves clients too: so much goes into the socket while they wait.
  static let unsentBytesMax = 512 << 10
  /// The sender is asked for more when this much is left.
  static let refillBytes = 128 << 10
  private let channel: any Channel
  private let unsent = Atomic<Int>(0)
  private let refill = Mutex<(@Sendable () -> Void)?>(nil)
  init(_ channel: any Channel) { self.channel = channel }

  /// Called on the channel's loop when a connection that was not writable has become it.
  func onRefill(_ body: (@Sendable () -> Void)?) { refill.withLock { $0 = body } }

  var isWritable: Bool { unsent.load(ordering: .acquiring) < Self.unsentBytesMax }
  func send(capacity: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
    var out = channel.allocator.buffer(capacity: capacity)
    let bytes = out.writeWithUnsafeMutableBytes(minimumWritableBytes: capacity, fill)
    unsent.wrappingAdd(bytes, ordering: .relaxed)
    let left = channel.eventLoop.makePromise(of: Void.self)
    left.futureResult.whenComplete { [self] _ in
      let (before, after) = unsent.wrappingSubtract(bytes, ordering: .acquiringAndReleasing)
      if before >= Self.refillBytes, after < Self.refillBytes { refill.withLock { $0 }?() }
    }
    channel.writeAndFlush(out, promise: left)
    return bytes
  }
  func close() {
    // Behind what was written from other loops.
    channel.eventLoop.execute { [channel] in channel.close(promise: nil) }
  }
}

/// Hands a socket's bytes to who reads it, until all that can be taken are.
final class ConnectionHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  private let receiver: any ConnectionReceiver
  private let connection: ChannelConnection
  private var unread = ByteBuffer()
  /// When a write fails, NIO hands over what is still in the socket before it returns: an ack on a broken connection
  /// brings `channelRead` back while bytes are being worked on.
  private var isWorking = false
  private var failure: String?

  init(_ receiver: any ConnectionReceiver, connection: ChannelConnection) {
    self.receiver = receiver
    self.connection = connection
  }

  func handlerAdded(context: ChannelHandlerContext) {
    let bound = NIOLoopBound(receiver, eventLoop: context.eventLoop)
    connection.onRefill { bound.value.writabilityChanged(true) }
    // It may have been filled and emptied before.
    receiver.writabilityChanged(connection.isWritable)
  }
  func handlerRemoved(context: ChannelHandlerContext) { connection.onRefill(nil) }
  func channelActive(context: ChannelHandlerContext) { receiver.opened(connection) }
  func channelInactive(context: ChannelHandlerContext) {
    receiver.closed(failure ?? "the other side closed the connection")
  }
  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    failure = SocketFailure.describe(error)
    context.close(promise: nil)
  }
  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var bytes = unwrapInboundIn(data)
    if unread.readableBytes == 0 { unread = bytes } else { unread.writeBuffer(&bytes) }
    if isWorking { return }
    isWorking = true
    defer { isWorking = false }
    while unread.readableBytes > 0 {
      // A reference of its own: what comes in meanwhile goes into another buffer.
      let now = unread
      let consumed = now.withUnsafeReadableBytes { receiver.received($0) }
      guard consumed > 0 else { break }
      unread.moveReaderIndex(forwardBy: consumed)
    }
    if unread.readableBytes == 0 {
      unread.clear()
    } else {
      unread.discardReadBytes()
      unread.reserveCapacity(receiver.wantedBytes)
    }
  }
}
