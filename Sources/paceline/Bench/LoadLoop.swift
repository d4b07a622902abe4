// Raw memory: the text of an error is copied.

import NIOCore
import PacelineClient

/// One simulated application: sends a batch, waits for all its replies, sends the next. Its reads go to one node, its
/// writes to the master, over one connection each.
///
/// Owned by its `LoadLoop`.
/// Invariant: `outstanding` is the sum of its lanes' requests in flight.
final class LoadClient {
  let readNode: Int
  var outstanding = 0
  /// When the batch that is out was sent.
  var sentAt = NIODeadline.uptimeNanoseconds(0)
  /// By node; nil until first needed.
  var lanes: [LoadLane?]

  init(readNode: Int, nodeCount: Int) {
    self.readNode = readNode
    lanes = Array(repeating: nil, count: nodeCount)
  }
}

/// The load that one event loop makes: its clients, its random numbers, its counts. Nothing is shared with other loops.
///
/// Lives on `eventLoop`; everything is called there. The hot path is `replied` -> `issue` -> `LoadLane.flush`.
final class LoadLoop {
  enum Work {
    case nothing
    /// Write the keys `next..<end` once each.
    case load(next: UInt64, end: UInt64)
    /// Read and write at random; `left` requests are still to be sent.
    case mixed(left: Int)
  }

  let eventLoop: any EventLoop
  let nodes: [NodeAddress]
  let password: String?
  /// nil when no write is to be sent.
  private(set) var master: Int?
  /// A write was refused by a node that is no master, or the master is gone.
  var masterIsInDoubt = false
  private(set) var work = Work.nothing
  private(set) var firstError: String?

  private let pipeline: Int
  private let loadPipeline: Int
  private let distribution: KeyDistribution
  /// A random number below this one means a read; 2^64 would be always, so it is one too few.
  private let readLimit: UInt64
  private let onlyReads: Bool
  private let requests: RequestTemplates
  private var random: SplitMix64
  private var measures: [NodeMeasure]
  private var clients: [LoadClient] = []
  private var ticking = true

  init(
    eventLoop: any EventLoop, plan: BenchPlan, nodes: [NodeAddress], master: Int?, readNodes: [Int],
    requests: RequestTemplates, seed: UInt64
  ) {
    self.eventLoop = eventLoop
    self.nodes = nodes
    self.master = master
    self.requests = requests
    password = plan.password
    pipeline = plan.pipeline
    loadPipeline = plan.loadPipeline
    distribution = plan.distribution
    onlyReads = plan.readShare >= 1
    readLimit = onlyReads ? .max : UInt64(plan.readShare * 0x1p64)
    random = SplitMix64(seed: seed)
    measures = Array(repeating: NodeMeasure(), count: nodes.count)
    clients = readNodes.map { LoadClient(readNode: $0, nodeCount: nodes.count) }
  }

  // MARK: The hot path

  /// Sends the client's next batch, if there is work; it must have nothing outstanding.
  @inline(__always) private func issue(_ client: LoadClient) {
    var readLane: LoadLane?
    var writeLane: LoadLane?
    switch work {
    case .nothing: return
    case .load(let next, let end):
      guard next < end, let master else { return }
      let lane = lane(of: client, to: master)
      guard lane.isUp else { return }
      writeLane = lane
      let batchEnd = min(end, next + UInt64(loadPipeline))
      for key in next..<batchEnd { requests.appendSet(key: key, choice: random.next(), to: &lane.out) }
      lane.outCount = Int(batchEnd - next)
      work = .load(next: batchEnd, end: end)
    case .mixed(let left):
      let count = min(pipeline, left)
      guard count > 0 else { return }
      work = .mixed(left: left - count)
      for _ in 0..<count {
        if onlyReads || random.next() < readLimit {
          let lane = readLane ?? lane(of: client, to: client.readNode)
          readLane = lane
          guard ready(lane) else { continue }
          requests.appendGet(key: distribution.next(&random), to: &lane.out)
        } else if let master {
          let lane = writeLane ?? lane(of: client, to: master)
          writeLane = lane
          guard ready(lane) else { continue }
          requests.appendSet(key: distribution.next(&random), choice: random.next(), to: &lane.out)
        }
      }
    }
    client.sentAt = .now()
    // Both counts are taken before anything is sent: a write that fails at once reports its loss from within `flush`.
    let readCount = readLane?.outCount ?? 0
    let writeCount = writeLane === readLane ? 0 : writeLane?.outCount ?? 0
    client.outstanding += readCount + writeCount
    readLane?.flush()
    if writeLane !== readLane { writeLane?.flush() }
  }

