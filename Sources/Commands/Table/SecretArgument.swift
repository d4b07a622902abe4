// Raw memory: compares words of a client where they lie.
import RESP

/// Which arguments of a command are secrets that no log and no other client may see.
package enum SecretArgument: Sendable {
  /// Every argument behind the command's name. Example: AUTH.
  case all
  /// So many arguments behind each `word` (lower case), which is not the first argument. Example: the two behind AUTH in
  /// HELLO 3 AUTH user password.
  case behind(StaticString, count: Int)
}

/// Tells, argument by argument and in their order, which are secrets.
package struct SecretFinder {
  private let secrets: [SecretArgument]
  private var left = 0
  private var isFirst = true
  private var mayBeWord = false

  package init(_ row: CommandRow) { secrets = row.secrets }

  /// Whether the next argument of the command is a secret.
  package mutating func isSecret(_ argument: UnsafeRawBufferPointer) -> Bool {
    if isFirst {
      isFirst = false
      return false
    }
    defer { mayBeWord = true }
    if left > 0 {
      left -= 1
      return true
    }
    for secret in secrets {
      switch secret {
      case .all: return true
      case .behind(let word, let count): if mayBeWord, equalsIgnoringCase(argument, word) { left = count }
      }
    }
    return false
  }
}
