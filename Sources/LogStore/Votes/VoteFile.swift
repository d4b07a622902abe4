import Core

// How a node voted last, `1.vote` and `2.vote` in the data directory: the same bytes twice. Little endian.
//
//  offset size name          meaning
//       0    8 magic         "PLVOTE\0\1"
//       8    4 checksum      crc32c of bytes 12..<100
//      12    4 term          of the vote; 0: it never voted
//      16    8 sequence      +1 with every vote; of two copies the higher one is the newer
//      24    8 generation    the newest generation of the directory when this was written
//      32    4 unsureUpTo    the node cannot be sure how it voted in terms up to this one; 0: it is sure
//      36    1 candidate     0: for nobody, 20: an id follows
//      37    3 zero
//      40   20 candidate id, or zeros
//      60   20 node          whose vote it is
//      80   20 lineage       of which data set; votes of another one say nothing
//
// Both copies are written in place, each flushed, one after the other, before the node tells anybody of the vote. A crash
// leaves the first copy new, old or torn and the second one old, or the first one new and the second one old or torn: so one
// is good at every moment, and a vote that was told is in both. Whatever damages one file leaves the other.
public struct VoteFile: Equatable, Sendable {
  public var vote = DirectoryFile.Vote(term: .none, candidate: nil)
  public var sequence: UInt64 = 0
  public var generation: UInt64 = 0
  public var unsureUpTo = Term.none
  public var node: NodeID
  public var lineage: NodeID

  public static let names = ["1.vote", "2.vote"]
  public static let suffix = ".vote"
  public static let magic: UInt64 = 0x0100_4554_4F56_4C50  // "PLVOTE\0\1"
  public static let byteCount = 100

  public init(node: NodeID, lineage: NodeID) {
    self.node = node
    self.lineage = lineage
  }

  public func encoded() -> [UInt8] {
    var body = ByteWriter(capacity: Self.byteCount)
    body.u32(vote.term.value)
    body.u64(sequence)
    body.u64(generation)
    body.u32(unsureUpTo.value)
    body.u8(UInt8(vote.candidate == nil ? 0 : NodeID.byteCount))
    body.raw([0, 0, 0])
    body.raw(vote.candidate?.bytes ?? [UInt8](repeating: 0, count: NodeID.byteCount))
    body.raw(node.bytes)
    body.raw(lineage.bytes)
    var file = ByteWriter(capacity: Self.byteCount)
    file.u64(Self.magic)
    file.u32(CRC32C.checksum(body.bytes))
    file.raw(body.bytes)
    return file.bytes
  }

  public init(decoding bytes: [UInt8]) throws(DirectoryFile.Unreadable) {
    guard bytes.count == Self.byteCount else {
      throw .damaged("it has \(bytes.count) bytes, not \(Self.byteCount)")
    }
    do {
      var reader = ByteReader(bytes)
      guard try reader.u64() == Self.magic else { throw DirectoryFile.Unreadable.otherFormat }
      let checksum = try reader.u32()
      guard CRC32C.checksum(Array(bytes[12...])) == checksum else {
        throw DirectoryFile.Unreadable.damaged("the checksum is wrong")
      }
      let term = Term(try reader.u32())
      sequence = try reader.u64()
      generation = try reader.u64()
      unsureUpTo = Term(try reader.u32())
      let candidateBytes = Int(try reader.u8())
      guard candidateBytes == 0 || candidateBytes == NodeID.byteCount, try reader.raw(3) == [0, 0, 0] else {
        throw DirectoryFile.Unreadable.damaged("the vote is malformed")
      }
      let candidate = NodeID(random: try reader.raw(NodeID.byteCount))
      vote = .init(term: term, candidate: candidateBytes == 0 ? nil : candidate)
      node = NodeID(random: try reader.raw(NodeID.byteCount))
      lineage = NodeID(random: try reader.raw(NodeID.byteCount))
    } catch let error as DirectoryFile.Unreadable {
      throw error
    } catch {
      throw .damaged("\(error)")
    }
  }
}
