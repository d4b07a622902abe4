import Commands
import Core
import NIOCore
import RESP
import Replication

/// What a connection to the master is told before a client's commands go over it: whatever of the session it does not know
/// yet. Knows what every answer has to be.
struct ForwardPreparation {
  private enum Part { case login, mark, session }
  enum Progress: Equatable {
    /// More answers are to come.
    case waits
    case done
    /// The connection is of no use, and why.
    case refused(String)
  }

  private var commands: [[String]] = []
  private var expected: [Part] = []

  /// - Parameters:
  ///   - node: the id of this node.
  ///   - password: of other nodes; nil where they have none.
  init(_ connection: ForwardConnection, _ session: Session, node: NodeID, password: String?) {
    let isNew = !connection.isGreeted
    if isNew, let password { tell(.login, Login.command(password: password)) }
    if isNew || connection.protocolVersion != session.protocolVersion {
      tell(.session, ["HELLO", "\(session.protocolVersion)"])
    }
    if isNew {
      tell(.mark, [ForwardOrder.command] + ForwardOrder(node: node).arguments)
      tell(.session, ["CLIENT", "SETINFO", "LIB-NAME", ForwardConnection.libraryName])
    }
    if connection.database != session.database { tell(.session, ["SELECT", "\(session.database)"]) }
    if connection.level != session.level { tell(.session, ["COMMIT", "LEVEL", session.level?.name ?? "default"]) }
    if connection.hasToUnwatch { tell(.session, ["UNWATCH"]) }
  }

  private mutating func tell(_ part: Part, _ command: [String]) {
    commands.append(command)
    expected.append(part)
  }

  /// The connection knows everything already.
  var isEmpty: Bool { commands.isEmpty }
  var request: ByteBuffer { ByteBuffer(bytes: RequestBuffer.encoded(commands)) }

  /// The next answer has come; nil: one that is no error.
  mutating func answered(_ error: RESPValue.ServerError?) -> Progress {
    guard let part = expected.first else { return .refused("an answer to nothing") }
    expected.removeFirst()
    if let error, let refusal = Self.refusal(of: part, error) { return .refused(refusal) }
    return expected.isEmpty ? .done : .waits
  }

  private static func refusal(of part: Part, _ error: RESPValue.ServerError) -> String? {
    switch part {
    case .login: Login.refusal(error)
    // A node of an older version does not know the command: it goes by the name of the library.
    case .mark: error.code == "ERR" ? nil : error.message
    case .session: error.message
    }
  }
}
