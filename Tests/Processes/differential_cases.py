"""Command lines for test_differential.py, by subject. Each subject starts on empty servers.

A case is one line as one would type it in redis-cli (quotes and \\x escapes work), or a tuple of arguments.
`@2 ` in front sends it on the second connection. Combinations are made by the generators below.
"""

from itertools import product

FAR = 4102444800  # the year 2100: an expiry that no run reaches
LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1


def lines(text):
    return [line.strip() for line in text.strip().splitlines() if line.strip() and not line.strip().startswith("#")]


def orders(tokens, upto):
    """Every ordered choice of up to `upto` of the tokens, with repetition."""
    for size in range(upto + 1):
        yield from product(tokens, repeat=size)


def connection():
    return lines(r"""
        PING
        ping
        PiNg
        PING hello
        PING "" 
        PING a b
        PING "a\r\nb"
        ECHO hi
        ECHO ""
        ECHO "\x00\xff\r\n"
        ECHO
        ECHO a b
        SELECT 1
        SET a 1
        SELECT 0
        GET a
        SELECT 15
        SELECT 16
        SELECT -1
        SELECT abc
        SELECT 99999999999999999999
        SELECT 1 2
        SELECT 0
        DBSIZE
        DBSIZE x
        AUTH
        AUTH x
        AUTH default x
        AUTH a b
        AUTH a b c
        HELLO 1
        HELLO 4
        HELLO x
        HELLO 99999999999999999999
        HELLO 2 AUTH
        HELLO 2 AUTH a
        HELLO 2 AUTH a b
        HELLO 2 SETNAME
        HELLO 2 SETNAME "a b"
        HELLO 2 BOGUS
        HELLO 2 SETNAME one AUTH a b
        NOSUCH
        nosuch a b c
        nosuch "a'b" "c\r\nd" "\x00\x01\xff"
        "" a
        "a b" c
        "se\r\nt" c
        "GET " k
        GETT k
        PINGG
        nosuch aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb cccccccccccc ddddddd
        RESET
        RESET x
        PING
    """) + [("x" * 300,), ("x" * 127, "y" * 200), ("x" * 128, "y"), ("x" * 129, "y"), ("nosuch", "a" * 500), ("nosuch", *("ab",) * 100)]


def set_options():
    """Every sequence of up to three options, on a missing key, a plain key and a key with an expiry."""
    tokens = [
        "EX 100", "PX 100000", f"EXAT {FAR}", f"PXAT {FAR}000", "NX", "XX", "KEEPTTL", "GET",
        "EX", "EX 0", "EX abc", "bogus", "PERSIST",
    ]  # fmt: skip
    for options in orders(tokens, 3):
        tail = " ".join(options)
        yield "DEL k"
        yield f"SET k a {tail}"
        yield "GET k"
        yield f"SET k b {tail}"
        yield "GET k"
        yield "TTL k"
        if len(options) < 3:
            yield "SET k c EX 1000"
            yield f"SET k d {tail}"
            yield "TTL k"
            yield "GET k"
    values = [
        "-1", "0", "1.5", "+5", "05", "' 5'", "''", "5x", str(LONG_MAX), str(LONG_MIN), "99999999999999999999",
        "9223372036854775", "9223372036854776", "9223370000000000", "9223372036854775000",
    ]  # fmt: skip
    for option, value in product(["EX", "PX", "EXAT", "PXAT", "ex", "pXaT"], values):
        yield f"SET k v {option} {value}"
        yield "EXISTS k"
    yield from lines("""
        SET k v nx
        SET k v xx get
        SET k v Get eX 100
        SET k
        SET
        SET k v EX 1 2
        SET "" ""
        GET ""
        SET k ""
        GET k
        STRLEN k
        SET k v PX 1 NX GET
        SET k v EXAT 1
        GET k
        SET k v PXAT 1
        GET k
        SET k v EX 10 KEEPTTL
    """)


