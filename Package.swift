// swift-tools-version: 6.1
import PackageDescription

// A build for trying out the simulator: it makes one mistake on purpose, if told so. See CONTRIBUTING.
let planted: [SwiftSetting] =
  Context.environment["PACELINE_PLANTED_BUGS"] == nil ? [] : [.define("PACELINE_PLANTED_BUGS")]

// A release build for the tests with real processes, as scripts/test makes it: DEBUG can damage a slave's index. Not for users.
let sabotage: [SwiftSetting] =
  Context.environment["PACELINE_SABOTAGE"] == nil ? [] : [.define("PACELINE_SABOTAGE")]

// Cross-module optimisation lets the data path inline through Core, RESP, LogStore and Commands.
// Dynamic exclusivity checks are off in release builds only: the data path's state is owned by one thread each.
let fast: [SwiftSetting] =
  [
    .swiftLanguageMode(.v6),
    .unsafeFlags(["-cross-module-optimization", "-enforce-exclusivity=unchecked"], .when(configuration: .release)),
  ] + planted

let nio = [
  Target.Dependency.product(name: "NIOCore", package: "swift-nio"),
  .product(name: "NIOPosix", package: "swift-nio"),
]

let package = Package(
  name: "paceline",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "paceline", targets: ["paceline"]),
    .library(name: "PacelineClient", targets: ["PacelineClient"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift.git", from: "0.2.0"),
  ],
  targets: [
    // Down is the only direction in which imports may point.
    .target(name: "CSupport"),
    .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .target(name: "Core", dependencies: ["CSupport"], swiftSettings: fast),

    .target(name: "RESP", dependencies: ["Core"], swiftSettings: fast),
    .target(name: "LogStore", dependencies: ["Core", "CSupport", "CLZ4", "CZstd"], swiftSettings: fast),
    .target(
      name: "Replication",
      dependencies: ["Core", "CLZ4", "CZstd"],
      swiftSettings: fast),

    .target(name: "Sockets", dependencies: nio, swiftSettings: fast),
    .target(name: "Commands", dependencies: ["Core", "RESP", "LogStore"], swiftSettings: fast),
    .target(name: "Connection", dependencies: ["Core", "RESP", "LogStore", "Commands"], swiftSettings: fast),
    .target(
      name: "Node",
      dependencies: [
        "Core", "RESP", "LogStore", "Replication", .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: fast),
    .target(
      name: "NodeCommands",
      dependencies: ["Core", "RESP", "LogStore", "Replication", "Commands", "Node"],
      swiftSettings: fast),
    .target(
      name: "Simulator",
      dependencies: [
        "Core", "RESP", "LogStore", "Commands", "Connection", "Replication", "Node", "NodeCommands",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: fast),

    .target(
      name: "PacelineClient",
      dependencies: nio + ["RESP", "Sockets"],
      swiftSettings: fast),
    .target(
      name: "PacelineServer",
      dependencies: nio + [
        "Core", "CSupport", "RESP", "Sockets", "LogStore", "Commands", "Connection", "Replication", "Node",
        "NodeCommands",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: fast + sabotage),
    .executableTarget(
      name: "paceline",
      dependencies: nio + [
        "Core", "RESP", "Sockets", "LogStore", "PacelineServer", "PacelineClient", "Simulator",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "Histogram", package: "hdrhistogram-swift"),
      ],
      swiftSettings: fast),

    .testTarget(name: "CoreTests", dependencies: ["Core"]),
    .testTarget(name: "RESPTests", dependencies: ["RESP"]),
    .testTarget(name: "SocketsTests", dependencies: nio + ["Sockets"]),
    .testTarget(
      name: "ReplicationTests", dependencies: ["Core", "Replication", "CLZ4", "CZstd"], exclude: ["Scenarios"]),
    .testTarget(name: "LogStoreTests", dependencies: ["Core", "LogStore", "Simulator"]),
    .testTarget(name: "CommandsTests", dependencies: ["Core", "RESP", "LogStore", "Commands", "Simulator"]),
    .testTarget(
      name: "ConnectionTests", dependencies: ["Core", "RESP", "LogStore", "Commands", "Connection", "Simulator"]),
    .testTarget(
      name: "SimulatorTests", dependencies: ["Core", "RESP", "LogStore", "Node", "Replication", "Simulator"]),
    .testTarget(name: "NodeTests", dependencies: ["Core", "RESP", "LogStore", "Node", "Simulator"]),
    .testTarget(
      name: "PacelineClientTests",
      dependencies: nio + ["RESP", "PacelineClient", .product(name: "NIOConcurrencyHelpers", package: "swift-nio")]),
    .testTarget(
      name: "PacelineServerTests",
      dependencies: [
        "Core", "RESP", "LogStore", "Commands", "Replication", "PacelineServer",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOEmbedded", package: "swift-nio"),
      ]),
    .testTarget(
      name: "PacelineCommandLineTests",
      dependencies: [
        "paceline", "Core", "LogStore", "Simulator", "PacelineServer",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ]),
  ]
)
