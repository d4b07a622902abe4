// Raw memory: system calls and mappings.
import CSupport
import Core

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The file system of the machine.
public final class RealFileSystem: FileSystem {
  public init() {}

  static func failure(_ operation: String, _ path: String, _ code: Int32 = errno) -> FileError {
    FileError(operation: operation, path: path, errno: code, reason: String(cString: strerror(code)))
  }

  private func check(_ result: Int32, _ operation: String, _ path: String) throws(FileError) {
    if result != 0 { throw Self.failure(operation, path) }
  }

  public func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any OpenFile {
    MayBlock.check("open \(path)")
    let flags: Int32 =
      switch mode {
      case .read: O_RDONLY
      case .readWrite: O_RDWR | O_CREAT
      case .create: O_RDWR | O_CREAT | O_TRUNC
      }
    #if canImport(Darwin)
      let descriptor = Darwin.open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0o640)
    #elseif canImport(Musl)
      let descriptor = Musl.open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0o640)
    #else
      let descriptor = Glibc.open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0o640)
    #endif
    if descriptor < 0 { throw Self.failure(mode == .read ? "open" : "create", path) }
    return RealFile(descriptor: descriptor, path: path)
  }

  public func map(_ path: String) throws(FileError) -> MappedFile {
    let file = try open(path, .read) as! RealFile  // made by the line above
    defer { file.close() }
    let count = Int(try file.size())
    guard count > 0 else { return MappedFile(start: UnsafeRawPointer(bitPattern: 8)!, count: 0) {} }
    guard let start = mmap(nil, count, PROT_READ, MAP_SHARED, file.descriptor, 0), start != MAP_FAILED else {
      throw Self.failure("map", path)
    }
    let address = UInt(bitPattern: start)
    // What cannot be read any more later reads as zeros, which no checksum accepts, instead of ending the process.
    let guarded = paceline_guard_mapping(start, count, path)
    return MappedFile(start: UnsafeRawPointer(start), count: count) {
      paceline_release_guard(guarded)
      munmap(UnsafeMutableRawPointer(bitPattern: address), count)
    }
  }

  public func rename(_ from: String, to: String) throws(FileError) {
    MayBlock.check("rename \(from)")
    #if canImport(Darwin)
      try check(Darwin.rename(from, to), "rename", from)
    #elseif canImport(Musl)
      try check(Musl.rename(from, to), "rename", from)
    #else
      try check(Glibc.rename(from, to), "rename", from)
    #endif
  }
  public func unlink(_ path: String) throws(FileError) {
    MayBlock.check("remove \(path)")
    #if canImport(Darwin)
      try check(Darwin.unlink(path), "remove", path)
    #elseif canImport(Musl)
      try check(Musl.unlink(path), "remove", path)
    #else
      try check(Glibc.unlink(path), "remove", path)
    #endif
  }
  public func makeDirectory(_ path: String) throws(FileError) {
    MayBlock.check("make \(path)")
    var built = path.hasPrefix("/") ? "/" : ""
    for part in path.split(separator: "/") {
      built += (built.isEmpty || built.hasSuffix("/") ? "" : "/") + part
      if mkdir(built, 0o750) != 0, errno != EEXIST { throw Self.failure("make the directory", built) }
    }
  }
  public func removeDirectory(_ path: String) throws(FileError) {
    MayBlock.check("remove \(path)")
    try check(rmdir(path), "remove the directory", path)
  }

  public func list(_ path: String) throws(FileError) -> [String] {
    MayBlock.check("list \(path)")
    guard let directory = opendir(path) else {
      if errno == ENOENT { return [] }
      throw Self.failure("list", path)
    }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  public func exists(_ path: String) -> Bool {
    MayBlock.check("look for \(path)")
    return access(path, F_OK) == 0
  }

  public func flushDirectory(_ path: String) throws(FileError) {
    let file = try open(path, .read)
    defer { file.close() }
    try file.flush()
  }

  public func freeBytes(_ path: String) throws(FileError) -> UInt64 {
    MayBlock.check("ask for the free space of \(path)")
    var answer = statvfs()
    try check(statvfs(path, &answer), "ask for the free space of", path)
    return UInt64(answer.f_bavail) * UInt64(answer.f_frsize)
  }

  /// Pages of mapped files that could not be read since the start of the process, and the first files with such pages.
  public static var unreadablePages: (count: UInt64, files: [String]) {
    let count = paceline_mapping_faults()
    guard count > 0 else { return (0, []) }
    var files: [String] = []
    while let path = paceline_faulted_file(UInt32(files.count)) { files.append(String(cString: path)) }
    return (count, files)
  }

  /// Holds a directory for this process until `release`; nil if another process has it.
  public func lock(_ path: String) throws(FileError) -> (any OpenFile)? {
    let file = try open(path, .readWrite) as! RealFile  // made by this class
    if flock(file.descriptor, LOCK_EX | LOCK_NB) != 0 {
      let code = errno
      file.close()
      if code == EWOULDBLOCK { return nil }
      throw Self.failure("lock", path, code)
    }
    return file
  }
}

