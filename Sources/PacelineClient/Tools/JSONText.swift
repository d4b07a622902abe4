/// JSON to be written, with the members of objects in the order given.
package enum JSONText: Sendable, Equatable, CustomStringConvertible {
  case null
  case boolean(Bool)
  case integer(UInt64)
  /// Rounded to six digits after the point; infinite or not a number is written as null.
  case number(Double)
  case string(String)
  case array([JSONText])
  case object([(String, JSONText)])

  package init(_ value: UInt64?) { self = value.map { .integer($0) } ?? .null }
  package init(_ value: String?) { self = value.map { .string($0) } ?? .null }
  package init(_ value: Double?) { self = value.map { .number($0) } ?? .null }

  /// One line.
  package var description: String {
    var text = ""
    write(to: &text)
    return text
  }

  private func write(to text: inout String) {
    switch self {
    case .null: text += "null"
    case .boolean(let value): text += value ? "true" : "false"
    case .integer(let value): text += String(value)
    case .number(let value):
      let decimal = HumanText.decimal(value, digits: 6)
      text += decimal == "-" ? "null" : decimal
    case .string(let value): Self.quote(value, to: &text)
    case .array(let elements):
      text += "["
      for (i, element) in elements.enumerated() {
        if i > 0 { text += "," }
        element.write(to: &text)
      }
      text += "]"
    case .object(let members):
      text += "{"
      for (i, member) in members.enumerated() {
        if i > 0 { text += "," }
        Self.quote(member.0, to: &text)
        text += ":"
        member.1.write(to: &text)
      }
      text += "}"
    }
  }

  private static func quote(_ value: String, to text: inout String) {
    text += "\""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case _ where scalar.value < 32:
        let hex = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }

  package static func == (a: JSONText, b: JSONText) -> Bool { a.description == b.description }
}
