"""Is a recorded history one that a single correct copy of the data could have given?

Two kinds of keys, both with a value that is unique for every write, so that no search is needed:

- a log key is only appended to (`APPEND key token,`). Its last value is the order in which the writes took place;
- a register is only overwritten (`SET key token`). A read tells which write came last; clusters of a write and its
  reads are compared in time (Gibbons and Korach, "Testing Shared Memories", 1997).

Every operation has one of three outcomes: OK, FAILED (the server said that it was not done) or UNKNOWN.
"""

import bisect
import collections
import dataclasses
import math

OK, FAILED, UNKNOWN = "ok", "failed", "unknown"
APPEND, SET, READ, GLANCE = "append", "set", "read", "glance"


@dataclasses.dataclass
class Operation:
    """A READ is one that a master confirmed: it counts for the order in time. A GLANCE is a read of any node, a slave
    or an old master: it may be old, but what it shows must not disappear."""

    kind: str
    key: str
    value: object  # the token of a write, the value that a read gave (None: no such key)
    begin: float
    end: float = math.inf
    outcome: str = UNKNOWN
    node: str = ""

    @property
    def is_write(self):
        return self.kind in (APPEND, SET)


@dataclasses.dataclass
class Report:
    lost: list = dataclasses.field(default_factory=list)  # acknowledged, and gone
    undone: list = dataclasses.field(default_factory=list)  # shown, and gone
    invented: list = dataclasses.field(default_factory=list)  # never written, refused, or twice there
    disordered: list = dataclasses.field(default_factory=list)  # in no order that agrees with time

    def __bool__(self):
        """True if nothing is wrong."""
        return not (self.lost or self.undone or self.invented or self.disordered)

    def __str__(self):
        rows = [f"{f.name}: {len(getattr(self, f.name))}" for f in dataclasses.fields(self)]
        for field in dataclasses.fields(self):
            rows += [f"  {field.name}: {text}" for text in getattr(self, field.name)[:8]]
        return "\n".join(rows)


def tokens(value):
    return [token for token in (value or "").split(",") if token]


def check(operations, final):
    """`final[key]` is the value after everything: of a read that began when all operations had ended."""
    report = Report()
    keys = collections.defaultdict(list)
    for operation in operations:
        keys[operation.key].append(operation)
    for key, found in keys.items():
        is_log = any(o.kind == APPEND for o in found) or "," in (final.get(key) or "")
        (_check_log if is_log else _check_register)(key, found, final.get(key), report)
    return report


def _check_log(key, operations, final, report):
    order = tokens(final)
    place = {token: i for i, token in enumerate(order)}
    writes = {o.value: o for o in operations if o.is_write}
    if len(place) < len(order):
        report.invented.append(f"{key}: a token stands there twice: {final[-400:]}")
    for token in order:
        if token not in writes:
            report.invented.append(f"{key}: {token} was never written")
        elif writes[token].outcome == FAILED:
            report.invented.append(f"{key}: {token} was refused by {writes[token].node}, and is there")
    # (begin, end, fewest tokens before its moment, most)
    moments = []
    for o in operations:
        if o.is_write:
            if o.value in place:
                moments.append((o.begin, o.end, place[o.value] + 1, o))
            elif o.outcome == OK:
                report.lost.append(f"{key}: {o.value}, acknowledged by {o.node}")
        elif o.outcome == OK:
            seen = tokens(o.value)
            if seen != order[: len(seen)]:
                gone = [t for t, u in zip(seen, order + [None] * len(seen)) if t != u]
                report.undone.append(f"{key}: a {o.kind} of {o.node} showed {gone[:3]}, which is not there in the end")
            elif o.kind == READ:
                moments.append((o.begin, o.end, len(seen), o))
    # What ended before another began has no later place. A write's place is its own, a read shares that of its last.
    moments.sort(key=lambda m: m[0])
    ended = sorted(moments, key=lambda m: m[1])
    highest, newest, i = 0, None, 0
    for begin, _, position, o in moments:
        while i < len(ended) and ended[i][1] < begin:
            if ended[i][2] > highest:
                highest, newest = ended[i][2], ended[i][3]
            i += 1
        if position < highest or (o.is_write and position == highest):
            report.disordered.append(f"{key}: {_text(o)} took place before {_text(newest)}, which had ended")
    for o in operations:
        if o.kind in (READ, GLANCE) and o.outcome == OK:
            early = [t for t in tokens(o.value)[-20:] if t in writes and writes[t].begin > o.end]
            if early:
                report.disordered.append(f"{key}: {_text(o)} showed {early[0]} before it was sent")


def _check_register(key, operations, final, report):
    end_of_all = max(t for o in operations for t in (o.begin, o.end) if t < math.inf) + 1
    last = Operation(READ, key, final, end_of_all, end_of_all + 1, OK, "the end")
    reads = [o for o in operations if o.kind == READ and o.outcome == OK] + [last]
    glances = [o for o in operations if o.kind == GLANCE and o.outcome == OK]
    writes = {o.value: o for o in operations if o.is_write}
    writes[None] = Operation(SET, key, None, -math.inf, -math.inf, OK)
    clusters = collections.defaultdict(list)
    for read in reads:
        clusters[read.value].append(read)
    for value in list(clusters) + [g.value for g in glances]:
        if value not in writes:
            report.invented.append(f"{key}: {value} was never written")
            clusters.pop(value, None)
        elif writes[value].outcome == FAILED:
            report.invented.append(f"{key}: {value} was refused by {writes[value].node}, and was read")
    zones = []
    for value, write in writes.items():
        found = clusters.get(value, [])
        if write.outcome != OK and not found:
            continue  # it need not have taken place
        for read in found:
            if read.end < write.begin:
                report.disordered.append(f"{key}: {_text(read)} before the value was sent")
        cluster = found + [write]
        zones.append((min(o.end for o in cluster), max(o.begin for o in cluster), value))
    # A forward zone [first end, last begin] has the value in it all the time: nothing else fits in.
    forward = sorted(z for z in zones if z[0] < z[1])
    for (_, until, value), (begin, _, other) in zip(forward, forward[1:]):
        if begin < until:
            report.disordered.append(f"{key}: {value} and {other} were both the last write, in turns")
    starts = [z[0] for z in forward]
    for first, last_begin, value in zones:
        if first < last_begin:
            continue
        # The write lies within [last begin, first end]; is that inside one forward zone?
        at = bisect.bisect_left(starts, last_begin) - 1
        if at >= 0 and first < forward[at][1]:
            kind = report.lost if forward[at][2] != value and not clusters.get(value) else report.disordered
            kind.append(f"{key}: {value} was written while {forward[at][2]} was there all the time")


def _text(o):
    value = tokens(o.value)[-1:] if o.kind in (READ, GLANCE) else o.value
    return f"{o.kind} {value} at {o.node} [{o.begin:.3f}, {o.end:.3f}] {o.outcome}"
