import RESP

/// A small seeded generator (SplitMix64), so that a failure can be replayed from its seed.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

/// What a connection sees of its client's bytes.
enum Event: Equatable, CustomStringConvertible {
  case command([[UInt8]])
  case nothing
  case failed(ProtocolError)

  static func command(_ words: String...) -> Event { .command(words.map { Array($0.utf8) }) }

  var description: String {
    switch self {
    case .command(let arguments): "command\(arguments.map { String(decoding: $0.prefix(40), as: UTF8.self) })"
    case .nothing: "nothing"
    case .failed(let error): "failed(\(error))"
    }
  }
}

/// A connection's receive side: keeps what is not yet consumed and hands it to the parser, each time at a new address
/// and in memory of exactly its size.
struct Receiver: ~Copyable {
  var parser = RequestParser()
  var list = ArgumentList()
  var limits = RequestLimits()
  var unread: [UInt8] = []
  var events: [Event] = []
  var isClosed = false

  init(limits: RequestLimits = RequestLimits()) { self.limits = limits }

  mutating func feed(_ bytes: some Sequence<UInt8>) {
    unread += bytes
    while !isClosed {
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: unread.count, alignment: 1)
      defer { memory.deallocate() }
      memory.copyBytes(from: unread)
      guard let start = memory.baseAddress else { return }
      let consumed: Int
      switch parser.next(start, count: unread.count, limits: limits, into: &list) {
      case .incomplete:
        precondition(parser.bytesWantedAtLeast <= max(unread.count * 2, unread.count + 65_536), "an unbounded hint")
        return
      case .command(let bytes):
        consumed = bytes
        events.append(.command((0..<list.count).map { [UInt8](list[$0]) }))
      case .nothing(let bytes):
        consumed = bytes
        events.append(.nothing)
      case .failed(let error):
        events.append(.failed(error))
        isClosed = true
        return
      }
      precondition(consumed > 0 && consumed <= unread.count, "consumed \(consumed) of \(unread.count)")
      unread.removeFirst(consumed)
      if unread.isEmpty { return }
    }
  }
}

/// The events of these bytes, given in pieces of at most `step` bytes.
func events(of bytes: [UInt8], step: Int = .max, limits: RequestLimits = RequestLimits()) -> [Event] {
  var receiver = Receiver(limits: limits)
  var at = 0
  while at < bytes.count {
    let end = step < bytes.count - at ? at + step : bytes.count
    receiver.feed(bytes[at..<end])
    at = end
  }
  return receiver.events
}

func events(of text: String, step: Int = .max, limits: RequestLimits = RequestLimits()) -> [Event] {
  events(of: Array(text.utf8), step: step, limits: limits)
}

/// A command as a client sends it.
func request(_ arguments: [[UInt8]]) -> [UInt8] {
  var bytes = Array("*\(arguments.count)\r\n".utf8)
  for argument in arguments { bytes += Array("$\(argument.count)\r\n".utf8) + argument + [0x0D, 0x0A] }
  return bytes
}

func request(_ words: String...) -> [UInt8] { request(words.map { Array($0.utf8) }) }

/// The text that `write` leaves in a reply buffer.
func reply(version: UInt8 = 2, _ write: (inout ReplyBuffer) -> Void) -> String {
  var buffer = ReplyBuffer(capacity: 0, protocolVersion: version)
  write(&buffer)
  return String(decoding: buffer.bytes, as: UTF8.self)
}

/// Runs `body` on the bytes of `text`.
func withBytes<Result>(_ text: String, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
  Array(text.utf8).withUnsafeBytes { body($0) }
}
