// Raw memory: a client's own bytes are quoted in errors, blanked and cut, without being taken for text.

extension ReplyBuffer {
  /// Longest part of a client's word that an error quotes.
  private static var quotedBytesMax: Int { 128 }

  /// `unknown subcommand 'x'. Try CONFIG HELP.`: of a command that has subcommands. At least two arguments.
  public mutating func unknownSubcommand(_ arguments: borrowing ArgumentList) {
    raw("-ERR unknown subcommand '")
    quote(arguments[1], atMost: Self.quotedBytesMax)
    raw("'. Try ")
    quote(arguments[0], atMost: Self.quotedBytesMax, inUpperCase: true)
    raw(" HELP.\r\n")
  }

  /// `unknown command 'x', with args beginning with: 'a' 'b' `, in Redis's words.
  public mutating func unknownCommand(_ arguments: borrowing ArgumentList) {
    guard arguments.count > 0 else { return error("ERR unknown command ''") }
    raw("-ERR unknown command '")
    quote(arguments[0], atMost: Self.quotedBytesMax)
    raw("', with args beginning with: ")
    let begin = count
    var i = 1
    while i < arguments.count && count - begin < Self.quotedBytesMax {
      let room = Self.quotedBytesMax - (count - begin)
      raw("'")
      quote(arguments[i], atMost: room)
      raw("' ")
      i += 1
    }
    raw("\r\n")
  }

  /// `wrong number of arguments for 'get' command`; of a subcommand, `'config|get'`.
  public mutating func wrongArgumentCount(of name: String) {
    error("ERR wrong number of arguments for '\(name)' command")
  }

  /// The reply to bytes that are no command; nothing where the connection is closed silently. It is closed in any case.
  public mutating func protocolError(_ failure: ProtocolError) {
    if !failure.isSilent { error("ERR " + failure.message) }
  }

  /// An error made of a client's own bytes: `-`, `prefix`, at most 128 of the bytes, `suffix`.
  public mutating func error(_ prefix: StaticString, quoting bytes: UnsafeRawBufferPointer, _ suffix: StaticString) {
    raw("-")
    raw(prefix)
    quote(bytes, atMost: Self.quotedBytesMax)
    raw(suffix)
    raw("\r\n")
  }

  /// Appends at most `limit` bytes, up to the first NUL (Redis prints C strings), CR and LF as blanks.
  private mutating func quote(_ bytes: UnsafeRawBufferPointer, atMost limit: Int, inUpperCase: Bool = false) {
    reserve(min(bytes.count, limit))
    for byte in bytes.prefix(limit) {
      if byte == 0 { return }
      putByte(byte == 0x0D || byte == 0x0A ? 0x20 : inUpperCase ? uppercased(byte) : byte)
    }
  }
}
