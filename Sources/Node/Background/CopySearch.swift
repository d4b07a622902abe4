import Core
import Replication

/// Gets copies of single records from other nodes, one node after the other, until none is missing or all were asked. In
/// steps; owned by a machine of background work.
struct CopySearch {
  private(set) var copies: [LSN: [UInt8]]
  /// Why nodes gave nothing.
  private(set) var reasons: [String] = []
  private let wanted: [LSN]
  private let lineage: String
  private let host: any NodeHost
  private let duty: BackgroundDuty
  private var nodes: ArraySlice<NodeAddress>
  private var asked: Asked?

  private struct Asked {
    let node: NodeAddress
    let peer: PeerRecords
    var ranges: ArraySlice<ClosedRange<LSN>>
    var from: LSN
  }

  /// - Parameter copies: what is there already.
  init(
    _ wanted: [LSN], copies: [LSN: [UInt8]] = [:], of lineage: NodeID, from nodes: [NodeAddress], host: any NodeHost,
    duty: BackgroundDuty
  ) {
    self.wanted = wanted.sorted()
    self.copies = copies
    self.lineage = lineage.description
    self.host = host
    self.duty = duty
    self.nodes = nodes[...]
  }

  /// True when all that can be had is there; false: an answer is on its way.
  mutating func step() -> Bool {
    while true {
      if let asked {
        do throws(PeerRecords.Failure) {
          guard let answer = try asked.peer.take() else { return false }
          try take(answer, asked)
        } catch {
          reasons.append("\(asked.node): \(error)")
          self.asked = nil
        }
        continue
      }
      let missing = missingRanges
      guard !missing.isEmpty, let node = nodes.popFirst() else { return true }
      let peer = PeerRecords(node, host: host, wakes: duty)
      ask(Asked(node: node, peer: peer, ranges: missing[...], from: missing[0].lowerBound))
    }
  }

  private mutating func ask(_ next: Asked) {
    asked = next
    guard let range = next.ranges.first else {
      asked = nil
      return
    }
    next.peer.ask(["MS_FETCH_RECORDS", lineage, next.from.description, range.upperBound.description])
  }

  private mutating func take(_ answer: RecordsAnswer, _ asked: Asked) throws(PeerRecords.Failure) {
    var asked = asked
    guard let range = asked.ranges.first else { return self.asked = nil }
    for bytes in answer.records {
      // The LSN stands at byte 16; everything is verified before it is used.
      guard bytes.count >= 32 else {
        throw PeerRecords.Failure(description: "the node sent a record of \(bytes.count) bytes")
      }
      let lsn = LSN((0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[16 + $1]) << (8 * UInt64($1)) })
      guard range.contains(lsn) else {
        throw PeerRecords.Failure(description: "the node sent LSN \(lsn), which was not asked for")
      }
      if copies[lsn] == nil { copies[lsn] = bytes }
    }
    if answer.next > asked.from, answer.next <= range.upperBound {
      asked.from = answer.next
    } else {
      asked.ranges.removeFirst()
      asked.from = asked.ranges.first?.lowerBound ?? .none
    }
    ask(asked)
  }

  /// What is missing, neighbours together.
  private var missingRanges: [ClosedRange<LSN>] {
    var ranges: [ClosedRange<LSN>] = []
    for lsn in wanted where copies[lsn] == nil {
      if let last = ranges.last, last.upperBound.next == lsn {
        ranges[ranges.count - 1] = last.lowerBound...lsn
      } else {
        ranges.append(lsn...lsn)
      }
    }
    return ranges
  }
}
