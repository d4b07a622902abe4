#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

enum PasswordOption {
  /// The option's value, else that of the environment variable `PACELINE_PASSWORD`, else none.
  static func resolve(_ option: String?) -> String? {
    if let option { return option }
    return getenv("PACELINE_PASSWORD").map { String(cString: $0) }
  }
}
