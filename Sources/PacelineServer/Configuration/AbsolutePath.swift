#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A path from the root, as it is named now; nothing is looked up, so links stay links.
package func absolutePath(_ path: String) -> String {
  guard !path.hasPrefix("/"), let here = getcwd(nil, 0) else { return path }
  defer { free(here) }
  let parts = path.split(separator: "/").filter { $0 != "." }
  let base = String(cString: here)
  return ([base == "/" ? "" : base] + parts.map(String.init)).joined(separator: "/")
}
