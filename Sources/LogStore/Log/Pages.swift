// Raw memory: zeroed pages from the system.
#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

enum Pages {
  /// Zeroed pages that take memory only where they are touched. Traps when the address space is exhausted.
  static func zeroed(_ bytes: Int) -> UnsafeMutableRawPointer {
    let start = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let start, start != MAP_FAILED else {
      preconditionFailure("the system has no \(bytes) bytes of address space left")
    }
    return start
  }
  static func free(_ start: UnsafeMutableRawPointer, _ bytes: Int) { munmap(start, bytes) }
}
