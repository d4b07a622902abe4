import Logging
import Synchronization

/// The log level of the whole process, which `--loglevel` sets at the start and CONFIG SET may change.
package enum LogLevelSwitch {
  private static let index = Atomic<Int>(Logger.Level.allCases.firstIndex(of: .info) ?? 0)

  package static var level: Logger.Level {
    get { Logger.Level.allCases[index.load(ordering: .relaxed)] }
    set {
      guard let position = Logger.Level.allCases.firstIndex(of: newValue) else { return }
      index.store(position, ordering: .relaxed)
    }
  }
}
