import RESP

/// What a row of the table does.
package enum CommandFunction: Sendable {
  /// Answers at once, from the keys, the connection or the table. Example: GET.
  package typealias Answer =
    @Sendable (borrowing ArgumentList, Executor, Session) throws(CommandFailure) -> Void
  /// Answers, or says what the connection waits for. Example: EXEC.
  package typealias Perform =
    @Sendable (borrowing ArgumentList, Executor, Session) throws(CommandFailure) -> Outcome

  case answers(Answer)
  case mayWait(Perform)
  /// By the host around the executor (the server, or a node of the simulator): the batch gives its write lock back before.
  /// Example: INFO.
  case served(Perform)
  /// The second word says what is done, and none is left out. Example: CONFIG.
  case container
  /// Tells what the subcommands of its container are. Example: CONFIG HELP.
  case help
}

/// Makes methods of a receiver to functions of rows: `let server = HostFunctions<ServerCore>()`, then
/// `server(ServerCore.role)`. Overloaded for what a method looks at and whether it may let the connection wait.
package struct HostFunctions<Receiver>: Sendable {
  /// Whose method it is, for the host of an executor.
  private let receiver: @Sendable (Executor) -> Receiver

  package init(_ receiver: @escaping @Sendable (Executor) -> Receiver) { self.receiver = receiver }

  package typealias Whole =
    @Sendable (Receiver) -> (borrowing ArgumentList, Executor, Session) throws(CommandFailure) -> Outcome
  package func callAsFunction(_ method: @escaping Whole) -> CommandFunction {
    .served { [receiver] (arguments, executor, session) throws(CommandFailure) in
      try method(receiver(executor))(arguments, executor, session)
    }
  }

  package typealias WithArguments =
    @Sendable (Receiver) -> (borrowing ArgumentList, Executor) throws(CommandFailure) -> Outcome
  package func callAsFunction(_ method: @escaping WithArguments) -> CommandFunction {
    .served { [receiver] (arguments, executor, _) throws(CommandFailure) in
      try method(receiver(executor))(arguments, executor)
    }
  }

  package typealias Plain = @Sendable (Receiver) -> (Executor) throws(CommandFailure) -> Outcome
  package func callAsFunction(_ method: @escaping Plain) -> CommandFunction {
    .served { [receiver] (_, executor, _) throws(CommandFailure) in try method(receiver(executor))(executor) }
  }

  package typealias WholeAnswer =
    @Sendable (Receiver) -> (borrowing ArgumentList, Executor, Session) throws(CommandFailure) -> Void
  package func callAsFunction(_ method: @escaping WholeAnswer) -> CommandFunction {
    .served { [receiver] (arguments, executor, session) throws(CommandFailure) in
      try method(receiver(executor))(arguments, executor, session)
      return .done
    }
  }

  package typealias AnswerWithArguments =
    @Sendable (Receiver) -> (borrowing ArgumentList, Executor) throws(CommandFailure) -> Void
  package func callAsFunction(_ method: @escaping AnswerWithArguments) -> CommandFunction {
    .served { [receiver] (arguments, executor, _) throws(CommandFailure) in
      try method(receiver(executor))(arguments, executor)
      return .done
    }
  }

  package typealias AnswerOfSession = @Sendable (Receiver) -> (Executor, Session) throws(CommandFailure) -> Void
  package func callAsFunction(_ method: @escaping AnswerOfSession) -> CommandFunction {
    .served { [receiver] (_, executor, session) throws(CommandFailure) in
      try method(receiver(executor))(executor, session)
      return .done
    }
  }

  package typealias PlainAnswer = @Sendable (Receiver) -> (Executor) throws(CommandFailure) -> Void
  package func callAsFunction(_ method: @escaping PlainAnswer) -> CommandFunction {
    .served { [receiver] (_, executor, _) throws(CommandFailure) in
      try method(receiver(executor))(executor)
      return .done
    }
  }
}

extension HostFunctions where Receiver: ServerServices {
  /// The methods of the host itself. Its table runs only in executors that were made with a host of that kind.
  package init() {
    self.init { executor in
      guard let host = executor.services as? Receiver else {
        preconditionFailure("a command of \(Receiver.self) on another host")
      }
      return host
    }
  }
}
