// Raw memory: frames are written to and read from buffers that the state owns.
import Benchmark
import Core
import Replication

/// A log frame's way from the master's buffer to the slave's, without the wire.
final class FrameState {
  static let bodyBytes = 64 << 10
  let body = UnsafeMutableRawBufferPointer.allocate(byteCount: bodyBytes, alignment: 8)
  let frame = UnsafeMutableRawBufferPointer.allocate(byteCount: bodyBytes + FrameHeader.byteCount, alignment: 8)
  let opened = UnsafeMutableRawBufferPointer.allocate(byteCount: bodyBytes, alignment: 8)
  var compressor = BodyCompressor()
  let method: Compression
  private(set) var packedBytes = 0
  private var header = FrameHeader(
    type: .log, bodyBytes: bodyBytes, term: Term(1), firstLSN: LSN(1), lastLSN: LSN(400), committedLSN: LSN(400))

  init(_ method: Compression = .none) {
    self.method = method
    // Half words that repeat, half bytes that do not.
    var numbers = Numbers(seed: 11)
    var at = 0
    while at + 64 <= body.count {
      let record = key(numbers.below(1_000_000)) + Array("\"name\":\"Ada\",\"city\":\"Tbilisi\"".utf8)
      UnsafeMutableRawBufferPointer(rebasing: body[at..<at + 64]).copyBytes(from: record.prefix(64))
      body.storeBytes(of: numbers.next(), toByteOffset: at + 56, as: UInt64.self)
      at += 64
    }
    pack()
  }
  deinit {
    body.deallocate()
    frame.deallocate()
    opened.deallocate()
  }

  func encode() { header.write(to: frame.baseAddress!, body: UnsafeRawBufferPointer(body)) }
  /// A frame whose body lies behind its header.
  func encodeWhole() {
    UnsafeMutableRawBufferPointer(rebasing: frame[FrameHeader.byteCount...]).copyMemory(
      from: UnsafeRawBufferPointer(body))
    encode()
  }
  func decode() throws {
    var decoder = FrameDecoder()
    guard let found = try decoder.next(UnsafeRawBufferPointer(frame)) else { preconditionFailure("half a frame") }
    blackHole(found.consumed)
  }
  func pack() {
    guard method != .none else { return }
    guard let count = compressor.compress(method, UnsafeRawBufferPointer(body), into: frame) else {
      preconditionFailure("\(method) saves nothing")
    }
    packedBytes = count
  }
  func open() throws {
    try compressor.open(method, UnsafeRawBufferPointer(rebasing: frame[..<packedBytes]), into: opened)
  }
}

func framing() {
  add("Frame encode, 64 KiB body") {
    FrameState()
  } round: {
    $0.encode()
  }
  add("Frame decode, 64 KiB body") {
    let state = FrameState()
    state.encodeWhole()
    return state
  } round: {
    try $0.decode()
  }
  for method in [Compression.lz4, .zstd] {
    add("\(method) compress, 64 KiB body", scale: .one) {
      FrameState(method)
    } round: {
      $0.pack()
    }
    add("\(method) open, 64 KiB body", scale: .one) {
      FrameState(method)
    } round: {
      try $0.open()
    }
  }
}
