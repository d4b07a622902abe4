import LogStore

extension Executor {
  /// Runs writes that belong together: whole or not at all after a crash, on every slave and for every reader.
  ///
  /// Takes the write lock. Inside a transaction the whole transaction is the unit already. The unit is closed whatever
  /// happens, so `body` must not be refused half-way: what can be refused is checked before, or as its first step.
  ///
  /// - Parameter database: where all of it happens; nil if in several.
  @inline(__always)
  func unit(in database: Int?, _ body: () throws(CommandFailure) -> Void) throws(CommandFailure) {
    if inTransaction { return try body() }
    if let database { try beginWrite(in: database) } else { try beginWriteAnywhere() }
    store.beginUnit()
    inUnit = true
    defer {
      store.endUnit()
      inUnit = false
    }
    try body()
  }
}
