// Raw memory: looks at arguments where they lie; none outlives its command.
import Commands
import Core
import LogStore
import RESP

// Words of DEBUG that damage a node on purpose. Debug builds have them, and release builds that were made with
// PACELINE_SABOTAGE=1, as scripts/test makes them; a user's build has not.
#if DEBUG || PACELINE_SABOTAGE
  extension ServerCore {
    /// True if the word was one of sabotage.
    func sabotage(
      _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
    ) throws(CommandFailure) -> Bool {
      guard arguments.count >= 3,
        equalsIgnoringCase(arguments[1], "index-drop") || equalsIgnoringCase(arguments[1], "index-point")
      else { return false }
      try breakIndex(arguments, executor, session)
      return true
    }

    static let sabotageHelp = """
      INDEX-DROP <key> [SILENT]
          On a slave: take `key` out of the key index, with SILENT without its digest, so that it must be repaired.
      INDEX-POINT <lsn>
          On a slave: let the key index point at the record with this LSN, whatever came after it.

      """

    /// DEBUG INDEX-DROP key [SILENT], DEBUG INDEX-POINT lsn: damage that must be found and repaired. On a slave only, whose
    /// master has the data.
    private func breakIndex(
      _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
    ) throws(CommandFailure) {
      guard !isMaster else { throw .text("ERR only a slave's index can be damaged on purpose") }
      let isDrop = equalsIgnoringCase(arguments[1], "index-drop")
      let isSilent = arguments.count == 4 && equalsIgnoringCase(arguments[3], "silent")
      guard arguments.count == 3 || isDrop && isSilent else { throw .syntax }
      var lsn: Int64 = 0
      if !isDrop {
        guard let number = parseInteger(arguments[2]), number > 0 else { throw .notInteger }
        lsn = number
      }
      let isDone = still(executor) { store, access in
        isDrop
          ? store.breakIndex(dropping: arguments[2], database: session.database, silently: isSilent, access)
          : store.breakIndex(pointingAt: LSN(UInt64(lsn)), access)
      }
      guard isDone else { throw .noSuchKey }
      executor.reply.ok()
    }
  }
#else
  extension ServerCore {
    func sabotage(
      _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
    ) throws(CommandFailure) -> Bool { false }
    static let sabotageHelp = ""
  }
#endif
