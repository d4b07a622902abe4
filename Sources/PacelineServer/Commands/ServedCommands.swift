// Raw memory: copies arguments and error lines out of the executor's memory.
import Commands
import Core
import LogStore
import RESP

/// What the server's commands share, and the small ones among them. Which there are is told by the rows in `Rows`.
extension ServerCore {
  /// The loop that an executor belongs to.
  func worker(of executor: Executor) -> LoopWorker {
    guard let worker = workers.first(where: { $0.loop.executor === executor }) else {
      preconditionFailure("an executor of no event loop")
    }
    return worker
  }

  /// Runs `body` under the write lock, which the executor's batch may hold already.
  func still<Result>(
    _ executor: Executor, _ body: (LogStore, borrowing WriteAccess) throws -> Result
  ) rethrows -> Result {
    let store = executor.store
    return try executor.keys.withWriteLock { access in try body(store, access) }
  }

  // MARK: What Executor asks for

  package var stopwatch: UInt64 { Clocks.monotonicNanoseconds / 1000 }
  package var nanoseconds: UInt64 { Clocks.monotonicNanoseconds }

  package func finished(
    _ row: CommandRow, _ arguments: borrowing ArgumentList, _ session: Session, microseconds: UInt64
  ) {
    service.slowLog.note(row, arguments, session, microseconds: microseconds, wall: Clocks.wall)
  }

  package func noteError(_ line: UnsafeRawBufferPointer) { service.statistics.noteError(line) }

  package func holdsBack(writes: Bool, now: Tick) -> Bool {
    service.holdsBack(writes: writes, now: now)
  }

  package func leaseDeadline(now: Tick) -> Tick? { node.leaseDeadline(now: now) }

  // MARK: Small ones

  func time(_ executor: Executor) {
    let now = Clocks.wallMicroseconds
    executor.reply.array(2)
    executor.reply.bulk(integer: Int64(clamping: now / 1_000_000))
    executor.reply.bulk(integer: Int64(clamping: now % 1_000_000))
  }

  /// LASTSAVE
  func lastSave(_ executor: Executor) {
    executor.reply.integer(Int64(clamping: node.lastSave.load(ordering: .relaxed)))
  }

  /// LASTLSN: what WAITLSN elsewhere has to be given so that this connection's writes are seen there.
  func lastLSN(_ executor: Executor, _ session: Session) {
    // Another node that asks for its client: what that client was answered may rest on more than its own writes.
    let own = session.forwardingNode != nil ? 0 : max(session.lastWrite, executor.keys.lastWrite)
    executor.reply.integer(Int64(clamping: own > 0 ? own : executor.store.positions.applied.value))
  }

  /// DIGEST [db]: the LSN, then [db, digest, keys] of each database that has keys, or of the one asked for.
  func digest(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) {
    guard arguments.count <= 2 else { throw .wrongArgumentCount }
    var only: Int?
    if arguments.count == 2 {
      guard let number = parseInteger(arguments[1]) else { throw .notInteger }
      guard number >= 0, number < executor.store.databases else { throw .databaseOutOfRange }
      only = Int(number)
    }
    let (lsn, digests) = still(executor) { store, access in
      (store.isReplica ? store.positions.applied.value : store.lastAppended, store.digests(access))
    }
    // Nothing is told of what may still be undone.
    executor.keys.see(lsn)
    let chosen = digests.filter { digest in only == nil ? digest.keys > 0 : digest.database == only }
    executor.reply.array(chosen.count + 1)
    executor.reply.integer(Int64(clamping: lsn))
    for digest in chosen {
      executor.reply.array(3)
      executor.reply.integer(Int64(digest.database))
      let digits = String(digest.sum, radix: 16)
      executor.reply.bulk(String(repeating: "0", count: 16 - digits.count) + digits)
      executor.reply.integer(Int64(digest.keys))
    }
  }
}

/// Text of an argument; bytes that are no UTF-8 become replacement characters.
func decoded(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

extension ReplyBuffer {
  /// `unknown subcommand or wrong number of arguments for 'x'. Try CLIENT HELP.`
  mutating func subcommandSyntaxError(_ arguments: borrowing ArgumentList) {
    let word = decoded(arguments[1]).prefix(128)
    error(
      "ERR unknown subcommand or wrong number of arguments for '\(word)'. Try \(decoded(arguments[0]).uppercased()) HELP."
    )
  }
}
