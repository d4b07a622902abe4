import Core
import LogStore
import Logging
import Replication

// REPLICAOF NO ONE on a voter: its master's voters lose it first, by the order that makes it leave. Otherwise neither side
// would have a majority. On the loop of the link to the master.
extension Succession {
  private static let leaveStepMilliseconds: UInt64 = 20
  private static let leaveStepsMax = 250
  private static let leaveStepsMaxUnasked = 50

  /// Calls `done` with nil when this node is no voter of its master any more, or need not be asked; else with the reason why
  /// it stays.
  func leaveVoters(_ done: @escaping @Sendable (String?) -> Void) {
    loop.execute { [self] in
      guard isNamedVoter else { return done(nil) }
      let view = core.replication.upstream.view
      let isAsked = core.decidesByQuorum
      guard let master = view.master, view.isLinkUp, view.isInSync else {
        return done(isAsked ? staysBecause("its master does not answer") : nil)
      }
      call(["MS_VOTER", core.directory.node.description, "no"], master) { [self] result in
        switch result {
        case .success:
          awaitLeave(isAsked ? Self.leaveStepsMax : Self.leaveStepsMaxUnasked) { [self] isOut in
            if isOut {
              logger.notice(
                "the master took this node out of its voters", metadata: ["replication.master": "\(master)"])
            }
            done(isOut || !isAsked ? nil : staysBecause("a majority of the voters has not agreed yet"))
          }
        case .failure(let error): done(isAsked ? staysBecause(error.message) : nil)
        }
      }
    }
  }

  /// In the log as far as it is good here.
  private var isNamedVoter: Bool {
    let store = core.store
    return store.withWriteLock { _ in store.voters.count > 1 && store.voters.contains(core.directory.node) }
  }

  /// Until the record that takes this node out is committed: its own ack may be needed for that.
  private func awaitLeave(_ stepsLeft: Int, _ done: @escaping @Sendable (Bool) -> Void) {
    if !isNamedVoter { return done(true) }
    guard stepsLeft > 0, !isStopped, !core.isMaster else { return done(false) }
    loop.schedule(afterMilliseconds: Self.leaveStepMilliseconds) { [self] in awaitLeave(stepsLeft - 1, done) }
  }

  private func staysBecause(_ why: String) -> String {
    "this node is a voter of a row that commits by quorum and was not taken out of its voters: \(singleLine(why, bytesMax: 512)). "
      + "Without that neither side has a majority. Try again when the master answers, or give it MS_VOTER \(core.directory.node) "
      + "no; PROMOTE makes this node the master of the row, PROMOTE FORCE its only voter"
  }
}
