import Commands
import Core
import NIOCore
import RESP
import Synchronization

/// Every client connection, as values that any thread may look at.
///
/// What never changes about a connection is here from the start; what changes is as its event loop last reported it:
/// CLIENT LIST asks all loops to report first.
final class ClientDirectory: Sendable {
  enum Kind: String, Sendable { case normal, replica, master, pubsub }

  /// What a connection's own loop knows.
  struct State: Sendable {
    var name = ""
    var libraryName = ""
    var libraryVersion = ""
    var lastActive = Tick(milliseconds: 0)
    var database = 0
    var isMonitor = false
    var isClosing = false
    var noEvict = false
    var noTouch = false
    var isSuspended = false
    /// Commands queued by MULTI; nil outside.
    var queued: Int?
    var queuedBytes = 0
    var isWatching = false
    var queryBytes = 0
    var queryBytesFree = 0
    /// Of the command that is executed.
    var argumentBytes = 0
    /// Given to the socket, which has not taken them.
    var unsentBytes = 0
    var heldReplies = 0
    var heldBytes = 0
    var isReading = true
    var isWritable = true
    var protocolVersion: UInt8 = 2
    var command = ""
  }

  struct Entry: Sendable {
    let id: UInt64
    /// The peer's `address:port`.
    let address: String
    let localAddress: String
    let descriptor: Int
    let createdAt: Tick
    let channel: any Channel
    var kind = Kind.normal
    var state = State()
  }

  private let entries = Mutex<[UInt64: Entry]>([:])

  func add(_ entry: Entry) { entries.withLock { $0[entry.id] = entry } }
  /// False if it was not there.
  @discardableResult
  func remove(_ id: UInt64) -> Bool { entries.withLock { $0.removeValue(forKey: id) != nil } }
  /// A connection turned out to be a slave's, or the link to the master.
  func become(_ kind: Kind, _ id: UInt64) { entries.withLock { $0[id]?.kind = kind } }
  func report(_ states: [(id: UInt64, state: State)]) {
    entries.withLock { entries in
      for (id, state) in states { entries[id]?.state = state }
    }
  }
  /// In the order of their ids.
  func all() -> [Entry] { entries.withLock { Array($0.values) }.sorted { $0.id < $1.id } }
  subscript(id: UInt64) -> Entry? { entries.withLock { $0[id] } }
}

extension ClientDirectory.Entry {
  /// About what a connection takes that holds nothing.
  private static let objectBytes = 2048

  /// One line of CLIENT LIST, without its line end.
  func line(now: Tick) -> String {
    var flags = ""
    switch kind {
    case .replica: flags += "S"
    case .master: flags += "M"
    case .pubsub: flags += "P"
    case .normal: break
    }
    if state.isMonitor { flags += "O" }
    if state.isSuspended { flags += "b" }
    if state.queued != nil { flags += "x" }
    if state.isClosing { flags += "c" }
    if state.noEvict { flags += "e" }
    if state.noTouch { flags += "T" }
    if flags.isEmpty { flags = "N" }
    let events = (state.isReading ? "r" : "") + (state.isWritable ? "" : "w")
    let memory =
      Self.objectBytes + state.queryBytes + state.queryBytesFree + state.argumentBytes + state.queuedBytes
      + state.unsentBytes + state.heldBytes
    let idle = now.since(max(state.lastActive, createdAt)) / 1000
    return """
      id=\(id) addr=\(address) laddr=\(localAddress) fd=\(descriptor) name=\(state.name) \
      age=\(now.since(createdAt) / 1000) idle=\(idle) flags=\(flags) db=\(state.database) sub=0 psub=0 ssub=0 \
      multi=\(state.queued ?? -1) qbuf=\(state.queryBytes) qbuf-free=\(state.queryBytesFree) argv-mem=\(state.argumentBytes) \
      multi-mem=\(state.queuedBytes) rbs=0 rbp=0 obl=\(state.unsentBytes) oll=\(state.heldReplies) omem=\(state.heldBytes) \
      tot-mem=\(memory) events=\(events) cmd=\(state.command.isEmpty ? "NULL" : state.command) user=default redir=-1 \
      resp=\(state.protocolVersion) lib-name=\(state.libraryName) lib-ver=\(state.libraryVersion)
      """
  }
}

extension ClientHandler {
  /// What CLIENT LIST says of this connection. On its loop.
  var reportedState: ClientDirectory.State {
    var state = ClientDirectory.State()
    state.name = session.name
    state.libraryName = session.libraryName
    state.libraryVersion = session.libraryVersion
    state.lastActive = connection.lastActive
    state.database = session.database
    state.isMonitor = session.isMonitor
    state.isClosing = session.closing
    state.noEvict = session.noEvict
    state.noTouch = session.noTouch
    state.isSuspended = connection.isSuspended
    state.queued = session.transaction?.queue.count
    state.queuedBytes = session.transaction?.bytes ?? 0
    state.isWatching = !session.watched.isEmpty
    state.queryBytes = (pending?.readableBytes ?? 0) + beingExecuted
    state.argumentBytes = connection.argumentBytes
    state.unsentBytes = unsentBytes
    state.queryBytesFree = pending?.writableBytes ?? 0
    state.heldReplies = connection.held.count
    state.heldBytes = connection.held.bytes
    state.isReading = isReading
    state.isWritable = channel.isWritable
    state.protocolVersion = session.protocolVersion
    if let command = session.lastCommand {
      let name = CommandTable.server.row(command).name
      // Set by containers only, and left behind by the next command.
      state.command = session.lastSubcommand.flatMap { $0.hasPrefix(name + "|") ? $0 : nil } ?? name
    }
    return state
  }
}