def strings():
    yield from lines(r"""
        GET none
        GET
        GET a b
        SETNX k 1
        SETNX k 2
        SETNX k
        GET k
        SETEX k 100 v
        TTL k
        SETEX k 0 v
        SETEX k -5 v
        SETEX k abc v
        SETEX k 9223372036854775807 v
        SETEX k 9223372036854776 v
        PSETEX k 100000 v
        PSETEX k 0 v
        PSETEX k -1 v
        PSETEX k 9223372036854775807 v
        PSETEX k x v
        SETEX k 100
        GETSET k new
        TTL k
        GETSET missing x
        GET missing
        GETSET k
        GETDEL missing
        GETDEL missing2
        GETDEL k
        GETDEL k
        GETDEL
        MGET a b c
        MSET a 1 b 2 c 3
        MGET a b c none a
        MGET
        MSET a
        MSET a 1 b
        MSET
        MSET d 1 d 2 d 3
        GET d
        MSETNX a 9 z 9
        GET z
        MSETNX y 1 z 2
        MGET y z
        MSETNX w
        MSETNX w 1 w 2
        GET w
        SET t v EX 100
        MSET t x
        TTL t
        APPEND new hello
        APPEND new " world"
        GET new
        APPEND new ""
        APPEND none ""
        EXISTS none
        STRLEN none
        APPEND new
        STRLEN new
        STRLEN missing
        STRLEN
        SET t v EX 100
        APPEND t w
        TTL t
        APPEND "\x00k" "\xff\x00\r\n"
        GET "\x00k"
        STRLEN "\x00k"
        SET s "This is a string"
        SUBSTR s 0 3
        SUBSTR none 0 3
        SUBSTR s a b
        SUBSTR s 0
        GETRANGE s 0 0
        SETRANGE s 0 That
        GET s
        SETRANGE s 30 end
        GET s
        SETRANGE fresh 5 x
        GET fresh
        SETRANGE none2 0 ""
        EXISTS none2
        SETRANGE none2 10 ""
        EXISTS none2
        SETRANGE s 5 ""
        SETRANGE s -1 x
        SETRANGE none2 -1 ""
        SETRANGE s abc x
        SETRANGE s 4294967296 x
        SETRANGE s 536870911 xx
        SETRANGE s 9223372036854775807 x
        SETRANGE s 99999999999999999999 x
        SETRANGE s 1
        SET t v EX 100
        SETRANGE t 3 w
        TTL t
        GET t
    """)
    yield "SET s Hello-World"
    numbers = ["0", "1", "4", "10", "11", "100", "-1", "-4", "-11", "-12", "-100", str(LONG_MAX), str(LONG_MIN), "abc", "1.0", "-0", "007"]
    for a, b in product(numbers, repeat=2):
        yield f"GETRANGE s {a} {b}"
        yield f"GETRANGE none {a} {b}"


def getex():
    tokens = ["EX 100", "PX 100000", f"EXAT {FAR}", f"PXAT {FAR}000", "PERSIST", "NX", "GET", "KEEPTTL", "EX", "bogus", "EX 0", "PX -1", "EX abc"]
    yield "GETEX none"
    yield "GETEX"
    for options in orders(tokens, 2):
        for first in ("SET k v", "SET k v EX 5000", "DEL k"):
            yield first
            yield "GETEX k " + " ".join(options)
            yield "TTL k"
    for value in [LONG_MAX, LONG_MIN, "9223372036854776", "99999999999999999999", "''", "1.5"]:
        for option in ("EX", "PX", "EXAT", "PXAT"):
            yield "SET k v"
            yield f"GETEX k {option} {value}"
            yield "EXISTS k"
    yield from ["SET k v", "GETEX k EXAT 1", "GET k", "SET k v", "GETEX k PXAT 1", "GET k", "DBSIZE"]


def numbers():
    values = [
        "0", "1", "-1", "10", "007", "+5", " 5", "5 ", "", "abc", "1.5", "-0", "0x10", "1e3", "\\x00", "9223372036854775806",
        str(LONG_MAX), str(LONG_MIN), "-9223372036854775807", "9223372036854775808", "-9223372036854775809", "123456789012345678901234567890",
    ]  # fmt: skip
    for value in values:
        for command in ("INCR k", "DECR k", "INCRBY k 5", "DECRBY k 5", f"INCRBY k {LONG_MAX}", f"DECRBY k {LONG_MIN}", f"INCRBY k {LONG_MIN}", f"DECRBY k {LONG_MAX}"):
            yield f'SET k "{value}"'
            yield command
            yield "GET k"
        yield "SET k 10"
        yield f'INCRBY k "{value}"'
        yield f'DECRBY k "{value}"'
        yield "GET k"
    yield from lines("""
        DEL k
        INCR k
        INCR
        INCR k 1
        INCRBY k
        DECRBY k
        DEL k
        DECRBY k 3
        SET k 1 EX 100
        INCR k
        TTL k
        INCRBYFLOAT k 0.5
        TTL k
        INCRBYFLOAT
        INCRBYFLOAT k
        DEL k
        INCRBYFLOAT k 3
        INCRBYFLOAT k 1.5
        GET k
        INCRBYFLOAT k -1.5
        GET k
    """)
    floats = [
        "0", "0.1", "0.2", "-0.1", "1.5", "5.0e3", "3.0", "1e2", "1E2", "-5", "10.50", ".5", "5.", "00.1", "+1", "1e-5", "1e-17",
        "1e17", "1e18", "1e20", "123456789.123456789", "3.14159265358979323846", "0.30000000000000000001",
        "inf", "-inf", "nan", "abc", "", " 1", "1 ", "1e400", "1e5000", "0x10", "9223372036854775807", "-0.0",
        "1.000000000000000001",
    ]  # fmt: skip
    for a, b in product(floats, repeat=2):
        yield f'SET k "{a}"'
        yield f'INCRBYFLOAT k "{b}"'
        yield "GET k"


