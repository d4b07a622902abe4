import Core

/// Which bytes of log are sent and not yet acknowledged. Acks name LSNs, the window counts bytes, so it remembers after
/// how many bytes each frame ended. Small frames share a mark: at most `windowBytesMax / markBytes` marks are held.
package struct SendWindow: Hashable, Sendable {
  private struct Mark: Hashable {
    var lastLSN: LSN
    var bytes: UInt64
  }
  static let markBytes: UInt64 = 64 << 10
  private var marks: [Mark] = []
  private var firstMark = 0
  package private(set) var inFlightBytes: UInt64 = 0

  package init() {}

  package mutating func sent(upTo lsn: LSN, bytes: Int) {
    inFlightBytes += UInt64(bytes)
    if let last = marks.indices.last, last >= firstMark, marks[last].bytes < Self.markBytes {
      marks[last].lastLSN = lsn
      marks[last].bytes += UInt64(bytes)
    } else {
      marks.append(Mark(lastLSN: lsn, bytes: UInt64(bytes)))
    }
  }

  package mutating func acked(upTo lsn: LSN) {
    while firstMark < marks.count, marks[firstMark].lastLSN <= lsn {
      inFlightBytes -= marks[firstMark].bytes
      firstMark += 1
    }
    // Amortised O(1): the front is dropped when it is half of the list.
    if firstMark > 32, firstMark * 2 > marks.count {
      marks.removeFirst(firstMark)
      firstMark = 0
    }
  }
}
