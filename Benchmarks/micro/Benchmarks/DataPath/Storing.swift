// Raw memory: values are copied to where the store wants them.
import Benchmark
import Core
import LogStore

/// Stores of the benchmarks stand in memory: nothing is committed.
func makeStore(segmentBytes: Int = 64 << 20, directory: String = "store") throws -> LogStore {
  var configuration = StoreConfiguration()
  configuration.segmentBytes = segmentBytes
  return try LogStore.create(
    fileSystem: RealFileSystem(), directory: scratch(directory), lineage: NodeID(random: Array(1...20)),
    configuration: configuration)
}

extension LogStore {
  func put(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ access: borrowing WriteAccess) {
    let table = table(0)
    let target = locate(table, hash(key), key)
    guard let place = beginPut(table, key: key, valueBytes: value.count, expiry: 0, access) else {
      preconditionFailure("no memory for another segment")
    }
    place.copyMemory(from: value.baseAddress!, byteCount: value.count)
    endPut(target, access)
  }
  func remove(_ key: UnsafeRawBufferPointer, _ access: borrowing WriteAccess) -> Bool {
    let target = locate(table(0), hash(key), key)
    return target.old == nil ? false : delete(target, key: key, access)
  }
}

/// A store with keys, which is made anew when its log has grown long.
final class StoreState {
  static let recordsMax: UInt64 = 1_000_000
  let keys: Strings
  let values = Strings([value])
  private(set) var store: LogStore
  /// Held for as long as the store is used, as a batch holds it.
  private(set) var access: WriteAccess?
  private let filled: Bool

  init(keys count: Int = 100_000, filled: Bool) throws {
    var order = Array(0..<count)
    var numbers = Numbers(seed: 5)
    for i in order.indices.reversed() { order.swapAt(i, numbers.below(i + 1)) }
    keys = Strings(order.map(key))
    self.filled = filled
    store = try makeStore()
    access = store.writeLock.lock()
    if filled { fill() }
  }
  deinit { if let access = access.take() { store.writeLock.unlock(access) } }
  private func fill() { for i in 0..<keys.count { store.put(keys[i], values[0], access!) } }

  /// A new store if `isDue`, or if the log has become long.
  func startAnew(if isDue: Bool = false) throws {
    guard isDue || store.lastAppended > Self.recordsMax else { return }
    let fresh = try makeStore()
    if let access = access.take() { store.writeLock.unlock(access) }
    store = fresh
    access = store.writeLock.lock()
    if filled { fill() }
  }
  /// The next iteration would come back to the first keys.
  var isAtItsEnd: Bool { keys.next + 1001 > keys.count }
  /// Puts every key again.
  func refill() { fill() }
}

func storing() {
  add("LogStore put, new key") {
    try StoreState(keys: 500_000, filled: false)
  } prepare: { state in
    try state.startAnew(if: state.keys.next < 1000 || state.isAtItsEnd)
  } round: {
    $0.store.put($0.keys.turn(), $0.values[0], $0.access!)
  }
  add("LogStore put, overwrite") {
    try StoreState(filled: true)
  } prepare: {
    try $0.startAnew()
  } round: {
    $0.store.put($0.keys.turn(), $0.values[0], $0.access!)
  }
  add("LogStore find, hit") {
    try StoreState(filled: true)
  } round: { state in
    let key = state.keys.turn()
    guard case .found(let record) = state.store.find(state.store.table(0), state.store.hash(key), key) else {
      preconditionFailure("a key that was put is missing")
    }
    blackHole(record.lsn)
  }
  add("LogStore find, miss") {
    (try StoreState(filled: true), Strings((200_000..<300_000).map(key)))
  } round: { state, keys in
    let key = keys.turn()
    guard case .missing = state.store.find(state.store.table(0), state.store.hash(key), key) else {
      preconditionFailure("a key that was never put is there")
    }
  }
  add("LogStore delete") {
    try StoreState(filled: true)
  } prepare: { state in
    // Keys come in turn: after the last one all are gone.
    if state.store.keyCount(0) < 2000 { state.refill() }
    try state.startAnew()
  } round: {
    blackHole($0.store.remove($0.keys.turn(), $0.access!))
  }
}
