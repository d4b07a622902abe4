import PacelineClient
import Testing

@Suite(.timeLimit(.minutes(1))) struct PacelineConnectionTests {
  @Test func repliesFindTheirCommands() async throws {
    let node = try await FakeNode.start { command in .bytes("$\(command[1].utf8.count)\r\n\(command[1])\r\n") }
    let connection = try await PacelineConnection.connect(host: node.address.host, port: node.address.port)
    let echoed = await withTaskGroup(of: Bool.self) { group in
      for i in 0..<200 {
        group.addTask { (try? await connection.command(["ECHO", String(i)]).string) == String(i) }
      }
      return await group.reduce(true) { $0 && $1 }
    }
    #expect(echoed)
    let batch = try await connection.commands([["ECHO", "a"], ["ECHO", "b"]])
    #expect(batch.map(\.string) == ["a", "b"])
    #expect(try await connection.commands([[String]]()) == [])
    await connection.close()
    await #expect(throws: PacelineError.self) { try await connection.command(["ECHO", "late"]) }
    await node.stop()
  }

  @Test func theLoginComesFirstAndItsRefusalIsAnError() async throws {
    let node = try await FakeNode.start { command in
      switch command {
      case ["AUTH", "right"]: .bytes("+OK\r\n")
      case ["AUTH", "wrong"]: .bytes("-WRONGPASS invalid password\r\n")
      default: .bytes("+PONG\r\n")
      }
    }
    let (host, port) = (node.address.host, node.address.port)
    let connection = try await PacelineConnection.connect(host: host, port: port, password: "right")
    #expect(try await connection.command(["PING"]) == .simple("PONG"))
    #expect(node.commands.first == ["AUTH", "right"])
    do {
      _ = try await PacelineConnection.connect(host: host, port: port, password: "wrong")
      Issue.record("a wrong password was accepted")
    } catch PacelineError.notAuthenticated(_, let reason) {
      #expect(reason == "WRONGPASS invalid password")
    }
    await connection.close()
    await node.stop()
  }

  @Test func whatGoesWrongHasAName() async throws {
    let node = try await FakeNode.start { command in
      switch command[0] {
      case "HANGUP": .hangUp
      case "NOISE": .bytes("HTTP/1.1 400\r\n")
      case "PUSH": .bytes(">1\r\n+note\r\n:1\r\n")
      default: .silence
      }
    }
    var options = PacelineConnection.Options()
    options.inFlightMax = 3
    func connect(replyTimeout: Duration = .seconds(60)) async throws -> PacelineConnection {
      var options = options
      options.replyTimeout = replyTimeout
      return try await .connect(host: node.address.host, port: node.address.port, options: options)
    }
    #expect(try await connect().command(["PUSH"]) == .integer(1))
    for command in ["HANGUP", "NOISE", "SILENCE"] {
      let connection = try await connect(replyTimeout: command == "SILENCE" ? .milliseconds(200) : .seconds(60))
      do {
        _ = try await connection.command([command])
        Issue.record("\(command) was answered")
      } catch PacelineError.connectionLost(let address, _) {
        #expect(address == node.address)
        #expect(!connection.isOpen)
      }
    }
    do {
      _ = try await connect().commands(Array(repeating: ["PUSH"], count: 4))
      Issue.record("the limit does not hold")
    } catch PacelineError.tooManyInFlight(limit: 3) {}
    await node.stop()
    do {
      _ = try await connect()
      Issue.record("connected to nobody")
    } catch PacelineError.cannotConnect(_, let reason) {
      #expect(reason == "connection refused")
    }
  }
}

