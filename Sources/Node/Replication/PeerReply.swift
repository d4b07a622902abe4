// Raw memory: replies are read where the socket's bytes lie.
import RESP
import Replication

/// What another node answers to a command between nodes.
package enum PeerReply: Hashable, Sendable {
  case status(String)
  case error(RESPValue.ServerError)
  case elements([String])

  /// nil for a reply that no node gives to such a command.
  init?(_ value: RESPValue) {
    switch value {
    case .simple(let text): self = .status(text)
    case .error(let error): self = .error(error)
    case .array(let values):
      var elements: [String] = []
      for value in values {
        guard case .bulk = value, let text = value.string else { return nil }
        elements.append(text)
      }
      self = .elements(elements)
    case .integer, .bulk, .null, .map, .set, .push, .double, .boolean, .bigNumber, .verbatim: return nil
    }
  }
}

/// The replies of another node before its connection turns to frames. Owned by one connection.
struct PeerReplyDecoder {
  struct Malformed: Error, CustomStringConvertible { let description: String }

  /// The longest of them lists the slaves, and the terms of a log.
  static let limits = ReplyLimits(replyBytesMax: 64 << 20, depthMax: 1)
  private var decoder = ReplyDecoder(limits: limits)

  /// The first reply in the bytes that were not taken yet, and how long it is; nil while bytes are missing.
  mutating func next(_ bytes: UnsafeRawBufferPointer) throws(Malformed) -> (reply: PeerReply, byteCount: Int)? {
    do {
      guard let (value, byteCount) = try decoder.next(bytes) else { return nil }
      guard let reply = PeerReply(value) else { throw Malformed(description: "a reply that no node gives") }
      return (reply, byteCount)
    } catch let error as MalformedReply {
      throw Malformed(description: error.description)
    } catch let error as Malformed {
      throw error
    } catch {
      throw Malformed(description: "\(error)")
    }
  }
}
