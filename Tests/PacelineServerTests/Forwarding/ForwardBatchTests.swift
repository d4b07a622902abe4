import NIOCore
import Testing

@testable import PacelineServer

struct ForwardBatchTests {
  private static let refusal = "-READONLY whatever it says\r\n"

  /// `w` a write, `r` a read.
  private func made(_ kinds: String) -> ForwardBatch {
    var batch = ForwardBatch()
    for kind in kinds {
      Array("\(kind)\r\n".utf8).withUnsafeBytes { batch.add($0, kind == "w" ? .write : .read, .on) }
    }
    _ = batch.wire(askingForToken: true)
    return batch
  }

  /// What the client gets for these replies.
  private func feed(_ batch: inout ForwardBatch, _ replies: [String]) -> String {
    var out = ""
    for reply in replies {
      let first = Array(reply.utf8)[0]
      if batch.overtakes(first) { out += String(buffer: batch.errorsForRefused()) }
      let treatment = batch.treatment(of: first)
      if treatment == .pass { out += reply }
      if let more = batch.ended(treatment == .judge ? ByteBuffer(string: reply) : nil) { out += String(buffer: more) }
    }
    return out
  }

  @Test func `replies go to the client as they are`() {
    var batch = made("wrw")
    #expect(feed(&batch, ["+OK\r\n", "$1\r\nx\r\n", "-ERR no\r\n"]) == "+OK\r\n$1\r\nx\r\n-ERR no\r\n")
    #expect(batch.answered == 3)
    #expect(batch.refusedFrom == nil)
  }

  @Test func `from the first refused write on everything is sent again`() {
    var batch = made("wrwrw")
    #expect(
      feed(&batch, ["+OK\r\n", "$1\r\nx\r\n", Self.refusal, "$1\r\ny\r\n", Self.refusal]) == "+OK\r\n$1\r\nx\r\n")
    #expect(batch.refusedFrom == 2)
    #expect(batch.answered == 2)
    #expect(String(buffer: batch.wire(askingForToken: false)) == "w\r\nr\r\nw\r\n")
    #expect(!batch.isAborted)
    #expect(feed(&batch, [":1\r\n", ":2\r\n", ":3\r\n"]) == ":1\r\n:2\r\n:3\r\n")
  }

  @Test func `what was refused before a write that was done is not sent again`() {
    var batch = made("wrwr")
    let replies = feed(&batch, [Self.refusal, "$1\r\nx\r\n", "+OK\r\n", "$1\r\ny\r\n"])
    #expect(
      replies == Self.refusal
        + "-FORWARD the master changed in the middle of the pipeline; this was not answered\r\n+OK\r\n$1\r\ny\r\n")
    #expect(batch.answered == 4)
    #expect(batch.refusedFrom == nil)
  }

  @Test func `a write that failed otherwise counts as answered`() {
    var batch = made("ww")
    #expect(feed(&batch, [Self.refusal, "-ERR no\r\n"]) == Self.refusal + "-ERR no\r\n")
    #expect(batch.answered == 2)
  }

  @Test func `a broken connection leaves writes uncertain and never sends them again`() {
    var batch = made("wwr")
    #expect(feed(&batch, ["+OK\r\n"]) == "+OK\r\n")
    #expect(batch.hasUnansweredWrites)
    let (errors, count) = batch.errorsForBroken()
    #expect(
      String(buffer: errors)
        == "-UNCERTAIN the connection to the master broke: the write may have been done\r\n-FORWARD the connection to the master broke\r\n"
    )
    #expect(count == 2)
    #expect(String(buffer: batch.unanswered) == "")
  }

  @Test func `reads whose connection broke are asked again`() {
    var batch = made("wrr")
    #expect(feed(&batch, ["+OK\r\n", "$1\r\nx\r\n"]) == "+OK\r\n$1\r\nx\r\n")
    #expect(!batch.hasUnansweredWrites)
    #expect(String(buffer: batch.wire(askingForToken: false)) == "r\r\n")
  }

  @Test func `what is silent is sent and not answered`() {
    var batch = ForwardBatch()
    Array("w\r\n".utf8).withUnsafeBytes { batch.add($0, .write, .skipping) }
    #expect(!batch.hasRoom(for: 1))
    _ = batch.wire(askingForToken: false)
    #expect(feed(&batch, ["+OK\r\n"]) == "")
    #expect(batch.answered == 1)
  }
}
