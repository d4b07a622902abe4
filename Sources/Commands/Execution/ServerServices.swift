// Raw memory: hands views of error lines through; none outlives its call.
import Core
import LogStore
import RESP

/// What commands ask of the host around the executor: the server, or a node of the simulator. Never on the path of data
/// commands. The commands that a host serves itself are rows of its table (`CommandFunction.served`).
package protocol ServerServices: AnyObject, Sendable {
  /// The whole error line for a write on a slave: names the master.
  func readOnlyError() -> String
  /// Feeds MONITOR clients. Called only while `Executor.attention` has `.monitors`.
  func feedMonitors(_ line: String)
  /// What AUTH must present; nil if none is configured.
  var password: [UInt8]? { get }
  /// The version of Redis whose commands these are, as HELLO names it.
  var redisVersion: String { get }
  /// `master` or `replica`, as HELLO names it.
  var roleName: String { get }
  /// Microseconds of a clock that only goes forward, for SLOWLOG.
  var stopwatch: UInt64 { get }
  /// The same in nanoseconds, for the latencies of commands.
  var nanoseconds: UInt64 { get }
  /// The clock that decides what has expired, as of now; nil where a batch's own is good enough.
  var expiryClock: WallClock? { get }
  /// A command ran for so long. Called for commands that may take long, and for all with `.timed`.
  func finished(
    _ row: CommandRow, _ arguments: borrowing ArgumentList, _ session: Session, microseconds: UInt64)
  /// An error reply was written: `line` begins with `-`.
  func noteError(_ line: UnsafeRawBufferPointer)
  /// CLIENT PAUSE: whether a command has to wait. Called only with `.paused`.
  func holdsBack(writes: Bool, now: Tick) -> Bool
  /// Until when a command may wait for a majority of the voters to be heard of again; nil: it was not heard of for too long.
  /// Called only with `.unconfirmed`.
  func leaseDeadline(now: Tick) -> Tick?
  /// The level that every write has at least.
  var level: RecordLevel { get }
  /// How many slaves `fullsync` waits for.
  var fullsyncSlaves: Int { get }
  /// The whole error line for a read here if what it would show is older than the bound; nil if it is not.
  func staleness(beyond bound: StalenessBound, _ store: LogStore, now: Tick) -> String?
}

/// A server that keeps no figures and never pauses.
extension ServerServices {
  package var stopwatch: UInt64 { 0 }
  package var nanoseconds: UInt64 { 0 }
  package var expiryClock: WallClock? { nil }
  package func finished(
    _ row: CommandRow, _ arguments: borrowing ArgumentList, _ session: Session, microseconds: UInt64
  ) {}
  package func noteError(_ line: UnsafeRawBufferPointer) {}
  package func holdsBack(writes: Bool, now: Tick) -> Bool { false }
  package func leaseDeadline(now: Tick) -> Tick? { nil }
  package var level: RecordLevel { .async }
  package var fullsyncSlaves: Int { 1 }
  package func staleness(beyond bound: StalenessBound, _ store: LogStore, now: Tick) -> String? { nil }
}
