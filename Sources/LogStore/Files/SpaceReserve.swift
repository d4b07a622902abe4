import Core
import Synchronization

/// A file of reserved space, `reserve` in the data directory: what a full disk leaves for that which frees space, and for a
/// start. It shrinks when a write finds no room, and grows again when there is.
///
/// Owned by the data directory. Any thread; its calls to the disk run under its lock.
public final class SpaceReserve: Sendable {
  public static let name = "reserve"
  private struct State {
    var bytes: UInt64?
    var wanted: UInt64
    /// There was something once: without it the disk is full until it is back.
    var existed = false
  }
  private let fileSystem: any FileSystem
  private let directory: String
  private let state: Mutex<State>
  private var path: String { "\(directory)/\(Self.name)" }
  /// The least that is worth giving up at once.
  private static let stepBytes: UInt64 = 8 << 10
  /// Of the free space at most this part is kept.
  private static let shareOfFree: UInt64 = 8

  public init(fileSystem: any FileSystem, directory: String) {
    self.fileSystem = fileSystem
    self.directory = directory
    state = Mutex(State(bytes: nil, wanted: 0))
  }

  /// For a new segment, the file that a compaction makes, and generations.
  public static func bytes(segmentBytes: Int) -> UInt64 { UInt64(segmentBytes + max(256 << 10, segmentBytes / 8)) }

  /// How much there should be. A disk with little room keeps less.
  public func want(_ bytes: UInt64) { state.withLock { $0.wanted = bytes } }

  public var isWhole: Bool { state.withLock { ($0.bytes ?? 0) >= $0.wanted } }

  /// The part that is left, in quarters: 4 is all.
  public var quartersLeft: UInt64 { state.withLock { $0.wanted == 0 ? 0 : held(&$0) * 4 / $0.wanted } }
  public var bytesLeft: UInt64 { state.withLock { held(&$0) } }

  private func held(_ state: inout State) -> UInt64 {
    if let bytes = state.bytes { return bytes }
    let file = fileSystem.exists(path) ? try? fileSystem.open(path, .read) : nil
    defer { file?.close() }
    let bytes = (try? file?.size()) ?? 0
    state.bytes = bytes
    state.existed = file != nil
    return bytes
  }

  /// Gives up so many bytes, or what there is. False when nothing is left.
  public func give(_ bytes: Int) -> Bool {
    state.withLock { state in
      let held = held(&state)
      guard held > 0 else { return false }
      let left = held - min(held, max(UInt64(max(0, bytes)), Self.stepBytes))
      do throws(FileError) {
        let file = try fileSystem.open(path, .readWrite)
        defer { file.close() }
        try file.truncate(left)
      } catch {
        return false
      }
      state.bytes = left
      return true
    }
  }

  /// Takes back what is missing, if there is room for it and some more. True when it is whole.
  public func restore() -> Bool {
    state.withLock { state in
      let held = held(&state)
      guard held < state.wanted else { return true }
      guard let free = try? fileSystem.freeBytes(directory) else { return false }
      // Where the disk is small, an eighth of it.
      let wanted = min(state.wanted, (free + held) / Self.shareOfFree)
      if wanted < state.wanted, held == 0, wanted >= Self.stepBytes { state.wanted = wanted }
      guard held < state.wanted else { return true }
      let missing = state.wanted - held
      guard free >= missing + missing / 2 else { return false }
      do throws(FileError) {
        let file = try fileSystem.open(path, .readWrite)
        defer { file.close() }
        do throws(FileError) { try file.reserve(state.wanted) } catch {
          try? file.truncate(held)
          throw error
        }
      } catch {
        return false
      }
      state.bytes = state.wanted
      state.existed = true
      return true
    }
  }

  /// Whether writes may be taken again: it is whole, or there never was one.
  func allowsWrites() -> Bool { restore() || !state.withLock { $0.existed } }

  /// Does what needs room; again with space from here as long as there is none and something is left.
  public func withRoom<Result>(
    _ bytes: Int, _ body: () throws(FileError) -> Result
  ) throws(FileError) -> Result {
    do throws(FileError) { return try body() } catch { return try withRoom(bytes, after: error, body) }
  }

  /// The same where it was tried already.
  func withRoom<Result>(
    _ bytes: Int, after failure: FileError, _ body: () throws(FileError) -> Result
  ) throws(FileError) -> Result {
    var failure = failure
    while failure.isNoSpace, give(bytes) {
      do throws(FileError) { return try body() } catch { failure = error }
    }
    throw failure
  }
}

extension LogStore {
  /// Where space comes from when there is none. Set before the store is used.
  public func keepSpace(in reserve: SpaceReserve) { spaceReserve.withLock { $0 = reserve } }
  var reserve: SpaceReserve? { spaceReserve.withLock { $0 } }

  func withRoom<Result>(_ bytes: Int, _ body: () throws(FileError) -> Result) throws(FileError) -> Result {
    guard let reserve else { return try body() }
    return try reserve.withRoom(bytes, body)
  }

  /// The disk is full, and space is kept for what frees some. Under the write lock.
  ///
  /// - Parameter quarters: so much of it must be left: single deletions leave some for what frees all.
  /// - Parameter bytes: what a command of many deletions is about to write: it is taken as a whole or not at all.
  public func takesWhatFrees(quarters: UInt64, bytes: Int = 0) -> Bool {
    guard case .noSpace = writeRefusal, !waitsForRoom.load(ordering: .relaxed), let reserve else { return false }
    let left = reserve.bytesLeft
    return reserve.quartersLeft >= quarters && left > 0
      && UInt64(max(0, unwrittenBytes) + bytes) <= left / (bytes > 0 ? 2 : 4)
  }

  /// A reign cannot begin for want of room: writes are refused for that until it does.
  public func waitForRoom(_ why: String) {
    failureText.withLock { $0 = why }
    waitsForRoom.store(true, ordering: .releasing)
    _ = refusal.compareExchange(expected: 0, desired: 1, ordering: .acquiringAndReleasing)
  }
  /// At a start: where the disk was full and is so still, what is left of the reserve is not for writes.
  public func refuseWithoutReserve() {
    guard let reserve, !reserve.allowsWrites() else { return }
    failureText.withLock { $0 = "the space that is kept for a full disk is not whole, and there is no room for it" }
    _ = refusal.compareExchange(expected: 0, desired: 1, ordering: .acquiringAndReleasing)
  }
  public func stopWaitingForRoom() { waitsForRoom.store(false, ordering: .releasing) }

  /// Writes are taken again when the reserve is whole.
  func noteRoom() {
    guard refusal.load(ordering: .acquiring) == 1, !waitsForRoom.load(ordering: .acquiring) else { return }
    if let reserve, !reserve.allowsWrites() { return }
    _ = refusal.compareExchange(expected: 1, desired: 0, ordering: .acquiringAndReleasing)
  }
}
