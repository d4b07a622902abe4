import Commands
import Core
import Synchronization

/// What the commands of the server itself keep: the clients, the pause, the monitors, the slow log, the figures.
///
/// One per server, shared by all event loops; every part guards itself.
final class ServiceState: Sendable {
  let clients = ClientDirectory()
  let pause = ClientPause()
  /// A handover holds writes back.
  let handoverPauses = Atomic<Bool>(false)
  let monitors = MonitorFeed()
  let slowLog = SlowLog()
  let statistics = ServerStatistics()
  private let attentionBits = Atomic<UInt8>(0)

  /// Read by every loop at the start of every batch.
  @inline(__always) var attention: Attention { Attention(rawValue: attentionBits.load(ordering: .relaxed)) }

  func watch(_ what: Attention) { attentionBits.bitwiseOr(what.rawValue, ordering: .sequentiallyConsistent) }
  func ignore(_ what: Attention) { attentionBits.bitwiseAnd(~what.rawValue, ordering: .sequentiallyConsistent) }
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