def lcs():
    yield from lines("""
        LCS a b
        MSET a ohmytext b mynewtext c "" d same e same
        LCS a b
        LCS a
        LCS a b c
        LCS a none
        LCS none none2
        LCS a c
        LCS d e
        LCS d e IDX
        LCS a b LEN IDX
        LCS a b IDX MINMATCHLEN
        LCS a b IDX MINMATCHLEN abc
        LCS a b IDX MINMATCHLEN -3
        LCS a b IDX MINMATCHLEN 9223372036854775807
        LCS a b bogus
        MSET x aaaaabbbbbcccccddddd y aaaaaXbbbbbYcccccZddddd
        LCS x y
        LCS x y IDX WITHMATCHLEN
        LCS y x IDX WITHMATCHLEN
        MSET x abcabcabc y cbacbacba
        LCS x y
        LCS x y IDX
        LCS x x IDX
        MSET x "\\x00\\x01\\x02" y "\\x01\\x02\\x03"
        LCS x y
    """)
    tokens = ["LEN", "IDX", "MINMATCHLEN 4", "MINMATCHLEN 0", "WITHMATCHLEN", "idx"]
    for options in orders(tokens, 3):
        tail = " ".join(options)
        yield f"LCS a b {tail}"
        yield f"LCS a none {tail}"


def bits():
    yield from lines("""
        GETBIT none 0
        GETBIT k
        GETBIT k -1
        GETBIT k abc
        GETBIT k 4294967295
        GETBIT k 4294967296
        GETBIT k 99999999999999999999
        SETBIT k 7 1
        GET k
        SETBIT k 7 0
        GET k
        SETBIT k 0 1
        SETBIT k 100 1
        GETBIT k 100
        GETBIT k 101
        GETBIT k 1000
        STRLEN k
        GET k
        SETBIT k 1 2
        SETBIT k 1 -1
        SETBIT k 1 abc
        SETBIT k -1 1
        SETBIT k abc 1
        SETBIT k 4294967296 1
        SETBIT k 1
        SETBIT fresh 20 0
        STRLEN fresh
        SET t v EX 100
        SETBIT t 1 1
        TTL t
        BITCOUNT none
        BITCOUNT none 0 1
        BITCOUNT
        BITCOUNT k 1
        BITCOUNT k a b
        BITCOUNT none a b
        BITCOUNT k 0 1 bogus
        BITCOUNT none 0 1 bogus
        BITCOUNT k 0 1 BIT BYTE
        BITPOS none 0
        BITPOS none 1
        BITPOS none 0 5
        BITPOS none 1 5 9
        BITPOS k 2
        BITPOS k -1
        BITPOS k abc
        BITPOS k
        BITPOS k 1 a
        BITPOS k 1 0 b
        BITPOS k 1 0 1 bogus
        BITPOS k 1 0 1 BIT x
        BITPOS k 1 0 BIT
        BITOP
        BITOP AND d
        BITOP BOGUS d a
        BITOP NOT d a b
        BITOP NOT d
        BITOP AND d none1 none2
        EXISTS d
        BITOP NOT d none1
        EXISTS d
    """)
    values = ["", "\\x00", "\\xff", "foobar", "\\x00\\xff\\xf0", "\\xff\\xff\\xff", "\\x00\\x00\\x00\\x01", "a" * 40]
    ranges = ["0", "1", "-1", "2", "5", "-3", "100", "-100", "17", str(LONG_MAX), str(LONG_MIN)]
    for value in values:
        yield f'SET k "{value}"'
        yield "BITCOUNT k"
        yield "BITPOS k 0"
        yield "BITPOS k 1"
        for a in ranges:
            yield f"BITPOS k 0 {a}"
            yield f"BITPOS k 1 {a}"
            for b in ranges:
                for unit in ("", "BYTE", "bit"):
                    yield f"BITCOUNT k {a} {b} {unit}"
                    yield f"BITPOS k 0 {a} {b} {unit}"
                    yield f"BITPOS k 1 {a} {b} {unit}"
    for operation, (a, b) in product(("AND", "or", "XOR"), product(values, repeat=2)):
        yield f'MSET a "{a}" b "{b}"'
        yield f"BITOP {operation} d a b"
        yield "GET d"
        yield f"BITOP {operation} d a none b"
        yield "GET d"
    for value in values:
        yield f'SET a "{value}"'
        yield "BITOP NOT d a"
        yield "GET d"
        yield "BITOP NOT a a"
        yield "GET a"
        yield "BITOP OR d a"
        yield "GET d"


