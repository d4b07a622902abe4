import Core

/// When to look at which record: places of records with an expiry, in buckets by time. 8 bytes each.
///
/// Writer only. An entry is a hint: the record may have been overwritten since, so whoever takes a due entry checks
/// that the index still points at it.
struct ExpiryWheel {
  /// Expiries within the hour are kept by the second, later ones by the hour and sorted again when their hour comes.
  private var seconds: [UInt64: [IndexEntry]] = [:]
  private var hours: [UInt64: [IndexEntry]] = [:]
  private var nextSecond: UInt64 = 0
  private(set) var count = 0

  mutating func add(_ entry: IndexEntry, expiry milliseconds: UInt64, now: UInt64) {
    // Rounded up: when the bucket is due, everything in it has expired.
    let second = max(milliseconds / 1000 + (milliseconds % 1000 == 0 ? 0 : 1), nextSecond)
    count += 1
    if second < now / 1000 + 3600 {
      seconds[second, default: []].append(entry)
    } else {
      hours[second / 3600, default: []].append(entry)
    }
  }

  /// Up to `limit` entries that are due. `expiry` tells the expiry of an entry's record, nil if it is gone.
  mutating func due(now: UInt64, limit: Int, expiry: (IndexEntry) -> UInt64?) -> [IndexEntry] {
    let second = now / 1000
    if !hours.isEmpty {
      for hour in hours.keys.sorted() where hour <= second / 3600 {
        let entries = hours.removeValue(forKey: hour) ?? []
        count -= entries.count
        for entry in entries { if let at = expiry(entry) { add(entry, expiry: at, now: now) } }
      }
    }
    guard !seconds.isEmpty else { return [] }
    var out: [IndexEntry] = []
    for key in seconds.keys.sorted() {
      guard key <= second, out.count < limit else { break }
      var bucket = seconds.removeValue(forKey: key) ?? []
      let take = min(bucket.count, limit - out.count)
      out.append(contentsOf: bucket.suffix(take))
      bucket.removeLast(take)
      count -= take
      if !bucket.isEmpty { seconds[key] = bucket }
    }
    nextSecond = max(nextSecond, second)
    return out
  }

  mutating func removeAll() { self = ExpiryWheel() }
}
