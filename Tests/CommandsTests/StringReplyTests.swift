import Testing

/// String commands and what they answer.
/// The replies are those of Redis 7.0.15. An empty line begins a new store.
@Suite(.storedBothWays) struct StringReplyTests {
  @Test("SET takes every option of Redis and refuses the same combinations")
  func setTakesEveryOptionOfRedisAndRefusesTheSameCombinations() {
    expectReplies(
      #"""
      SET k v -> +OK\r\n
      GET k -> $1\r\nv\r\n
      SET k w NX -> $-1\r\n
      SET k w XX -> +OK\r\n
      GET k -> $1\r\nw\r\n
      SET absent v XX -> $-1\r\n
      GET absent -> $-1\r\n
      SET k x GET -> $1\r\nw\r\n
      SET k y NX GET -> $1\r\nx\r\n
      SET other y NX GET -> $-1\r\n
      GET other -> $1\r\ny\r\n
      SET missing y XX GET -> $-1\r\n
      GET missing -> $-1\r\n
      set k v nx get -> $1\r\nx\r\n
      SET k v NX XX -> -ERR syntax error\r\n
      SET k v XX NX -> -ERR syntax error\r\n
      SET k v EX 100 -> +OK\r\n
      SET k v PX 100000 -> +OK\r\n
      SET k v EXAT 99999999999 -> +OK\r\n
      SET k v PXAT 99999999999999 -> +OK\r\n
      SET k v KEEPTTL -> +OK\r\n
      SET k v KEEPTTL KEEPTTL -> +OK\r\n
      SET k v EX 100 EX 200 -> +OK\r\n
      SET k v EX 100 PX 100 -> -ERR syntax error\r\n
      SET k v EX 100 EXAT 99999999999 -> -ERR syntax error\r\n
      SET k v EX 100 KEEPTTL -> -ERR syntax error\r\n
      SET k v KEEPTTL EX 100 -> -ERR syntax error\r\n
      SET k v EX -> -ERR syntax error\r\n
      SET k v PXAT -> -ERR syntax error\r\n
      SET k v EX 0 -> -ERR invalid expire time in 'set' command\r\n
      SET k v EX -1 -> -ERR invalid expire time in 'set' command\r\n
      SET k v EX abc -> -ERR value is not an integer or out of range\r\n
      SET k v EX "" -> -ERR value is not an integer or out of range\r\n
      SET k v EX 9223372036854775807 -> -ERR invalid expire time in 'set' command\r\n
      SET k v PX 9223372036854775807 -> -ERR invalid expire time in 'set' command\r\n
      SET k v EX 9223372036854775808 -> -ERR value is not an integer or out of range\r\n
      SET k v EXAT 9223372036854775807 -> -ERR invalid expire time in 'set' command\r\n
      SET k v EXAT 0 -> -ERR invalid expire time in 'set' command\r\n
      SET k v PXAT -5 -> -ERR invalid expire time in 'set' command\r\n
      SET k v PERSIST -> -ERR syntax error\r\n
      SET k v FOO -> -ERR syntax error\r\n
      SET k v "" -> -ERR syntax error\r\n
      SET k v NX EX 0 -> -ERR invalid expire time in 'set' command\r\n
      SET k v PXAT 1 -> +OK\r\n
      GET k -> $-1\r\n
      SET k v EXAT 1 GET -> $-1\r\n
      SET "" "a b" -> +OK\r\n
      GET "" -> $3\r\na b\r\n
      SET "b\x00\xff" "\x00\r\n\xff" -> +OK\r\n
      GET "b\x00\xff" -> $4\r\n\x00\r\n\xff\r\n
      GET -> -ERR wrong number of arguments for 'get' command\r\n
      SET k -> -ERR wrong number of arguments for 'set' command\r\n
      """#)
  }

  @Test("SETNX, SETEX, PSETEX, GETSET, GETDEL and GETEX")
  func setnxSetexPsetexGetsetGetdelAndGetex() {
    expectReplies(
      #"""
      SETNX k v -> :1\r\n
      SETNX k w -> :0\r\n
      GET k -> $1\r\nv\r\n
      SETEX k 100 x -> +OK\r\n
      GET k -> $1\r\nx\r\n
      SETEX k 0 x -> -ERR invalid expire time in 'setex' command\r\n
      SETEX k -1 x -> -ERR invalid expire time in 'setex' command\r\n
      SETEX k abc x -> -ERR value is not an integer or out of range\r\n
      SETEX k 9223372036854775807 x -> -ERR invalid expire time in 'setex' command\r\n
      PSETEX k 0 x -> -ERR invalid expire time in 'psetex' command\r\n
      PSETEX k 9223372036854775807 x -> -ERR invalid expire time in 'psetex' command\r\n
      PSETEX k 100000 y -> +OK\r\n
      GETSET k z -> $1\r\ny\r\n
      GETSET absent z -> $-1\r\n
      GETDEL k -> $1\r\nz\r\n
      GETDEL k -> $-1\r\n
      GET k -> $-1\r\n

      SET k v -> +OK\r\n
      GETEX k -> $1\r\nv\r\n
      GETEX absent -> $-1\r\n
      GETEX absent EX 0 -> $-1\r\n
      GETEX k EX 100 -> $1\r\nv\r\n
      GETEX k PX 100000 -> $1\r\nv\r\n
      GETEX k EXAT 99999999999 -> $1\r\nv\r\n
      GETEX k PXAT 99999999999999 -> $1\r\nv\r\n
      GETEX k PERSIST -> $1\r\nv\r\n
      GETEX k PERSIST PERSIST -> $1\r\nv\r\n
      GETEX k EX 0 -> -ERR invalid expire time in 'getex' command\r\n
      GETEX k EX abc -> -ERR value is not an integer or out of range\r\n
      GETEX k PXAT -1 -> -ERR invalid expire time in 'getex' command\r\n
      GETEX k EX 9223372036854775807 -> -ERR invalid expire time in 'getex' command\r\n
      GETEX k EX 10 PERSIST -> -ERR syntax error\r\n
      GETEX k PERSIST EX 10 -> -ERR syntax error\r\n
      GETEX k EX -> -ERR syntax error\r\n
      GETEX k NX -> -ERR syntax error\r\n
      GETEX k KEEPTTL -> -ERR syntax error\r\n
      GETEX k GET -> -ERR syntax error\r\n
      GETEX k PXAT 1 -> $1\r\nv\r\n
      GET k -> $-1\r\n
      """#)
  }

  @Test("many values")
  func manyValues() {
    expectReplies(
      #"""
      MSET a 1 b 2 c 3 -> +OK\r\n
      MGET a b c d a -> *5\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$-1\r\n$1\r\n1\r\n
      MSET a -> -ERR wrong number of arguments for 'mset' command\r\n
      MSET a 1 b -> -ERR wrong number of arguments for 'mset' command\r\n
      MSET a x a y -> +OK\r\n
      GET a -> $1\r\ny\r\n
      MSETNX d 4 a 5 -> :0\r\n
      MGET d a -> *2\r\n$-1\r\n$1\r\ny\r\n
      MSETNX d 4 e 5 d 6 -> :1\r\n
      MGET d e -> *2\r\n$1\r\n6\r\n$1\r\n5\r\n
      MSETNX x 1 y -> -ERR wrong number of arguments for 'msetnx' command\r\n
      MGET -> -ERR wrong number of arguments for 'mget' command\r\n
      """#)
  }

  @Test("APPEND, STRLEN, GETRANGE and SETRANGE")
  func appendStrlenGetrangeAndSetrange() {
    expectReplies(
      #"""
      APPEND k ab -> :2\r\n
      APPEND k cde -> :5\r\n
      APPEND k "" -> :5\r\n
      APPEND e "" -> :0\r\n
      GET e -> $0\r\n\r\n
      GET k -> $5\r\nabcde\r\n
      STRLEN k -> :5\r\n
      STRLEN absent -> :0\r\n
      GETRANGE k 0 -1 -> $5\r\nabcde\r\n
      GETRANGE k 1 2 -> $2\r\nbc\r\n
      GETRANGE k -2 -1 -> $2\r\nde\r\n
      GETRANGE k -3 1 -> $0\r\n\r\n
      GETRANGE k 3 1 -> $0\r\n\r\n
      GETRANGE k -1 -2 -> $0\r\n\r\n
      GETRANGE k -100 -200 -> $0\r\n\r\n
      GETRANGE k -100 100 -> $5\r\nabcde\r\n
      GETRANGE k 5 9 -> $0\r\n\r\n
      GETRANGE k -9223372036854775808 9223372036854775807 -> $5\r\nabcde\r\n
      GETRANGE absent 0 1 -> $0\r\n\r\n
      GETRANGE absent a 1 -> -ERR value is not an integer or out of range\r\n
      GETRANGE k 0 b -> -ERR value is not an integer or out of range\r\n
      SUBSTR k 1 3 -> $3\r\nbcd\r\n
      GETRANGE e 0 -1 -> $0\r\n\r\n

      SETRANGE k 3 xy -> :5\r\n
      GET k -> $5\r\n\x00\x00\x00xy\r\n
      SETRANGE k 1 ABC -> :5\r\n
      GET k -> $5\r\n\x00ABCy\r\n
      SETRANGE k 0 "" -> :5\r\n
      SETRANGE absent 5 "" -> :0\r\n
      GET absent -> $-1\r\n
      SETRANGE k -1 x -> -ERR offset is out of range\r\n
      SETRANGE k abc x -> -ERR value is not an integer or out of range\r\n
      SETRANGE k 4294967296 x -> -ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n
      SETRANGE k 9223372036854775807 x -> -ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n
      SETRANGE k 9223372036854775808 x -> -ERR value is not an integer or out of range\r\n
      SETRANGE k 5 z -> :6\r\n
      GET k -> $6\r\n\x00ABCyz\r\n
      """#)
  }

  @Test("counters")
  func counters() {
    expectReplies(
      #"""
      INCR n -> :1\r\n
      INCR n -> :2\r\n
      DECR n -> :1\r\n
      INCRBY n 40 -> :41\r\n
      DECRBY n 1 -> :40\r\n
      GET n -> $2\r\n40\r\n
      INCRBY n -41 -> :-1\r\n
      INCRBY n abc -> -ERR value is not an integer or out of range\r\n
      INCRBY n "" -> -ERR value is not an integer or out of range\r\n
      INCRBY n 9223372036854775808 -> -ERR value is not an integer or out of range\r\n
      DECRBY n -9223372036854775808 -> -ERR decrement would overflow\r\n
      SET n 9223372036854775807 -> +OK\r\n
      INCR n -> -ERR increment or decrement would overflow\r\n
      INCRBY n 1 -> -ERR increment or decrement would overflow\r\n
      INCRBY n -9223372036854775808 -> :-1\r\n
      SET n -9223372036854775808 -> +OK\r\n
      DECR n -> -ERR increment or decrement would overflow\r\n
      DECRBY n 1 -> -ERR increment or decrement would overflow\r\n
      GET n -> $20\r\n-9223372036854775808\r\n
      SET t abc -> +OK\r\n
      INCR t -> -ERR value is not an integer or out of range\r\n
      SET t " 1" -> +OK\r\n
      INCR t -> -ERR value is not an integer or out of range\r\n
      SET t 01 -> +OK\r\n
      INCR t -> -ERR value is not an integer or out of range\r\n
      SET t "" -> +OK\r\n
      DECR t -> -ERR value is not an integer or out of range\r\n
      SET t 1.5 -> +OK\r\n
      INCR t -> -ERR value is not an integer or out of range\r\n
      DECRBY m 5 -> :-5\r\n
      INCRBYFLOAT f 3.5 -> $3\r\n3.5\r\n
      INCRBYFLOAT f -1.25 -> $4\r\n2.25\r\n
      INCRBYFLOAT f 1e3 -> $7\r\n1002.25\r\n
      INCRBYFLOAT f 0x10 -> $7\r\n1018.25\r\n
      INCRBYFLOAT f abc -> -ERR value is not a valid float\r\n
      INCRBYFLOAT f " 1" -> -ERR value is not a valid float\r\n
      INCRBYFLOAT f "" -> -ERR value is not a valid float\r\n
      INCRBYFLOAT f nan -> -ERR value is not a valid float\r\n
      INCRBYFLOAT f inf -> -ERR increment would produce NaN or Infinity\r\n
      INCRBYFLOAT t 1e5000 -> -ERR value is not a valid float\r\n
      GET f -> $7\r\n1018.25\r\n
      SET g 0.1 -> +OK\r\n
      INCRBYFLOAT g 0.2 -> $3\r\n0.3\r\n
      SET g 3 -> +OK\r\n
      INCRBYFLOAT g 2 -> $1\r\n5\r\n
      INCRBYFLOAT g -5 -> $1\r\n0\r\n
      """#)
  }

  @Test("LCS")
  func lcs() {
    expectReplies(
      #"""
      MSET a ohmytext b mynewtext -> +OK\r\n
      LCS a b -> $6\r\nmytext\r\n
      LCS a b LEN -> :6\r\n
      LCS a b IDX -> *4\r\n$7\r\nmatches\r\n*2\r\n*2\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n*2\r\n*2\r\n:2\r\n:3\r\n*2\r\n:0\r\n:1\r\n$3\r\nlen\r\n:6\r\n
      LCS a b IDX MINMATCHLEN 4 -> *4\r\n$7\r\nmatches\r\n*1\r\n*2\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n$3\r\nlen\r\n:6\r\n
      LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN -> *4\r\n$7\r\nmatches\r\n*1\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n$3\r\nlen\r\n:6\r\n
      LCS a b idx minmatchlen -1 withmatchlen -> *4\r\n$7\r\nmatches\r\n*2\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n*3\r\n*2\r\n:2\r\n:3\r\n*2\r\n:0\r\n:1\r\n:2\r\n$3\r\nlen\r\n:6\r\n
      LCS b a IDX WITHMATCHLEN -> *4\r\n$7\r\nmatches\r\n*2\r\n*3\r\n*2\r\n:5\r\n:8\r\n*2\r\n:4\r\n:7\r\n:4\r\n*3\r\n*2\r\n:0\r\n:1\r\n*2\r\n:2\r\n:3\r\n:2\r\n$3\r\nlen\r\n:6\r\n
      LCS a absent -> $0\r\n\r\n
      LCS a absent LEN -> :0\r\n
      LCS a absent IDX -> *4\r\n$7\r\nmatches\r\n*0\r\n$3\r\nlen\r\n:0\r\n
      LCS absent none -> $0\r\n\r\n
      LCS a a IDX -> *4\r\n$7\r\nmatches\r\n*1\r\n*2\r\n*2\r\n:0\r\n:7\r\n*2\r\n:0\r\n:7\r\n$3\r\nlen\r\n:8\r\n
      LCS a b LEN IDX -> -ERR If you want both the length and indexes, please just use IDX.\r\n
      LCS a b MINMATCHLEN -> -ERR syntax error\r\n
      LCS a b MINMATCHLEN x -> -ERR value is not an integer or out of range\r\n
      LCS a b FOO -> -ERR syntax error\r\n
      LCS a -> -ERR wrong number of arguments for 'lcs' command\r\n
      """#)
  }
}
