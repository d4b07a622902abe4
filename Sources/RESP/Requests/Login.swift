/// How a connection to a node begins where a password is known: with AUTH, and with its answer goes on or ends. One rule
/// for the client library, for the tools, and for nodes among themselves.
public enum Login {
  public static func command(password: String) -> [String] { ["AUTH", password] }

  /// Why the node takes nobody with this password; nil where it does, and where it has no password at all.
  ///
  /// It tells the two apart by the error's code: a wrong password is `WRONGPASS`, a node without one says `ERR`.
  public static func refusal(_ reply: RESPValue) -> String? { reply.serverError.flatMap(refusal) }

  public static func refusal(_ error: RESPValue.ServerError) -> String? { error.code == "ERR" ? nil : error.message }

  /// The same of what a scanner saw: whether the node goes on with whoever sent this password.
  public static func isAccepted(_ kind: ReplyScanner.Kind) -> Bool {
    switch kind {
    case .line: true
    case .error(let code): code == ErrorCode("ERR")
    case .null, .string, .aggregate: false
    }
  }
}
