// swift-tools-version: 6.1
import PackageDescription

let package = Package(
  name: "swift-client",
  platforms: [.macOS(.v15)],
  // In a package of your own: .package(url: "https://.../paceline.git", from: "...")
  dependencies: [.package(name: "paceline", path: "../..")],
  targets: [
    .executableTarget(name: "swift-client", dependencies: [.product(name: "PacelineClient", package: "paceline")])
  ]
)