def bit_fields():
    """Every width at several offsets, with every way to overflow, at the edges of what fits; and what is refused."""
    yield from lines("""
        BITFIELD
        BITFIELD k
        BITFIELD k GET
        BITFIELD k GET u8
        BITFIELD k GET u8 0
        BITFIELD none GET u8 0 GET i5 #3
        BITFIELD k GET u64 0
        BITFIELD k GET i65 0
        BITFIELD k GET i0 0
        BITFIELD k GET u0 0
        BITFIELD k GET x8 0
        BITFIELD k GET "" 0
        BITFIELD k GET u 0
        BITFIELD k GET u+8 0
        BITFIELD k GET I8 0
        BITFIELD k GET u8 -1
        BITFIELD k GET u8 #-1
        BITFIELD k GET u8 #
        BITFIELD k GET u8 abc
        BITFIELD k GET u8 4294967295
        BITFIELD k GET u8 4294967296
        BITFIELD k GET u8 #536870911
        BITFIELD k GET u8 #536870912
        BITFIELD k GET u8 #9223372036854775807
        BITFIELD k SET u8 4294967296 1
        BITFIELD k SET u8 0
        BITFIELD k SET u8 0 x
        BITFIELD k SET u8 0 9223372036854775808
        BITFIELD k INCRBY u8 0 1.5
        BITFIELD k OVERFLOW
        BITFIELD k OVERFLOW BOGUS
        BITFIELD k OVERFLOW WRAP
        BITFIELD k BOGUS u8 0
        BITFIELD k SET u8 0 1 GET u8 x
        EXISTS k
        BITFIELD k set U8 0 1
        BITFIELD k sEt u8 0 255 gEt u8 0 iNcrby u8 #1 7 overflow sat incrby u8 0 1
        GET k
        BITFIELD k SET i8 #5 -1
        GET k
        STRLEN k
        BITFIELD full OVERFLOW FAIL INCRBY u2 100 4
        STRLEN full
        BITFIELD full OVERFLOW FAIL SET u2 200 4
        STRLEN full
        SET t v EX 100
        BITFIELD t SET u4 4 15
        TTL t
        BITFIELD_RO t GET u8 0
        BITFIELD_RO t GET u8 0 SET u8 0 1
        BITFIELD_RO t INCRBY u8 0 1
        BITFIELD_RO t OVERFLOW SAT GET u8 0
        BITFIELD_RO t
        BITFIELD_RO none GET i64 0
        BITFIELD_RO t SET u8 x 1
        COMMAND GETKEYSANDFLAGS BITFIELD k GET u8 0
        COMMAND GETKEYSANDFLAGS BITFIELD k OVERFLOW SAT GET u8 0
        COMMAND GETKEYSANDFLAGS BITFIELD k GET u8 0 INCRBY u8 0 1
        COMMAND GETKEYSANDFLAGS BITFIELD k BOGUS
        COMMAND GETKEYS BITFIELD_RO k GET u8 0
    """)
    for kind, bits in [("i", n) for n in range(1, 65)] + [("u", n) for n in range(1, 64)]:
        most = 2 ** (bits - 1) - 1 if kind == "i" else 2**bits - 1
        least = -(2 ** (bits - 1)) if kind == "i" else 0
        field = f"{kind}{bits}"
        for overflow in ("WRAP", "SAT", "FAIL"):
            for offset in ("0", "3", "#1", "#3", "61"):
                yield "SET f abcdefghijklmnopqrstuvwxyz0123456789"
                yield f"BITFIELD f OVERFLOW {overflow} SET {field} {offset} {most} INCRBY {field} {offset} 1 INCRBY {field} {offset} -3"
                yield f"BITFIELD f GET {field} {offset} OVERFLOW {overflow} SET {field} {offset} {least} INCRBY {field} {offset} -1"
                yield f"BITFIELD f OVERFLOW {overflow} INCRBY {field} {offset} {LONG_MAX} INCRBY {field} {offset} {LONG_MIN}"
                yield f"BITFIELD f OVERFLOW {overflow} SET {field} {offset} {LONG_MIN} SET {field} {offset} {LONG_MAX}"
                yield "GET f"


