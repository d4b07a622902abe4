import Commands
import Core
import Testing

@testable import Connection

/// Replies that wait, without their bytes.
struct HeldRepliesTests {
  private func gate(_ durable: UInt64) -> Gate { Gate(durable: durable) }
  private let now = Tick(milliseconds: 5)

  @Test func `they leave in the order in which they came, and their bytes are counted`() {
    var held = HeldReplies()
    held.append(gate(3), bytes: 10, replies: 2, since: now)
    held.append(gate(4), bytes: 5, replies: 1, since: now, isForwarded: true)
    #expect(held.count == 2)
    #expect(held.bytes == 15)
    #expect(held.first?.gate == gate(3))
    held.removeFirst()
    #expect(held.first == .init(gate: gate(4), bytes: 5, replies: 1, since: now, isForwarded: true))
    held.removeFirst()
    #expect(held.isEmpty)
    #expect(held.bytes == 0)
    #expect(held.first == nil)
  }

  @Test func `what has left takes no room for long`() {
    var held = HeldReplies()
    for i in 1...1000 {
      held.append(gate(UInt64(i)), bytes: 1, replies: 1, since: now)
      held.append(gate(UInt64(i)), bytes: 1, replies: 1, since: now)
      held.removeFirst()
    }
    #expect(held.count == 1000)
    #expect(held.bytes == 1000)
    #expect(held.first?.gate == gate(501))
  }
}
