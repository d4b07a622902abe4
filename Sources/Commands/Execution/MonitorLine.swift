// Raw memory: quotes arguments where they lie.
import RESP

/// What MONITOR shows of a command.
extension Executor {
  /// Shows a command that has been executed to the clients of MONITOR, but for what an administrator does.
  func feedMonitors(_ command: Command, _ arguments: borrowing ArgumentList, _ session: Session) {
    if (table.resolve(arguments) ?? table.row(command)).flags.contains(.admin) { return }
    services.feedMonitors(
      MonitorLine.text(
        table.row(command), arguments, milliseconds: keys.now, database: session.database, address: session.address))
  }
}

/// The line of one command: `1339518083.107412 [0 127.0.0.1:60866] "keys" "*"`.
enum MonitorLine {
  /// - Parameter milliseconds: since 1970; Redis shows microseconds, the last three digits are 0 here.
  static func text(
    _ row: CommandRow, _ arguments: borrowing ArgumentList, milliseconds: UInt64, database: Int, address: String
  ) -> String {
    let fraction = String(milliseconds % 1000 + 1000).dropFirst()
    var line = Array("\(milliseconds / 1000).\(fraction)000 [\(database) \(address)]".utf8)
    line.reserveCapacity(line.count + arguments.byteCount + arguments.count * 3)
    var secrets = SecretFinder(row)
    for i in 0..<arguments.count {
      line.append(UInt8(ascii: " "))
      if secrets.isSecret(arguments[i]) {
        line.append(contentsOf: "\"(redacted)\"".utf8)
      } else {
        appendQuoted(arguments[i], to: &line)
      }
    }
    return String(decoding: line, as: UTF8.self)
  }

  /// Bytes in quotes, what is not printable ASCII as an escape: Redis's `sdscatrepr`.
  private static func appendQuoted(_ bytes: UnsafeRawBufferPointer, to line: inout [UInt8]) {
    let digits = "0123456789abcdef".utf8.map { $0 }
    line.append(UInt8(ascii: "\""))
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "\\"), UInt8(ascii: "\""): line += [UInt8(ascii: "\\"), byte]
      case 0x0A: line += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
      case 0x0D: line += [UInt8(ascii: "\\"), UInt8(ascii: "r")]
      case 0x09: line += [UInt8(ascii: "\\"), UInt8(ascii: "t")]
      case 0x07: line += [UInt8(ascii: "\\"), UInt8(ascii: "a")]
      case 0x08: line += [UInt8(ascii: "\\"), UInt8(ascii: "b")]
      case 0x20...0x7E: line.append(byte)
      default: line += [UInt8(ascii: "\\"), UInt8(ascii: "x"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    line.append(UInt8(ascii: "\""))
  }
}
