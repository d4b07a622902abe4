// Raw memory: atomics at fixed addresses.
import Core
import Synchronization

/// How far the log goes, in five senses, each position on its own cache line.
public final class LogPositions: @unchecked Sendable {
  // Safe to share: atomics.
  @usableFromInline let words: UnsafeMutablePointer<Atomic<UInt64>>
  init() {
    words = .allocate(capacity: 40)
    for i in 0..<40 { (words + i).initialize(to: Atomic(0)) }
  }
  deinit { words.deallocate() }
  /// In the log's memory.
  @inlinable @inline(__always) public var appended: LSN { LSN(words[0].load(ordering: .acquiring)) }
  /// Handed to the operating system: survives the end of the process.
  @inlinable @inline(__always) public var written: LSN { LSN(words[8].load(ordering: .acquiring)) }
  /// Flushed to disk: survives a power cut.
  @inlinable @inline(__always) public var durable: LSN { LSN(words[16].load(ordering: .acquiring)) }
  /// Good at its commit level.
  @inlinable @inline(__always) public var committed: LSN { LSN(words[24].load(ordering: .acquiring)) }
  /// In the key index, visible to reads here.
  @inlinable @inline(__always) public var applied: LSN { LSN(words[32].load(ordering: .acquiring)) }

  @inlinable @inline(__always) func set(appended lsn: LSN) { words[0].store(lsn.value, ordering: .releasing) }
  func set(written lsn: LSN) { words[8].store(lsn.value, ordering: .releasing) }
  func set(durable lsn: LSN) { words[16].store(lsn.value, ordering: .releasing) }
  public func set(committed lsn: LSN) { words[24].store(lsn.value, ordering: .releasing) }
  @inlinable @inline(__always) func set(applied lsn: LSN) { words[32].store(lsn.value, ordering: .releasing) }
}
