// Raw memory: looks at arguments where they lie; none outlives its command.
import RESP

/// Commands about the connection itself.
enum ConnectionCommands {
  /// PING [message]
  static func ping(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) throws(CommandFailure)
  {
    switch arguments.count {
    case 1: executor.reply.simple("PONG" as StaticString)
    case 2: executor.reply.bulk(arguments[1])
    default: throw .wrongArgumentCount
    }
  }

  /// ECHO message
  static func echo(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) {
    executor.reply.bulk(arguments[1])
  }

  /// QUIT
  static func quit(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) {
    session.discardTransaction()
    session.closing = true
    executor.reply.ok()
  }

  /// SELECT index
  static func select(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    session.database = try keys.databaseIndex(arguments[1])
    executor.reply.ok()
  }

  /// RESET: as if the client had just connected.
  static func reset(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) {
    session.discardTransaction()
    session.database = 0
    session.name = ""
    session.isMonitor = false
    session.noEvict = false
    session.noTouch = false
    session.level = nil
    session.staleness = nil
    executor.level = executor.services.level
    // CLIENT REPLY SKIP holds for this reply still.
    if session.replyMode == .off || session.replyMode == .skipNext { session.replyMode = .on }
    session.authenticated = executor.services.password == nil
    use(protocolVersion: 2, executor, session)
    executor.reply.simple("RESET" as StaticString)
  }

  private static func use(protocolVersion: UInt8, _ executor: Executor, _ session: Session) {
    session.protocolVersion = protocolVersion
    executor.reply.protocolVersion = protocolVersion
  }

  /// HELLO [protover [AUTH username password] [SETNAME clientname]]
  ///
  /// As in Redis, options take effect one by one, those before a wrong one as well.
  static func hello(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    var version = session.protocolVersion
    if arguments.count > 1 {
      guard let number = parseInteger(arguments[1]) else {
        throw .text("ERR Protocol version is not an integer or out of range")
      }
      guard number == 2 || number == 3 else { throw .text("NOPROTO unsupported protocol version") }
      version = UInt8(number)
    }
    var i = 2
    while i < arguments.count {
      let option = arguments[i]
      let more = arguments.count - 1 - i
      if equalsIgnoringCase(option, "auth"), more >= 2 {
        try authenticate(user: arguments[i + 1], password: arguments[i + 2], executor, session)
        i += 3
      } else if equalsIgnoringCase(option, "setname"), more >= 1 {
        guard Session.isValidName(arguments[i + 1]) else {
          throw .text("ERR Client names cannot contain spaces, newlines or special characters.")
        }
        session.name = String(decoding: arguments[i + 1], as: UTF8.self)
        i += 2
      } else {
        executor.errorReplies &+= 1
        return executor.reply.error("ERR Syntax error in HELLO option '", quoting: option, "'")
      }
    }
    guard session.authenticated else {
      throw .text(
        """
        NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> \
        option can be used to authenticate the client and select the RESP protocol version at the same time
        """)
    }
    use(protocolVersion: version, executor, session)
    executor.reply.map(7)
    executor.reply.bulk("server" as StaticString)
    executor.reply.bulk("redis" as StaticString)
    executor.reply.bulk("version" as StaticString)
    executor.reply.bulk(executor.services.redisVersion)
    executor.reply.bulk("proto" as StaticString)
    executor.reply.integer(Int64(version))
    executor.reply.bulk("id" as StaticString)
    executor.reply.integer(Int64(clamping: session.id))
    executor.reply.bulk("mode" as StaticString)
    executor.reply.bulk("standalone" as StaticString)
    executor.reply.bulk("role" as StaticString)
    executor.reply.bulk(executor.services.roleName)
    executor.reply.bulk("modules" as StaticString)
    executor.reply.array(0)
  }

  // MARK: Authentication

  /// AUTH [username] password. The only user is `default`.
  static func authenticate(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    guard arguments.count <= 3 else { throw .syntax }
    if arguments.count == 3 {
      try authenticate(user: arguments[1], password: arguments[2], executor, session)
    } else {
      guard executor.services.password != nil else {
        throw .text(
          """
          ERR AUTH <password> called without any password configured for the default user. Are you sure your \
          configuration is correct?
          """)
      }
      try authenticate(user: nil, password: arguments[1], executor, session)
    }
    executor.reply.ok()
  }

  private static func authenticate(
    user: UnsafeRawBufferPointer?, password: UnsafeRawBufferPointer, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    let isDefault = user.map { $0.elementsEqual("default".utf8) } ?? true
    // Without a password the default user takes any.
    let isRight = executor.services.password.map { Self.isSame(password, as: $0) } ?? true
    guard isDefault, isRight else {
      throw .text("WRONGPASS invalid username-password pair or user is disabled.")
    }
    session.authenticated = true
  }

  /// Compares in a time that depends on the length of `given` alone, so that no client can guess byte by byte.
  static func isSame(_ given: UnsafeRawBufferPointer, as secret: [UInt8]) -> Bool {
    var difference = given.count ^ secret.count
    for i in given.indices {
      difference |= Int(given[i] ^ (secret.isEmpty ? 0 : secret[i % secret.count]))
    }
    return difference == 0
  }
}