@Suite(.timeLimit(.minutes(1))) struct PacelineClusterTests {
  /// A master that knows `LASTLSN`.
  static func master() async throws -> FakeNode {
    try await FakeNode.start { command in
      switch command[0] {
      case "ROLE": .bytes("*3\r\n$6\r\nmaster\r\n:1\r\n*0\r\n")
      case "SET": .bytes("+OK\r\n")
      case "LASTLSN": .bytes(":77\r\n")
      default: .bytes("$6\r\nmaster\r\n")
      }
    }
  }

  static func slave(of master: NodeAddress, reaches: Bool = true, name: String) async throws -> FakeNode {
    try await FakeNode.start { command in
      switch command[0] {
      case "ROLE": .bytes("*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:\(master.port)\r\n$9\r\nconnected\r\n:1\r\n")
      case "WAITLSN": .bytes(reaches ? ":1\r\n" : "-STALE not there\r\n")
      case "BAD": .bytes("-WRONGTYPE no\r\n")
      case "SET": .bytes("-READONLY no\r\n")
      default: .bytes("$\(name.utf8.count)\r\n\(name)\r\n")
      }
    }
  }

  @Test func writesGoToTheMasterAndReadsToTheSlavesInTurn() async throws {
    let master = try await Self.master()
    let one = try await Self.slave(of: master.address, name: "one")
    let two = try await Self.slave(of: master.address, name: "two")
    let cluster = PacelineCluster(nodes: [one.address, master.address, two.address])
    let written = try await cluster.write(["SET", "k", "v"])
    #expect(written.reply == .simple("OK"))
    #expect(written.token == .init(text: "77"))
    var seen: [String?] = []
    for _ in 0..<4 { seen.append(try await cluster.read(["GET", "k"]).string) }
    #expect(seen == ["one", "two", "one", "two"])
    await one.stop()
    await cluster.close()
    for _ in 0..<4 { #expect(try await cluster.read(["GET", "k"]).string == "two") }
    await two.stop()
    await cluster.close()
    #expect(try await cluster.read(["GET", "k"]).string == "master")
    await cluster.close()
    await master.stop()
    await #expect(throws: PacelineError.self) { try await cluster.read(["GET", "k"]) }
    await #expect(throws: PacelineError.self) { try await cluster.write(["SET", "k", "v"]) }
  }

  @Test func theMasterIsFoundThroughItsSlave() async throws {
    let master = try await Self.master()
    let slave = try await Self.slave(of: master.address, name: "one")
    let cluster = PacelineCluster(nodes: [slave.address])
    #expect(try await cluster.findMaster() == master.address)
    await cluster.close()
    await master.stop()
    await slave.stop()
  }

  @Test func aReadWithATokenIsServedOnlyByANodeThatHasTheWrite() async throws {
    let master = try await Self.master()
    let late = try await Self.slave(of: master.address, reaches: false, name: "late")
    let good = try await Self.slave(of: master.address, name: "good")
    let cluster = PacelineCluster(nodes: [master.address, late.address, good.address])
    let token = try await cluster.write(["SET", "k", "v"]).token
    for _ in 0..<3 { #expect(try await cluster.read(["GET", "k"], notBefore: token).string == "good") }
    #expect(good.commands.contains(["WAITLSN", "77", "1000"]))
    await cluster.close()

    let onlyLate = PacelineCluster(nodes: [master.address, late.address])
    #expect(try await onlyLate.read(["GET", "k"], notBefore: token).string == "master")
    #expect(!master.commands.contains { $0[0] == "WAITLSN" })
    await onlyLate.close()
    for node in [master, late, good] { await node.stop() }
  }

  @Test func anErrorOfTheCommandIsNotTriedElsewhere() async throws {
    let master = try await Self.master()
    let slave = try await Self.slave(of: master.address, name: "one")
    let cluster = PacelineCluster(nodes: [master.address, slave.address])
    await #expect(throws: RESPValue.ServerError("WRONGTYPE no")) { try await cluster.read(["BAD"]) }
    #expect(!master.commands.contains(["BAD"]))
    await cluster.close()
    await master.stop()
    await slave.stop()
  }

  @Test func aWriteWhoseOutcomeIsUnknownIsNotRepeated() async throws {
    let master = try await FakeNode.start { command in
      command[0] == "ROLE" ? .bytes("*3\r\n$6\r\nmaster\r\n:1\r\n*0\r\n") : .hangUp
    }
    let cluster = PacelineCluster(nodes: [master.address])
    do {
      _ = try await cluster.write(["SET", "k", "v"])
      Issue.record("the write had a reply")
    } catch PacelineError.connectionLost {}
    #expect(master.commands.count { $0[0] == "SET" } == 1)
    await cluster.close()
    await master.stop()
  }
}
