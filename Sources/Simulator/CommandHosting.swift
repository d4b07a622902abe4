import Commands
import Core
import LogStore
import Node
import NodeCommands
import RESP
import Replication

/// What commands ask of the node in a simulation. Those about the row are the server's.
extension NodeProcess: RowHost, CommandHost {
  package var rowCommands: RowCommands { row }
  package var password: [UInt8]? { nil }
  package var redisVersion: String { "7.0.15" }
  package var roleName: String { core.isMaster ? "master" : "replica" }
  package func readOnlyError() -> String { "READONLY You can't write against a read only replica." }
  package func feedMonitors(_ line: String) {}
  package var level: RecordLevel { configuration.commit.level }
  package var fullsyncSlaves: Int { configuration.commit.slaves }

  package func leaseDeadline(now: Tick) -> Tick? { core.leaseDeadline(now: now) }
  package func holdsBack(writes: Bool, now: Tick) -> Bool { writes && pausesWrites }

  package func runBlocking(_ work: @escaping @Sendable () -> Void) { admin.run(work) }
  package func loop(of client: LinkID, _ executor: Executor) -> ClientLoop {
    guard let worker = workers.first(where: { $0.loop.executor === executor }) else {
      preconditionFailure("an executor of no loop")
    }
    return { body in worker.eventLoop.run { body(worker.clients[client.value]) } }
  }
  package func pausesClients(now: Tick) -> Bool { pausesWrites }
  package func planned(_ planned: ReplicationService.Planned, for slave: NodeID) {
    if planned.report.mode == .full { site.plannedFully(planned, for: slave) }
    site.planned(planned.report)
  }
}

extension CommandTable {
  /// The commands of a simulated node.
  static let simulated = CommandTable { rows in
    rows.addDataCommands()
    rows.addRowCommands()
  }
}
