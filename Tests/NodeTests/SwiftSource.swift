import Foundation

/// One source file as the rules look at it.
struct SwiftSource {
  /// Relative to the package's root.
  let path: String
  let lines: [Substring]
  /// The text without comments and without what string literals say; lines and interpolated code stay.
  let code: String

  init(path: String, text: String) {
    self.path = path
    lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    code = Self.code(of: text)
  }

  var module: String { String(path.split(separator: "/")[1]) }
  var fileName: String { String(path.split(separator: "/").last ?? "") }
  /// Lines of the file; the newline at its end begins none.
  var lineCount: Int { lines.last == "" ? lines.count - 1 : lines.count }

  /// The modules that the file imports.
  var imports: Set<String> {
    var found: Set<String> = []
    for line in code.split(separator: "\n") {
      var words = line.split(separator: " ")
      while let first = words.first, first.hasPrefix("@") || ["package", "public", "internal"].contains(first) {
        words.removeFirst()
      }
      guard words.first == "import", words.count >= 2 else { continue }
      let kinds: Set<Substring> = ["struct", "class", "enum", "func", "protocol", "typealias", "let", "var"]
      let name = kinds.contains(words[1]) ? words[2] : words[1]
      found.insert(String(name.prefix { $0 != "." }))
    }
    return found
  }

  // MARK: The package on disk

  static let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().resolvingSymlinksInPath()

  /// The package's manifest.
  static func manifest() throws -> String {
    try String(contentsOf: root.appendingPathComponent("Package.swift"), encoding: .utf8)
  }

  /// The files below `Sources`, read once.
  static let sources = Result { try all(below: "Sources") }

  /// The Swift files below a folder of the package, by path.
  static func all(below folder: String) throws -> [SwiftSource] {
    var sources: [SwiftSource] = []
    let base = root.appendingPathComponent(folder).path
    guard let walk = FileManager.default.enumerator(atPath: base) else { return [] }
    for case let name as String in walk where name.hasSuffix(".swift") && !name.contains(".build/") {
      let text = try String(contentsOfFile: base + "/" + name, encoding: .utf8)
      sources.append(SwiftSource(path: folder + "/" + name, text: text))
    }
    return sources.sorted { $0.path < $1.path }
  }

  // MARK: Comments and literals

  /// Where a scan of the text is; literals and interpolations nest.
  private enum Place {
    case code
    /// Inside `\( )`, so many parentheses deep.
    case interpolation(depth: Int)
    case literal(quotes: Int, pounds: Int)
  }

  private static func code(of text: String) -> String {
    let bytes = Array(text.utf8)
    var out: [UInt8] = []
    out.reserveCapacity(bytes.count)
    var places: [Place] = [.code]
    var at = 0
    func has(_ word: StaticString, at i: Int) -> Bool {
      word.withUTF8Buffer { word in
        guard i + word.count <= bytes.count else { return false }
        for j in 0..<word.count where bytes[i + j] != word[j] { return false }
        return true
      }
    }
    func pounds(at i: Int) -> Int {
      var n = 0
      while i + n < bytes.count, bytes[i + n] == UInt8(ascii: "#") { n += 1 }
      return n
    }
    while at < bytes.count, let place = places.last {
      let byte = bytes[at]
      if case .literal(let quotes, let wanted) = place {
        if byte == UInt8(ascii: "\\"), pounds(at: at + 1) >= wanted {
          at += 1 + wanted
          if at < bytes.count, bytes[at] == UInt8(ascii: "(") { places.append(.interpolation(depth: 0)) }
          at += 1
          continue
        }
        let closes = quotes == 3 ? has("\"\"\"", at: at) : byte == UInt8(ascii: "\"")
        if closes, pounds(at: at + quotes) >= wanted {
          at += quotes + wanted
          places.removeLast()
          out.append(UInt8(ascii: "\""))
          continue
        }
        if byte == UInt8(ascii: "\n") { out.append(byte) }
        at += 1
        continue
      }
      if has("//", at: at) {
        while at < bytes.count, bytes[at] != UInt8(ascii: "\n") { at += 1 }
        continue
      }
      if has("/*", at: at) {
        var depth = 0
        repeat {
          if has("/*", at: at) {
            (depth, at) = (depth + 1, at + 2)
          } else if has("*/", at: at) {
            (depth, at) = (depth - 1, at + 2)
          } else {
            if bytes[at] == UInt8(ascii: "\n") { out.append(bytes[at]) }
            at += 1
          }
        } while depth > 0 && at < bytes.count
        continue
      }
      let leading = pounds(at: at)
      if at + leading < bytes.count, bytes[at + leading] == UInt8(ascii: "\"") {
        let quotes = has("\"\"\"", at: at + leading) ? 3 : 1
        places.append(.literal(quotes: quotes, pounds: leading))
        out.append(UInt8(ascii: "\""))
        at += leading + quotes
        continue
      }
      if case .interpolation(let depth) = place {
        if byte == UInt8(ascii: "(") { places[places.count - 1] = .interpolation(depth: depth + 1) }
        if byte == UInt8(ascii: ")") {
          if depth == 0 { places.removeLast() } else { places[places.count - 1] = .interpolation(depth: depth - 1) }
        }
      }
      out.append(byte)
      at += 1
    }
    return String(decoding: out, as: UTF8.self)
  }
}
