// Raw memory: replies are written straight into memory that the buffer owns; every store is behind `reserve`.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The replies of one connection's read event, one after the other, in one piece of memory.
///
/// Owned by one connection (or one event loop) and passed `inout`; never shared between threads. Growing doubles the
/// memory; writing n bytes costs O(n). What each method writes is in `ReplyWriter.swift`.
/// Invariant: `count <= capacity`, and the bytes below `count` are initialised.
public struct ReplyBuffer: ~Copyable {
  @usableFromInline var memory: UnsafeMutableRawPointer
  @usableFromInline var used = 0
  @usableFromInline var capacity: Int
  /// 2 or 3, as the client chose with `HELLO`.
  public var protocolVersion: UInt8

  /// An empty buffer with room for `capacity` bytes.
  public init(capacity: Int = 4096, protocolVersion: UInt8 = 2) {
    self.capacity = max(capacity, 64)
    self.protocolVersion = protocolVersion
    memory = Self.resized(nil, to: self.capacity)
  }

  deinit { free(memory) }

  /// Bytes written and not yet removed.
  @inlinable public var count: Int { @inline(__always) get { used } }

  /// The bytes written. Valid until the next change of the buffer.
  @inlinable public var bytes: UnsafeRawBufferPointer {
    @inline(__always) get { UnsafeRawBufferPointer(start: memory, count: used) }
  }

  /// Memory that the buffer holds.
  public var byteCapacity: Int { capacity }

  /// Forgets all replies. With `keepingCapacity` false, memory beyond 4 KiB is given back.
  public mutating func removeAll(keepingCapacity: Bool = true) {
    used = 0
    if !keepingCapacity { shrink(toAtMost: 4096) }
  }

  /// Forgets all replies and keeps at most `bytes` of memory for the next ones.
  public mutating func removeAll(retainingAtMost bytes: Int) {
    used = 0
    if _slowPath(capacity > bytes) { shrink(toAtMost: bytes) }
  }

  /// Takes back everything written after the buffer held `count` bytes (a reply that turned out otherwise).
  public mutating func truncate(to count: Int) {
    precondition(count >= 0 && count <= used, "truncate beyond what was written")
    used = count
  }

  /// Makes room for `bytes` more.
  @inlinable @inline(__always)
  public mutating func reserve(_ bytes: Int) {
    if _slowPath(capacity &- used < bytes) { grow(by: bytes) }
  }

  /// Where the next byte goes. Only after `reserve`.
  @inlinable var cursor: UnsafeMutableRawPointer { @inline(__always) get { memory + used } }

  @usableFromInline @inline(never)
  mutating func grow(by bytes: Int) {
    // Sizes are those of values in memory: their sum stays far below 2^63.
    let larger = max(used + bytes, capacity * 2)
    memory = Self.resized(memory, to: larger)
    capacity = larger
  }

  private mutating func shrink(toAtMost bytes: Int) {
    let smaller = max(bytes, 64)
    guard capacity > smaller else { return }
    free(memory)
    memory = Self.resized(nil, to: smaller)
    capacity = smaller
  }

  private static func resized(_ memory: UnsafeMutableRawPointer?, to bytes: Int) -> UnsafeMutableRawPointer {
    guard let new = realloc(memory, bytes) else { fatalError("out of memory: \(bytes) bytes for replies") }
    return new
  }

  // MARK: - Stores shared by the writers. Room must have been reserved.

  @inlinable @inline(__always)
  mutating func putByte(_ byte: UInt8) {
    cursor.storeBytes(of: byte, as: UInt8.self)
    used &+= 1
  }

  @inlinable @inline(__always)
  mutating func putLineEnd() {
    cursor.storeBytes(of: UInt16(0x0A0D).littleEndian, as: UInt16.self)
    used &+= 2
  }

  @inlinable @inline(__always)
  mutating func putBytes(_ source: UnsafeRawPointer, _ count: Int) {
    cursor.copyMemory(from: source, byteCount: count)
    used &+= count
  }

  @inline(__always)
  mutating func putUnsigned(_ value: UInt64) { used &+= formatUnsigned(value, at: cursor) }

  /// `kind`, a count or length, CR LF: at most 23 bytes.
  @inline(__always)
  mutating func putHeader(_ kind: UInt8, _ value: Int) {
    putByte(kind)
    if _fastPath(value >= 0) {
      putUnsigned(UInt64(value))
    } else {
      used &+= formatInteger(Int64(value), at: cursor)
    }
    putLineEnd()
  }
}
