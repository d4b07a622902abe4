// Raw memory: fixed-width little-endian integers at unaligned addresses.

extension UnsafeRawPointer {
  @inlinable @inline(__always) public func u8(_ offset: Int) -> UInt8 { load(fromByteOffset: offset, as: UInt8.self) }
  @inlinable @inline(__always) public func u16(_ offset: Int) -> UInt16 {
    UInt16(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }
  @inlinable @inline(__always) public func u32(_ offset: Int) -> UInt32 {
    UInt32(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }
  @inlinable @inline(__always) public func u64(_ offset: Int) -> UInt64 {
    UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
}

extension UnsafeMutableRawPointer {
  @inlinable @inline(__always) public func put(_ value: UInt8, at offset: Int) {
    storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
  }
  @inlinable @inline(__always) public func put(_ value: UInt16, at offset: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt16.self)
  }
  @inlinable @inline(__always) public func put(_ value: UInt32, at offset: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt32.self)
  }
  @inlinable @inline(__always) public func put(_ value: UInt64, at offset: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt64.self)
  }
}

/// Builds small binary messages and file headers. Little endian, fixed width.
public struct ByteWriter: Sendable {
  public private(set) var bytes: [UInt8] = []
  public init(capacity: Int = 64) { bytes.reserveCapacity(capacity) }
  public mutating func u8(_ v: UInt8) { bytes.append(v) }
  public mutating func u16(_ v: UInt16) { withUnsafeBytes(of: v.littleEndian) { bytes.append(contentsOf: $0) } }
  public mutating func u32(_ v: UInt32) { withUnsafeBytes(of: v.littleEndian) { bytes.append(contentsOf: $0) } }
  public mutating func u64(_ v: UInt64) { withUnsafeBytes(of: v.littleEndian) { bytes.append(contentsOf: $0) } }
  public mutating func raw(_ v: some Sequence<UInt8>) { bytes.append(contentsOf: v) }
  /// A string with its length in two bytes before it; longer than 65,535 bytes is a broken invariant.
  public mutating func string(_ v: String) {
    precondition(v.utf8.count <= Int(UInt16.max), "a coded string has at most 65535 bytes, this one \(v.utf8.count)")
    u16(UInt16(v.utf8.count))
    bytes.append(contentsOf: v.utf8)
  }
}

/// Reads what `ByteWriter` wrote. Every read checks its bounds: the bytes may come from anywhere.
public struct ByteReader {
  public struct Truncated: Error, CustomStringConvertible {
    public let offset: Int
    public let wanted: Int
    public var description: String { "\(wanted) bytes wanted at offset \(offset), but the data ends before" }
  }
  private let bytes: [UInt8]
  public private(set) var offset: Int
  public init(_ bytes: [UInt8], offset: Int = 0) {
    self.bytes = bytes
    self.offset = offset
  }
  public var remaining: Int { bytes.count - offset }
  private mutating func integer<T: FixedWidthInteger>(_: T.Type) throws(Truncated) -> T {
    let width = MemoryLayout<T>.size
    guard remaining >= width else { throw Truncated(offset: offset, wanted: width) }
    let at = offset
    offset += width
    return bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: T.self)) }
  }
  public mutating func u8() throws(Truncated) -> UInt8 { try integer(UInt8.self) }
  public mutating func u16() throws(Truncated) -> UInt16 { try integer(UInt16.self) }
  public mutating func u32() throws(Truncated) -> UInt32 { try integer(UInt32.self) }
  public mutating func u64() throws(Truncated) -> UInt64 { try integer(UInt64.self) }
  public mutating func raw(_ count: Int) throws(Truncated) -> [UInt8] {
    guard count >= 0, remaining >= count else { throw Truncated(offset: offset, wanted: count) }
    defer { offset += count }
    return Array(bytes[offset..<offset + count])
  }
  public mutating func string() throws(Truncated) -> String {
    let count = Int(try u16())
    return String(decoding: try raw(count), as: UTF8.self)
  }
}
