import Core

@testable import Replication

func node(_ n: UInt8) -> NodeID { NodeID(random: [UInt8](repeating: n, count: NodeID.byteCount)) }
func at(_ milliseconds: UInt64) -> Tick { Tick(milliseconds: milliseconds) }
func wall(_ milliseconds: UInt64) -> WallClock { WallClock(milliseconds: milliseconds) }
func place(_ port: Int) -> NodeAddress { NodeAddress(host: "10.0.0.1", port: port)! }
/// Every term is node 1's.
func terms(_ entries: (UInt32, UInt64)...) -> TermHistory {
  TermHistory(entries.map { TermHistory.Entry(reign($0.0), firstLSN: LSN($0.1)) })!
}
func reign(_ term: UInt32, of n: UInt8 = 1) -> Reign { Reign(term: Term(term), owner: node(n)) }
/// Of a term that a node only voted in.
func unowned(_ term: UInt32) -> Reign { Reign(term: Term(term), owner: .unknown) }
func position(_ term: UInt32, _ lsn: UInt64, of n: UInt8 = 1) -> Position {
  Position(reign(term, of: n), lsn: LSN(lsn))
}

/// SplitMix64: the same numbers on every machine.
struct Seeded: RandomNumberGenerator {
  var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// All frames of these bytes, and the error that ended them.
func decodeAll(_ bytes: [UInt8], chunk: Int = .max) -> (frames: [(FrameHeader, [UInt8])], error: FrameError?, left: Int)
{
  var decoder = FrameDecoder()
  var frames: [(FrameHeader, [UInt8])] = []
  var start = 0
  var end = 0
  while true {
    do {
      let frame = try bytes[start..<end].withUnsafeBytes { try decoder.next($0) }
      if let frame {
        frames.append((frame.header, Array(bytes[(start + frame.body.lowerBound)..<(start + frame.body.upperBound)])))
        start += frame.consumed
        continue
      }
    } catch { return (frames, error as? FrameError, bytes.count - start) }
    if end == bytes.count { return (frames, nil, bytes.count - start) }
    end = chunk > bytes.count - end ? bytes.count : end + chunk
  }
}

/// A frame whose header fields were changed after the fact, with checksums made right again.
func forged(_ frame: [UInt8], _ change: (inout [UInt8]) -> Void) -> [UInt8] {
  var bytes = frame
  change(&bytes)
  var checksum = CRC32C.checksum(Array(bytes[8..<64]))
  withUnsafeBytes(of: &checksum) { for i in 0..<4 { bytes[4 + i] = $0[i] } }
  return bytes
}
func put32(_ value: UInt32, at offset: Int, _ bytes: inout [UInt8]) {
  for i in 0..<4 { bytes[offset + i] = UInt8(truncatingIfNeeded: value >> (8 * UInt32(i))) }
}
func put64(_ value: UInt64, at offset: Int, _ bytes: inout [UInt8]) {
  for i in 0..<8 { bytes[offset + i] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(i))) }
}
