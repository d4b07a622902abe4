import Commands
import Core

/// Replies that wait until what they tell of is good, oldest first: how far they wait and how large they are. Pure; the bytes
/// are kept by who sends them, in the same order.
///
/// Example: three SETs of one packet are one entry of three replies and 15 bytes, whose gate is the LSN of the third.
package struct HeldReplies {
  package struct Entry: Equatable {
    package let gate: Gate
    package let bytes: Int
    package let replies: Int
    package let since: Tick
    /// It comes from the master and is good there.
    package let isForwarded: Bool
  }
  private var entries: [Entry] = []
  /// Those before it have left.
  private var head = 0
  /// Of all entries.
  package private(set) var bytes = 0

  package init() {}

  package var isEmpty: Bool { head == entries.count }
  package var count: Int { entries.count - head }
  package var first: Entry? { isEmpty ? nil : entries[head] }

  package mutating func append(_ gate: Gate, bytes: Int, replies: Int, since: Tick, isForwarded: Bool = false) {
    self.bytes += bytes
    entries.append(Entry(gate: gate, bytes: bytes, replies: replies, since: since, isForwarded: isForwarded))
  }

  package mutating func removeFirst() {
    bytes -= entries[head].bytes
    head += 1
    if head == entries.count {
      entries.removeAll(keepingCapacity: true)
      head = 0
    } else if head > 64, head * 2 > entries.count {
      entries.removeSubrange(..<head)
      head = 0
    }
  }

  package mutating func removeAll() { self = HeldReplies() }
}
