// Raw memory: values are serialised from where their records lie.
import Commands
import Core
import LogStore
import NIOCore
import RESP
import Synchronization

/// MIGRATE: values go to another server, and are deleted here when that has taken them.
///
/// Only the connection that asked waits; its loop serves others, who may change a key meanwhile. So a key is deleted only if its
/// record is still the one whose value was sent: what was written since stays here.
extension ServerCore {
  /// What all MIGRATEs together may hold on its way.
  private static let bytesMax = 512 << 20

  /// MIGRATE host port key | "" db timeout [COPY] [REPLACE] [AUTH password | AUTH2 user password] [KEYS key ...]
  func migrate(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) -> Outcome {
    let options = try MigrateOptions(arguments)
    let keys = executor.keys
    let batch = MigrationBatch(database: session.database, isCopy: options.isCopy, store: executor.store)
    var requests = RequestBuffer()
    for i in options.keys {
      guard let record = keys.counted(try keys.read(arguments[i], in: session.database)) else { continue }
      let value = record.value
      let payloadBytes = StringPayload.byteCount(of: value)
      guard requests.bytes.count + payloadBytes <= Self.bytesMax else {
        throw .text("OOM MIGRATE of more than 512 MiB at a time: name fewer keys")
      }
      requests.begin(words: options.replaces ? 5 : 4)
      requests.word("RESTORE" as StaticString)
      requests.word(arguments[i])
      requests.word(
        integer: record.expiry == 0 ? 0 : max(1, Int64(clamping: record.expiry) - Int64(clamping: keys.now)))
      StringPayload.write(value, into: requests.uninitializedWord(payloadBytes))
      if options.replaces { requests.word("REPLACE" as StaticString) }
      batch.add(Array(arguments[i]), record.lsn)
    }
    guard !batch.isEmpty else {
      executor.reply.simple("NOKEY" as StaticString)
      return .done
    }
    let bytes = requests.bytes.count
    let all = service.migratingBytes.add(bytes, ordering: .relaxed).newValue
    guard all <= Self.bytesMax else {
      service.migratingBytes.subtract(bytes, ordering: .relaxed)
      throw .text("OOM other MIGRATEs hold 512 MiB already: try again when they are done")
    }
    let own = worker(of: executor)
    let pending = PendingReply()
    let session = NIOLoopBound(session, eventLoop: own.eventLoop)
    let migration = Migration(
      to: options.target(from: arguments), values: ByteBuffer(bytes: requests.bytes), count: batch.count
    ) { [self] result in
      service.migratingBytes.subtract(bytes, ordering: .relaxed)
      finish(batch, result, on: own, session) { failure in
        pending.fulfil { executor in
          if let failure { executor.reply.error(failure) } else { executor.reply.ok() }
        }
        own.loop.release()
      }
    }
    // Nothing is told to another server that could still be undone here.
    let gate = keys.gate
    let deadline = Clocks.monotonic.advanced(by: options.timeoutMilliseconds)
    send(migration, when: gate, deadline, on: own)
    return .suspended(.reply(pending))
  }

  /// Begins when what is to be sent is good at its level.
  private func send(_ migration: Migration, when gate: Gate, _ deadline: Tick, on worker: LoopWorker) {
    if gate.isPassed(worker.good) { return migration.begin(on: worker.eventLoop) }
    guard Clocks.monotonic < deadline else {
      return migration.refuse(
        "SYNCTIMEOUT what was to be migrated is not good at its commit level yet: nothing was sent")
    }
    let bound = NIOLoopBound(migration, eventLoop: worker.eventLoop)
    worker.eventLoop.scheduleTask(in: .milliseconds(1)) { [self] in send(bound.value, when: gate, deadline, on: worker)
    }
  }