def keys():
    return lines(r"""
        DEL none
        DEL
        MSET a 1 b 2 c 3 d 4
        DEL a none a b
        UNLINK c c none
        UNLINK
        EXISTS d d d none
        EXISTS
        TOUCH d d none
        TOUCH
        TYPE d
        TYPE none
        TYPE
        TYPE a b
        DBSIZE
        RANDOMKEY
        RANDOMKEY x
        FLUSHDB
        RANDOMKEY
        MSET one 1 two 2 three 3 four 4 "a[b" 5 "a\\b" 6 "" 7 "\x00\xff" 8 hello 9 hallo 10 hxllo 11 "h-llo" 12 h^llo 13
        KEYS *
        KEYS h?llo
        KEYS h[ae]llo
        KEYS h[^e]llo
        KEYS h[a-b]llo
        KEYS h[b-a]llo
        KEYS h*llo
        KEYS "a\\[b"
        KEYS "a[[]b"
        KEYS "a\\\\b"
        KEYS "h[\\^x]llo"
        KEYS "h[\\-x]llo"
        KEYS "h[a"
        KEYS "h["
        KEYS "h[]llo"
        KEYS "h[^]llo"
        KEYS "\\"
        KEYS "hello\\"
        KEYS ""
        KEYS **
        KEYS ***o
        KEYS *?*?*?*?*
        KEYS t*
        KEYS T*
        KEYS ?
        KEYS "\x00*"
        KEYS
        KEYS a b
        RENAME one uno
        GET uno
        EXISTS one
        RENAME none x
        RENAME uno uno
        RENAME none none
        RENAME uno two
        GET two
        RENAME a
        RENAMENX two three
        RENAMENX two dos
        RENAMENX none x
        RENAMENX dos dos
        RENAMENX a
        SET e 1 EX 100
        RENAME e f
        TTL f
        SET g 1 EX 500
        SET h 2
        RENAME h g
        TTL g
        COPY f g
        COPY f new
        TTL new
        COPY f g REPLACE
        GET g
        TTL g
        COPY none x
        COPY f f
        COPY f f DB 0
        COPY f f DB 1
        COPY f f DB 1
        COPY f f DB 1 REPLACE
        COPY f f REPLACE DB 1
        COPY f x DB 16
        COPY f x DB -1
        COPY f x DB abc
        COPY f x DB
        COPY f x bogus
        COPY f x REPLACE REPLACE
        COPY f x DB 1 DB 2
        COPY f
        SELECT 1
        KEYS *
        TTL f
        SELECT 2
        KEYS *
        SELECT 0
        SET m 1 EX 100
        MOVE m 3
        MOVE m 3
        EXISTS m
        MOVE none 3
        MOVE f 0
        MOVE f 16
        MOVE f -1
        MOVE f abc
        MOVE f
        SET m 2
        MOVE m 3
        SELECT 3
        GET m
        TTL m
        SWAPDB 0 3
        KEYS *
        SELECT 0
        KEYS *
        TTL m
        SWAPDB 0 0
        SWAPDB 0 16
        SWAPDB -1 0
        SWAPDB a 0
        SWAPDB 0 b
        SWAPDB a b
        SWAPDB 0
        SWAPDB 3 0
        DBSIZE
        FLUSHDB
        DBSIZE
        SELECT 1
        DBSIZE
        FLUSHDB ASYNC
        FLUSHDB SYNC
        FLUSHDB bogus
        FLUSHDB ASYNC SYNC
        FLUSHALL
        FLUSHALL async
        FLUSHALL SYNC
        FLUSHALL bogus
        FLUSHALL a b
        SELECT 2
        DBSIZE
        SELECT 0
        DBSIZE
        OBJECT ENCODING none
        OBJECT REFCOUNT none
        OBJECT IDLETIME none
        OBJECT FREQ none
        OBJECT
        OBJECT ENCODING
        OBJECT ENCODING a b
        OBJECT BOGUS a
        OBJECT bogus
        SET i 12345
        OBJECT ENCODING i
        SET i -1
        OBJECT ENCODING i
        SET i 9223372036854775807
        OBJECT ENCODING i
        SET i 9223372036854775808
        OBJECT ENCODING i
        SET i 012
        OBJECT ENCODING i
        SET s hello
        OBJECT ENCODING s
        OBJECT REFCOUNT s
        OBJECT IDLETIME s
        OBJECT FREQ s
        SET s 01234567890123456789012345678901234567890123
        OBJECT ENCODING s
        SET s 012345678901234567890123456789012345678901234
        OBJECT ENCODING s
        INCR n
        OBJECT ENCODING n
        MEMORY
        MEMORY USAGE
        MEMORY USAGE none
        MEMORY USAGE s
        MEMORY USAGE s SAMPLES
        MEMORY USAGE s SAMPLES 5
        MEMORY USAGE s SAMPLES -1
        MEMORY USAGE s SAMPLES x
        MEMORY USAGE s BOGUS 1
        MEMORY BOGUS
    """)


