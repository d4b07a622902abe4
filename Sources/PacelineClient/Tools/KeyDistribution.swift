#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Which key of `0..<keyCount` the next request asks for.
package enum KeyDistribution: Sendable {
  case uniform(keyCount: UInt64)
  case zipfian(Zipfian)

  @inline(__always) package func next(_ random: inout SplitMix64) -> UInt64 {
    switch self {
    case .uniform(let keyCount): random.below(keyCount)
    case .zipfian(let zipfian): zipfian.scatter(rank: zipfian.rank(random.unit()))
    }
  }
}

/// Zipf's law over `0..<itemCount`: the item of rank r (from 0) is asked for in proportion to `1 / (r + 1)^theta`.
///
/// Source: Gray et al., "Quickly generating billion-record synthetic databases", SIGMOD 1994, as YCSB uses it. As in
/// YCSB's scrambled generator the popular items are scattered over all keys; here by a bijection, so that no two ranks
/// fall on one key.
package struct Zipfian: Sendable {
  package let itemCount: UInt64
  package let theta: Double
  private let zetaN: Double
  private let alpha: Double
  private let eta: Double
  private let secondRankEnd: Double
  private let step: UInt64

  /// - Parameters:
  ///   - itemCount: 1 or more.
  ///   - theta: between 0 (uniform) and 1, both excluded; YCSB's is 0.99.
  /// Takes up to a million calls of `pow`, some tens of milliseconds.
  package init(itemCount: UInt64, theta: Double) {
    precondition(itemCount > 0 && theta > 0 && theta < 1, "zipfian over \(itemCount) items with theta \(theta)")
    self.itemCount = itemCount
    self.theta = theta
    zetaN = Self.zeta(itemCount, theta)
    alpha = 1 / (1 - theta)
    eta = (1 - pow(2 / Double(itemCount), 1 - theta)) / (1 - Self.zeta(2, theta) / zetaN)
    secondRankEnd = 1 + pow(0.5, theta)
    step = Self.coprime(to: itemCount)
  }

  /// The rank for a uniform random number `u` in `[0, 1)`; 0 is the most popular.
  @inline(__always) package func rank(_ u: Double) -> UInt64 {
    let uz = u * zetaN
    if uz < 1 || itemCount == 1 { return 0 }
    if uz < secondRankEnd || itemCount == 2 { return 1 }
    let rank = Double(itemCount) * pow(eta * u - eta + 1, alpha)
    return min(UInt64(rank), itemCount - 1)
  }

  /// The key of a rank: a bijection of `0..<itemCount` that keeps neighbours apart.
  @inline(__always) package func scatter(rank: UInt64) -> UInt64 {
    let product = rank.multipliedFullWidth(by: step)
    return itemCount.dividingFullWidth((product.high, product.low)).remainder
  }

  /// The share of all requests that goes to `rank`.
  package func share(ofRank rank: UInt64) -> Double { pow(Double(rank + 1), -theta) / zetaN }

  /// The sum of `1 / i^theta` for i in `1...n`. Beyond a million terms the Euler-Maclaurin formula takes over, whose
  /// error is below 1e-9 there.
  package static func zeta(_ n: UInt64, _ theta: Double) -> Double {
    let exactTerms = min(n, 1_000_000)
    var sum = 0.0
    for i in stride(from: exactTerms, through: 1, by: -1) { sum += pow(Double(i), -theta) }  // Small terms first.
    guard n > exactTerms else { return sum }
    let a = Double(exactTerms)
    let b = Double(n)
    return sum + (pow(b, 1 - theta) - pow(a, 1 - theta)) / (1 - theta) + (pow(b, -theta) - pow(a, -theta)) / 2
  }

  /// A number near the golden section of `n` without a common factor with it: multiples of it modulo n visit everything.
  private static func coprime(to n: UInt64) -> UInt64 {
    var candidate = max(1, UInt64(Double(n) * 0.618_033_988_749_895))
    while gcd(candidate, n) != 1 { candidate += 1 }
    return candidate % max(n, 2)
  }

  private static func gcd(_ a: UInt64, _ b: UInt64) -> UInt64 { b == 0 ? a : gcd(b, a % b) }
}
