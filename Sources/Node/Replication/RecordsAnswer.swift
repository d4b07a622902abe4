import Core
import RESP

/// What another node answers to MS_FETCH_RECORDS, MS_DIGEST_PARTITIONS and MS_PARTITION_RECORDS: a number and byte strings.
struct RecordsAnswer: Sendable, Equatable {
  /// Where to go on; none: that was all.
  var next = LSN.none
  var records: [[UInt8]] = []

  /// One record of the greatest size, and the others of a call.
  static let limits = ReplyLimits(replyBytesMax: (512 << 20) + (4 << 20), depthMax: 1)

  /// An answer that the node gave instead of one.
  struct Refusal: Error, CustomStringConvertible { let description: String }

  init(_ reply: RESPValue) throws(Refusal) {
    switch reply {
    // To a password.
    case .simple: return
    case .error(let error): throw Refusal(description: error.message)
    case .array(let elements):
      guard case .integer(let next)? = elements.first, next >= 0 else { break }
      let records = elements.dropFirst().compactMap { element in
        if case .bulk(let record) = element { record } else { nil }
      }
      guard records.count == elements.count - 1 else { break }
      (self.next, self.records) = (LSN(UInt64(next)), records)
      return
    case .integer, .bulk, .null, .map, .set, .push, .double, .boolean, .bigNumber, .verbatim: break
    }
    throw Refusal(description: "not an answer of a Paceline node")
  }
}
