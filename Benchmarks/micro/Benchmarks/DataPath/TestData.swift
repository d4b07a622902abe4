// Raw memory: keys and requests are laid out once and read where they lie.

/// The same numbers in every run (S. Vigna, "splitmix64").
struct Numbers {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
  mutating func below(_ bound: Int) -> Int { Int(truncatingIfNeeded: next() % UInt64(bound)) }
}

/// Byte strings one behind the other. Their memory stays where it is while the object lives.
final class Strings {
  private let memory: UnsafeMutableRawBufferPointer
  private var ends: [Int]
  private(set) var next = 0

  init(_ strings: [[UInt8]]) {
    memory = .allocate(byteCount: strings.reduce(8) { $0 + $1.count }, alignment: 8)
    ends = []
    var at = 0
    for string in strings {
      UnsafeMutableRawBufferPointer(rebasing: memory[at...]).copyBytes(from: string)
      at += string.count
      ends.append(at)
    }
  }
  deinit { memory.deallocate() }

  var count: Int { ends.count }
  subscript(i: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: memory[(i == 0 ? 0 : ends[i - 1])..<ends[i]])
  }
  /// One after the other, over and over.
  func turn() -> UnsafeRawBufferPointer {
    next = next + 1 == ends.count ? 0 : next + 1
    return self[next]
  }
}

/// A key of 16 bytes.
func key(_ number: Int) -> [UInt8] {
  let digits = String(number)
  return Array(("key:" + String(repeating: "0", count: 12 - digits.count) + digits).utf8)
}
let value = Array(String(repeating: "paceline--", count: 10).utf8)

/// A request as clients send it.
func request(_ arguments: [[UInt8]]) -> [UInt8] {
  var bytes = Array("*\(arguments.count)\r\n".utf8)
  for argument in arguments { bytes += Array("$\(argument.count)\r\n".utf8) + argument + [0x0D, 0x0A] }
  return bytes
}

/// Pipelines of `commands` requests each, every one for a key chosen among `keys`.
func pipelines(_ commands: Int, keys: Int, _ command: ([UInt8]) -> [[UInt8]]) -> Strings {
  var numbers = Numbers(seed: 3)
  return Strings(
    (0..<512).map { _ in (0..<commands).flatMap { _ in request(command(key(numbers.below(keys)))) } })
}
