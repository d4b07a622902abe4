extension CommandRows {
  /// Every command that asks nothing of a host but what `ServerServices` has: on keys, connections and commit levels.
  package mutating func addDataCommands() {
    addStringCommands()
    addBitCommands()
    addGenericCommands()
    addTransactionCommands()
    addConnectionCommands()
    addDatabaseCommands()
    addLevelCommands()
  }
}
