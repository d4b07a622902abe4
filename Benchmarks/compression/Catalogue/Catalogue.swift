// Raw memory: values and records are laid out once and read where they lie.
import Core
import LogStore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Compresses and expands every stanza of a file as the value of a record, and then measures commands on such values.
@main struct Catalogue {
  static func main() {
    guard CommandLine.arguments.count == 2, let bytes = contents(of: CommandLine.arguments[1]) else {
      print("usage: Catalogue FILE")
      exit(2)
    }
    let values = stanzas(of: bytes)
    guard values.count > 200 else {
      print("fewer than 200 stanzas in \(CommandLine.arguments[1])")
      exit(1)
    }
    let raw = values.reduce(0) { $0 + $1.count }
    print("\(values.count) values, \(raw) bytes, \(raw / values.count) on average\n")
    let trained = train(values, raw: raw)
    storage(values, trained?.dictionary)
    print("")
    Commanding(dictionary: trained?.dictionary).report()
  }

  static func contents(of path: String) -> [UInt8]? {
    guard let file = fopen(path, "rb") else { return nil }
    defer { fclose(file) }
    var all: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let count = fread(&piece, 1, piece.count, file)
      if count == 0 { return all }
      all += piece[..<count]
    }
  }

  static func stanzas(of bytes: [UInt8]) -> [[UInt8]] {
    var found: [[UInt8]] = []
    var start = 0
    let newline = UInt8(ascii: "\n")
    for i in bytes.indices.dropFirst() where bytes[i] == newline && bytes[i - 1] == newline {
      if i - start > 1 { found.append(Array(bytes[start..<i])) }
      start = i + 1
    }
    return found
  }

  static func train(_ values: [[UInt8]], raw: Int) -> DictionaryTrainer.Trained? {
    var trainer = DictionaryTrainer()
    // From all over the file.
    let step = max(1, raw / DictionaryTrainer.sampleBytesMax)
    for i in stride(from: 0, to: values.count, by: step) { values[i].withUnsafeBytes { trainer.add($0) } }
    let start = seconds()
    let trained = trainer.train(totalValueBytes: raw)
    let took = Int((seconds() - start) * 1000)
    if let trained {
      print(
        "dictionary: \(trained.dictionary.bytes.count) bytes, trained in \(took) ms, says it saves \(trained.savedBytes)"
      )
    } else {
      print("dictionary: does not pay, found in \(took) ms")
    }
    return trained
  }

  // MARK: What is stored

  static func storage(_ values: [[UInt8]], _ dictionary: ValueDictionary?) {
    let records = Records(values)
    print("| stored as | records, bytes | of none | compressed | write MB/s | read MB/s |")
    print("|---|---:|---:|---:|---:|---:|")
    row("none", records, nil, nil)
    row("lz4", records, .lz4, nil)
    row("zstd", records, .zstd, nil)
    if let dictionary { row("zstd + dictionary", records, .zstd, dictionary) }
  }

  private static func row(_ name: String, _ records: Records, _ method: ValueMethod?, _ dictionary: ValueDictionary?) {
    let compressor = ValueCompressor()
    let out = UnsafeMutableRawBufferPointer.allocate(byteCount: records.bytes, alignment: 16)
    defer { out.deallocate() }
    var stored = 0
    var compressed = 0
    // The second round is measured: memory and contexts are there.
    var write = 0.0
    for _ in 0..<2 {
      stored = 0
      compressed = 0
      let start = seconds()
      records.forEach { record in
        let room = UnsafeMutableRawBufferPointer(rebasing: out[stored...])
        if let method, let small = compressor.compress(method, record: record, dictionary: dictionary, into: room) {
          stored += small.recordBytes
          compressed += 1
        } else {
          room.copyMemory(from: UnsafeRawBufferPointer(start: record.base, count: record.recordBytes))
          stored += record.recordBytes
        }
      }
      write = seconds() - start
    }
    var read = 0.0
    for _ in 0..<2 { read = expandAll(UnsafeRawBufferPointer(rebasing: out[..<stored]), dictionary) }
    let megabytes = Double(records.bytes) / 1e6
    let part = Double(stored) * 1000 / Double(records.bytes)
    print(
      "| \(name) | \(stored) | \(tenths(part)) % | \(tenths(Double(compressed) * 1000 / Double(records.count))) % "
        + "| \(Int(megabytes / write)) | \(Int(megabytes / read)) |")
  }

  /// As reads of a mapped file do: every record is verified, then expanded. Returns seconds.
  private static func expandAll(_ bytes: UnsafeRawBufferPointer, _ dictionary: ValueDictionary?) -> Double {
    let expander = ValueExpander()
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 << 20, alignment: 16)
    defer { room.deallocate() }
    let start = seconds()
    var at = 0
    while at < bytes.count {
      let record = RecordView(bytes.baseAddress! + at)
      guard record.verify(available: bytes.count - at) == .good else { fatalError("a damaged record at \(at)") }
      if record.isCompressed {
        guard (try? expander.expand(record, dictionary: dictionary, into: room)) != nil else {
          fatalError("a record that does not expand at \(at)")
        }
      } else {
        room.copyMemory(from: record.value)
      }
      at += record.recordBytes
    }
    return seconds() - start
  }

  private static func tenths(_ thousandth: Double) -> String {
    let rounded = Int(thousandth.rounded())
    return "\(rounded / 10).\(rounded % 10)"
  }
}

/// Uncompressed records, one behind the other.
final class Records {
  private let memory: UnsafeMutableRawBufferPointer
  private(set) var bytes = 0
  let count: Int

  init(_ values: [[UInt8]]) {
    count = values.count
    memory = .allocate(byteCount: values.reduce(0) { $0 + $1.count + 64 }, alignment: 16)
    memory.initializeMemory(as: UInt8.self, repeating: 0)
    for (i, value) in values.enumerated() { add(value, key: Array("package:\(i)".utf8), lsn: UInt64(i + 1)) }
  }
  deinit { memory.deallocate() }

  private func add(_ value: [UInt8], key: [UInt8], lsn: UInt64) {
    let record = memory.baseAddress! + bytes
    record.put(UInt32(value.count), at: 4)
    record.put(UInt16(key.count), at: 8)
    record.put(RecordKind.put.rawValue, at: 10)
    record.put(lsn, at: 16)
    let content = record + RecordView.headerBytes
    key.withUnsafeBytes { content.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    value.withUnsafeBytes { (content + key.count).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    record.put(CRC32C.checksum(UnsafeRawPointer(content), count: key.count + value.count), at: 28)
    let view = RecordView(record)
    record.put(view.expectedChecksum, at: 0)
    bytes += view.recordBytes
  }

  func forEach(_ body: (RecordView) -> Void) {
    var at = 0
    while at < bytes {
      let record = RecordView(memory.baseAddress! + at)
      body(record)
      at += record.recordBytes
    }
  }
}

func seconds() -> Double {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
}
