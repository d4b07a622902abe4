import Commands
import Core
import LogStore
import Logging
import NIOCore
import NIOPosix
import Node
import RESP
import Replication
import ServiceLifecycle
import Synchronization

/// A running Paceline server: opens the data directory, listens, and serves until it is told to stop.
package struct Server: Service {
  private let configuration: ServerConfiguration
  private let logger: Logger
  private let orders: ShutdownOrders

  /// - Parameter orders: what signals say to the server.
  package init(configuration: ServerConfiguration, orders: ShutdownOrders, logger: Logger) {
    self.configuration = configuration
    self.orders = orders
    self.logger = logger
  }

  package func run() async throws {
    let cores = System.coreCount
    var configuration = configuration
    let loops = configuration.loops > 0 ? configuration.loops : cores
    configuration.clientsMax = try FileHandles.clients(wanted: configuration.clientsMax, loops: loops, logger: logger)
    let fileSystem = RealFileSystem()
    try fileSystem.makeDirectory(configuration.dataDirectory)
    guard let lock = try fileSystem.lock(configuration.dataDirectory + "/lock") else {
      throw OpenError("\(configuration.dataDirectory) is in use by another server")
    }
    defer { lock.close() }
    let (directory, notes) = try DataDirectory.open(configuration.dataDirectory, fileSystem: fileSystem) { count in
      var generator = SystemRandomNumberGenerator()
      return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }
    for note in notes { logger.warning("\(note)") }
    let (store, report, damage) = try directory.openStoreAtStart(
      configuration: configuration.store, workers: cores, run: BackgroundThread.parallel)
    for note in report.notes { logger.warning("\(note)") }
    for note in report.rebuiltIndexes { logger.warning("index file rebuilt", metadata: ["store.file": "\(note)"]) }
    if let damage {
      logger.error(
        "THE END OF THE LOG IS DAMAGED: other nodes are asked for its records", metadata: ["log.damage": "\(damage)"])
    }
    logger.info(
      damage == nil ? "store opened" : "store not opened yet",
      metadata: [
        "store.records": "\(report.records)", "store.replayed": "\(report.replayedRecords)",
        "store.segments": "\(report.segments)", "store.last.lsn": "\(store.positions.appended)",
      ])
    let core = ServerCore(
      configuration: configuration, directory: directory, store: store, damage: damage, logger: logger)

    let group = MultiThreadedEventLoopGroup(numberOfThreads: loops)
    core.start(loops: Array(group.makeIterator()))
    // The port first, so that a start on a used one changes nothing; nobody is let in before the role is taken.
    let channel = try await ServerBootstrap(group: group)
      .serverChannelOption(.autoRead, value: false)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.maxMessagesPerRead, value: 1)
      .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 64 << 10))
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let worker = core.worker(for: channel.eventLoop)
          let session = Session(id: core.nextClientID.wrappingAdd(1, ordering: .relaxed).oldValue, authenticated: true)
          let handler = ClientHandler(
            worker: worker, session: session, channel: channel, limits: RequestLimits(authenticated: true))
          try channel.pipeline.syncOperations.addHandler(handler)
        }
      }
      .bind(host: configuration.bind, port: configuration.port).get()
    let role = core.node.rememberedRole ?? core.startRole
    if role != core.startRole {
      logger.notice("this node goes on in the role that it had last, not in the one it is started with")
    }
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      core.node.start(role) { failure in
        if let failure { continuation.resume(throwing: failure) } else { continuation.resume() }
      }
    }
    try await channel.setOption(.autoRead, value: true).get()
    logger.info("ready", metadata: ["server.port": "\(configuration.port)"])
    orders.connect(core.shutdown)
    await core.shutdown.waitForEnd()
    // Nobody new; what was appended is flushed and its replies leave; then the connections end.
    try await channel.close()
    await core.stop()
    try await group.shutdownGracefully()
  }
}

/// Brings signals to a server that may not be up yet.
package final class ShutdownOrders: Sendable {
  private enum State {
    case starting
    /// A signal came before the server was up: it ends when it is.
    case asked
    case serving(ShutdownControl)
  }
  private let state = Mutex(State.starting)
  package init() {}

  func connect(_ control: ShutdownControl) {
    let wasAsked = state.withLock { state in
      defer { state = .serving(control) }
      if case .asked = state { return true }
      return false
    }
    if wasAsked { control.signalled() }
  }

  /// A signal asks the server to end. False if it was asked before and has not ended yet.
  package func ask() -> Bool {
    let control: ShutdownControl? = state.withLock { state in
      if case .serving(let control) = state { return control }
      return nil
    }
    if let control {
      if control.isUnderWay { return false }
      control.signalled()
      return true
    }
    return state.withLock { state in
      if case .asked = state { return false }
      state = .asked
      return true
    }
  }

  /// The server is up, and its end is on its way or not.
  package var isServing: Bool {
    state.withLock { state in
      if case .serving = state { true } else { false }
    }
  }
}
