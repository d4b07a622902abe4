// Raw memory: bytes on their way to a client.
import Commands
import Core
import RESP

/// What a connection asks of the socket, or whatever stands for one, below it. On the connection's loop.
package protocol ConnectionDriver: AnyObject {
  /// False while the client reads nothing: no further command is executed then.
  var isWritable: Bool { get }
  /// These bytes leave now.
  func send(_ bytes: UnsafeRawBufferPointer)
  /// These bytes are kept, behind those that are kept already.
  func keep(_ bytes: UnsafeRawBufferPointer)
  /// The oldest bytes that are kept leave, with the next flush.
  func sendKept()
  func flush()
  /// The oldest bytes that are kept are forgotten.
  func dropKept()
  /// Ends the connection when what was sent has left. What has not been read is dropped.
  func close()
  /// `ClientConnection.received` takes bytes again: those that were left, then what comes.
  func readOn()
  /// `ClientConnection.retry` is to be called then.
  func wake(at tick: Tick)

  // The way of a command

  /// Commands of the next batch go through `screen` one by one.
  var screensCommands: Bool { get }
  /// A command that is about to be executed, and how far its first byte is from the beginning of the batch.
  func screen(_ arguments: borrowing ArgumentList, _ bytes: UnsafeRawBufferPointer, at: Int) -> Screening
  /// Bytes that are no command come only when what was taken by `screen` is answered.
  var hasTakenCommands: Bool { get }
  func failed(_ error: ProtocolError)
  /// The commands of a batch have run, and their replies are still in the executor's buffer, except what was too much for it.
  func batchEnds()
  /// A batch is over, and its replies have left or are held: so many bytes were taken. May hold the connection.
  func executed(bytes: Int)
  /// Looks after what `screen` has taken; true while that is under way.
  func lookAtTaken(now: Tick) -> Bool
  /// Writes were held back when this node was the master, and another one is by now.
  func lostMastership()
}

/// What becomes of a command that was looked at before its execution.
package enum Screening {
  case execute
  /// Somebody else answers it.
  case taken
  /// Its reply is in the executor's buffer.
  case answered
  /// What was taken before has to be answered first.
  case wait
  /// Writes are held back; nothing of it has happened.
  case paused
}
