// Raw memory: requests are laid out once and read where they lie.
import Commands
import Core
import LogStore
import RESP

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The server around the executor, of which data commands ask nothing.
final class NoServices: ServerServices {
  let password: [UInt8]? = nil
  let redisVersion = "7.0.15"
  let roleName = "master"
  func readOnlyError() -> String { "READONLY You can't write against a read only replica." }
  func feedMonitors(_ line: String) {}
}

/// GET and SET as an event loop executes them, but for the socket: pipelines of 64 commands on as many keys as
/// have about 2 MB of values, so that it is the processor's time and not the memory's.
struct Commanding {
  let dictionary: ValueDictionary?
  private static let pipelines = 256

  func report() {
    print("| command, value | none, ns | lz4, ns | zstd, ns | zstd + dictionary, ns |")
    print("|---|---:|---:|---:|---:|")
    for bytes in [100, 1024, 16 << 10] { row("GET, \(bytes) bytes of text", bytes, isText: true, writes: false) }
    row("GET, 1024 bytes of noise", 1024, isText: false, writes: false)
    for bytes in [100, 1024, 16 << 10] { row("SET, \(bytes) bytes of text", bytes, isText: true, writes: true) }
    row("SET, 1024 bytes of noise", 1024, isText: false, writes: true)
  }

  private func row(_ name: String, _ bytes: Int, isText: Bool, writes: Bool) {
    let values = (0..<16).map { isText ? Self.text(bytes, seed: UInt64($0)) : Self.noise(bytes, seed: UInt64($0)) }
    var cells: [String] = []
    cells.append(measure(values, .none, nil, nil, writes))
    cells.append(measure(values, .lz4, nil, nil, writes))
    if !writes, isText {
      cells.append(measure(values, .none, .zstd, nil, writes))
      cells.append(dictionary == nil ? "" : measure(values, .none, .zstd, dictionary, writes))
    } else {
      cells += ["", ""]
    }
    print("| \(name) | \(cells.joined(separator: " | ")) |")
  }

  /// - Parameter stored: how the values are put beforehand, if not as `setting` says.
  private func measure(
    _ values: [[UInt8]], _ setting: ValueCompression, _ stored: ValueMethod?, _ dictionary: ValueDictionary?,
    _ writes: Bool
  ) -> String {
    let directory = "/tmp/paceline-compression-\(getpid())"
    defer { rmdir(directory) }
    var configuration = StoreConfiguration()
    configuration.segmentBytes = 64 << 20
    configuration.compression = setting
    guard
      let store = try? LogStore.create(
        fileSystem: RealFileSystem(), directory: directory, lineage: NodeID(random: Array(1...20)),
        configuration: configuration)
    else { fatalError("no store in \(directory)") }
    let executor = Executor(store: store, services: NoServices())
    let keys = min(20_000, (2 << 20) / values[0].count)
    if let stored {
      fill(store, keys, values, stored, dictionary)
    } else {
      for i in 0..<keys { run(executor, Self.request(["SET", Self.key(i)], values[i % values.count])) }
    }
    var pick: UInt64 = 1
    let requests = (0..<(writes ? 16 : Self.pipelines)).map { _ in
      (0..<64).flatMap { _ -> [UInt8] in
        pick = pick &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let i = Int(pick >> 33) % keys
        return writes
          ? Self.request(["SET", Self.key(i)], values[i % values.count]) : Self.request(["GET", Self.key(i)], nil)
      }
    }
    // What is written stays in memory, uncommitted: few rounds, the best of which counts.
    let rounds = writes ? 8 : 60
    var best = Double.infinity
    for _ in 0..<rounds {
      let start = seconds()
      for request in requests { run(executor, request) }
      best = min(best, (seconds() - start) / Double(requests.count * 64))
    }
    precondition(executor.errorReplies == 0, "error replies")
    return "\(Int(best * 1e9))"
  }

  private func fill(
    _ store: LogStore, _ keys: Int, _ values: [[UInt8]], _ method: ValueMethod, _ dictionary: ValueDictionary?
  ) {
    let compressor = ValueCompressor()
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
    defer { room.deallocate() }
    let access = store.writeLock.lock()
    for i in 0..<keys {
      Array(Self.key(i).utf8).withUnsafeBytes { key in
        values[i % values.count].withUnsafeBytes { value in
          let target = store.locate(store.table(0), store.hash(key), key)
          if let count = compressor.compress(method, value, dictionary: dictionary, into: room) {
            let stored = UnsafeRawBufferPointer(rebasing: room[..<count])
            precondition(
              store.putCompressed(target, key: key, method: method, stored: stored, raw: value, expiry: 0, access))
            if let dictionary, case .found(let record) = store.find(store.table(0), store.hash(key), key),
              let slot = store.slot(of: record, store.table(0), store.hash(key)),
              store.dictionary(forSlot: slot, table: record.table) == nil
            {
              store.setDictionaries([record.table: dictionary], slot: slot, access)
            }
          } else {
            guard let place = store.beginPut(store.table(0), key: key, valueBytes: value.count, expiry: 0, access)
            else {
              fatalError("no memory")
            }
            place.copyMemory(from: value.baseAddress!, byteCount: value.count)
            store.endPut(target, access)
          }
        }
      }
    }
    store.writeLock.unlock(access)
  }

  private func run(_ executor: Executor, _ bytes: [UInt8]) {
    let session = Session(id: 1, authenticated: true)
    var parser = RequestParser()
    var arguments = ArgumentList()
    executor.beginBatch(
      now: WallClock(milliseconds: 1_700_000_000_000), tick: Tick(milliseconds: 0), good: .open, takesWrites: true)
    executor.reply.removeAll(keepingCapacity: true)
    bytes.withUnsafeBytes { bytes in
      var at = 0
      while at < bytes.count,
        case .command(let consumed) = parser.next(
          bytes.baseAddress! + at, count: bytes.count - at, limits: RequestLimits(), into: &arguments)
      {
        _ = executor.execute(arguments, session)
        at += consumed
      }
    }
    _ = executor.endBatch()
  }

  private static func key(_ i: Int) -> String { "package:\(i)" }
  private static func request(_ words: [String], _ value: [UInt8]?) -> [UInt8] {
    let arguments = words.map { Array($0.utf8) } + (value.map { [$0] } ?? [])
    return arguments.reduce(Array("*\(arguments.count)\r\n".utf8)) {
      $0 + Array("$\($1.count)\r\n".utf8) + $1 + [0x0D, 0x0A]
    }
  }

  private static func numbers(_ seed: UInt64) -> () -> Int {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
    return {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33)
    }
  }
  /// English words at random: lz4 makes about half of it.
  static func text(_ count: Int, seed: UInt64) -> [UInt8] {
    let words = """
      the package library of for with development files shared documentation version support system common data tools \
      module interface network server client python perl runtime debug static header
      """.split(separator: " ")
    let next = numbers(seed)
    var out: [UInt8] = []
    while out.count < count { out += Array(words[next() % words.count].utf8) + [next() % 9 == 0 ? 10 : 32] }
    return Array(out.prefix(count))
  }
  static func noise(_ count: Int, seed: UInt64) -> [UInt8] {
    let next = numbers(seed)
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
  }
}
