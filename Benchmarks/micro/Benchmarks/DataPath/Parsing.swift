import Benchmark
import Core
import RESP

final class ParserState {
  let pipelines: Strings
  var parser = RequestParser()
  var arguments = ArgumentList()
  let limits = RequestLimits()
  init(_ pipelines: Strings) { self.pipelines = pipelines }

  func parse() {
    let bytes = pipelines.turn()
    var at = 0
    while at < bytes.count,
      case .command(let consumed) = parser.next(
        bytes.baseAddress! + at, count: bytes.count - at, limits: limits, into: &arguments)
    {
      blackHole(arguments.count)
      at += consumed
    }
    precondition(at == bytes.count, "a pipeline that is not whole")
  }
}

func parsing() {
  add("Parse 64 GET", operations: 64) {
    ParserState(pipelines(64, keys: 100_000) { [Array("GET".utf8), $0] })
  } round: {
    $0.parse()
  }
  add("Parse 64 SET of 100 bytes", operations: 64) {
    ParserState(pipelines(64, keys: 100_000) { [Array("SET".utf8), $0, value] })
  } round: {
    $0.parse()
  }

  add("KeyHash of 16 bytes") {
    Strings((0..<1024).map(key))
  } round: {
    blackHole(KeyHash.hash($0.turn(), seed: 42))
  }
  add("KeyHash of 64 bytes") {
    Strings((0..<1024).map { key($0) + key($0 + 1) + key($0 + 2) + key($0 + 3) })
  } round: {
    blackHole(KeyHash.hash($0.turn(), seed: 42))
  }
  for bytes in [32, 132, 4096, 65536] {
    add("crc32c of \(bytes) bytes") {
      Strings([(0..<bytes).map { UInt8(truncatingIfNeeded: $0 &* 31) }])
    } round: {
      blackHole(CRC32C.checksum($0.turn()))
    }
  }
}
