import Core

/// When to look at which record: places of records with an expiry, in buckets by time. 8 bytes each.
///
/// Writer only. An entry is a hint: the record may have been overwritten since, so whoever takes a due entry checks
/// that the index still points at it. The clock may go back: a bucket is due when the clock is behind it, whatever was due
/// before.
struct ExpiryWheel {
  /// Expiries within the hour are kept by the second, later ones by the hour and sorted again when their hour comes.
  private var seconds: [UInt64: [IndexEntry]] = [:]
  private var hours: [UInt64: [IndexEntry]] = [:]
  /// On a slave: expired, and waiting for the master's deletion.
  private var parked: [IndexEntry] = []
  private var parkedAt: UInt64 = 0
  private static let parkedMilliseconds: UInt64 = 60_000
  private(set) var count = 0

  mutating func add(_ entry: IndexEntry, expiry milliseconds: UInt64, now: UInt64) {
    // Rounded up: when the bucket is due, everything in it has expired.
    let second = milliseconds / 1000 + (milliseconds % 1000 == 0 ? 0 : 1)
    count += 1
    if second < now / 1000 + 3600 {
      seconds[second, default: []].append(entry)
    } else {
      hours[second / 3600, default: []].append(entry)
    }
  }

  /// It waits for its deletion: it is due again in a minute, or at `unpark`.
  mutating func park(_ entry: IndexEntry, now: UInt64) {
    if parked.isEmpty { parkedAt = now }
    count += 1
    parked.append(entry)
  }

  /// What waits is due again. `expiry` tells the expiry of an entry's record, nil if it is gone.
  mutating func unpark(now: UInt64, expiry: (IndexEntry) -> UInt64?) {
    guard !parked.isEmpty else { return }
    let entries = parked
    parked = []
    count -= entries.count
    for entry in entries { if let at = expiry(entry) { add(entry, expiry: at, now: now) } }
  }

  /// The same, for what has waited for a minute, by a clock that may go back.
  mutating func unparkDue(now: UInt64, expiry: (IndexEntry) -> UInt64?) {
    if now < parkedAt || now - parkedAt >= Self.parkedMilliseconds { unpark(now: now, expiry: expiry) }
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
    return out
  }

  /// All that it holds, in no order.
  var entries: [IndexEntry] { Array(seconds.values.joined()) + Array(hours.values.joined()) + parked }
}
