/// A small seeded generator (S. Vigna, "splitmix64"): the same seed gives the same run on every machine.
package struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64
  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A number in `0..<bound`; 0 for a bound of 0 or less.
  package mutating func below(_ bound: Int) -> Int {
    bound <= 0 ? 0 : Int(truncatingIfNeeded: next() % UInt64(bound))
  }
  /// true `percent` times out of a hundred.
  package mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}
