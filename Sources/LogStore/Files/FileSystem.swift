// Raw memory: views of bytes to write, and of mapped files, which live as long as their `MappedFile`.

#if PACELINE_PLANTED_BUGS
  import Core
#endif

/// The seam between the store and the disk. A real implementation is in `RealFileSystem.swift`, a simulated one, which
/// knows which bytes are flushed and can fail any call, in the Simulator package.
public protocol FileSystem: AnyObject, Sendable {
  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any OpenFile
  /// Maps a file for reading. The mapping stays valid until it is released, also when the file is unlinked.
  func map(_ path: String) throws(FileError) -> MappedFile
  func rename(_ from: String, to: String) throws(FileError)
  func unlink(_ path: String) throws(FileError)
  func makeDirectory(_ path: String) throws(FileError)
  func removeDirectory(_ path: String) throws(FileError)
  /// Names in a directory, sorted; empty if it does not exist.
  func list(_ path: String) throws(FileError) -> [String]
  func exists(_ path: String) -> Bool
  /// Makes creations, renames and unlinks in a directory durable.
  func flushDirectory(_ path: String) throws(FileError)
  /// Bytes that may still be written to the file system that holds `path`.
  func freeBytes(_ path: String) throws(FileError) -> UInt64
}

public enum OpenMode: Sendable {
  case read
  /// Made if missing, kept if there.
  case readWrite
  /// Made anew, or cut to nothing.
  case create
}

public protocol OpenFile: AnyObject, Sendable {
  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError)
  /// Both runs of bytes, one behind the other, with as few calls as the system allows.
  func write(_ bytes: UnsafeRawBufferPointer, followedBy tail: [UInt8], at offset: UInt64) throws(FileError)
  /// Reads up to `count` bytes; fewer at the end of the file.
  func read(at offset: UInt64, count: Int) throws(FileError) -> [UInt8]
  /// Data and what is needed to read it back are on disk when this returns.
  func flush() throws(FileError)
  /// Reserves space without changing what reads see beyond the present end (zeros).
  func reserve(_ bytes: UInt64) throws(FileError)
  func truncate(_ bytes: UInt64) throws(FileError)
  func size() throws(FileError) -> UInt64
  func close()
}

/// Bytes of a file in memory, for reading.
public final class MappedFile: @unchecked Sendable {
  // Safe to share: the bytes are never written, the release runs once.
  public let start: UnsafeRawPointer
  public let count: Int
  private let release: @Sendable () -> Void
  public init(start: UnsafeRawPointer, count: Int, release: @escaping @Sendable () -> Void) {
    self.start = start
    self.count = count
    self.release = release
  }
  /// Memory of its own with these bytes.
  package convenience init(copying bytes: [UInt8]) {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(bytes.count, 8), alignment: 8)
    memory.copyBytes(from: bytes)
    let address = UInt(bitPattern: memory.baseAddress)
    self.init(start: UnsafeRawPointer(memory.baseAddress!), count: bytes.count) {  // allocated above, never empty
      UnsafeMutableRawPointer(bitPattern: address)?.deallocate()
    }
  }
  deinit { release() }
  public var bytes: UnsafeRawBufferPointer { .init(start: start, count: count) }
}

/// A failed call: what was attempted, on which file, and the system's reason.
public struct FileError: Error, Equatable, CustomStringConvertible {
  public let operation: String
  public let path: String
  public let errno: Int32
  public let reason: String
  public init(operation: String, path: String, errno: Int32, reason: String) {
    self.operation = operation
    self.path = path
    self.errno = errno
    self.reason = reason
  }
  static let flushing = "flush"
  /// What was written before may be on disk or not.
  public var isOfFlush: Bool { operation == Self.flushing }
  public static let noSpaceCode: Int32 = 28  // ENOSPC
  public static let quotaCode: Int32 = 122  // EDQUOT
  public var isNoSpace: Bool { errno == Self.noSpaceCode || errno == Self.quotaCode }
  /// Too many open files in this process (EMFILE) or in the system (ENFILE).
  public var isTooManyFiles: Bool { errno == 24 || errno == 23 }
  /// Nothing was done and nothing is in doubt: the same call may succeed later.
  public var isPassing: Bool { isNoSpace || isTooManyFiles }
  public var description: String { "cannot \(operation) \(path): \(reason)" }
}

extension OpenFile {
  public func write(_ tail: [UInt8], at offset: UInt64) throws(FileError) {
    var failure: FileError?
    tail.withUnsafeBytes { raw in
      do throws(FileError) { try write(raw, at: offset) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  public func write(_ bytes: UnsafeRawBufferPointer, followedBy tail: [UInt8], at offset: UInt64) throws(FileError) {
    try write(bytes, at: offset)
    try write(tail, at: offset + UInt64(bytes.count))
  }
}

extension FileSystem {
  public func readAll(_ path: String) throws(FileError) -> [UInt8] {
    let file = try open(path, .read)
    defer { file.close() }
    return try file.read(at: 0, count: Int(try file.size()))
  }

  /// Writes a whole small file so that a crash leaves the old one or the new one: beside it, flush, rename, flush the
  /// directory.
  public func replace(_ path: String, in directory: String, with bytes: [UInt8]) throws(FileError) {
    let temporary = path + ".tmp"
    let file = try open(temporary, .create)
    do throws(FileError) {
      var failure: FileError?
      bytes.withUnsafeBytes { raw in
        do throws(FileError) { try file.write(raw, at: 0) } catch { failure = error }
      }
      if let failure { throw failure }
      try file.flush()
    } catch {
      file.close()
      try? unlink(temporary)
      throw error
    }
    file.close()
    try rename(temporary, to: path)
    #if PACELINE_PLANTED_BUGS
      if PlantedBug.skipGenerationFlush.isPlanted { return }
    #endif
    try flushDirectory(directory)
  }
}
