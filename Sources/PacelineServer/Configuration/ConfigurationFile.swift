/// A configuration file's settings: one `name value` a line as in redis.conf, `#` begins a comment, quotes hold spaces.
///
///     port 7400
///     requirepass "with space and \"quotes\""   # \n \r \t \\ \" and \xHH inside double quotes
///     data '/var/lib/two words'                  # inside single quotes only \' means something
package struct ConfigurationFile: Equatable, Sendable {
  package struct Entry: Equatable, Sendable {
    package let name: String
    package let value: String
    /// Counts from 1.
    package let line: Int
  }
  package let path: String
  package let entries: [Entry]

  package static let bytesMax = 1 << 20

  /// - Throws: for a line that is not a known name and one value, or a name that was there before.
  package init(path: String, bytes: [UInt8]) throws(SettingError) {
    self.path = path
    guard bytes.count <= Self.bytesMax else {
      throw SettingError(source: nil, name: nil, reason: "\(path) is larger than \(Self.bytesMax) bytes")
    }
    var found: [Entry] = []
    var lineOfName: [String: Int] = [:]
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, raw) in lines.enumerated() {
      let line = index + 1
      func wrong(_ reason: String, name: String? = nil) -> SettingError {
        SettingError(source: .file(path: path, line: line), name: name, reason: reason)
      }
      guard let text = String(validating: raw, as: UTF8.self), !text.utf8.contains(0) else {
        throw wrong("is not text in UTF-8")
      }
      guard let words = Self.words(text) else { throw wrong("a quote is not closed, or something follows it") }
      guard let name = words.first?.lowercased() else { continue }
      guard let setting = Setting.named(name) else {
        let hint = Setting.closest(to: name).map { "; did you mean '\($0.name)'?" } ?? ""
        throw wrong("unknown setting '\(Setting.shown(name))'\(hint)")
      }
      guard words.count == 2 else {
        throw wrong(
          words.count < 2 ? "has no value" : "takes one value; put one with spaces in quotes", name: setting.name)
      }
      if let before = lineOfName.updateValue(line, forKey: setting.name) {
        throw wrong("is set twice, the first time in line \(before)", name: setting.name)
      }
      found.append(Entry(name: setting.name, value: words[1], line: line))
    }
    entries = found
  }

  /// The words of a line; nil if its quotes are wrong.
  static func words(_ line: String) -> [String]? {
    var words: [String] = []
    var rest = Substring(line)
    while true {
      rest = rest.drop { $0.isWhitespace }
      guard let first = rest.first, first != "#" else { return words }
      var word = ""
      if first == "\"" || first == "'" {
        rest.removeFirst()
        guard let quoted = quoted(&rest, until: first) else { return nil }
        word = quoted
        guard rest.first?.isWhitespace ?? true else { return nil }
      } else {
        word = String(rest.prefix { !$0.isWhitespace })
        rest = rest.dropFirst(word.count)
      }
      words.append(word)
    }
  }

  private static func quoted(_ rest: inout Substring, until quote: Character) -> String? {
    var word: [UInt8] = []
    while let character = rest.popFirst() {
      if character == quote { return String(validating: word, as: UTF8.self) }
      guard character == "\\" else {
        word += Array(String(character).utf8)
        continue
      }
      guard let escaped = rest.popFirst() else { return nil }
      switch (quote, escaped) {
      case ("'", "'"): word.append(UInt8(ascii: "'"))
      case ("'", _): word += Array("\\\(escaped)".utf8)
      case (_, "n"): word.append(UInt8(ascii: "\n"))
      case (_, "r"): word.append(UInt8(ascii: "\r"))
      case (_, "t"): word.append(UInt8(ascii: "\t"))
      case (_, "x"):
        guard let byte = UInt8(rest.prefix(2), radix: 16), rest.prefix(2).allSatisfy(\.isHexDigit), rest.count >= 2
        else {
          return nil
        }
        rest = rest.dropFirst(2)
        word.append(byte)
      default: word += Array(String(escaped).utf8)
      }
    }
    return nil
  }

  /// A value as a line of the file has it: bare where that reads back the same, else in double quotes.
  package static func quotedIfNeeded(_ value: String) -> String {
    let isBare =
      !value.isEmpty
      && value.unicodeScalars.allSatisfy { !$0.properties.isWhitespace && $0.properties.generalCategory != .control }
      && !value.contains { "\"'#\\".contains($0) }
    if isBare { return value }
    var text = "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"", "\\": text += "\\\(scalar)"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }
}
