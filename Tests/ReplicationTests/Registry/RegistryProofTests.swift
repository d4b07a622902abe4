import Core
import Testing

@testable import Replication

/// What the registry makes of slaves that have shown what they hold, or not.
@Suite struct RegistryProofTests {
  @Test func whatASlaveHasShownCountsOnThatConnectionOnly() {
    var registry = RegistryTests().registry
    RegistryTests().streaming(&registry, RegistryTests.a, 1, hasShown: false)
    #expect(registry.countingAcks.isEmpty && registry.list.slaves.isEmpty)
    _ = registry.step(.proved(RegistryTests.a, .data), now: at(0))
    #expect(registry.countingAcks.count == 1 && registry.list.slaves.count == 1)
    RegistryTests().streaming(&registry, RegistryTests.b, 1, hasShown: false)
    #expect(registry.slave(node(1))?.state.link == RegistryTests.a, "the other was heard of a moment ago")
    RegistryTests().streaming(&registry, RegistryTests.b, 1, hasShown: false, now: at(2000))
    #expect(registry.slave(node(1))?.state.link == RegistryTests.b && registry.countingAcks.isEmpty)
    _ = registry.step(.proved(RegistryTests.a, .data), now: at(2000))
    #expect(registry.countingAcks.isEmpty)
  }

  @Test func whoHasShownNothingIsForgottenWhenItGoes() {
    var registry = RegistryTests().registry
    _ = registry.step(.register(RegistryTests.a, RegistryTests.request(1), RegistryTests.master()), now: at(0))
    _ = registry.step(.linkClosed(RegistryTests.a), now: at(1))
    #expect(registry.slaves.isEmpty)
    RegistryTests().streaming(&registry, RegistryTests.a, 1, hasShown: false)
    let actions = registry.step(.linkClosed(RegistryTests.a), now: at(1))
    #expect(
      registry.slaves.isEmpty && registry.pinnedLSN(now: at(1)) == nil
        && actions.contains { if case .pinReleased = $0 { true } else { false } })
    // A first sync that was cut is gone on with.
    _ = registry.step(.register(RegistryTests.a, RegistryTests.request(1), RegistryTests.master()), now: at(0))
    _ = registry.step(.planned(RegistryTests.a, RegistryTests.plan(.full), pinFrom: LSN(901)), now: at(0))
    _ = registry.step(.linkClosed(RegistryTests.a), now: at(1))
    #expect(registry.slaves.map(\.id) == [node(1)] && registry.pinnedLSN(now: at(1)) == LSN(901))
    _ = registry.step(.leaseTick, now: at(48 * 3_600_000))
    #expect(registry.slaves.isEmpty)
  }

  /// Three times with an empty directory at one address: of a row of ghosts nothing stays, and no log is held for them.
  @Test func whoseAddressAnotherNodeHasIsForgottenUnlessItVotes() {
    var registry = RegistryTests().registry
    for (id, link) in [(1 as UInt8, RegistryTests.a), (2, RegistryTests.b)] {
      _ = registry.step(
        .register(link, RegistryTests.request(id) { $0.address = place(7500) }, RegistryTests.master()), now: at(0))
      _ = registry.step(.planned(link, RegistryTests.plan(), pinFrom: LSN(901)), now: at(0))
      _ = registry.step(.streaming(link), now: at(0))
      if id == 1 {
        _ = registry.step(.proved(link, .data), now: at(0))
        _ = registry.step(.linkClosed(link), now: at(0))
      }
    }
    #expect(registry.step(.reviewReplaced(voters: []), now: at(9000)) == [], "the new one has shown nothing")
    _ = registry.step(.proved(RegistryTests.b, .data), now: at(0))
    #expect(registry.step(.reviewReplaced(voters: []), now: at(1000)) == [], "it may come back")
    #expect(registry.step(.reviewReplaced(voters: [node(1)]), now: at(9000)) == [], "it votes")
    #expect(!registry.step(.reviewReplaced(voters: [node(2)]), now: at(9000)).isEmpty)
    #expect(registry.slaves.map(\.id) == [node(2)])
  }
}
