// Raw memory: bytes on their way to and from a connection.
/// Runs work one after the other.
package protocol WorkLoop: AnyObject, Sendable {
  func execute(_ work: @escaping @Sendable () -> Void)
  func schedule(afterMilliseconds: UInt64, _ work: @escaping @Sendable () -> Void)
  func every(milliseconds: UInt64, _ work: @escaping @Sendable () -> Void) -> any Cancellable
}

package protocol Cancellable: Sendable { func cancel() }
package protocol Joinable: Sendable { func join() }

/// A connection between two nodes, as who writes to it sees it. Any thread.
package protocol NodeConnection: AnyObject, Sendable {
  /// False while the other side takes no more: what is sent nevertheless is kept.
  var isWritable: Bool { get }
  /// Sends the bytes that `fill` puts into at most `capacity` bytes; returns how many.
  @discardableResult
  func send(capacity: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Int) -> Int
  /// After what was sent has left.
  func close()
}

extension NodeConnection {
  @discardableResult
  package func send(_ bytes: [UInt8]) -> Int {
    send(capacity: bytes.count) { space in
      space.copyBytes(from: bytes)
      return bytes.count
    }
  }
}

/// Who reads a connection. On one loop; never called again inside a call.
package protocol ConnectionReceiver: AnyObject {
  func opened(_ connection: any NodeConnection)
  /// All bytes that were not taken yet. Returns how many are taken now.
  func received(_ bytes: UnsafeRawBufferPointer) -> Int
  /// Nothing can be taken before so many bytes are there.
  var wantedBytes: Int { get }
  func writabilityChanged(_ isWritable: Bool)
  /// Closed, by whomever, or never opened.
  func closed(_ reason: String)
}
