import LogStore

extension Executor {
  /// Runs writes that belong together: whole or not at all after a crash, on every slave and for every reader.
  ///
  /// Takes the write lock. Inside a transaction the whole transaction is the unit already. The unit is closed whatever
  /// happens, so `body` must not be refused half-way: what can be refused is checked before, or as its first step.
  @inline(__always)
  func unit(_ body: () throws(CommandFailure) -> Void) throws(CommandFailure) {
    if inTransaction { return try body() }
    try beginWrite()
    store.beginUnit()
    defer { store.endUnit() }
    try body()
  }
}
