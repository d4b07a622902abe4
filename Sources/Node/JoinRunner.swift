import Core
import LogStore
import Logging
import Replication

/// A start without data where `--peers` names the row: carries out what `Joining` decides. Clients may come in meanwhile: the
/// node is a slave without a master, and says what it waits for.
///
/// Lives on the loop of the link to the master.
final class JoinRunner: @unchecked Sendable {
  // Safe to share: touched on the loop only.
  private unowned let succession: Succession
  private var machine: Joining
  private var ticking: (any Cancellable)?

  init(_ succession: Succession, _ facts: Joining.Facts) {
    self.succession = succession
    machine = Joining(facts)
  }

  private var core: NodeCore { succession.core }

  func start() {
    step(.start)
    guard succession.join === self else { return }
    ticking = succession.loop.every(milliseconds: 100) { [weak self] in self?.tick() }
  }

  private func tick() {
    guard !succession.isStopped, !core.isMaster, core.replication.upstream.view.master == nil else { return end() }
    step(.tick)
  }

  private func end() {
    ticking?.cancel()
    ticking = nil
    succession.ended(self)
  }

  private func step(_ event: Joining.Event) {
    guard succession.join === self, !core.isMaster, core.replication.upstream.view.master == nil else { return }
    for action in machine.step(event, now: core.host.monotonic) {
      switch action {
      case .ask(let address):
        succession.ask(address) { [weak self] result in
          switch result {
          case .success(let state): self?.step(.answered(from: address, state))
          case .failure(let error): self?.step(.failed(from: address, error.message))
          }
        }
      case .follow(let address):
        core.logger.notice("the row of its peers has a master", metadata: ["replication.master": "\(address)"])
        end()
        core.becomeSlave(of: address, .configured)
        core.remember(.slave(of: address))
      case .begin: begin()
      case .say(let text):
        core.logger.warning("this node waits before it joins its row", metadata: ["peers.state": "\(text)"])
      }
    }
    core.joining.withLock { $0 = succession.join === self ? machine.waiting : nil }
  }

  private func begin() {
    end()
    do {
      try core.beginReign(core.knownTerm.advanced())
      core.logger.notice(
        "this node begins the row: it is the first of its peers, and those that answer are empty",
        metadata: ["replication.term": "\(core.term)"])
    } catch {
      core.logger.error("the new term could not be begun", metadata: ["error": "\(error)"])
      succession.joinAgain()
    }
    core.host.stateChanged()
  }
}

extension Succession {
  /// `done` at once: clients are answered while this node asks.
  func join(as role: Role, _ done: @escaping @Sendable ((any Error)?) -> Void) {
    loop.execute { [self] in
      core.stepDown(for: core.ownAddress)
      beginJoin(role)
      done(nil)
    }
  }

  private func beginJoin(_ role: Role) {
    var facts = Joining.Facts(
      id: core.directory.node, address: core.ownAddress, peers: core.configuration.peers)
    if case .slave(let master) = role { facts.master = master }
    let runner = JoinRunner(self, facts)
    join = runner
    core.joining.withLock { $0 = "for the first answers of its peers" }
    runner.start()
  }

  func joinAgain() {
    core.stepDown(for: core.ownAddress)
    loop.schedule(afterMilliseconds: 1000) { [self] in
      guard !isStopped, join == nil, !core.isMaster, core.replication.upstream.view.master == nil else { return }
      beginJoin(.master)
    }
  }

  func ended(_ runner: JoinRunner) {
    guard join === runner else { return }
    join = nil
    core.joining.withLock { $0 = nil }
    core.host.stateChanged()
  }

  var isJoining: Bool { core.joining.withLock { $0 } != nil }

  /// Who is asked at a start: the nodes that this one knew, and those that the row is named by.
  var addressesAtStart: [NodeAddress] {
    let known = knownNodes.map(\.address)
    return known + core.configuration.peers.filter { !known.contains($0) && $0 != core.ownAddress }
  }
}

extension NodeCore {
  /// What this node waits for before it joins its row; nil: it does not.
  package var waitsForPeers: String? {
    // An order that gave the node a role ended the wait, also before the runner looked again.
    guard !isMaster, replication.upstream.view.master == nil else { return nil }
    return joining.withLock { $0 }
  }

  /// The row is named, and this node has no data that would tell it more.
  var asksPeers: Bool {
    guard !configuration.peers.isEmpty else { return false }
    let store = self.store
    store.writeLock.lock()
    defer { store.writeLock.unlock() }
    return !hasData(store)
  }
}
