import Testing

/// The map of the house (DESIGN, section 7), checked in the manifest and in the sources.
@Suite struct ImportDirectionTests {
  /// The floor on which a target lives. It may import targets of lower floors only.
  static let floors: [String: Int] = [
    "CSupport": 0, "CLZ4": 0, "CZstd": 0,
    "Core": 1,
    "RESP": 2, "Sockets": 2, "LogStore": 2, "Replication": 2,
    "Commands": 3,
    "Node": 4, "Connection": 4,
    "NodeCommands": 5,
    "PacelineServer": 6, "PacelineClient": 6, "Simulator": 6,
    "paceline": 7,
  ]
  /// Modules that come with the toolchain and need no declaration.
  static let toolchain: Set<String> = [
    "Darwin", "Dispatch", "Foundation", "FoundationEssentials", "Glibc", "Musl", "Synchronization",
  ]
  let manifest: PackageManifest
  let sources: [SwiftSource]

  init() throws {
    manifest = PackageManifest(try SwiftSource.manifest())
    sources = try SwiftSource.sources.get()
  }

  @Test func everyTargetHasItsFloor() {
    let own = manifest.targets.values.filter { $0.kind != "testTarget" }.map(\.name)
    #expect(Set(own) == Set(Self.floors.keys), "a new target needs a place in the map")
    #expect(sources.count > 100)
    #expect(Set(sources.map(\.module)).isSubset(of: Set(own)))
  }

  @Test func everyImportIsDeclaredByItsTarget() {
    var offenders: [String] = []
    for source in sources {
      let declared = manifest.targets[source.module]?.dependencies ?? []
      for module in source.imports.sorted() where !declared.contains(module) && !Self.toolchain.contains(module) {
        offenders.append("\(source.path) imports \(module), \(source.module) does not declare it")
      }
    }
    expectNone(offenders)
  }

  @Test func importsPointDown() {
    var offenders: [String] = []
    for target in manifest.targets.values {
      guard let floor = Self.floors[target.name] else { continue }
      for name in target.dependencies.sorted() {
        if let other = Self.floors[name], other >= floor { offenders.append("\(target.name) depends on \(name)") }
      }
    }
    for source in sources {
      for name in source.imports.sorted() {
        if let other = Self.floors[name], other >= Self.floors[source.module, default: 0] {
          offenders.append("\(source.path) imports \(name)")
        }
      }
    }
    expectNone(offenders)
  }

  /// The client is what users import: of this package only the protocol and how to connect come with it, nothing of
  /// the server.
  @Test func theClientStandsAlone() {
    let own = Set(Self.floors.keys)
    expectNone(
      (manifest.targets["PacelineClient"]?.dependencies ?? []).filter(own.contains).filter {
        !["RESP", "Sockets"].contains($0)
      })
  }
}
