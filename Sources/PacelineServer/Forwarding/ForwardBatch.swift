// Raw memory: copies commands out of the receive buffer and out of queued argument lists.
import Commands
import NIOCore
import RESP

/// Commands of one connection that go to the master in one go, and which of them have been answered.
///
/// Decides nothing about connections. A write that the other node refused because it is no master has not been done and
/// may be sent again; one that got any other answer, or none, never is.
/// Invariant: `answered <= next <= items.count`; the replies of the items before `answered` are with the client.
struct ForwardBatch {
  enum Kind { case read, write, watch }
  struct Item {
    let byteCount: Int
    let kind: Kind
    /// CLIENT REPLY: the client wants no answer.
    let isSilent: Bool
  }

  private(set) var items: [Item] = []
  /// The client's bytes of all items.
  private var request = ByteBuffer()
  /// EXEC: what the client queued. Then it is the only item.
  private(set) var transaction: Transaction?
  /// CLIENT REPLY SKIP silences the only item.
  private(set) var isSkipped = false
  private(set) var answered = 0
  /// The item whose reply comes next; `items.count` = that of LASTLSN.
  private(set) var next = 0
  /// Replies to come before that of the next item: those of MULTI and the queued commands.
  private var repliesBefore = 0
  private var queueingWasRefused = false
  /// The first item that was refused because the other node is no master, and whose client has not been told.
  private(set) var refusedFrom: Int?
  /// The error line that said so last.
  private(set) var refusal: ByteBuffer?

  /// Limits of what is sent in one go. A single larger command goes alone.
  static let bytesMax = 64 << 10
  static let itemsMax = 1024
  private static let lastLSN = RequestBuffer.encoded([["LASTLSN"]])

  var isEmpty: Bool { items.isEmpty }
  private(set) var hasWrites = false
  var hasWatch: Bool { items.contains { $0.kind == .watch } }
  /// A write whose reply has not come.
  var hasUnansweredWrites: Bool { items[next...].contains { $0.kind == .write } }

  func hasRoom(for byteCount: Int) -> Bool {
    isEmpty
      || transaction == nil && !isSkipped && items.count < Self.itemsMax
        && request.readableBytes + byteCount <= Self.bytesMax
  }

  mutating func add(_ bytes: UnsafeRawBufferPointer, _ kind: Kind, _ mode: Session.ReplyMode) {
    request.writeBytes(bytes)
    items.append(Item(byteCount: bytes.count, kind: kind, isSilent: mode == .off || mode == .skipping))
    isSkipped = mode == .skipping
    if kind == .write { hasWrites = true }
  }

  /// - Parameter bytes: the client's EXEC.
  mutating func add(_ transaction: Transaction, _ bytes: UnsafeRawBufferPointer, _ mode: Session.ReplyMode) {
    add(bytes, transaction.writes ? .write : .read, mode)
    self.transaction = transaction
  }

  /// What has to be sent for the items that are not answered.
  mutating func wire(askingForToken: Bool) -> ByteBuffer {
    next = answered
    refusedFrom = nil
    queueingWasRefused = false
    repliesBefore = 0
    var out = ByteBuffer()
    if let transaction {
      repliesBefore = 1 + transaction.queue.count
      var requests = RequestBuffer()
      requests.command(["MULTI"])
      for queued in transaction.queue { requests.command(queued.arguments) }
      requests.command(["EXEC"])
      out.writeBytes(requests.bytes)
    } else {
      out = unanswered
    }
    if askingForToken { out.writeBytes(Self.lastLSN) }
    return out
  }

  /// The client's bytes of the items that are not answered.
  var unanswered: ByteBuffer {
    var rest = request
    rest.moveReaderIndex(forwardBy: items[..<answered].reduce(0) { $0 + $1.byteCount })
    return rest
  }

  // MARK: Replies

  enum Treatment {
    /// Its bytes go to the client as they come.
    case pass
    case drop
    /// A short one, to be handed to `ended`.
    case judge
  }

