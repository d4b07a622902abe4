// Raw memory: a client's words and numbers are read where they lie.
import LogStore
import RESP

/// True if `bytes` are `word`, in any mixture of cases. `word` is of upper-case ASCII letters only. Allocates nothing.
@inline(__always)
func isWord(_ bytes: UnsafeRawBufferPointer, _ word: StaticString) -> Bool {
  guard bytes.count == word.utf8CodeUnitCount else { return false }
  let expected = word.utf8Start
  for i in 0..<bytes.count where bytes[i] & 0xDF != expected[i] { return false }
  return true
}

/// An argument as an integer.
@inline(__always)
func integer(_ bytes: UnsafeRawBufferPointer) throws(CommandFailure) -> Int64 {
  guard let value = parseInteger(bytes) else { throw .notInteger }
  return value
}

extension ReplyBuffer {
  /// Answers with a record's value, or with nothing.
  @inline(__always)
  mutating func value(_ record: RecordView?) {
    if let record { bulk(record.value) } else { null() }
  }
}
