#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Reads what people point at: configuration and password files. Follows links and reads pipes, which files of the data
/// directory never are.
enum SmallFile {
  struct Unreadable: Error, CustomStringConvertible {
    let path: String
    let reason: String
    var description: String { "cannot read \(path): \(reason)" }
  }

  /// The whole file, or its first `bytesMax + 1` bytes if it is longer.
  static func read(_ path: String, bytesMax: Int) throws(Unreadable) -> [UInt8] {
    guard let file = fopen(path, "rb") else { throw Unreadable(path: path, reason: String(cString: strerror(errno))) }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while bytes.count <= bytesMax {
      let count = fread(&chunk, 1, chunk.count, file)
      if count == 0 {
        guard ferror(file) == 0 else { throw Unreadable(path: path, reason: String(cString: strerror(errno))) }
        return bytes
      }
      bytes += chunk[..<count]
    }
    return Array(bytes.prefix(bytesMax + 1))
  }
}
