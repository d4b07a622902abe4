/// A figure as the node has it. How it reads is the renderer's matter.
enum StatusValue: Hashable, Sendable {
  case number(UInt64)
  /// Also one that may be below 0.
  case count(Int)
  case decimal(Double, digits: Int)
  /// With as many digits as it takes.
  case real(Double)
  case flag(Bool)
  case text(String)
  case list([String])

  /// As INFO shows it: `1` or `0` for a flag, elements of a list with `;` between them.
  var infoText: String {
    switch self {
    case .number(let value): String(value)
    case .count(let value): String(value)
    case .decimal(let value, let digits): fixed(value, digits)
    case .real(let value): String(value)
    case .flag(let value): value ? "1" : "0"
    case .text(let text): text
    case .list(let elements): elements.joined(separator: ";")
    }
  }
}

/// What a figure counts.
enum StatusUnit: String, Sendable {
  /// A word, a name, a flag or a list.
  case none = ""
  case count
  case bytes
  case kilobytesPerSecond = "KiB/s"
  case bytesPerSecond = "bytes/s"
  case perSecond = "1/s"
  case percent = "%"
  case records
  case lsn = "LSN"
  case term
  case seconds = "s"
  case milliseconds = "ms"
  case microseconds = "µs"
  /// Seconds since 1970.
  case time
}

/// One line of what a node tells of itself: name, unit, what it means, and where in a `Part` of `NodeStatus` it stands.
/// INFO and the table in docs/INFO.md are made of these rows and of nothing else.
struct StatusField<Part>: Sendable {
  let name: String
  let unit: StatusUnit
  let help: String
  /// Names and values; empty where the field has nothing to tell now.
  let values: @Sendable (Part) -> [(name: String, value: StatusValue)]

  /// - Parameter value: nil where the field is left out.
  init(_ name: String, _ unit: StatusUnit, _ help: String, _ value: @escaping @Sendable (Part) -> StatusValue?) {
    self.name = name
    self.unit = unit
    self.help = help
    values = { part in value(part).map { [(name, $0)] } ?? [] }
  }

  /// Several lines: `slave0`, `slave1`, ... have the name `slave<n>`.
  init(
    each name: String, _ help: String, _ values: @escaping @Sendable (Part) -> [(name: String, value: StatusValue)]
  ) {
    self.name = name
    unit = .none
    self.help = help
    self.values = values
  }

  /// A field that clients of Redis may look for.
  static func constant(_ name: String, _ value: String) -> Self {
    Self(name, .none, "a field of Redis: always `\(value)`") { _ in .text(value) }
  }
}

/// A row of one part, as a row of the whole.
struct StatusRow: Sendable {
  let name: String
  let unit: StatusUnit
  let help: String
  let values: @Sendable (NodeStatus) -> [(name: String, value: StatusValue)]

  /// The rows of a part; none of them tells anything where the part is not there.
  static func rows<Part>(
    _ fields: [StatusField<Part>], of part: @escaping @Sendable (NodeStatus) -> Part?
  ) -> [StatusRow] {
    fields.map { field in
      StatusRow(name: field.name, unit: field.unit, help: field.help) { part($0).map(field.values) ?? [] }
    }
  }
}