  /// The target has answered: what it has taken is deleted here.
  private func finish(
    _ batch: MigrationBatch, _ result: Migration.Result, on worker: LoopWorker, _ session: NIOLoopBound<Session>,
    then answer: @escaping (String?) -> Void
  ) {
    guard !batch.isCopy, result.isTaken.contains(true) else { return answer(result.failure) }
    // CLIENT PAUSE, or another node is about to take over: writes wait, this one, too.
    if service.holdsBack(writes: true, now: Clocks.monotonic) {
      let rest = NIOLoopBound((batch, answer), eventLoop: worker.eventLoop)
      worker.eventLoop.scheduleTask(in: .milliseconds(10)) { [self] in
        finish(rest.value.0, result, on: worker, session, then: rest.value.1)
      }
      return
    }
    let executor = worker.loop.executor
    worker.beginBatch(forwarding: false)
    executor.level = worker.loop.level.joined(session.value.level)
    let kept = batch.deleteTaken(result.isTaken, executor, session.value)
    worker.endBatch()
    answer(result.failure ?? kept)
  }
}

/// The words of a MIGRATE behind its timeout.
private struct MigrateOptions {
  var isCopy = false
  var replaces = false
  var keys: Range<Int>
  var timeoutMilliseconds: UInt64 = 1000
  private var database: Int64 = 0
  private var user: Int?
  private var password: Int?

  init(_ arguments: borrowing ArgumentList) throws(CommandFailure) {
    keys = 3..<4
    var i = 6
    while i < arguments.count {
      let left = arguments.count - i - 1
      if equalsIgnoringCase(arguments[i], "copy") {
        isCopy = true
      } else if equalsIgnoringCase(arguments[i], "replace") {
        replaces = true
      } else if equalsIgnoringCase(arguments[i], "auth"), left >= 1 {
        password = i + 1
        i += 1
      } else if equalsIgnoringCase(arguments[i], "auth2"), left >= 2 {
        user = i + 1
        password = i + 2
        i += 2
      } else if equalsIgnoringCase(arguments[i], "keys") {
        guard arguments[3].isEmpty else {
          throw .text("ERR When using MIGRATE KEYS option, the key argument must be set to the empty string")
        }
        keys = i + 1..<arguments.count
        break
      } else {
        throw .syntax
      }
      i += 1
    }
    guard let timeout = parseInteger(arguments[5]), let database = parseInteger(arguments[4]) else { throw .notInteger }
    if timeout > 0 { timeoutMilliseconds = UInt64(min(timeout, 86_400_000)) }
    self.database = database
  }

  func target(from arguments: borrowing ArgumentList) -> Migration.Target {
    var greeting: [[[UInt8]]] = []
    if let password {
      greeting.append(
        [Array("AUTH".utf8)] + (user.map { [Array(arguments[$0])] } ?? []) + [Array(arguments[password])])
    }
    greeting.append([Array("SELECT".utf8), Array("\(database)".utf8)])
    let port = parseInteger(arguments[2]).flatMap { 0...65535 ~= $0 ? Int($0) : nil } ?? 0
    return Migration.Target(
      host: decoded(arguments[1]), port: port, patience: .milliseconds(Int64(timeoutMilliseconds)), greeting: greeting)
  }
}

/// The keys of one MIGRATE and the records whose values were sent. On its client's event loop.
private final class MigrationBatch {
  let database: Int
  let isCopy: Bool
  private let store: LogStore
  private var keys: [(key: [UInt8], lsn: UInt64)] = []

  init(database: Int, isCopy: Bool, store: LogStore) {
    self.database = database
    self.isCopy = isCopy
    self.store = store
  }

  var isEmpty: Bool { keys.isEmpty }
  var count: Int { keys.count }
  func add(_ key: [UInt8], _ lsn: UInt64) { keys.append((key, lsn)) }

  /// Deletes what the target has taken, where it is still what was sent. Inside a batch of the executor.
  ///
  /// - Returns: the error for the client if a key stays.
  func deleteTaken(_ isTaken: [Bool], _ executor: Executor, _ session: Session) -> String? {
    guard executor.store === store else { return Self.stays("this node took over another log") }
    do throws(CommandFailure) {
      let changed = try executor.deleteUnchanged(zip(keys, isTaken).filter(\.1).map(\.0), in: database, for: session)
      return changed == 0 ? nil : Self.stays("\(changed) of the keys changed meanwhile; use REPLACE to send them again")
    } catch {
      return Self.stays("this node takes no writes any more")
    }
  }

  private static func stays(_ why: String) -> String {
    "TRYAGAIN the target has the values, and keys that it has stay here, too: \(why)"
  }
}