final class RealFile: OpenFile, @unchecked Sendable {
  // Safe to share: the descriptor is set once; `close` is called once, by the owner.
  let descriptor: Int32
  private let path: String
  private var open = true

  init(descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
  }
  deinit { close() }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) {
    MayBlock.check("write \(path)")
    var done = 0
    while done < bytes.count {
      let n = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset) + off_t(done))
      if n < 0 {
        if errno == EINTR { continue }
        throw RealFileSystem.failure("write", path)
      }
      done += n
    }
  }

  func write(_ bytes: UnsafeRawBufferPointer, followedBy tail: [UInt8], at offset: UInt64) throws(FileError) {
    MayBlock.check("write \(path)")
    var written = 0
    var code: Int32 = 0
    tail.withUnsafeBytes { raw in
      var parts = [
        iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count),
        iovec(iov_base: UnsafeMutableRawPointer(mutating: raw.baseAddress), iov_len: raw.count),
      ]
      written = pwritev(descriptor, &parts, Int32(parts.count), off_t(offset))
      code = errno
    }
    if written == bytes.count + tail.count { return }
    if written < 0, code != EINTR { throw RealFileSystem.failure("write", path, code) }
    // Cut short, by a signal or a limit: the rest the plain way.
    let done = max(0, written)
    if done < bytes.count {
      try write(UnsafeRawBufferPointer(rebasing: bytes[done...]), at: offset + UInt64(done))
    }
    let tailDone = max(0, done - bytes.count)
    try write(Array(tail[tailDone...]), at: offset + UInt64(bytes.count + tailDone))
  }

  func read(at offset: UInt64, count: Int) throws(FileError) -> [UInt8] {
    MayBlock.check("read \(path)")
    var failure: FileError?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      filled = 0
      while filled < count {
        let n = pread(descriptor, buffer.baseAddress! + filled, count - filled, off_t(offset) + off_t(filled))
        if n < 0 {
          if errno == EINTR { continue }
          failure = RealFileSystem.failure("read", path)
          return
        }
        if n == 0 { return }
        filled += n
      }
    }
    if let failure { throw failure }
    return bytes
  }

  func flush() throws(FileError) {
    MayBlock.check("flush \(path)")
    #if canImport(Darwin)
      let result = fsync(descriptor)
    #else
      let result = fdatasync(descriptor)
    #endif
    if result != 0 { throw RealFileSystem.failure(FileError.flushing, path) }
  }

  func reserve(_ bytes: UInt64) throws(FileError) {
    MayBlock.check("reserve \(path)")
    #if canImport(Glibc) || canImport(Musl)
      let code = posix_fallocate(descriptor, 0, off_t(bytes))
      if code != 0 { throw RealFileSystem.failure("reserve \(bytes) bytes for", path, code) }
    #endif
  }

  func truncate(_ bytes: UInt64) throws(FileError) {
    MayBlock.check("cut \(path)")
    if ftruncate(descriptor, off_t(bytes)) != 0 { throw RealFileSystem.failure("cut", path) }
  }

  func size() throws(FileError) -> UInt64 {
    MayBlock.check("ask for the size of \(path)")
    var answer = stat()
    if fstat(descriptor, &answer) != 0 { throw RealFileSystem.failure("ask for the size of", path) }
    return UInt64(answer.st_size)
  }

  func close() {
    guard open else { return }
    open = false
    #if canImport(Darwin)
      _ = Darwin.close(descriptor)
    #elseif canImport(Musl)
      _ = Musl.close(descriptor)
    #else
      _ = Glibc.close(descriptor)
    #endif
  }
}
