// Raw memory: looks at a client's name where it lies.
import Core
import LogStore
import RESP

/// One connection as commands see it. Lives on the connection's event loop.
package final class Session {
  package let id: UInt64
  /// The client's `address:port`, as CLIENT LIST and MONITOR show it.
  package var address = ""
  package var database = 0
  /// 2 or 3.
  package var protocolVersion: UInt8 = 2
  package var authenticated: Bool
  package var name = ""
  /// The node whose client's commands come over this connection (MS_FORWARD); nil on a client's own.
  package var forwardingNode: NodeID?
  package var libraryName = ""
  package var libraryVersion = ""
  package var replyMode = ReplyMode.on
  package var transaction: Transaction?
  package var watched: [WatchedKey] = []
  /// Memory of `watched`.
  var watchedBytes = 0
  /// What replies not yet sent wrote or saw that is not good yet: they wait until it is.
  package var gate = Gate()
  /// COMMIT LEVEL: the least level of this connection's writes; nil = the server's.
  package var level: RecordLevel?
  /// READ MAXLAG: reads are refused on a slave that is further behind.
  package var staleness: StalenessBound?
  /// LSN of this connection's newest write: what `WAIT` and `LASTLSN` speak of.
  package var lastWrite: UInt64 = 0
  package var isMonitor = false
  /// Asked to be a slave: the registry is told when it goes.
  package var isSlaveLink = false
  package var noEvict = false
  package var noTouch = false
  /// Set by QUIT, by CLIENT KILL of itself and by protocol errors: the connection ends after its replies.
  package var closing = false
  /// In the executor's table.
  package var lastCommand: Command?
  package var lastSubcommand: String?

  package enum ReplyMode: Sendable { case on, off, skipNext, skipping }

  package init(id: UInt64, authenticated: Bool) {
    self.id = id
    self.authenticated = authenticated
  }

  /// Forgets what MULTI queued and what WATCH watches.
  package func discardTransaction() {
    transaction = nil
    unwatch()
  }

  func unwatch() {
    watched = []
    watchedBytes = 0
  }

  /// What a client may call itself: graphic ASCII without blanks; empty takes the name back.
  package static func isValidName(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F }
  }
}
