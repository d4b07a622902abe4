import CSupport

/// Which threads may wait for a disk. A loop that serves clients may not: all of its clients would wait with it.
///
/// The surroundings mark their threads: the server those of the clients' event loops, the simulator its one thread while it
/// runs a loop that serves clients. Both file systems, and whatever else waits for a disk or for other loops, ask. Reads of
/// mapped files are no file calls. In release builds nothing is asked.
package enum MayBlock {
  /// The calling thread serves clients from here on, or no longer.
  package static func forbid(_ yes: Bool = true) { paceline_forbid_blocking(yes ? 1 : 0) }
  package static var isForbidden: Bool { paceline_blocking_is_forbidden() != 0 }

  /// Traps, in debug and test builds, on a thread that serves clients.
  @inline(__always)
  package static func check(_ what: @autoclosure () -> String) {
    #if DEBUG || PACELINE_PLANTED_BUGS
      if isForbidden { preconditionFailure("a loop that serves clients would wait: \(what())") }
    #endif
  }
}
