import Commands
import Connection
import Core
import Synchronization
import Testing

/// One client's connection without its socket.
struct ClientConnectionTests {
  @Test func `commands of one packet are answered together, and half a command waits for the rest`() throws {
    let client = try ConnectionHarness()
    #expect(client.receive("SET a 1", "GET a") == "+OK\r\n$1\r\n1\r\n")
    let bytes = Array("PIN".utf8)
    #expect(bytes.withUnsafeBytes { client.connection.received($0) } == 0)
  }

  @Test func `a reply waits for what it tells of, and what comes behind it waits with it`() throws {
    let client = try ConnectionHarness()
    client.good = Gate()
    #expect(client.receive("SET a 1") == "")
    #expect(client.receive("PING") == "")
    #expect(client.connection.held.count == 2)
    client.good = Gate(durable: 1)
    client.loop.release()
    #expect(client.take() == "+OK\r\n+PONG\r\n")
    #expect(client.connection.held.isEmpty)
    #expect(client.receive("PING") == "+PONG\r\n")
  }

  @Test func `a reply that waited for slaves too long is an error for each command, and the next one leaves`() throws {
    let client = try ConnectionHarness()
    client.loop.level = .fullsync
    client.good = Gate()
    #expect(client.receive("SET a 1", "SET b 2") == "")
    client.good = Gate(durable: 2)
    client.tick = Tick(milliseconds: 1499)
    client.loop.release()
    #expect(client.take() == "")
    client.tick = Tick(milliseconds: 1500)
    client.loop.release()
    #expect(client.take().split(separator: "\r\n").map { $0.prefix(12) } == ["-SYNCTIMEOUT", "-SYNCTIMEOUT"])
    #expect(client.receive("PING") == "+PONG\r\n")
  }

  @Test func `while a command waits none behind it runs, and its answer comes first`() throws {
    let client = try ConnectionHarness()
    #expect(client.receive("SAVE", "SET a 1") == "")
    #expect(client.connection.isSuspended)
    #expect(client.receive("GET a") == "")
    client.loop.release()
    #expect(client.take() == "", "nothing was answered yet")
    client.services.pending?.fulfil { $0.reply.ok() }
    client.loop.release()
    #expect(client.take() == "+OK\r\n+OK\r\n$1\r\n1\r\n")
    #expect(!client.connection.isSuspended)
    #expect(!client.hasUnread)
  }

  @Test func `a write that is held back stays where it is and is executed when the pause is over`() throws {
    let client = try ConnectionHarness()
    client.attention = .paused
    #expect(client.receive("PING", "SET a 1") == "+PONG\r\n")
    #expect(client.hasUnread)
    #expect(client.store.lastAppended == 0)
    client.attention = []
    client.isOver = true
    client.loop.release()
    #expect(client.take() == "+OK\r\n")
    #expect(client.store.lastAppended == 1)
  }

  @Test func `a client that reads nothing has no further command executed`() throws {
    let client = try ConnectionHarness()
    client.receive("SETRANGE a \(300 << 10) x")
    client.isWritable = false
    #expect(client.receive("GET a", "PING").hasSuffix("x\r\n"))
    #expect(client.connection.isSuspended)
    client.connection.retry()
    #expect(client.take() == "")
    client.isWritable = true
    client.connection.retry()
    #expect(client.take() == "+PONG\r\n")
  }

  @Test func `QUIT ends the connection behind the replies that wait`() throws {
    let client = try ConnectionHarness()
    client.good = Gate()
    client.receive("SET a 1", "QUIT", "SET b 2")
    #expect(!client.isEnded)
    client.good = Gate(durable: 1)
    client.loop.release()
    #expect(client.take() == "+OK\r\n+OK\r\n")
    #expect(client.isEnded)
    #expect(client.store.lastAppended == 1)
  }

  @Test func `another log takes over: what is not good is an error, and nothing waits for the old numbers`() throws {
    let client = try ConnectionHarness()
    client.good = Gate(durable: 1)
    client.receive("SET a 1")
    _ = client.take()
    client.receive("SET b 2", "SET c 3")
    let other = try ConnectionHarness()
    client.loop.move(to: other.store, [client.connection])
    #expect(client.take().split(separator: "\r\n").map { $0.prefix(10) } == ["-UNCERTAIN", "-UNCERTAIN"])
    #expect(client.receive("GET a") == "$-1\r\n")
  }

  @Test func `who has left is not looked at any more`() throws {
    let client = try ConnectionHarness()
    client.receive("SAVE")
    client.connection.left()
    client.services.pending?.fulfil { $0.reply.ok() }
    client.loop.release()
    #expect(client.take() == "")
    #expect(client.loop.waitingCount.load(ordering: .relaxed) == 0)
    #expect(client.receive("PING") == "")
  }
}
