// swift-tools-version: 6.1
import PackageDescription

// Microbenchmarks, in a package of their own so that the root does not depend on the tool. The targets under `Sources`
// are links to the root's: compiled here, they belong to this package, and what they declare `package` is visible to
// the benchmarks. Flags and dependencies of the linked targets are those of the root's Package.swift.
let fast: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .unsafeFlags(["-cross-module-optimization", "-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

let package = Package(
  name: "paceline-micro",
  platforms: [.macOS(.v15)],
  dependencies: [
    // No traits: its own malloc counter is one more download; `AllocationCounter` counts here.
    .package(url: "https://github.com/ordo-one/benchmark", exact: "1.38.1", traits: []),
    .package(url: "https://github.com/apple/swift-collections.git", from: "1.6.0"),
  ],
  targets: [
    .target(name: "CSupport"),
    .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .target(name: "Core", dependencies: ["CSupport"], swiftSettings: fast),
    .target(name: "RESP", dependencies: ["Core"], swiftSettings: fast),
    .target(name: "LogStore", dependencies: ["Core", "CSupport", "CLZ4", "CZstd"], swiftSettings: fast),
    .target(
      name: "Replication",
      dependencies: ["Core", "CLZ4", "CZstd", .product(name: "DequeModule", package: "swift-collections")],
      swiftSettings: fast),
    .target(name: "Commands", dependencies: ["Core", "RESP", "LogStore"], swiftSettings: fast),

    .target(name: "AllocationCounter"),
    .executableTarget(
      name: "DataPath",
      dependencies: [
        "AllocationCounter", "Core", "RESP", "LogStore", "Replication", "Commands",
        .product(name: "Benchmark", package: "benchmark"),
      ],
      path: "Benchmarks/DataPath",
      swiftSettings: fast,
      plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
  ]
)