  /// What becomes of a reply that begins with this byte. `.pass` of a write behind refused ones: `errorsForRefused` go
  /// before it.
  func treatment(of first: UInt8) -> Treatment {
    if first == UInt8(ascii: "-") || next == items.count { return .judge }
    if repliesBefore > 0 || items[next].isSilent { return .drop }
    return refusedFrom != nil && items[next].kind != .write ? .drop : .pass
  }

  /// True if refused items stand before the next one and can not be sent again any more, because it was done.
  func overtakes(_ first: UInt8) -> Bool {
    refusedFrom != nil && repliesBefore == 0 && next < items.count && items[next].kind == .write
      && first != UInt8(ascii: "-")
  }

  /// A reply has come to its end.
  ///
  /// - Parameter line: the whole of a reply that was to be judged.
  /// - Returns: what the client gets for it, if it has not got it.
  mutating func ended(_ line: ByteBuffer?) -> ByteBuffer? {
    let isRefusal = line.map(isRefusal) ?? false
    if repliesBefore > 0 {
      repliesBefore -= 1
      if isRefusal {
        queueingWasRefused = true
        refusal = line
      }
      return nil
    }
    let item = items[next]
    if item.kind == .write, isRefusal || line != nil && queueingWasRefused {
      if refusedFrom == nil { refusedFrom = next }
      if !queueingWasRefused { refusal = line }
      next += 1
      return nil
    }
    guard refusedFrom != nil else {
      next += 1
      answered = next
      return item.isSilent ? nil : line
    }
    // A read behind a refused write is asked again with it.
    guard item.kind == .write else {
      next += 1
      return nil
    }
    // A write that failed otherwise comes behind it for good.
    var out = errorsForRefused()
    if let line, !item.isSilent { out.writeImmutableBuffer(line) }
    next += 1
    answered = next
    return out
  }

  /// The code READONLY; or that of an EXEC of which nothing was done, for whichever reason.
  private func isRefusal(_ line: ByteBuffer) -> Bool {
    let code = Self.code(of: line)
    return code == .readOnly || code == .execAborted && transaction != nil && repliesBefore == 0
  }

  private static func code(of line: ByteBuffer) -> ErrorCode? {
    var scanner = ReplyScanner()
    line.withUnsafeReadableBytes { _ = try? scanner.scan($0) }
    guard case .error(let code) = scanner.kind else { return nil }
    return code
  }

  /// A transaction was refused by a node that may be master all the same: something else kept it from being done.
  var isAborted: Bool { refusal.map { Self.code(of: $0) == .execAborted } ?? false }

  // MARK: Errors

  private static let noSecondTry = "FORWARD the master changed in the middle of the pipeline; this was not answered"
  private static let broke = "FORWARD the connection to the master broke"
  private static let uncertain = "UNCERTAIN the connection to the master broke: the write may have been done"

  /// For the items from `refusedFrom` to before `next`; they are not sent again.
  mutating func errorsForRefused() -> ByteBuffer {
    var out = ByteBuffer()
    guard let first = refusedFrom else { return out }
    refusedFrom = nil
    answered = next
    for item in items[first..<next] where !item.isSilent {
      if item.kind == .write, let refusal {
        out.writeImmutableBuffer(refusal)
      } else {
        out.writeString("-\(Self.noSecondTry)\r\n")
      }
    }
    return out
  }

  /// The connection broke after the items had been sent: for those that have not been answered.
  mutating func errorsForBroken() -> (out: ByteBuffer, count: Int) {
    var out = errorsForRefused()
    let count = items.count - next
    for item in items[next...] where !item.isSilent {
      out.writeString("-\(item.kind == .write ? Self.uncertain : Self.broke)\r\n")
    }
    (next, answered) = (items.count, items.count)
    return (out, count)
  }

  /// They were never sent, or refused each time.
  mutating func errorsForUnsent(_ reason: String) -> (out: ByteBuffer, count: Int) {
    var out = ByteBuffer()
    let count = items.count - answered
    for item in items[answered...] where !item.isSilent {
      if item.kind == .write, let refusal {
        out.writeImmutableBuffer(refusal)
      } else {
        out.writeString("-FORWARD no master reachable: \(reason)\r\n")
      }
    }
    (next, answered, refusedFrom) = (items.count, items.count, nil)
    return (out, count)
  }
}