  /// Counts a request for `lane`, as one to be sent or, if the lane is down, as an error.
  @inline(__always) private func ready(_ lane: LoadLane) -> Bool {
    guard lane.isUp else {
      measures[lane.node].errors += 1
      if lane.node == master { masterIsInDoubt = true }
      return false
    }
    lane.outCount += 1
    return true
  }

  @inline(__always)
  func replied(_ client: LoadClient, node: Int, writes: UInt64, hits: UInt64, misses: UInt64, errors: UInt64) {
    let good = writes + hits + misses
    measures[node].writes += writes
    measures[node].reads += hits + misses
    measures[node].hits += hits
    measures[node].errors += errors
    if good > 0 {
      let nanoseconds = UInt64((NIODeadline.now() - client.sentAt).nanoseconds)
      measures[node].latency.record(min(nanoseconds, NodeMeasure.latencyMax), count: good)
    }
    client.outstanding -= Int(good + errors)
    if client.outstanding == 0 { issue(client) }
  }

  private func lane(of client: LoadClient, to node: Int) -> LoadLane {
    if let lane = client.lanes[node] { return lane }
    let lane = LoadLane(node: node, client: client, loop: self)
    client.lanes[node] = lane
    return lane
  }

  // MARK: Connections

  /// A lane went down with `requests` unanswered. The next tick goes on with its client: a failing connection must not
  /// turn into a busy loop.
  func lost(_ client: LoadClient, node: Int, requests: Int) {
    measures[node].errors += UInt64(requests)
    client.outstanding -= requests
    if node == master { masterIsInDoubt = true }
  }

  func laneIsUp(_ client: LoadClient) {
    if client.outstanding == 0 { issue(client) }
  }

  /// Begins to connect every lane that will be needed, and ticks from now on.
  func start() {
    for client in clients {
      lane(of: client, to: client.readNode).connect()
      if let master { lane(of: client, to: master).connect() }
    }
    tick()
  }

  /// Ten times a second: gives up connections that do not answer, makes new ones, and wakes clients that have nothing out.
  private func tick() {
    guard ticking else { return }
    let now = NIODeadline.now()
    for client in clients {
      for lane in client.lanes {
        guard let lane else { continue }
        switch lane.state {
        case .down(let retryAt) where retryAt <= now: lane.connect()
        case .up where lane.inFlight > 0 && now - client.sentAt > .seconds(BenchPlan.replyTimeoutSeconds):
          keepFirstError("\(nodes[lane.node]) did not answer for \(BenchPlan.replyTimeoutSeconds) s")
          lane.close()
        case .down, .connecting, .authenticating, .up: break
        }
      }
      if client.outstanding == 0 { issue(client) }
    }
    eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(100)) { [weak self] in self?.tick() }
  }

  // MARK: For the runner

  func begin(_ work: Work) {
    self.work = work
    for client in clients where client.outstanding == 0 { issue(client) }
  }

  func moveMaster(to node: Int) {
    master = node
    masterIsInDoubt = false
  }

  /// Requests sent and not answered, and connections that are up.
  var load: (outstanding: Int, lanesUp: Int, lanesWanted: Int) {
    let lanes = clients.flatMap { $0.lanes.compactMap { $0 } }
    return (clients.reduce(0) { $0 + $1.outstanding }, lanes.count { $0.isUp }, lanes.count)
  }

  var isFinished: Bool {
    guard clients.allSatisfy({ $0.outstanding == 0 }) else { return false }
    return switch work {
    case .nothing: true
    case .load(let next, let end): next == end
    case .mixed(let left): left == 0
    }
  }

  /// Hands over what was counted since the last call.
  func takeMeasures() -> [NodeMeasure] {
    defer { measures = Array(repeating: NodeMeasure(), count: nodes.count) }
    return measures
  }

  func close() {
    work = .nothing
    ticking = false
    for client in clients {
      for lane in client.lanes { lane?.close() }
    }
  }

  func keepFirstError(_ text: String) {
    if firstError == nil { firstError = text }
  }

  /// Keeps the text of the first error reply, or what of it came last if it was cut.
  func keepFirstError(reply: Slice<UnsafeRawBufferPointer>) {
    guard firstError == nil else { return }
    let text = reply.first == UInt8(ascii: "-") ? reply.dropFirst() : reply
    keepFirstError(String(decoding: text.prefix(200).filter { $0 >= 32 }, as: UTF8.self))
  }
}
