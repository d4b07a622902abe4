/// Computes how old the data is that a slave shows.
///
/// One writer numbers its writes 1, 2, 3, ... The **age** of a read is the time since the first write that was already
/// acknowledged when the read was sent, and that the read does not show; 0 if it shows them all. So an age is never more
/// than what the slave is surely behind: network time and writes still on their way do not count.
///
/// Times are nanoseconds on one monotonic clock, that of the process that measures: no clocks are compared.
/// Owned by the probe's event loop. Remembers the last `capacity` acknowledgements; a slave further behind than those
/// gets the age of the oldest one kept, which is less than the truth.
package struct StalenessTracker: Sendable {
  private struct Acknowledgement {
    let sequence: UInt64
    let nanoseconds: UInt64
  }
  private let capacity: Int
  private var kept: [Acknowledgement] = []

  package init(capacity: Int = 1 << 20) {
    precondition(capacity > 0)
    self.capacity = capacity
  }

  /// Write `sequence` was acknowledged at `nanoseconds`. Sequences grow; those of failed writes are left out.
  package mutating func acknowledged(_ sequence: UInt64, at nanoseconds: UInt64) {
    precondition(kept.last.map { $0.sequence < sequence } ?? true, "acknowledgements come in the order of the writes")
    if kept.count == capacity { kept.removeFirst(capacity / 2 + 1) }
    kept.append(Acknowledgement(sequence: sequence, nanoseconds: nanoseconds))
  }

  /// The age in nanoseconds of a read sent at `sentAt` that showed write `seen` (0: none of them). O(log capacity).
  package func age(seen: UInt64, sentAt: UInt64) -> UInt64 {
    var low = 0
    var high = kept.count
    while low < high {
      let middle = (low + high) / 2
      if kept[middle].sequence > seen { high = middle } else { low = middle + 1 }
    }
    guard low < kept.count, kept[low].nanoseconds < sentAt else { return 0 }
    return sentAt - kept[low].nanoseconds
  }
}
