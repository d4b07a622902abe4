/// The reply of `INFO`, as its fields: lines `name:value` under headers `# Section`.
public struct InfoText: Sendable, Equatable {
  private var fields: [String: String] = [:]

  /// Reads any text; lines without a colon are passed over. Of fields with the same name the last one counts.
  public init(_ text: String) {
    for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      fields[String(line[..<colon])] = String(line[line.index(after: colon)...])
    }
  }

  /// nil for a field that is missing or empty.
  public subscript(_ name: String) -> String? { fields[name].flatMap { $0.isEmpty ? nil : $0 } }
  public func integer(_ name: String) -> UInt64? { self[name].flatMap { UInt64($0) } }
  public func number(_ name: String) -> Double? { self[name].flatMap { Double($0) } }

  /// An address made of two fields; nil unless both are there and good.
  public func address(host: String, port: String) -> NodeAddress? {
    Self.address(self[host], self[port])
  }

  /// The lines `slave0:ip=...,port=...` of a master, by their number.
  public var slaves: [SlaveLine] {
    var found: [SlaveLine] = []
    while let line = self["slave\(found.count)"] { found.append(SlaveLine(line)) }
    return found
  }

  /// Keys in all databases: the sum of `keys=` over the lines `db0:keys=...,expires=...`; 0 when there are none.
  public var keyCount: UInt64 {
    var sum: UInt64 = 0
    for (name, value) in fields where name.hasPrefix("db") && name.dropFirst(2).allSatisfy(\.isASCIIDigit) {
      sum &+= Pairs(value).integer("keys") ?? 0
    }
    return sum
  }

  /// What a master says about one of its slaves.
  public struct SlaveLine: Sendable, Equatable {
    public let pairs: Pairs
    init(_ text: String) { pairs = Pairs(text) }
    public var address: NodeAddress? { InfoText.address(pairs["ip"], pairs["port"]) }
  }

  /// `name=value,name=value`
  public struct Pairs: Sendable, Equatable {
    private var values: [String: String] = [:]
    public init(_ text: String) {
      for pair in text.split(separator: ",") {
        let parts = pair.split(separator: "=", maxSplits: 1)
        if parts.count == 2 { values[String(parts[0])] = String(parts[1]) }
      }
    }
    public subscript(_ name: String) -> String? { values[name] }
    public func integer(_ name: String) -> UInt64? { values[name].flatMap { UInt64($0) } }
  }

  private static func address(_ host: String?, _ port: String?) -> NodeAddress? {
    guard let host, !host.isEmpty, let number = port.flatMap({ Int($0) }), (1...65535).contains(number) else {
      return nil
    }
    return NodeAddress(host: host, port: number)
  }
}
