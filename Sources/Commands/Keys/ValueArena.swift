// Raw memory: room for expanded values; views of it are valid until the next reset.

/// Room for the values that one command expands. What is handed out does not move until it is taken back: at the next
/// command, or by `release`. One per event loop.
///
/// Invariant: between two commands it holds one piece of at most `keptBytesMax`.
struct ValueArena: ~Copyable {
  static let pieceBytesMin = 64 << 10
  /// A value that is stored compressed has at most 1 MiB.
  static let keptBytesMax = 1 << 20 + 128 << 10
  /// What one command may hold at a time.
  static let bytesMax = 256 << 20
  /// So many commands that need little give the memory for a large one back.
  private static let resetsBeforeShrinking = 4096

  private var pieces: [UnsafeMutableRawBufferPointer] = []
  private var usedOfLast = 0
  private var bytes = 0
  private var smallResets = 0

  deinit { for piece in pieces { piece.deallocate() } }

  /// Memory held at present.
  var allocatedBytes: Int { bytes }

  /// Room for `count` bytes at a multiple of 8; nil if the command holds too much already.
  mutating func allocate(_ count: Int) -> UnsafeMutableRawBufferPointer? {
    let wanted = (count + 7) & ~7
    if let last = pieces.last, last.count - usedOfLast >= wanted {
      defer { usedOfLast += wanted }
      return UnsafeMutableRawBufferPointer(rebasing: last[usedOfLast..<usedOfLast + wanted])
    }
    guard wanted <= Self.bytesMax - bytes else { return nil }
    let size = min(max(Self.pieceBytesMin, wanted, pieces.isEmpty ? 0 : min(bytes, 4 << 20)), Self.bytesMax - bytes)
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
    pieces.append(piece)
    bytes += size
    usedOfLast = wanted
    return UnsafeMutableRawBufferPointer(rebasing: piece[..<wanted])
  }

  struct Mark {
    fileprivate let pieces: Int
    fileprivate let usedOfLast: Int
  }
  var mark: Mark { Mark(pieces: pieces.count, usedOfLast: usedOfLast) }

  /// Takes back what was handed out since `mark`. The newest piece is kept for what comes next if it was the first one.
  mutating func release(to mark: Mark) {
    while pieces.count > max(mark.pieces, 1) {
      let piece = pieces.removeLast()
      bytes -= piece.count
      piece.deallocate()
    }
    usedOfLast = mark.pieces == 0 ? 0 : mark.usedOfLast
  }

  /// Takes everything back. Keeps one piece that would have been large enough, within the limit, and gives it back when
  /// it was not needed for a long time.
  mutating func reset() {
    let needed = bytes - (pieces.last?.count ?? 0) + usedOfLast
    if pieces.count > 1 {
      for piece in pieces { piece.deallocate() }
      pieces.removeAll(keepingCapacity: true)
      let size = min(bytes, Self.keptBytesMax)
      pieces.append(.allocate(byteCount: size, alignment: 16))
      bytes = size
      smallResets = 0
    } else if let only = pieces.last, only.count > Self.keptBytesMax {
      only.deallocate()
      pieces.removeAll(keepingCapacity: true)
      bytes = 0
    } else if bytes > Self.pieceBytesMin {
      smallResets = needed * 4 > bytes ? 0 : smallResets + 1
      if smallResets == Self.resetsBeforeShrinking {
        for piece in pieces { piece.deallocate() }
        pieces.removeAll(keepingCapacity: true)
        bytes = 0
        smallResets = 0
      }
    }
    usedOfLast = 0
  }
}
