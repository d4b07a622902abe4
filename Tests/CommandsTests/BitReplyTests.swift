import Testing

/// Bitmap commands and what they answer.
/// The replies are those of Redis 7.0.15. An empty line begins a new store.
@Suite(.storedBothWays) struct BitReplyTests {
  @Test("GETBIT and SETBIT")
  func getbitAndSetbit() {
    expectReplies(
      #"""
      SETBIT k 7 1 -> :0\r\n
      SETBIT k 7 1 -> :1\r\n
      SETBIT k 7 0 -> :1\r\n
      SETBIT k 0 1 -> :0\r\n
      SETBIT k 17 1 -> :0\r\n
      GET k -> $3\r\n\x80\x00@\r\n
      GETBIT k 0 -> :1\r\n
      GETBIT k 1 -> :0\r\n
      GETBIT k 17 -> :1\r\n
      GETBIT k 18 -> :0\r\n
      GETBIT k 4294967295 -> :0\r\n
      GETBIT k 4294967296 -> -ERR bit offset is not an integer or out of range\r\n
      GETBIT k -1 -> -ERR bit offset is not an integer or out of range\r\n
      GETBIT k abc -> -ERR bit offset is not an integer or out of range\r\n
      GETBIT absent 5 -> :0\r\n
      SETBIT k -1 1 -> -ERR bit offset is not an integer or out of range\r\n
      SETBIT k 4294967296 1 -> -ERR bit offset is not an integer or out of range\r\n
      SETBIT k abc 1 -> -ERR bit offset is not an integer or out of range\r\n
      SETBIT k 1 2 -> -ERR bit is not an integer or out of range\r\n
      SETBIT k 1 -1 -> -ERR bit is not an integer or out of range\r\n
      SETBIT k 1 abc -> -ERR bit is not an integer or out of range\r\n
      SETBIT k 9223372036854775808 1 -> -ERR bit offset is not an integer or out of range\r\n
      SETBIT zero 9 0 -> :0\r\n
      GET zero -> $2\r\n\x00\x00\r\n
      """#)
  }

  @Test("BITCOUNT")
  func bitcount() {
    expectReplies(
      #"""
      SET k foobar -> +OK\r\n
      BITCOUNT k -> :26\r\n
      BITCOUNT k 0 0 -> :4\r\n
      BITCOUNT k 1 1 -> :6\r\n
      BITCOUNT k 0 -1 -> :26\r\n
      BITCOUNT k -2 -1 -> :7\r\n
      BITCOUNT k 1 1 BYTE -> :6\r\n
      BITCOUNT k 5 30 BIT -> :17\r\n
      BITCOUNT k 5 5 bit -> :1\r\n
      BITCOUNT k -8 -1 BIT -> :4\r\n
      BITCOUNT k 0 -100 BIT -> :0\r\n
      BITCOUNT k 4 2 -> :0\r\n
      BITCOUNT k -1 -10 -> :0\r\n
      BITCOUNT k -1 -10 FOO -> :0\r\n
      BITCOUNT k 100 200 -> :0\r\n
      BITCOUNT k 1 -> -ERR syntax error\r\n
      BITCOUNT k a 1 -> -ERR value is not an integer or out of range\r\n
      BITCOUNT k 0 b -> -ERR value is not an integer or out of range\r\n
      BITCOUNT k 0 1 FOO -> -ERR syntax error\r\n
      BITCOUNT k 0 1 BIT x -> -ERR syntax error\r\n
      BITCOUNT absent -> :0\r\n
      BITCOUNT absent a b -> :0\r\n
      BITCOUNT absent 1 -> :0\r\n
      BITCOUNT k -9223372036854775808 9223372036854775807 BIT -> :26\r\n
      SET e "" -> +OK\r\n
      BITCOUNT e -> :0\r\n
      """#)
  }

  @Test("BITPOS")
  func bitpos() {
    expectReplies(
      #"""
      SET k "\xff\xf0\x00" -> +OK\r\n
      BITPOS k 0 -> :12\r\n
      BITPOS k 1 -> :0\r\n
      BITPOS k 0 0 -> :12\r\n
      BITPOS k 1 2 -> :-1\r\n
      BITPOS k 0 0 0 -> :-1\r\n
      BITPOS k 1 2 -1 -> :-1\r\n
      BITPOS k 0 3 11 BIT -> :-1\r\n
      BITPOS k 0 3 12 BIT -> :12\r\n
      BITPOS k 1 7 15 BYTE -> :-1\r\n
      BITPOS k 1 11 23 BIT -> :11\r\n
      BITPOS k 1 12 23 bit -> :-1\r\n
      BITPOS k 1 -10 -20 -> :0\r\n
      BITPOS k 2 -> -ERR The bit argument must be 1 or 0.\r\n
      BITPOS k a -> -ERR value is not an integer or out of range\r\n
      BITPOS k 0 a -> -ERR value is not an integer or out of range\r\n
      BITPOS k 0 0 b -> -ERR value is not an integer or out of range\r\n
      BITPOS k 0 0 1 FOO -> -ERR syntax error\r\n
      BITPOS k 0 0 1 BIT x -> -ERR syntax error\r\n
      BITPOS k 1 5 1 -> :-1\r\n
      SET full "\xff\xff" -> +OK\r\n
      BITPOS full 0 -> :16\r\n
      BITPOS full 0 0 -> :16\r\n
      BITPOS full 0 0 -1 -> :-1\r\n
      BITPOS full 0 1 -> :16\r\n
      BITPOS full 0 2 -> :-1\r\n
      BITPOS absent 0 -> :0\r\n
      BITPOS absent 1 -> :-1\r\n
      BITPOS absent 0 x -> :0\r\n
      SET e "" -> +OK\r\n
      BITPOS e 0 -> :-1\r\n
      BITPOS e 1 -> :-1\r\n
      """#)
  }

  @Test("BITOP")
  func bitop() {
    expectReplies(
      #"""
      SET a "abcdefghijkl" -> +OK\r\n
      SET b "abcdeFGH" -> +OK\r\n
      BITOP AND d a b -> :12\r\n
      GET d -> $12\r\nabcdeFGH\x00\x00\x00\x00\r\n
      BITOP or d a b -> :12\r\n
      GET d -> $12\r\nabcdefghijkl\r\n
      BITOP XOR d a b -> :12\r\n
      GET d -> $12\r\n\x00\x00\x00\x00\x00   ijkl\r\n
      BITOP NOT d b -> :8\r\n
      GET d -> $8\r\n\x9e\x9d\x9c\x9b\x9a\xb9\xb8\xb7\r\n
      BITOP AND d a absent -> :12\r\n
      GET d -> $12\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\r\n
      BITOP OR a a b -> :12\r\n
      GET a -> $12\r\nabcdefghijkl\r\n
      BITOP XOR d a -> :12\r\n
      BITOP AND d absent none -> :0\r\n
      GET d -> $-1\r\n
      BITOP NOT d absent -> :0\r\n
      BITOP NOT d a b -> -ERR BITOP NOT must be called with a single source key.\r\n
      BITOP FOO d a -> -ERR syntax error\r\n
      BITOP AND d -> -ERR wrong number of arguments for 'bitop' command\r\n
      """#)
  }
}
