import Core

// What a generation tells about the data set beside its id, behind the registry (since format 7).
//
//  size name       meaning
//     1 flags      bit 0: an operator said that this data set is the one that counts; others are 0
//    20 ordered    the data set that an operator ordered this node to take, zeros for none
//    20 rival      the data set of the node that claims this one's place, zeros for none
//     . place      where that node is: length u16 and bytes; empty without a rival

/// Which data set this node is meant to hold, beside the one that it holds. Goes with that one.
public struct DataSetState: Equatable, Sendable {
  /// Nodes that hold another data set where this one is a master: it takes no writes until an operator decides.
  public struct Rival: Equatable, Sendable {
    public var lineage: NodeID
    /// An address, for people.
    public var place: String
    public init(lineage: NodeID, place: String) {
      self.lineage = lineage
      self.place = place
    }
  }
  /// An operator said that this data set is the one that counts.
  public var isConfirmed = false
  /// The data set that an operator ordered this node to take, until it has it.
  public var ordered: NodeID?
  public var rival: Rival?
  public init() {}

  func write(to body: inout ByteWriter) {
    body.u8(isConfirmed ? 1 : 0)
    for lineage in [ordered, rival?.lineage] {
      body.raw(lineage?.bytes ?? [UInt8](repeating: 0, count: NodeID.byteCount))
    }
    let place = Array((rival?.place ?? "").utf8.prefix(Self.placeBytesMax))
    body.u16(UInt16(place.count))
    body.raw(place)
  }
  private static let placeBytesMax = 512

  init(reading reader: inout ByteReader) throws {
    let flags = try reader.u8()
    guard flags <= 1 else { throw DirectoryFile.Unreadable.damaged("the state of the data set has flags \(flags)") }
    isConfirmed = flags == 1
    func lineage() throws -> NodeID? {
      let bytes = try reader.raw(NodeID.byteCount)
      return bytes.allSatisfy { $0 == 0 } ? nil : NodeID(random: bytes)
    }
    ordered = try lineage()
    let other = try lineage()
    let place = String(decoding: try reader.raw(Int(try reader.u16())), as: UTF8.self)
    rival = other.map { Rival(lineage: $0, place: place) }
  }
}
