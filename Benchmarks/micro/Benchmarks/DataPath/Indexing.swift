import Benchmark
import LogStore

/// An index without records behind it.
final class IndexState {
  static let keys = 1_000_000
  let epochs = EpochDomain()
  var index: KeyIndex
  private var numbers: Numbers
  private let seed: UInt64
  private(set) var count = 0

  init(seed: UInt64 = 1, filled: Bool) {
    self.seed = seed
    numbers = Numbers(seed: seed)
    index = KeyIndex(epochs: epochs)
    if filled { for _ in 0..<Self.keys { insert() } }
    epochs.collect()
    numbers = Numbers(seed: seed)
    count = 0
  }

  /// The hashes that were inserted, in their order, over and over; those of another seed are not there.
  func nextHash() -> IndexHash {
    if count == Self.keys { rewind() }
    count += 1
    return IndexHash(numbers.next())
  }
  func rewind(seed other: UInt64? = nil) {
    numbers = Numbers(seed: other ?? seed)
    count = 0
  }
  func insert() {
    let hash = nextHash()
    index.insert(hash, IndexEntry(tag: hash.tag, segment: 1, offset: 64), digest: 1)
  }
  func find() -> IndexEntry {
    let hash = nextHash()
    var cursor = index.cursor(hash)
    return cursor.next()
  }
  func startAnew() {
    index = KeyIndex(epochs: epochs)
    rewind()
  }
}

func indexing() {
  add("KeyIndex find, hit") {
    IndexState(filled: true)
  } round: {
    precondition($0.find() != .empty)
  }
  add("KeyIndex find, miss") {
    let state = IndexState(filled: true)
    state.rewind(seed: 99)
    return state
  } prepare: { state in
    // Never back to the hashes that are there.
    if state.count > IndexState.keys - 2000 { state.rewind(seed: 99) }
  } round: {
    blackHole($0.find())
  }
  add("KeyIndex insert, growing to 1 million") {
    IndexState(filled: false)
  } prepare: { state in
    state.epochs.collect()
    if state.count > IndexState.keys - 2000 { state.startAnew() }
  } round: {
    $0.insert()
  }
}