def expiry():
    """EXPIRE and its family, with every choice of flags, on keys without, with a shorter and with a longer expiry."""
    yield "EXPIRE none 100"
    commands = [("EXPIRE", "100"), ("PEXPIRE", "100000"), ("EXPIREAT", str(FAR)), ("PEXPIREAT", f"{FAR}000")]
    flags = ["NX", "XX", "GT", "LT", "bogus", "nx"]
    for (command, value), options in product(commands, orders(flags, 3)):
        firsts = ("SET k v", "SET k v EX 10", f"SET k v EXAT {FAR + 1000}", "DEL k") if len(options) < 3 else ("SET k v EX 10",)
        for first in firsts:
            yield first
            yield f"{command} k {value} {' '.join(options)}"
            yield "TTL k"
    amounts = ["0", "-1", "1.5", "abc", "''", str(LONG_MAX), str(LONG_MIN), "9223372036854775", "9223372036854776", "9223370000000000", "99999999999999999999", "+5"]
    for command, amount in product(["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"], amounts):
        yield "SET k v"
        yield f"{command} k {amount}"
        yield "EXISTS k"
        yield f"{command} none {amount}"
        yield "SET k v"
        for flag in ("NX", "XX", "GT", "LT"):
            yield f"{command} k {amount} {flag}"
        yield "EXISTS k"
    yield from lines(f"""
        EXPIRE k
        EXPIRE
        TTL
        TTL a b
        PTTL
        EXPIRETIME
        PEXPIRETIME a b
        PERSIST
        PERSIST none
        SET k v
        TTL k
        PTTL k
        EXPIRETIME k
        PEXPIRETIME k
        PERSIST k
        TTL none
        PTTL none
        EXPIRETIME none
        PEXPIRETIME none
        EXPIREAT k {FAR}
        EXPIRETIME k
        PEXPIRETIME k
        PEXPIREAT k {FAR}999
        EXPIRETIME k
        PEXPIRETIME k
        PERSIST k
        PERSIST k
        TTL k
        SET k v EX 100
        TTL k
        PTTL k
        EXPIRETIME k
        PEXPIRETIME k
        SET k v PX 100400
        TTL k
        SET k v PX 100700
        TTL k
        EXPIRE k -1
        EXISTS k
        SET k v EX 100
        SET k w
        TTL k
        SET k v EX 100
        SET k w KEEPTTL
        TTL k
        SET k v EX 100
        GETSET k w
        TTL k
        SET k v EX 100
        COPY k k2
        TTL k2
    """)


def transactions():
    return lines("""
        MULTI
        SET a 1
        INCR a
        GET a
        EXEC
        EXEC
        DISCARD
        MULTI
        MULTI
        PING
        DISCARD
        MULTI
        EXEC
        MULTI x
        EXEC x
        DISCARD x
        WATCH
        UNWATCH x
        MULTI
        WATCH a
        EXEC
        MULTI
        NOSUCH
        SET b 1
        EXEC
        GET b
        MULTI
        GET
        EXEC
        MULTI
        SET b abc
        INCR b
        SET c 1
        EXEC
        MGET b c
        MULTI
        SET b 2
        DISCARD
        GET b
        MULTI
        SELECT 1
        SET x 1
        EXEC
        GET x
        SELECT 0
        GET x
        MULTI
        UNWATCH
        ECHO hi
        PING there
        DBSIZE
        MGET a none
        EXEC
        WATCH a
        MULTI
        GET a
        EXEC
        WATCH a
        @2 SET a 5
        MULTI
        GET a
        EXEC
        MULTI
        GET a
        EXEC
        WATCH a
        @2 SET a 5
        UNWATCH
        MULTI
        GET a
        EXEC
        WATCH a
        @2 SET a 5
        MULTI
        DISCARD
        MULTI
        GET a
        EXEC
        WATCH a
        SET a 6
        MULTI
        GET a
        EXEC
        WATCH none
        @2 SET none 1
        MULTI
        GET none
        EXEC
        WATCH gone
        @2 DEL gone
        MULTI
        PING
        EXEC
        WATCH a
        @2 DEL a
        MULTI
        PING
        EXEC
        WATCH a b
        @2 EXPIRE b 1000
        MULTI
        PING
        EXEC
        WATCH a
        @2 FLUSHDB
        MULTI
        PING
        EXEC
        SET a 1
        WATCH a
        @2 FLUSHALL
        MULTI
        PING
        EXEC
        SET a 1
        WATCH a
        @2 SELECT 1
        @2 SET a 1
        MULTI
        PING
        EXEC
        WATCH a
        @2 SWAPDB 0 1
        MULTI
        PING
        EXEC
        @2 SELECT 0
        WATCH a
        @2 GET a
        @2 TOUCH a
        MULTI
        PING
        EXEC
        WATCH a
        @2 MULTI
        @2 SET a 1
        @2 DISCARD
        MULTI
        PING
        EXEC
        WATCH a
        @2 MULTI
        @2 SET a 1
        @2 EXEC
        MULTI
        PING
        EXEC
        SET l 1 EX 100
        WATCH l
        @2 EXPIREAT l 1
        MULTI
        GET l
        EXEC
        WATCH a
        RESET
        MULTI
        SET r 1
        RESET
        EXEC
        GET r
        MULTI
        HELLO 2
        AUTH x
        DISCARD
        MULTI
        INCRBYFLOAT f 1.5
        LCS a b IDX
        SETNX a 1
        COPY a z
        RENAME a y
        RENAME none y
        DEL y z
        EXEC
        MULTI
        FLUSHALL
        SET only 1
        DBSIZE
        EXEC
        KEYS *
    """)


