/// Tells a store from all others, also when it is gone, and leads to it while it is there.
///
/// In place of weak references to stores: the first of those would make every count of references to the store slower, and the data
/// path of every command takes some. Owned by the store; who keeps it keeps no store.
public final class StoreIdentity: @unchecked Sendable {
  // Safe to share: `store` changes at the store's end, when no other thread knows it; it is read by the one that collects
  // what readers have left, under the write lock.
  unowned(unsafe) var store: LogStore?
}
