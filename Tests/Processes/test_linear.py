"""The checker of histories, against every order that a small history can have."""

import itertools
import random

from linear import APPEND, FAILED, GLANCE, OK, READ, SET, UNKNOWN, Operation, check


def possible(operations, final):
    """Tries every order: slow, and plainly right."""
    sure = [o for o in operations if o.outcome == OK]
    open_writes = [o for o in operations if o.is_write and o.outcome == UNKNOWN]
    for count in range(len(open_writes) + 1):
        for chosen in itertools.combinations(open_writes, count):
            for order in itertools.permutations(sure + list(chosen)):
                if _holds(order, final):
                    return True
    return False


def _holds(order, final):
    for i, a in enumerate(order):
        if any(b.end < a.begin for b in order[i + 1 :]):
            return False
    value = None
    for o in order:
        if o.kind == SET:
            value = o.value
        elif o.kind == APPEND:
            value = (value or "") + o.value + ","
        elif o.value != value:
            return False
    return value == final


def small_history(rng, kind):
    operations, tokens = [], []
    for i in range(rng.randrange(1, 5)):
        begin = rng.randrange(10)
        outcome = rng.choice([OK, OK, UNKNOWN])
        end = begin + 1 + rng.randrange(6) + 0.5 if outcome == OK else float("inf")
        operations.append(Operation(kind, "k", f"v{i}", begin, end, outcome))
        tokens.append(f"v{i}")

    def value():
        if kind == SET:
            return rng.choice([None, *tokens])
        some = rng.sample(tokens, rng.randrange(len(tokens) + 1))
        return "".join(t + "," for t in some) or None

    for _ in range(rng.randrange(3)):
        begin = rng.randrange(12)
        operations.append(Operation(READ, "k", value(), begin, begin + 1 + rng.randrange(4) + 0.5, OK))
    return operations, value()


def test_it_agrees_with_trying_every_order():
    rng = random.Random(1)
    seen = {True: 0, False: 0}
    for _ in range(6000):
        operations, final = small_history(rng, rng.choice([SET, APPEND]))
        expected = possible(operations, final)
        report = check(operations, {"k": final})
        assert bool(report) == expected, f"{operations} -> {final}: {report}"
        seen[expected] += 1
    assert min(seen.values()) > 500, seen


def test_what_it_calls_lost_undone_and_invented():
    acked = [Operation(APPEND, "k", "a", 0, 1, OK), Operation(APPEND, "k", "b", 2, 3, OK)]
    assert check(acked, {"k": "a,b,"})
    assert check(acked, {"k": "a,"}).lost
    assert check(acked, {"k": None}).lost
    assert check(acked, {"k": "b,a,"}).disordered
    assert check(acked, {"k": "a,b,b,"}).invented
    assert check(acked, {"k": "a,b,c,"}).invented
    shown = [*acked, Operation(APPEND, "k", "c", 4), Operation(GLANCE, "k", "a,b,c,", 5, 6, OK)]
    assert check(shown, {"k": "a,b,c,"}) and check(shown, {"k": "a,b,"}).undone
    refused = [*acked, Operation(APPEND, "k", "c", 4, 5, FAILED)]
    assert check(refused, {"k": "a,b,"}) and check(refused, {"k": "a,b,c,"}).invented
    over = [Operation(SET, "k", "a", 0, 1, OK), Operation(SET, "k", "b", 2, 3, OK)]
    assert check(over, {"k": "b"}) and check(over, {"k": "a"}).lost
    late = Operation(READ, "k", "a", 4, 5, OK)
    assert check([*over, late], {"k": "b"}).disordered
    assert check([*over, Operation(GLANCE, "k", "a", 4, 5, OK)], {"k": "b"}), "a slave may be behind"
