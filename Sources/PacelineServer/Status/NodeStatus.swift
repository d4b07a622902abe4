import Commands
import Core
import LogStore
import Replication

/// What a node tells of itself at one moment: made once, by the node, and then rendered. A part is nil if nobody asked for
/// it: only what is asked for is measured.
///
/// A new field is a row in the file of its part.
struct NodeStatus: Sendable {
  var process: ProcessStatus?
  var clients: ClientsStatus?
  var memory: MemoryStatus?
  var persistence: PersistenceStatus?
  var store: StoreStatus?
  var traffic: TrafficStatus?
  var replication: ReplicationStatus?
  var cpu: CPUStatus?
  var commands: CommandStatus?

  /// INFO's sections, in their order.
  enum Section: String, CaseIterable, Sendable {
    case server, clients, memory, persistence, paceline, stats, replication, cpu, modules, commandstats, errorstats
    case latencystats, cluster, keyspace

    /// What INFO shows if nothing is named. The others are long, and shown with `all`.
    static let byDefault = Set(allCases).subtracting([.commandstats, .latencystats])

    var title: String { self == .cpu ? "CPU" : rawValue.prefix(1).uppercased() + rawValue.dropFirst() }

    var rows: [StatusRow] {
      switch self {
      case .server: StatusRow.rows(ProcessStatus.fields) { $0.process }
      case .clients: StatusRow.rows(ClientsStatus.fields) { $0.clients }
      case .memory: StatusRow.rows(MemoryStatus.fields) { $0.memory }
      case .persistence: PersistenceStatus.rows
      case .paceline: StatusRow.rows(StoreStatus.fields) { $0.store }
      case .stats: StatusRow.rows(TrafficStatus.fields) { $0.traffic }
      case .replication: ReplicationStatus.rows
      case .cpu: StatusRow.rows(CPUStatus.fields) { $0.cpu }
      case .modules: []
      case .commandstats: StatusRow.rows(CommandStatus.countFields) { $0.commands }
      case .latencystats: StatusRow.rows(CommandStatus.latencyFields) { $0.commands }
      case .errorstats: StatusRow.rows(TrafficStatus.errorFields) { $0.traffic }
      case .cluster: StatusRow.rows([StatusField<Void>.constant("cluster_enabled", "0")]) { _ in () }
      case .keyspace: StatusRow.rows(StoreStatus.keyspaceFields) { $0.store }
      }
    }
  }

  /// Measures the parts that these sections tell of. On a client's loop.
  init(_ server: ServerCore, _ executor: Executor, for sections: Set<Section>) {
    if sections.contains(.server) { process = ProcessStatus(server) }
    if sections.contains(.clients) { clients = ClientsStatus(server) }
    if sections.contains(.memory) { memory = MemoryStatus(server) }
    if sections.contains(.persistence) { persistence = PersistenceStatus(server) }
    if !sections.isDisjoint(with: [.paceline, .keyspace]) { store = StoreStatus(server, executor) }
    if !sections.isDisjoint(with: [.stats, .errorstats]) { traffic = TrafficStatus(server) }
    if sections.contains(.replication) { replication = ReplicationStatus(server) }
    if sections.contains(.cpu) { cpu = CPUStatus() }
    if !sections.isDisjoint(with: [.commandstats, .latencystats]) {
      commands = CommandStatus(server, withLatencies: sections.contains(.latencystats))
    }
  }

  /// Of no node yet, for tests.
  init() {}

  /// The sections that are asked for: none named is what is shown by default; a name that there is not is passed over.
  static func sections(named names: [String]) -> Set<Section> {
    guard !names.isEmpty else { return Section.byDefault }
    var wanted: Set<Section> = []
    for name in names.map({ $0.lowercased() }) {
      switch name {
      case "default": wanted.formUnion(Section.byDefault)
      case "all", "everything": wanted.formUnion(Section.allCases)
      default: if let section = Section(rawValue: name) { wanted.insert(section) }
      }
    }
    return wanted
  }

  /// The reply of INFO.
  func info(_ sections: Set<Section>) -> String {
    var out = ""
    for section in Section.allCases where sections.contains(section) {
      if !out.isEmpty { out += "\r\n" }
      out += "# \(section.title)\r\n"
      for row in section.rows {
        for (name, value) in row.values(self) { out += "\(name):\(value.infoText)\r\n" }
      }
    }
    return out
  }

  /// The tables of docs/INFO.md.
  static var document: String {
    var out = ""
    for section in Section.allCases where !section.rows.isEmpty {
      out += "\n## \(section.title)\n\n| field | unit | what it tells |\n|---|---|---|\n"
      for row in section.rows { out += "| `\(row.name)` | \(row.unit.rawValue) | \(row.help) |\n" }
    }
    return out
  }
}
