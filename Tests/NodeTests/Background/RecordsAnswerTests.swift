import Core
import RESP
import Testing

@testable import Node

/// What another node answers when it is asked for records.
struct RecordsAnswerTests {
  @Test func `a number and byte strings`() throws {
    let answer = try RecordsAnswer(.array([.integer(17), .bulk([1, 2]), .bulk([])]))
    #expect(answer.next == LSN(17))
    #expect(answer.records == [[1, 2], []])
    #expect(try RecordsAnswer(.simple("OK")).records.isEmpty)
  }

  @Test(arguments: [
    RESPValue.error(.init("ERR no")), .array([]), .array([.integer(-1)]), .array([.integer(1), .integer(2)]),
    .array([.bulk([1])]), .null, .integer(1),
  ])
  func `what is no answer is refused`(reply: RESPValue) {
    #expect(throws: RecordsAnswer.Refusal.self) { try RecordsAnswer(reply) }
  }
}
