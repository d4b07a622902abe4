"""Paceline's log files as far as tests must read them, from the byte tables in Segment.swift and Record.swift."""

import struct
from dataclasses import dataclass

from peer import crc32c

SEGMENT_HEADER = 64
RECORD_HEADER = 32
TAIL_MARK = b"PLTAIL\0\1"


@dataclass
class Record:
    offset: int
    bytes: int
    kind: int
    flags: int
    lsn: int
    key: bytes
    value_offset: int
    value_bytes: int


def records(path):
    """The records of a segment or data file in order, up to its end, its tail mark or the reserved zeros."""
    data = path.read_bytes()
    assert data[:5] in (b"PLWAL", b"PLDAT"), path
    found, at = [], records_at(data)
    while at + RECORD_HEADER <= len(data):
        checksum, value_bytes, key_bytes, kind, flags = struct.unpack_from("<IIHBB", data, at)
        (lsn,) = struct.unpack_from("<Q", data, at + 16)
        if not lsn or data[at : at + 8] == TAIL_MARK:
            break
        key = at + RECORD_HEADER + (8 if flags & 1 else 0)
        size = (key - at + key_bytes + value_bytes + 7) & ~7
        found.append(Record(at, size, kind, flags, lsn, data[key : key + key_bytes], key + key_bytes, value_bytes))
        at += size
    return found


def records_at(data):
    """Offset of the first record: in a data file the dictionaries of its values stand before it."""
    return struct.unpack_from("<I", data, 24)[0] if data[:5] == b"PLDAT" else SEGMENT_HEADER


def reach(directory):
    """Up to which LSN the log was on disk, as the file `reach` of a data directory tells."""
    data = (directory / "reach").read_bytes()
    slots = [struct.unpack_from("<QQQQQ", data, at) for at in (0, 4096) if data[at : at + 5] == b"PLRCH"]
    return max(slots, key=lambda slot: slot[1])[4]


def end_of_log(path):
    """Offset behind the last record."""
    last = records(path)[-1:]
    return last[0].offset + last[0].bytes if last else SEGMENT_HEADER


def change_value(path, key, value):
    """Gives the newest record of a key another value of the same length, with checksums that are right: what no
    checksum finds, only a comparison of digests does."""
    record = [r for r in records(path) if r.key == key][-1]
    assert len(value) == record.value_bytes
    assert not record.flags & 0x30, "the value is compressed"
    data = bytearray(path.read_bytes()[record.offset : record.offset + record.bytes])
    start = record.value_offset - record.offset
    data[start : start + len(value)] = value
    content = data[RECORD_HEADER : start + len(value)]
    struct.pack_into("<I", data, 28, crc32c(bytes(content)))
    struct.pack_into("<I", data, 0, crc32c(bytes(data[4:RECORD_HEADER])))
    overwrite(path, record.offset, bytes(data))


def overwrite(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def set_version(path, version):
    """As another version would have written it: an index file's header ends with its checksum."""
    overwrite(path, 7, bytes([version]))
    if path.suffix == ".idx":
        overwrite(path, 60, struct.pack("<I", crc32c(path.read_bytes()[:60])))


def flip(path, offset, mask=0x40):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))
