import LogStore

extension Verification.Summary {
  /// For people: a line for each damage, then what was checked.
  var lines: [String] {
    damage.map { item in
      var text = "DAMAGED \(item.file)"
      if let offset = item.offset { text += " at offset \(offset)" }
      if item.firstLSN != .none {
        let end = item.lastLSN > item.firstLSN ? " to \(item.lastLSN)" : ""
        text += ", LSN \(item.firstLSN)\(end)"
      }
      return text + ": \(item.reason)"
    } + [
      "\(files) files, \(records) records, \(bytes) bytes, up to LSN \(lastLSN): "
        + (damage.isEmpty ? "all good" : "\(damage.count) DAMAGED places"),
      "alive: \(liveRecords) records, \(liveBytes) bytes; dead: \(deadRecords) records, \(deadBytes) bytes",
    ]
      + databases.map { "database \($0.database): \($0.keys) keys, digest \(Self.hex($0.digest))" } + [
        "usable generations: \(usableGenerations.isEmpty ? "none" : usableGenerations.map { "\($0)" }.joined(separator: ", "))"
      ]
  }

  /// As DIGEST writes it.
  private static func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }

  var json: String {
    func quoted(_ text: String) -> String {
      var out = "\""
      for scalar in text.unicodeScalars {
        switch scalar {
        case "\"", "\\": out += "\\\(scalar)"
        case _ where scalar.value < 0x20:
          out += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
        default: out.unicodeScalars.append(scalar)
        }
      }
      return out + "\""
    }
    let places = damage.map { item in
      "{\"file\":\(quoted(item.file)),\"offset\":\(item.offset.map { "\($0)" } ?? "null"),\"first_lsn\":\(item.firstLSN),"
        + "\"last_lsn\":\(max(item.firstLSN, item.lastLSN)),\"reason\":\(quoted(item.reason)),\"generations\":["
        + item.generations.map { "\($0)" }.joined(separator: ",") + "]}"
    }
    return
      "{\"files\":\(files),\"records\":\(records),\"bytes\":\(bytes),\"last_lsn\":\(lastLSN),\"usable_generations\":["
      + usableGenerations.map { "\($0)" }.joined(separator: ",")
      + "],\"live_records\":\(liveRecords),\"live_bytes\":\(liveBytes),"
      + "\"dead_records\":\(deadRecords),\"dead_bytes\":\(deadBytes),\"databases\":["
      + databases.map {
        "{\"database\":\($0.database),\"keys\":\($0.keys),\"digest\":\"\(Self.hex($0.digest))\"}"
      }.joined(separator: ",") + "],\"damage\":[" + places.joined(separator: ",")
      + "]}"
  }
}
