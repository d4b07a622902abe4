// Raw memory: looks at error lines where they lie.
import Core
import Synchronization

/// Figures since the start or CONFIG RESETSTAT, the rates of the last second, and the errors by their code.
final class ServerStatistics: Sendable {
  struct Rates: Sendable {
    var commandsPerSecond: UInt64 = 0
    var inputBytesPerSecond: Double = 0
    var outputBytesPerSecond: Double = 0
  }
  private struct State {
    /// What had been counted at the last CONFIG RESETSTAT.
    var baseline = ServerFigures()
    var lastSample = ServerFigures()
    var lastSampleAt = Tick(milliseconds: 0)
    var rates = Rates()
    var errors: [String: UInt64] = [:]
    var memoryPeak: UInt64 = 0
    var protocolErrors: UInt64 = 0
    var saves: UInt64 = 0
    var saveSeconds: Int64 = -1
    var saveSucceeded = true
    var isSaving = false
    /// Seconds since 1970.
    var lastSave: UInt64 = 0
    var lastAttackWarning: Tick?
  }
  private let state = Mutex(State())

  /// Codes counted one by one; what a client could make up beyond that is counted together.
  private static let errorCodesMax = 128

  // MARK: Rates

  /// About once a second.
  func sample(_ figures: ServerFigures, memory: UInt64, now: Tick) {
    state.withLock { state in
      let milliseconds = now.since(state.lastSampleAt)
      guard milliseconds > 0 else { return }
      let delta = figures - state.lastSample
      if state.lastSampleAt.milliseconds > 0 {
        let seconds = Double(milliseconds) / 1000
        state.rates = Rates(
          commandsPerSecond: UInt64(Double(delta.commands) / seconds),
          inputBytesPerSecond: Double(delta.input) / seconds,
          outputBytesPerSecond: Double(delta.output) / seconds)
      }
      state.lastSample = figures
      state.lastSampleAt = now
      state.memoryPeak = max(state.memoryPeak, memory)
    }
  }
  var rates: Rates { state.withLock { $0.rates } }
  func memoryPeak(atLeast used: UInt64) -> UInt64 {
    state.withLock { state in
      state.memoryPeak = max(state.memoryPeak, used)
      return state.memoryPeak
    }
  }

  // MARK: Since CONFIG RESETSTAT

  func since(_ figures: ServerFigures) -> ServerFigures { state.withLock { figures - $0.baseline } }
  func reset(_ figures: ServerFigures) {
    state.withLock { state in
      state.baseline = figures
      state.errors = [:]
      state.protocolErrors = 0
    }
  }

  /// Counts an error reply by its code, `ERR` in `-ERR no such key`.
  func noteError(_ line: UnsafeRawBufferPointer) {
    let code = line.dropFirst().prefix(40).prefix { $0 > 0x20 }
    let name = String(decoding: code, as: UTF8.self)
    state.withLock { state in
      if state.errors[name] == nil, state.errors.count >= Self.errorCodesMax {
        state.errors["OTHER", default: 0] += 1
      } else {
        state.errors[name, default: 0] += 1
      }
    }
  }
  /// By code, in order.
  var errors: [(code: String, count: UInt64)] {
    state.withLock { $0.errors }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  // MARK: Protocol errors

  /// Counts one; true if a warning about an attack may be logged now: once a minute.
  func noteProtocolError(isAttack: Bool, now: Tick) -> Bool {
    state.withLock { state in
      state.protocolErrors += 1
      guard isAttack else { return false }
      if let last = state.lastAttackWarning, now.since(last) < 60_000 { return false }
      state.lastAttackWarning = now
      return true
    }
  }
  var protocolErrors: UInt64 { state.withLock { $0.protocolErrors } }

  // MARK: SAVE

  struct Saves: Sendable {
    let count: UInt64
    let isRunning: Bool
    let seconds: Int64
    let succeeded: Bool
    /// Seconds since 1970; 0 = none since the start.
    let last: UInt64
  }
  /// False if one is running.
  func beginSave() -> Bool {
    state.withLock { state in
      guard !state.isSaving else { return false }
      state.isSaving = true
      return true
    }
  }
  func endSave(succeeded: Bool, milliseconds: UInt64, wall: WallClock) {
    state.withLock { state in
      state.isSaving = false
      state.saveSucceeded = succeeded
      state.saveSeconds = Int64(milliseconds / 1000)
      if succeeded {
        state.saves += 1
        state.lastSave = wall.milliseconds / 1000
      }
    }
  }
  var saves: Saves {
    state.withLock {
      Saves(
        count: $0.saves, isRunning: $0.isSaving, seconds: $0.saveSeconds, succeeded: $0.saveSucceeded, last: $0.lastSave
      )
    }
  }
}
