/// What the disk does to this node, at one moment.
package struct DiskStatus: Hashable, Sendable {
  /// The worst of all that is known now.
  package enum State: String, Sendable {
    case ok
    /// There is no room, or no file handle: goes on by itself when there is.
    case full
    /// A write or flush failed: needs a restart.
    case failed
  }
  package var state = State.ok
  /// Which call failed on which file, and why.
  package var errors: [String] = []
  /// Damaged and not repaired.
  package var damagedRecords = 0
  package var damagedPlaces: [String] = []
  /// Parts of mapped files that could not be read since the start, and the files.
  package var unreadablePages: UInt64 = 0
  package var unreadableFiles: [String] = []
}
