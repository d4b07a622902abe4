/// What one client may ask the request parser to hold. A value per connection; `authenticated` changes with `AUTH`.
///
/// Counts and sizes that a client announces are checked against these limits and never allocated; memory grows
/// with the bytes that arrived.
public struct RequestLimits: Sendable {
  /// Most arguments of one command.
  public var multibulkCountMax = 1_048_576
  /// Most bytes of one argument (`proto-max-bulk-len`).
  public var bulkBytesMax = 512 << 20
  /// Longest inline command, and longest line that announces a count or a length.
  public var inlineBytesMax = 65_536
  /// Most bytes of one whole command (`client-query-buffer-limit`); more than 4 GiB - 1 counts as that.
  public var commandBytesMax = 1 << 30
  /// False while the connection still owes a password: then the `unauthenticated` limits hold as well.
  public var authenticated: Bool

  /// Most arguments before authentication.
  public static let unauthenticatedCountMax = 10
  /// Most bytes of one argument, or of an inline command, before authentication.
  public static let unauthenticatedBulkBytesMax = 16_384
  /// Most bytes of one whole command before authentication: one argument of the greatest size, and the words around it.
  public static let unauthenticatedCommandBytesMax = 20_480

  /// The longest line that holds now.
  var lineBytesMax: Int { authenticated ? inlineBytesMax : min(inlineBytesMax, Self.unauthenticatedBulkBytesMax) }
  /// The largest command that holds now.
  var wholeBytesMax: Int {
    min(authenticated ? commandBytesMax : min(commandBytesMax, Self.unauthenticatedCommandBytesMax), 0xFFFF_FFFF)
  }

  public init(authenticated: Bool = true) { self.authenticated = authenticated }
}

/// Why the bytes of a client cannot be a command. The connection is closed after the reply, if there is one.
public enum ProtocolError: Error, Equatable, Sendable {
  case inlineTooBig
  case unbalancedQuotes
  /// A NUL byte inside an inline command that has arguments (Redis waits for ever; here it is refused).
  case nulInInline
  case invalidMultibulkLength
  case multibulkCountTooBig
  case unauthenticatedMultibulkLength
  case expectedDollar(got: UInt8)
  case invalidBulkLength
  case bulkCountTooBig
  case unauthenticatedBulkLength
  /// The two bytes after an argument are not CR LF.
  case expectedTerminator
  /// One command is larger than `commandBytesMax`.
  case requestTooBig
  /// An inline `POST` or `Host:`: a browser is being misused. Close without a reply and log a possible attack.
  case httpRequest
  /// The first byte of a TLS ClientHello on the plain port. Close without a reply.
  case tlsHandshake

  /// Redis 7.0's text, without the `ERR ` code; empty where the connection is closed without a reply.
  public var message: String {
    switch self {
    case .inlineTooBig: "Protocol error: too big inline request"
    case .unbalancedQuotes: "Protocol error: unbalanced quotes in request"
    case .nulInInline: "Protocol error: NUL byte in inline request"
    case .invalidMultibulkLength: "Protocol error: invalid multibulk length"
    case .multibulkCountTooBig: "Protocol error: too big mbulk count string"
    case .unauthenticatedMultibulkLength: "Protocol error: unauthenticated multibulk length"
    case .expectedDollar(let got): "Protocol error: expected '$', got '\(Self.printable(got))'"
    case .invalidBulkLength: "Protocol error: invalid bulk length"
    case .bulkCountTooBig: "Protocol error: too big bulk count string"
    case .unauthenticatedBulkLength: "Protocol error: unauthenticated bulk length"
    case .expectedTerminator: "Protocol error: expected CRLF after bulk"
    case .requestTooBig: "Protocol error: too big request"
    case .httpRequest, .tlsHandshake: ""
    }
  }

  /// True where the connection is closed without a reply.
  public var isSilent: Bool { self == .httpRequest || self == .tlsHandshake }

  private static func printable(_ byte: UInt8) -> String {
    if byte >= 0x20 && byte < 0x7F { return String(UnicodeScalar(byte)) }
    let digits = String(byte, radix: 16)
    return "\\x" + (digits.count == 1 ? "0" : "") + digits
  }
}
