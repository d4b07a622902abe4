import Core

// Raw memory: system calls for the time.
#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The only place that reads the machine's clocks.
enum Clocks {
  static var monotonic: Tick {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Tick(milliseconds: UInt64(time.tv_sec) &* 1000 &+ UInt64(time.tv_nsec) / 1_000_000)
  }
  static var monotonicNanoseconds: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }
  /// Blocks the calling thread; never on an event loop.
  static func sleep(milliseconds: UInt64) { usleep(UInt32(clamping: milliseconds * 1000)) }
  static var wall: WallClock {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return WallClock(milliseconds: UInt64(time.tv_sec) &* 1000 &+ UInt64(time.tv_nsec) / 1_000_000)
  }
  static var wallMicroseconds: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return UInt64(time.tv_sec) &* 1_000_000 &+ UInt64(time.tv_nsec) / 1000
  }
}
