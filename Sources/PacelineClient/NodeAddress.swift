/// Where a node listens: a host name or IP address, and a TCP port in `1...65535`.
public struct NodeAddress: Hashable, Sendable, CustomStringConvertible {
  public static let defaultPort = 7400

  public let host: String
  public let port: Int

  public init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  /// Reads `HOST:PORT`, `HOST` (then the port is `defaultPort`), `[::1]:7400` or `[::1]`.
  /// - Throws: `Malformed`, which says what is wrong with the text.
  public init(parsing text: some StringProtocol) throws(Malformed) {
    let whole = String(text)
    func malformed(_ reason: String) -> Malformed { Malformed(text: whole, reason: reason) }

    let host: Substring
    let afterHost: Substring
    if whole.hasPrefix("[") {
      guard let close = whole.firstIndex(of: "]") else { throw malformed("the ']' after the IPv6 address is missing") }
      host = whole[whole.index(after: whole.startIndex)..<close]
      afterHost = whole[whole.index(after: close)...]
    } else {
      if whole.filter({ $0 == ":" }).count > 1 {
        throw malformed("an IPv6 address is written in brackets, like [::1]:\(Self.defaultPort)")
      }
      let hostEnd = whole.firstIndex(of: ":") ?? whole.endIndex
      host = whole[..<hostEnd]
      afterHost = whole[hostEnd...]
    }
    guard !host.isEmpty else { throw malformed("the host is missing") }
    guard !host.contains(where: { $0.isWhitespace || $0 == "/" }) else {
      throw malformed("a host has no spaces and no '/'")
    }
    guard afterHost.isEmpty || afterHost.hasPrefix(":") else { throw malformed("after ']' comes ':' and the port") }

    self.host = String(host)
    if afterHost.isEmpty {
      port = Self.defaultPort
    } else {
      let digits = afterHost.dropFirst()
      guard digits.allSatisfy(\.isASCIIDigit), let number = Int(digits), (1...65535).contains(number) else {
        throw malformed("the port is a number from 1 to 65535, not '\(digits)'")
      }
      port = number
    }
  }

  /// Reads addresses separated by commas, without repetitions and in their order. Spaces around a comma are ignored.
  /// - Throws: `Malformed` for an empty list or for the first address that cannot be read.
  public static func list(parsing text: some StringProtocol) throws(Malformed) -> [NodeAddress] {
    var found: [NodeAddress] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let address = try NodeAddress(parsing: part.trimmingSpaces())
      if !found.contains(address) { found.append(address) }
    }
    return found
  }

  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  public struct Malformed: Error, Equatable, CustomStringConvertible {
    public let text: String
    public let reason: String
    public var description: String { "'\(text)' is not a node address (HOST:PORT): \(reason)" }
  }
}

extension Character {
  var isASCIIDigit: Bool { ("0"..."9").contains(self) }
}

extension StringProtocol {
  func trimmingSpaces() -> SubSequence {
    guard let first = firstIndex(where: { $0 != " " }), let last = lastIndex(where: { $0 != " " }) else {
      return self[endIndex...]
    }
    return self[first...last]
  }
}
