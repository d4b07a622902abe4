import Core
import LogStore
import Replication

// How reigns began by the mere start of a node are remembered: see `StartDivergence`.

extension DirectoryFile {
  /// The oldest are forgotten first.
  /// Of the same reign the newer word counts.
  mutating func note(startReigns new: [StartMark]) {
    let kept = startReigns.filter { old in !new.contains { $0.reign == old.reign } }
    startReigns = Array((kept + new).sorted { $0.reign < $1.reign }.suffix(256))
  }
}

extension NodeCore {
  /// What this node's master says of how reigns of this data set began.
  func note(starts: [StartMark], of lineage: NodeID) {
    guard lineage == directory.lineage else { return }
    var next = directory.current
    next.note(startReigns: starts)
    guard next.startReigns != directory.current.startReigns else { return }
    do { try directory.change { $0.note(startReigns: starts) } } catch { disk.generation(error) }
  }
}
