// Raw memory: arguments are (offset, length) pairs over the receive buffer or over the list's own bytes.

/// One command's arguments: views into the receive buffer, or, for an inline or copied command, into its own bytes.
///
/// One list belongs to one connection, together with its `RequestParser`: between two calls that answer `.incomplete`
/// it holds the arguments found so far. Its views die with the next call of the parser and with the receive buffer.
/// Memory: 8 bytes for each argument received, never for an announced one.
/// Invariant: every pair lies inside the bytes that were given to the parser in its last call.
public struct ArgumentList: ~Copyable {
  @usableFromInline var base: UnsafeRawPointer
  /// Low 32 bits: offset from `base`. High 32 bits: length. One command is shorter than 4 GiB (`commandBytesMax`).
  @usableFromInline var pairs: UnsafeMutablePointer<UInt64>
  @usableFromInline var pairCount = 0
  @usableFromInline var pairCapacity: Int
  var own: UnsafeMutableRawPointer?
  var ownCapacity = 0

  /// Capacity that a list keeps for the next command; a larger one is given back.
  private static let retainedPairs = 1024
  private static let retainedOwnBytes = 4096
  private static let initialPairs = 16

  /// An empty list.
  public init() {
    pairs = .allocate(capacity: Self.initialPairs)
    pairCapacity = Self.initialPairs
    base = UnsafeRawPointer(pairs)
  }

  /// A list that owns a copy of every byte of `other`: it outlives the receive buffer (a command queued by `MULTI`).
  public init(copying other: borrowing ArgumentList) {
    self.init()
    var bytes = 0
    for i in 0..<other.count { bytes += other[i].count }
    let target = ownBytes(atLeast: bytes)
    var offset = 0
    for i in 0..<other.count {
      let view = other[i]
      if let source = view.baseAddress, view.count > 0 {
        (target + offset).copyMemory(from: source, byteCount: view.count)
      }
      append(offset: offset, length: view.count)
      offset += view.count
    }
  }

  /// A list that owns a copy of `arguments` (tests, commands that the node gives itself).
  public init(_ arguments: [[UInt8]]) {
    self.init()
    let target = ownBytes(atLeast: arguments.reduce(0) { $0 + $1.count })
    var offset = 0
    for argument in arguments {
      argument.withUnsafeBytes { view in
        if let source = view.baseAddress { (target + offset).copyMemory(from: source, byteCount: view.count) }
      }
      append(offset: offset, length: argument.count)
      offset += argument.count
    }
  }

  deinit {
    pairs.deallocate()
    own?.deallocate()
  }

  /// Number of arguments, the command's name included.
  @inlinable public var count: Int { @inline(__always) get { pairCount } }

  /// The bytes of argument `i`. Cost: one load. An index outside of `0..<count` is a bug of ours and stops the process.
  @inlinable public subscript(i: Int) -> UnsafeRawBufferPointer {
    @inline(__always) get {
      precondition(UInt(bitPattern: i) < UInt(bitPattern: pairCount), "no such argument")
      let pair = pairs[i]
      return UnsafeRawBufferPointer(start: base + Int(pair & 0xFFFF_FFFF), count: Int(pair &>> 32))
    }
  }

  /// Bytes of all arguments together.
  public var byteCount: Int {
    var sum = 0
    for i in 0..<pairCount { sum += Int(pairs[i] &>> 32) }
    return sum
  }

  /// Memory that the list holds, for the accounting of a client's memory.
  public var byteCapacity: Int { pairCapacity * 8 + ownCapacity }

  /// Empties the list and gives back what an unusually large command made it hold.
  @inline(__always)
  public mutating func removeAll() {
    pairCount = 0
    if _slowPath(pairCapacity > Self.retainedPairs || ownCapacity > Self.retainedOwnBytes) { shrink() }
  }

  @inline(__always)
  mutating func append(offset: Int, length: Int) {
    if _slowPath(pairCount == pairCapacity) { grow() }
    // Both fit: the parser refuses commands of 4 GiB and more.
    pairs[pairCount] = UInt64(truncatingIfNeeded: offset) | UInt64(truncatingIfNeeded: length) &<< 32
    pairCount &+= 1
  }

  /// The list's own bytes become what its views look into. Answers at least `count` writable bytes.
  mutating func ownBytes(atLeast count: Int) -> UnsafeMutableRawPointer {
    let memory: UnsafeMutableRawPointer
    if let own, ownCapacity >= count {
      memory = own
    } else {
      own?.deallocate()
      ownCapacity = max(count, 256)
      memory = .allocate(byteCount: ownCapacity, alignment: 8)
      own = memory
    }
    base = UnsafeRawPointer(memory)
    return memory
  }

  @inline(never)
  private mutating func grow() {
    let capacity = pairCapacity * 2
    let larger = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity)
    larger.update(from: pairs, count: pairCount)
    pairs.deallocate()
    pairs = larger
    pairCapacity = capacity
  }

  @inline(never)
  private mutating func shrink() {
    if pairCapacity > Self.retainedPairs {
      pairs.deallocate()
      pairs = .allocate(capacity: Self.initialPairs)
      pairCapacity = Self.initialPairs
    }
    if ownCapacity > Self.retainedOwnBytes {
      own?.deallocate()
      own = nil
      ownCapacity = 0
    }
    base = UnsafeRawPointer(pairs)
  }
}