def server():
    return lines("""
        CLIENT
        CLIENT BOGUS
        CLIENT ID
        CLIENT ID x
        CLIENT GETNAME
        CLIENT SETNAME one
        CLIENT GETNAME
        CLIENT SETNAME "a b"
        CLIENT SETNAME "a\\nb"
        CLIENT SETNAME
        CLIENT SETNAME ""
        CLIENT GETNAME
        CLIENT INFO
        CLIENT INFO x
        CLIENT LIST
        CLIENT LIST TYPE normal
        CLIENT LIST TYPE bogus
        CLIENT LIST TYPE
        CLIENT LIST ID
        CLIENT LIST ID abc
        CLIENT LIST ID 999999999
        CLIENT LIST BOGUS
        CLIENT KILL
        CLIENT KILL 1.2.3.4:5
        CLIENT KILL ID abc
        CLIENT KILL ID 999999999
        CLIENT KILL ID 0
        CLIENT KILL ID
        CLIENT KILL ADDR 1.2.3.4:5
        CLIENT KILL LADDR 1.2.3.4:5
        CLIENT KILL TYPE bogus
        CLIENT KILL USER nobody
        CLIENT KILL SKIPME maybe
        CLIENT KILL BOGUS x
        CLIENT KILL ADDR 1.2.3.4:5 SKIPME no
        CLIENT REPLY bogus
        CLIENT REPLY
        CLIENT REPLY ON
        CLIENT PAUSE
        CLIENT PAUSE abc
        CLIENT PAUSE -1
        CLIENT PAUSE 1 bogus
        CLIENT PAUSE 0 WRITE
        CLIENT PAUSE 0 ALL
        CLIENT UNPAUSE
        CLIENT UNPAUSE x
        CLIENT NO-EVICT
        CLIENT NO-EVICT ON
        CLIENT NO-EVICT OFF
        CLIENT NO-EVICT maybe
        CONFIG
        CONFIG BOGUS
        CONFIG GET
        CONFIG GET nosuch
        CONFIG GET nosuch nosuch2
        CONFIG SET
        CONFIG SET a
        CONFIG SET nosuch 1
        CONFIG SET nosuch 1 x
        CONFIG RESETSTAT
        CONFIG RESETSTAT x
        CONFIG REWRITE x
        COMMAND BOGUS
        COMMAND COUNT x
        COMMAND GETKEYS
        COMMAND GETKEYS GET
        COMMAND GETKEYS GET a
        COMMAND GETKEYS GET a b
        COMMAND GETKEYS SET a b EX 1
        COMMAND GETKEYS MSET a 1 b 2
        COMMAND GETKEYS MGET a b c
        COMMAND GETKEYS DEL a b
        COMMAND GETKEYS BITOP AND d a b c
        COMMAND GETKEYS RENAME a b
        COMMAND GETKEYS COPY a b
        COMMAND GETKEYS LCS a b
        COMMAND GETKEYS PING
        COMMAND GETKEYS NOSUCH a
        COMMAND GETKEYS OBJECT ENCODING a
        COMMAND GETKEYS MEMORY USAGE a
        COMMAND GETKEYS WATCH a b
        COMMAND INFO nosuch
        COMMAND INFO get nosuch
        COMMAND INFO get
        COMMAND INFO set
        COMMAND INFO mset
        COMMAND INFO del
        COMMAND INFO ping
        COMMAND INFO bitop
        COMMAND INFO multi
        COMMAND INFO config
        COMMAND COUNT
        COMMAND LIST
        COMMAND LIST FILTERBY
        COMMAND LIST FILTERBY BOGUS x
        COMMAND LIST FILTERBY PATTERN ge*t
        COMMAND LIST FILTERBY PATTERN nosuch*
        COMMAND LIST FILTERBY MODULE nosuch
        COMMAND DOCS nosuch
        TIME
        TIME x
        LASTSAVE
        LASTSAVE x
        SLOWLOG
        SLOWLOG BOGUS
        SLOWLOG RESET
        SLOWLOG LEN
        SLOWLOG GET 0
        SLOWLOG GET x
        SLOWLOG GET -2
        LATENCY
        LATENCY BOGUS
        LATENCY RESET
        LATENCY LATEST
        LATENCY HISTORY none
        DEBUG
        DEBUG SLEEP 0
        ROLE x
        WAIT 0 10
        WAIT 0 -1
        WAIT x 0
        WAIT 0 x
        WAIT 0
        REPLICAOF
        REPLICAOF NO
        REPLICAOF NO ONE
        REPLICAOF a 99999
        REPLICAOF a -1
        SLAVEOF NO ONE
        ROLE
        MONITOR x
        SHUTDOWN bogus
        SHUTDOWN ABORT
        INFO nosuch
    """)


