import Core

/// Who has an entry that points at a record.
enum EntryOwner {
  /// A key, by its table and the hash of its name.
  case key(table: UInt32, hash: UInt64)
  /// The store itself: the newest catalog record.
  case catalog
}

/// An entry that is to follow its record into a new file, as a compaction or a repair writes it: where the record stood, and
/// at which offset of the new file it stands.
struct KeyMove {
  var owner: EntryOwner
  var from: IndexEntry
  var offset: Int
  /// The record's bytes in the old file and in the new one: a value may be compressed anew on the way.
  var bytes: Int
  var newBytes: Int
  var expires: Bool
}

/// What a live record counts for in its partition and in its segment.
struct RecordWeight {
  var digest: UInt64
  var bytes: Int
}

extension RecordView {
  var weight: RecordWeight { RecordWeight(digest: digest, bytes: recordBytes) }
}
