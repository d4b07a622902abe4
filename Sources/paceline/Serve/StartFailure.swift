import LogStore
import NIOCore
import PacelineServer

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Why a server did not start, in one line that says what to do.
enum StartFailure {
  static func reason(_ error: any Error, _ configuration: ServerConfiguration) -> String {
    let address = configuration.listenAddress
    switch error {
    // These name the file and what to do.
    case let error as OpenError: return error.description
    case let error as FileError: return error.description + advice(error, configuration)
    case let error as SettingError: return error.description
    case is SocketAddressError, is SocketAddressError.UnknownHost:
      return "cannot listen on \(address): no address is known for this name; check --bind"
    case let error as IOError:
      switch error.errnoCode {
      case EADDRINUSE:
        return
          "cannot listen on \(address): address already in use; is another server running there? Choose another --port"
      case EADDRNOTAVAIL:
        return "cannot listen on \(address): this machine does not have the address; choose another --bind"
      case EACCES:
        return "cannot listen on \(address): not allowed; ports below 1024 need a privilege. Choose another --port"
      case EAFNOSUPPORT:
        return "cannot listen on \(address): this machine has no addresses of this kind; choose another --bind"
      case EMFILE:
        return "too many open files: raise the limit of this process (ulimit -n), or lower --max-clients"
      default: return "\(error)"
      }
    default: return "\(error)"
    }
  }

  private static func advice(_ error: FileError, _ configuration: ServerConfiguration) -> String {
    switch error.errno {
    case EMFILE: ". Raise the limit of open files of this process (ulimit -n, LimitNOFILE=), or lower --max-clients"
    case ENFILE: ". The system has no file handle left: end what holds them, or raise fs.file-max"
    case EACCES, EPERM:
      ". The user that runs the server must be able to read, write and search \(configuration.dataDirectory)"
    case EROFS: ". The file system is mounted read-only: mount it writable, or name another directory with --data"
    case ENOSPC, EDQUOT: ". The disk is full: make room, or name another directory with --data"
    case EIO: ". The disk cannot be read or written: look at the system's log; start an empty slave on another disk"
    default: ""
    }
  }
}
