// Writes to the master and reads the write back from a slave:
//
//     swift run swift-client 127.0.0.1:7400 127.0.0.1:7401
//
// The nodes may be given in any order: the client finds the master by itself.
import PacelineClient

let nodes = CommandLine.arguments.dropFirst().joined(separator: ",")
let cluster = PacelineCluster(nodes: try NodeAddress.list(parsing: nodes.isEmpty ? "127.0.0.1:7400" : nodes))

for number in 1...100 {
  // The token is a place in the master's log; a read with it sees this write or a newer one, whichever node answers.
  let written = try await cluster.write(["SET", "basket:42", "\(number) apples"])
  let value = try await cluster.read(["GET", "basket:42"], notBefore: written.token)
  precondition(value.string == "\(number) apples", "wrote \(number) apples, read \(value)")
}
print("wrote and read 100 times through \(cluster.nodes.count) nodes; the master is \(try await cluster.findMaster())")
await cluster.close()
