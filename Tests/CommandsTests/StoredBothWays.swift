import Testing

/// Runs every test of a suite twice: with values stored as they are, and with values stored compressed.
struct StoredBothWays: SuiteTrait, TestTrait, TestScoping {
  let isRecursive = true

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    try await function()
    try await CommandHarness.$compressesEverything.withValue(true) { try await function() }
  }
}

extension Trait where Self == StoredBothWays {
  static var storedBothWays: Self { Self() }
}
