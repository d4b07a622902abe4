// Raw memory: log records are read into a buffer of this function's own.
import Core
import LogStore
import Replication

extension LogStore {
  /// The sum of a piece of the log, record for record as it stands there; nil if the raw log does not have all of it.
  /// Reads at most `LogPiece.recordsMax` records. Any thread that may block.
  func sum(of piece: LogPiece, _ participant: EpochDomain.Participant) -> UInt64? {
    epochs.enter(participant)
    defer { epochs.leave(participant) }
    var buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 64)
    defer { buffer.deallocate() }
    var cursor = LogCursor(startingAt: piece.first)
    var (checksum, bytes) = (UInt32(0), 0)
    while cursor.next <= piece.last {
      let first = cursor.next
      var needed = 0
      guard let run = try? read(&cursor, upTo: piece.last, into: buffer, bytesNeeded: &needed) else {
        guard needed > buffer.count else { return nil }
        buffer.deallocate()
        buffer = .allocate(byteCount: needed, alignment: 64)
        continue
      }
      guard run.first == first else { return nil }
      checksum = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: buffer[0..<run.bytes]), seed: checksum)
      bytes += run.bytes
    }
    return LogPiece.sum(checksum: checksum, bytes: bytes)
  }
}
