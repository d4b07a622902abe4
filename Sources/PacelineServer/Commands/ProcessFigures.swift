// Raw memory: C structures of the operating system.
#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What the operating system says of this process. Microseconds each; no disk is touched.
enum ProcessFigures {
  struct Memory: Sendable {
    /// Bytes in memory that belong to no file: heap, index, resident segments.
    var used: UInt64 = 0
    /// All bytes in memory, mapped data files included.
    var resident: UInt64 = 0
  }

  static var memory: Memory {
    guard let fields = read("/proc/self/statm")?.split(separator: " "), fields.count > 2,
      let resident = UInt64(fields[1]), let shared = UInt64(fields[2])
    else { return Memory() }
    let page = UInt64(sysconf(Int32(_SC_PAGESIZE)))
    return Memory(used: (resident > shared ? resident - shared : 0) &* page, resident: resident &* page)
  }

  static var id: Int { Int(getpid()) }

  static var systemMemory: UInt64 {
    let pages = sysconf(Int32(_SC_PHYS_PAGES))
    return pages > 0 ? UInt64(pages) &* UInt64(sysconf(Int32(_SC_PAGESIZE))) : 0
  }

  /// CPU seconds of the whole process.
  static var cpu: (user: Double, system: Double) {
    var usage = rusage()
    getrusage(0, &usage)  // RUSAGE_SELF, whose type differs between C libraries
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1_000_000 }
    return (seconds(usage.ru_utime), seconds(usage.ru_stime))
  }

  /// `Linux 6.1.0 x86_64`.
  static var system: String {
    var name = utsname()
    guard uname(&name) == 0 else { return "unknown" }
    func text<Field>(_ field: Field) -> String {
      withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    return "\(text(name.sysname)) \(text(name.release)) \(text(name.machine))"
  }

  static var executable: String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
      guard let start = buffer.baseAddress else { return "" }
      let length = readlink("/proc/self/exe", start, 4095)
      guard length > 0 else { return CommandLine.arguments.first ?? "" }
      return String(decoding: UnsafeRawBufferPointer(buffer).prefix(length), as: UTF8.self)
    }
  }

  /// A small file of /proc.
  private static func read(_ path: String) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    return withUnsafeTemporaryAllocation(byteCount: 512, alignment: 1) { buffer in
      #if canImport(Glibc)
        let count = Glibc.read(file, buffer.baseAddress, 512)
      #elseif canImport(Musl)
        let count = Musl.read(file, buffer.baseAddress, 512)
      #else
        let count = Darwin.read(file, buffer.baseAddress, 512)
      #endif
      return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : nil
    }
  }
}
