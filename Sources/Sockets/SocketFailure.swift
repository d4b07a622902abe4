import NIOCore
import NIOPosix

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What went wrong with a socket, in the few words a person needs. No library's type has its name in them.
package enum SocketFailure {
  package static func describe(_ error: any Error) -> String {
    switch error {
    case let failure as DialError: return failure.reason
    case let failure as NIOConnectionError:
      if failure.dnsAError != nil && failure.dnsAAAAError != nil { return "unknown host" }
      return failure.connectionErrors.last.map { describe($0.error) } ?? "no address of the host answers"
    case let failure as IOError: return describe(errno: failure.errnoCode)
    case ChannelError.connectTimeout: return "connection timed out"
    case is ChannelError: return "the connection is closed"
    case is EventLoopError: return "this process is ending"
    default: return "the connection failed"
    }
  }

  private static func describe(errno code: CInt) -> String {
    switch code {
    case ECONNREFUSED: "connection refused"
    case ECONNRESET, EPIPE: "connection reset"
    case ETIMEDOUT: "connection timed out"
    case EMFILE, ENFILE: "too many open files in this process"
    case EHOSTUNREACH, ENETUNREACH: "host unreachable"
    default: strerror(code).map { String(cString: $0).lowercased() } ?? "error \(code)"
    }
  }
}
