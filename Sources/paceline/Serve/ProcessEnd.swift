import Dispatch

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The ways in which the process ends.
enum ProcessEnd {
  /// Ends it with the buffers flushed.
  static func now(_ code: Int32) -> Never {
    #if canImport(Darwin)
      Darwin.exit(code)
    #elseif canImport(Glibc)
      Glibc.exit(code)
    #elseif canImport(Musl)
      Musl.exit(code)
    #endif
  }

  /// Calls `body` for every SIGINT (true) and SIGTERM (false). Keep the result as long as this is to hold.
  static func onSignals(_ body: @escaping @Sendable (_ isInterrupt: Bool) -> Void) -> [any DispatchSourceSignal] {
    [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)  // The source sees it all the same.
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { body(number == SIGINT) }
      source.resume()
      return source
    }
  }

  /// Ends the process without another word to anybody. Nothing acknowledged under `--durability fsync` is lost by it.
  static func atOnce() {
    Terminal.writeError("paceline: asked again: ending at once\n")
    _exit(1)
  }

  /// Writing to a pipe that nobody reads is an error of that write, not the end of the server.
  static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }
}
