import Commands
import NIOCore
import RESP
import Synchronization

/// MONITOR: who watches on which loop, and the lines on the way there.
///
/// Lines for a loop are gathered and handed over in one go, so that a busy server wakes it once for many commands.
/// Bounded: what a loop or a client does not take is not kept beyond `bytesMax`; the client is disconnected then.
final class MonitorFeed: Sendable {
  private struct Place {
    var clients: Set<UInt64> = []
    var lines: [UInt8] = []
    var isScheduled = false
    var overflowed = false
  }
  private let places = Mutex<[ObjectIdentifier: Place]>([:])

  /// Most bytes that may wait for one monitor.
  static let bytesMax = 16 << 20

  func add(_ client: UInt64, on worker: LoopWorker) {
    _ = places.withLock { $0[ObjectIdentifier(worker), default: Place()].clients.insert(client) }
  }

  /// True when nobody watches any more.
  func remove(_ clients: Set<UInt64>, on worker: LoopWorker) -> Bool {
    places.withLock { places in
      places[ObjectIdentifier(worker)]?.clients.subtract(clients)
      if places[ObjectIdentifier(worker)]?.clients.isEmpty == true { places[ObjectIdentifier(worker)] = nil }
      return places.isEmpty
    }
  }

  /// Appends a line for every loop that watches. Returns the loops that have to be woken.
  func append(_ line: String, _ workers: [LoopWorker]) -> [LoopWorker] {
    var line = line
    return line.withUTF8 { utf8 in
      places.withLock { places in
        workers.filter { worker in
          let id = ObjectIdentifier(worker)
          guard var place = places.removeValue(forKey: id) else { return false }
          if place.lines.count + utf8.count > Self.bytesMax {
            place.overflowed = true
          } else {
            place.lines.append(UInt8(ascii: "+"))
            place.lines.append(contentsOf: utf8)
            place.lines.append(contentsOf: "\r\n".utf8)
          }
          let wakes = !place.isScheduled
          place.isScheduled = true
          places[id] = place
          return wakes
        }
      }
    }
  }

  /// What a loop has to send to which of its clients.
  func take(_ worker: LoopWorker) -> (clients: Set<UInt64>, lines: [UInt8], overflowed: Bool) {
    places.withLock { places in
      guard var place = places[ObjectIdentifier(worker)] else { return ([], [], false) }
      defer { places[ObjectIdentifier(worker)] = place }
      let taken = (place.clients, place.lines, place.overflowed)
      place.lines = []
      place.isScheduled = false
      place.overflowed = false
      return taken
    }
  }
}

extension ServerCore {
  func monitor(_ executor: Executor, _ session: Session) {
    // A second MONITOR is ignored, as in Redis.
    guard !session.isMonitor else { return }
    session.isMonitor = true
    service.monitors.add(session.id, on: worker(of: executor))
    service.watch(.monitors)
    // From this connection's next command on.
    executor.attention.insert(.monitors)
    executor.reply.ok()
  }

  package func feedMonitors(_ line: String) {
    for worker in service.monitors.append(line, workers) {
      worker.eventLoop.execute { [self] in deliver(worker) }
    }
  }

  /// On the loop.
  private func deliver(_ worker: LoopWorker) {
    let (ids, lines, overflowed) = service.monitors.take(worker)
    var gone: Set<UInt64> = []
    for id in ids {
      guard let client = worker.clients[id], client.session.isMonitor, !client.session.closing else {
        gone.insert(id)
        continue
      }
      let waiting = (try? client.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
      if overflowed || client.connection.held.bytes + waiting + lines.count > MonitorFeed.bytesMax {
        logger.warning(
          "monitor disconnected: it does not read",
          metadata: ["client.id": "\(id)", "client.address": "\(client.session.address)"])
        gone.insert(id)
        client.channel.close(promise: nil)
        continue
      }
      lines.withUnsafeBytes { client.connection.send($0) }
    }
    if !gone.isEmpty, service.monitors.remove(gone, on: worker) { service.ignore(.monitors) }
  }
}
