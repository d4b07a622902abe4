import NIOCore
import NIOPosix

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What went wrong with a socket, in the few words a person at a terminal needs.
package enum ConnectFailure {
  package static func describe(_ error: any Error) -> String {
    switch error {
    case let failure as NIOConnectionError:
      if failure.dnsAError != nil && failure.dnsAAAAError != nil { return "unknown host" }
      return failure.connectionErrors.last.map { describe($0.error) } ?? "no address of the host answers"
    case let failure as IOError:
      return switch failure.errnoCode {
      case ECONNREFUSED: "connection refused"
      case ECONNRESET, EPIPE: "connection reset"
      case ETIMEDOUT: "connection timed out"
      case EMFILE, ENFILE: "too many open files in this process"
      case EHOSTUNREACH, ENETUNREACH: "host unreachable"
      default: String(describing: failure)
      }
    case ChannelError.connectTimeout: return "connection timed out"
    default: return String(describing: error)
    }
  }
}
