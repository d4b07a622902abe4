import Dispatch
import Synchronization

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

  /// From the second SIGINT or SIGTERM on, ends the process at once; the first belongs to the graceful shutdown. Nothing
  /// acknowledged under `--durability fsync` is lost by it. Keep the result as long as this is to hold.
  static func onSecondSignal() -> [any DispatchSourceSignal] {
    let seen = Count()
    return [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)  // The source sees it all the same.
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        guard seen.next() > 1 else { return }
        Terminal.writeError("paceline: second signal: ending at once\n")
        _exit(1)
      }
      source.resume()
      return source
    }
  }

  private final class Count: Sendable {
    private let value = Atomic<Int>(0)
    func next() -> Int { value.add(1, ordering: .relaxed).newValue }
  }

  /// Writing to a pipe that nobody reads is an error of that write, not the end of the server.
  static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }
}
