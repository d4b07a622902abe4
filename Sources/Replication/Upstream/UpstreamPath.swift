import Core

// upstreamPath   u8 version, u16 count, then 20 bytes id each: the nodes above the sender, nearest first, the top last.
//                Only to a peer with the capability `path`.

/// Who is above the sender: told to a slave at the beginning of its stream and at every change, so that the slave and all
/// below it know through whom they get their data, and nobody refuses a node for a ring that is gone.
package struct UpstreamPath: Hashable, Sendable {
  package var nodes: [NodeID]
  package init(nodes: [NodeID]) { self.nodes = nodes }

  package func encoded() -> [UInt8] {
    let kept = nodes.prefix(ChainLimits.idsMax)
    var out = ByteWriter(capacity: 3 + kept.count * NodeID.byteCount)
    out.u8(BodyCoding.version)
    out.u16(UInt16(kept.count))
    for id in kept { out.raw(id.bytes) }
    return out.bytes
  }

  package static func decode(_ body: [UInt8]) throws(FrameError) -> UpstreamPath {
    try BodyCoding.read(.upstreamPath, body) { reader in
      try BodyCoding.checkVersion(&reader)
      let count = Int(try reader.u16())
      guard count <= ChainLimits.idsMax, count * NodeID.byteCount <= reader.remaining else {
        throw FrameError(.badBody, "a path of \(count) nodes in \(reader.remaining) bytes")
      }
      var path = UpstreamPath(nodes: [])
      for _ in 0..<count { path.nodes.append(try BodyCoding.nodeID(&reader)) }
      return path
    }
  }
}

extension Applier {
  /// Who is above the master changed. A path through this node is a ring: nothing comes from there any more.
  mutating func upstreamPath(_ path: UpstreamPath, _ actions: inout [ApplierAction]) throws(ReplicationError) {
    try expectBegun(.upstreamPath)
    guard let masterID, let local else { return }
    let above = [masterID] + path.nodes
    guard !path.nodes.contains(local.id) else {
      throw ReplicationError(.cycle, "the master gets its data through this node now")
    }
    guard above != upstream else { return }
    upstream = above
    actions.append(.upstreamChanged(above))
  }
}
