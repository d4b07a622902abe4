import Testing

/// Runs a script of lines `command -> raw reply`, CR, LF, backslash and bytes beyond ASCII escaped, each in a batch of
/// its own. An empty line begins a new store.
func expectReplies(_ script: String, sourceLocation: SourceLocation = #_sourceLocation) {
  var harness = CommandHarness()
  for line in script.split(separator: "\n", omittingEmptySubsequences: false) {
    if line.isEmpty {
      harness = CommandHarness()
      continue
    }
    guard let arrow = line.firstRange(of: " -> ") else {
      Issue.record("no reply in the line: \(line)", sourceLocation: sourceLocation)
      continue
    }
    let reply = escaped(harness.run(String(line[..<arrow.lowerBound])))
    #expect(reply == line[arrow.upperBound...], "\(line[..<arrow.lowerBound])", sourceLocation: sourceLocation)
  }
}

/// A reply as the scripts write it.
func escaped(_ reply: String) -> String {
  var text = ""
  for scalar in reply.unicodeScalars {
    switch scalar {
    case "\r": text += "\\r"
    case "\n": text += "\\n"
    case "\\": text += "\\\\"
    case " "..."~": text.unicodeScalars.append(scalar)
    default: text += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
    }
  }
  return text
}
