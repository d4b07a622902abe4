#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// How long the random tests run: `PACELINE_TEST_SCALE` multiplies the number of seeds.
enum TestScale {
  static let factor: UInt64 = getenv("PACELINE_TEST_SCALE").flatMap { UInt64(String(cString: $0)) } ?? 1
  static var crashSeeds: UInt64 { 40 * factor }
  static var isContinuousIntegration: Bool { getenv("CI") != nil }
}

extension TestScale {
  /// Every how many calls one fails.
  static var faultStep: Int { factor > 1 ? 1 : 5 }
  /// Every how many bytes one is flipped.
  static var flipStep: Int { factor > 1 ? 1 : 23 }
}