COMMANDS = """PING ECHO SELECT HELLO AUTH CLIENT COMMAND CONFIG INFO DBSIZE TIME LASTSAVE MEMORY OBJECT SLOWLOG LATENCY FLUSHDB
    FLUSHALL SWAPDB MOVE GET SET SETNX SETEX PSETEX GETSET GETDEL GETEX MGET MSET MSETNX APPEND STRLEN GETRANGE SUBSTR SETRANGE
    INCR DECR INCRBY DECRBY INCRBYFLOAT LCS GETBIT SETBIT BITCOUNT BITPOS BITOP BITFIELD BITFIELD_RO DUMP RESTORE MIGRATE DEL UNLINK EXISTS TOUCH TYPE KEYS SCAN RANDOMKEY
    RENAME RENAMENX COPY EXPIRE PEXPIRE EXPIREAT PEXPIREAT TTL PTTL EXPIRETIME PEXPIRETIME PERSIST MULTI EXEC DISCARD WATCH UNWATCH
    REPLICAOF SLAVEOF ROLE WAIT SAVE BGSAVE DEBUG""".split()


def arity():
    """Every command with 0 to 7 arguments that mean nothing to it, in and outside of MULTI."""
    for name in COMMANDS:
        counts = [0] if name in ("SAVE", "BGSAVE") else range(8)
        for count in counts:
            if (name, count) in (("SAVE", 0), ("BGSAVE", 0), ("COMMAND", 0), ("INFO", 0)):
                continue
            yield " ".join([name] + ["x"] * count)
            if name == "MULTI":
                yield "DISCARD"
            yield "UNWATCH"
    for name in COMMANDS:
        if name in ("EXEC", "DISCARD", "MULTI", "WATCH", "HELLO", "AUTH", "SAVE", "BGSAVE", "DEBUG", "REPLICAOF", "SLAVEOF", "INFO", "COMMAND"):
            continue
        if name in ("TIME", "LASTSAVE", "ROLE", "CLIENT"):
            continue  # their replies differ by nature, and EXEC's reply is compared as a whole
        for count in (0, 1, 2):
            yield "MULTI"
            yield " ".join([name.lower()] + ["x"] * count)
            yield "EXEC"
    yield "SAVE x"
    yield "BGSAVE x"
    yield "BGSAVE SCHEDULE x"


def scan_errors():
    return lines("""
        SCAN
        SCAN abc
        SCAN -1
        SCAN 18446744073709551615
        SCAN 18446744073709551616
        SCAN " 1"
        SCAN 0 COUNT
        SCAN 0 COUNT 0
        SCAN 0 COUNT -1
        SCAN 0 COUNT abc
        SCAN 0 MATCH
        SCAN 0 TYPE
        SCAN 0 BOGUS
        SCAN 0 BOGUS 1
        SCAN 0 MATCH a COUNT
        SCAN 0
        SCAN 0 MATCH * COUNT 5 TYPE string
    """)


SUBJECTS = {
    "connection": connection,
    "set_options": set_options,
    "strings": strings,
    "getex": getex,
    "numbers": numbers,
    "lcs": lcs,
    "bits": bits,
    "bit_fields": bit_fields,
    "keys": keys,
    "expiry": expiry,
    "transactions": transactions,
    "server": server,
    "arity": arity,
    "scan_errors": scan_errors,
}
