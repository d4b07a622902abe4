// Raw memory: a client's word is compared where it lies.

/// True if `bytes` are `word`, in any mixture of cases. `word` is of upper-case ASCII letters only. Allocates nothing.
@inline(__always)
func isWord(_ bytes: UnsafeRawBufferPointer, _ word: StaticString) -> Bool {
  guard bytes.count == word.utf8CodeUnitCount else { return false }
  let expected = word.utf8Start
  for i in 0..<bytes.count where bytes[i] & 0xDF != expected[i] { return false }
  return true
}
