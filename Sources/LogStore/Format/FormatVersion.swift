// Raw memory: looks at the first 8 bytes of a file.
import Core

/// Every file begins with 8 bytes that name its kind; the last of them is the version of its format.
public enum FormatVersion {
  /// Whether a file's version is ours but for one flipped bit: damage where what follows says so, too.
  public static func isOneBitOff(_ bytes: UnsafeRawBufferPointer, from magic: UInt64) -> Bool {
    guard bytes.count >= 8, let base = bytes.baseAddress else { return false }
    return (base.u64(0) ^ magic).nonzeroBitCount == 1
  }

  /// Throws if a file is of this kind and of a newer version: it is left as it is, never taken for a damaged one.
  ///
  /// - Parameter magic: the first 8 bytes of the version that this program writes, as a little-endian word.
  public static func refuseNewer(_ bytes: UnsafeRawBufferPointer, than magic: UInt64, file: String) throws(OpenError) {
    guard bytes.count >= 8, let base = bytes.baseAddress else { return }
    let found = base.u64(0)
    guard found << 8 == magic << 8, found >> 56 > magic >> 56 else { return }
    throw OpenError(
      """
      \(file) was made by a newer Paceline (format \(found >> 56)); this one reads up to format \(magic >> 56). \
      Nothing was changed: start the newer version on this directory
      """)
  }
}
