import LogStore
import Logging
import PacelineServer

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The first lines of a server: what it is, where it listens, where its data is.
struct Banner {
  private let facts: [(name: String, key: String, value: String)]
  private let title: String

  init(role: ConfigurationSources.Role, configuration: ServerConfiguration) {
    let data = absolutePath(configuration.dataDirectory)
    let address = configuration.listenAddress
    let following = configuration.upstream.map { " of \($0)" } ?? ""
    title = "Paceline \(PacelineVersion.current): \(role.rawValue)\(following), on \(address)"
    let durability =
      switch configuration.durability {
      case .fsync: "fsync (a write is acknowledged when it is on disk)"
      case .interval: "interval (synced every \(configuration.fsyncIntervalMilliseconds) ms)"
      case .none: "none (the system decides when to sync)"
      }
    facts = [
      ("data", "data.directory", data),
      ("node", "node.id", Self.node(in: data) ?? "new"),
      ("durability", "durability", durability),
      ("settings", "configuration.file", configuration.configurationFile ?? "no file"),
      ("process", "process.id", "\(getpid())"),
    ]
  }

  var text: String {
    let lines = facts.map { fact in
      "  \(fact.name)\(String(repeating: " ", count: 12 - fact.name.count))\(fact.value)\n"
    }
    return title + "\n" + lines.joined()
  }

  var metadata: Logger.Metadata {
    Dictionary(facts.map { ($0.key, .string($0.value)) }, uniquingKeysWith: { first, _ in first })
      .merging(["server.title": .string(title)]) { first, _ in first }
  }

  /// The identity in the newest readable generation; nil in a fresh directory. Whether all is well, opening it will tell.
  private static func node(in directory: String) -> String? {
    let fileSystem = RealFileSystem()
    let generations = ((try? fileSystem.list(directory)) ?? []).compactMap { DirectoryFile.generation(inName: $0) }
    for generation in generations.sorted(by: >) {
      guard let bytes = try? fileSystem.readAll("\(directory)/\(DirectoryFile.name(generation))"),
        let file = try? DirectoryFile(decoding: bytes)
      else { continue }
      return file.node.description
    }
    return nil
  }
}
