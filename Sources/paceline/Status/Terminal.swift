// Raw memory: hands bytes to the system's write.
import Dispatch

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What the command line tools need to know about the terminal they may be running in.
enum Terminal {
  static var outputIsTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
  static var errorsAreTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  /// Colour only for people: on a terminal, and not with NO_COLOR set to something (https://no-color.org).
  static var wantsColour: Bool {
    guard outputIsTerminal else { return false }
    guard let setting = getenv("NO_COLOR") else { return true }
    return setting.pointee == 0
  }

  /// Columns and rows of the terminal behind standard output; nil if there is none.
  static var size: (columns: Int, rows: Int)? {
    var size = winsize()
    guard outputIsTerminal, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return (Int(size.ws_col), Int(size.ws_row))
  }

  static func write(_ text: String) { writeAll(text, to: STDOUT_FILENO) }
  static func writeError(_ text: String) { writeAll(text, to: STDERR_FILENO) }

  /// Writes the whole text or, when nobody reads any more, as much as could be written.
  private static func writeAll(_ text: String, to descriptor: Int32) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let written = bytes.withUnsafeBytes { systemWrite(descriptor, $0.baseAddress, $0.count) }
      if written < 0 && errno == EINTR { continue }
      guard written > 0 else { return }
      bytes = bytes.dropFirst(written)
    }
  }
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
  #if canImport(Darwin)
    Darwin.write(descriptor, bytes, count)
  #elseif canImport(Glibc)
    Glibc.write(descriptor, bytes, count)
  #elseif canImport(Musl)
    Musl.write(descriptor, bytes, count)
  #endif
}

/// Runs `work` in a task that Ctrl-C cancels, so that it can clean up and print what it has; a second Ctrl-C ends the process.
func runUntilInterrupted(_ work: @escaping @Sendable () async throws -> Void) async throws {
  let task = Task { try await work() }
  signal(SIGINT, SIG_IGN)  // The source sees it all the same.
  let source = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
  source.setEventHandler {
    task.cancel()
    signal(SIGINT, SIG_DFL)
  }
  source.resume()
  defer { source.cancel() }
  try await task.value
}
