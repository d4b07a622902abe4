import Core
import LogStore
import Replication
import Testing

@testable import Node

/// The role of a running node: how it is told, and what a restart makes of it.
@Suite struct RoleTests {
  private static let own = NodeAddress(host: "10.0.0.1", port: 7401)!
  private static let other = NodeAddress(host: "10.0.0.2", port: 7401)!

  private func node(_ change: (inout NodeConfiguration) -> Void = { _ in }) throws -> SingleNode {
    var configuration = NodeConfiguration(address: Self.own)
    configuration.store.segmentBytes = 64 << 10
    change(&configuration)
    return try SingleNode(configuration)
  }

  /// Starts it and waits until clients may come in.
  private func start(_ node: SingleNode, as role: Role) throws {
    // Safe to share: a test has one thread.
    nonisolated(unsafe) var failure: (any Error)??
    node.core.start(role) { failure = .some($0) }
    node.pass(milliseconds: 2000)
    let answer = try #require(failure)
    #expect(answer == nil)
  }

  @Test func whoReadsMasterFindsWritesTakenAndWhoIsRefusedReadsSlave() throws {
    let node = try node()
    // Safe to share: a test has one thread.
    nonisolated(unsafe) var hints: [Bool] = []
    let core = node.core!
    node.hinted = { yes in
      hints.append(yes)
      // The hint is out before anybody reads `master`, and taken back after everybody reads `slave`.
      #expect(!core.isMaster)
      #expect(core.store.isReplica == !yes)
    }
    try start(node, as: .master)
    #expect(core.isMaster && !core.store.isReplica && core.term == Term(1))

    // Safe to share: a test has one thread.
    nonisolated(unsafe) var isOrdered = false
    core.replicaOf(Self.other) { isOrdered = true }
    node.run()
    #expect(isOrdered && core.role == .slave(of: Self.other) && core.store.isReplica)

    // Safe to share: a test has one thread.
    nonisolated(unsafe) var failure: (any Error)??
    core.becomeMaster { failure = .some($0) }
    node.run()
    #expect(try #require(failure) == nil)
    #expect(core.isMaster && !core.store.isReplica && core.term > Term(1))
    #expect(hints == [false, true])
  }

  @Test func aRestartGoesOnInTheRoleThatTheNodeChangedTo() throws {
    let node = try node()
    try start(node, as: .master)
    node.core.replicaOf(Self.other) {}
    node.run()
    #expect(node.core.directory.current.role == "10.0.0.2/7401" && node.core.directory.current.startRole == "self")
    #expect(node.core.rememberedRole == .slave(of: Self.other))
    // Started otherwise than then: what it was started with counts.
    node.startRole = .slave(of: Self.own)
    #expect(node.core.rememberedRole == nil)
  }

  @Test func anOrderToFollowNobodyIsUndoneAndTheReignComesBack() throws {
    let node = try node()
    try start(node, as: .master)
    node.core.replicaOf(Self.other) {}
    node.pass(milliseconds: 10_000)
    #expect(!node.core.isMaster)
    node.pass(milliseconds: 10_000)
    #expect(node.core.isMaster && node.core.replicaOfError.withLock { $0 }.contains("no node answers"))
  }

  /// MS_STATE, votes and hearsay only look: what is not on disk stays so.
  @Test func whatIsReadOfANodeDoesNotBringItsLogToDisk() throws {
    let node = try node { $0.commit = CommitSetting(level: .quorum) }
    try start(node, as: .master)
    let store = node.core.store
    let done = store.withWriteLock { access in store.setVoters([node.core.directory.node], access) }
    #expect(done && store.positions.appended > store.positions.durable)
    let durable = store.positions.durable
    let succession = node.core.succession!
    _ = (succession.votersAsked, succession.hearsMajority, succession.isRowHealthy, succession.readFacts())
    _ = succession.ownState
    #expect(store.positions.durable == durable)
  }

  @Test(arguments: ["", "nobody", "10.0.0.1", "10.0.0.1/0", "10.0.0.1/x", "/7401", "a/b/7401"])
  func otherTextIsNoRole(text: String) { #expect(Role(persisted: text) == nil) }

  @Test(arguments: [Role.master, .slave(of: other), .slave(of: NodeAddress(host: "fe80::1", port: 1)!)])
  func aRoleIsReadAsItWasWritten(role: Role) { #expect(Role(persisted: role.persisted) == role) }
}
