import Commands
import Core
import Synchronization

/// What the commands of the server itself keep: the clients, the pause, the monitors, the slow log, the figures.
///
/// One per server, shared by all event loops; every part guards itself.
final class ServiceState: Sendable {
  let clients = ClientDirectory()
  let pause = ClientPause()
  /// Why the server itself holds writes back; see `WriteHold`.
  private let holdBits = Atomic<UInt8>(0)
  /// Held by whoever changes a reason to pause together with what makes the loops ask for it.
  private let pausing = Mutex<Void>(())
  let monitors = MonitorFeed()
  let slowLog = SlowLog()
  let statistics = ServerStatistics()
  let strangers = Strangers()
  /// What MIGRATEs hold at present.
  let migratingBytes = Atomic<Int>(0)
  private let attentionBits = Atomic<UInt8>(0)

  /// Read by every loop at the start of every batch.
  @inline(__always) var attention: Attention { Attention(rawValue: attentionBits.load(ordering: .relaxed)) }

  var holds: WriteHold { WriteHold(rawValue: holdBits.load(ordering: .acquiring)) }
  func hold(_ why: WriteHold) {
    pausing.withLock { _ in
      holdBits.bitwiseOr(why.rawValue, ordering: .sequentiallyConsistent)
      watch(.paused)
    }
  }
  func release(_ why: WriteHold) {
    _ = pausing.withLock { _ in holdBits.bitwiseAnd(~why.rawValue, ordering: .sequentiallyConsistent) }
  }
  func beginPause(until: Tick, all: Bool, now: Tick) {
    pausing.withLock { _ in
      pause.begin(until: until, all: all, now: now)
      watch(.paused)
    }
  }
  func endPause(now: Tick) {
    pausing.withLock { _ in
      pause.end()
      ignorePauseIfOver(now)
    }
  }
  /// Whether a command of a client has to wait now. When no reason is left, the loops stop asking.
  func holdsBack(writes: Bool, now: Tick) -> Bool {
    let isHeld = !holds.isEmpty
    if isHeld && writes || pause.holdsBack(writes: writes, now: now) { return true }
    if !isHeld, pause.current(now: now) == nil { pausing.withLock { _ in ignorePauseIfOver(now) } }
    return false
  }
  /// With `pausing` held: a reason that begins at the same moment is not forgotten.
  private func ignorePauseIfOver(_ now: Tick) {
    if holds.isEmpty, pause.current(now: now) == nil { ignore(.paused) }
  }

  func watch(_ what: Attention) { attentionBits.bitwiseOr(what.rawValue, ordering: .sequentiallyConsistent) }
  func ignore(_ what: Attention) { attentionBits.bitwiseAnd(~what.rawValue, ordering: .sequentiallyConsistent) }
}

/// Why the server itself lets writes wait in their connections, whatever CLIENT PAUSE says. Each reason begins and ends by
/// itself.
struct WriteHold: OptionSet, Sendable {
  let rawValue: UInt8
  /// FAILOVER: another node is about to take over.
  static let handover = WriteHold(rawValue: 1)
  /// The server ends, and slaves get the rest of the log.
  static let shutdown = WriteHold(rawValue: 2)
}

/// CLIENT PAUSE: until when which commands of clients wait.
final class ClientPause: Sendable {
  private struct State {
    var until = Tick(milliseconds: 0)
    var all = false
  }
  private let state = Mutex(State())

  /// A pause that lasts is never made shorter or weaker by another one, as in Redis.
  func begin(until: Tick, all: Bool, now: Tick) {
    state.withLock { state in
      if state.until <= now { state.all = false }
      state.until = max(state.until, until)
      state.all = state.all || all
    }
  }

  func end() { state.withLock { $0 = State() } }

  /// Whether a command has to wait now.
  func holdsBack(writes: Bool, now: Tick) -> Bool {
    state.withLock { now < $0.until && ($0.all || writes) }
  }

  /// nil when nothing is paused.
  func current(now: Tick) -> (until: Tick, all: Bool)? {
    state.withLock { now < $0.until ? ($0.until, $0.all) : nil }
  }
}
