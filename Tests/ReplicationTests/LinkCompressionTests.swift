import Core
import Testing

@testable import Replication

@Suite struct LinkCompressionTests {
  /// Sends chunks of 1 MB on the wire, one every so many milliseconds.
  private struct Link {
    var policy: LinkCompression
    var now: UInt64 = 0
    init(_ negotiated: Capabilities = .all, isRateLimited: Bool = false) {
      policy = LinkCompression(negotiated: negotiated, isRateLimited: isRateLimited, now: Tick(milliseconds: 0))
    }
    mutating func send(_ chunks: Int, isFull: Bool, millisecondsEach: UInt64) -> Compression {
      for _ in 0..<chunks {
        now += millisecondsEach
        policy.sent(wireBytes: 1 << 20, linkIsFull: isFull, now: Tick(milliseconds: now))
      }
      return policy.chooser.method
    }
  }

  @Test func beginsLight() { #expect(Link().policy.chooser.method == .lz4) }

  @Test func aLinkThatIsNeverFullGetsPlainBytes() {
    var link = Link()
    #expect(link.send(8, isFull: false, millisecondsEach: 2) == .none)
  }

  @Test func aFullSlowLinkGetsTheDenseMethodAndKeepsIt() {
    var link = Link()
    #expect(link.send(8, isFull: true, millisecondsEach: 100) == .zstd)
    #expect(link.send(8, isFull: false, millisecondsEach: 100) == .zstd)
  }

  @Test func aLinkThatBecameFasterIsTriedAgainAfterAWhile() {
    var link = Link()
    #expect(link.send(8, isFull: true, millisecondsEach: 100) == .zstd)
    #expect(link.send(8 * (LinkCompression.floorDecisions + 3), isFull: false, millisecondsEach: 1) == .none)
  }

  @Test func aFullFastLinkIsTheOtherSidesProcessorAndStaysAsItIs() {
    var link = Link()
    #expect(link.send(8, isFull: true, millisecondsEach: 2) == .lz4)
  }

  @Test func aRateLimitMakesBytesScarce() {
    var link = Link(isRateLimited: true)
    #expect(link.policy.chooser.method == .zstd)
    #expect(link.send(64, isFull: false, millisecondsEach: 1) == .zstd)
  }

  @Test func onlyWhatBothSidesKnowIsUsed() {
    #expect(Link([.zstd]).policy.chooser.method == .zstd)
    var link = Link([.files])
    #expect(link.send(8, isFull: true, millisecondsEach: 100) == .none)
  }
}
