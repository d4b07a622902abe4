"""Any client with the password can send what nodes send each other. What it claims changes nothing in a row that works: the same
master goes on taking writes, no node ends, now or at its next start. And what is true is believed all the same."""

import os

import pytest

from harness import in_sync, wait_until
from load import fill
from peer import FakeMaster, FakeSlave, frame, pairs, registration_answer, state_answer, sync_answer
from rows import Followers, becomes, follow, fresh, promoted, role, row
from wire import ErrorReply

pytestmark = pytest.mark.timeout(900)

EDGES = [0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -1, "", "x"]
TERMS = [1000, 2**20, 2**31, 4_000_000_000, 2**32 - 2, 2**32 - 1]


def facts(node):
    """Of a node as it tells strangers: id, lineage, term, log."""
    return pairs(fresh(node, "MS_STATE", 2))


def undisturbed(nodes, liar, seconds=2.5):
    """Runs `liar` while clients write: the master stays, and no acknowledged write is longer than that after the one before."""
    ids = [node.pid for node in nodes]
    term = nodes[0].info()["term"]
    with Followers(nodes, threads=2) as clients:
        clients.wait_for(50)
        liar()
        clients.wait_for(200, on=nodes[0])
    assert [node.pid for node in nodes if node.running] == ids, "a node ended"
    assert role(nodes[0]) == "master" and nodes[0].info()["term"] == term
    assert all(role(node) == "slave" for node in nodes[1:])
    assert clients.longest_gap() < seconds, f"{clients.longest_gap():.1f} s without a write"
    clients.check(nodes[0])


@pytest.fixture(scope="module", params=["quorum", "async"])
def nodes(request, shared):
    name = request.param
    master = shared.master("--commit", name, name=f"{name}0")
    slaves = [shared.slave(master, "--commit", name, name=f"{name}{i}") for i in (1, 2)]
    if name == "quorum":
        master.said(r'the voters changed voters="\w{40} \w{40} \w{40}"')
    fill(master, 20)
    in_sync(master, *slaves)
    return [master, *slaves]


class TestLies:
    @pytest.mark.parametrize("term", TERMS)
    def test_news_of_a_master_that_is_none(self, nodes, term):
        known = facts(nodes[0])
        own = facts(nodes[1])

        def lie():
            for node in nodes:
                for node_id, port in [(os.urandom(20).hex(), 1), (own["node-id"], 1), (own["node-id"], nodes[1].port)]:
                    fresh(
                        node, "MS_NEW_MASTER", 2, "term", term, "node-id", node_id, "addr", "127.0.0.1", "port", port, "lineage", known["lineage"],
                        "first", 2**40,
                    )  # fmt: skip

        undisturbed(nodes, lie)

    def test_a_stranger_that_answers_as_a_master_does(self, nodes):
        """It bears its own lie out; the row works and does not know it."""
        known = facts(nodes[0])
        liar_id = os.urandom(20).hex()
        with FakeMaster({}) as liar:
            liar.answers["MS_STATE"] = state_answer(liar_id, known["lineage"], liar.port, term=1000, last=f"1000:{2**40}@{liar_id}", standing=1000)

            def lie():
                for node in nodes:
                    fresh(
                        node, "MS_NEW_MASTER", 2, "term", 1000, "node-id", liar_id, "addr", "127.0.0.1", "port", liar.port, "lineage",
                        known["lineage"], "first", 2**40,
                    )  # fmt: skip
                    reply = pairs(self.vote(node, known, 1000, liar_id, liar.port))
                    assert reply["granted"] == "no" and int(reply["term"]) < 1000

            undisturbed(nodes, lie)

    @staticmethod
    def vote(node, known, term, candidate, port, **changes):
        asked = {
            "term": term, "candidate": candidate, "addr": "127.0.0.1", "port": port, "last": f"{min(term, 4_000_000_000)}:{2**40}@{candidate}",
            "lineage": known["lineage"], "pre-vote": "no", "forced": "yes", "return": "yes", "passes-promise": "yes",
        }  # fmt: skip
        asked.update(changes)
        return fresh(node, "MS_VOTE", 2, *(part for pair in asked.items() for part in pair))

    @pytest.mark.parametrize("term", [50, 1000, 2**31, 2**32 - 1])
    def test_votes_in_the_name_of_others(self, nodes, term):
        known = facts(nodes[0])
        names = [(facts(node)["node-id"], node.port) for node in nodes] + [(os.urandom(20).hex(), 1)]

        def lie():
            for node in nodes:
                for candidate, port in names:
                    reply = self.vote(node, known, term, candidate, port)
                    assert isinstance(reply, ErrorReply) or pairs(reply)["granted"] == "no"

        undisturbed(nodes, lie)

    @pytest.mark.parametrize("term", TERMS)
    def test_registrations_that_know_of_a_newer_term(self, nodes, term):
        known = facts(nodes[0])
        own = facts(nodes[1])

        def lie():
            for node in nodes:
                for node_id, port in [(None, None), (own["node-id"], None), (own["node-id"], nodes[1].port)]:
                    for yields in ("yes", "no"):
                        with FakeSlave(node, node_id) as liar:
                            reply = liar.register(
                                port=port, lineage=known["lineage"], known_term=term, known_owner=liar.node_id, yields=yields,
                                has_data="yes", last=f"{min(term, 4_000_000_000)}:{2**40}@{liar.node_id}",
                            )  # fmt: skip
                            assert isinstance(reply, ErrorReply)

        undisturbed(nodes, lie)

    def test_a_slave_that_is_connected_keeps_its_place(self, nodes):
        """Registered again and again in its name, at its address."""
        own = facts(nodes[1])

        def lie():
            for _ in range(20):
                with FakeSlave(nodes[0], own["node-id"]) as liar:
                    reply = liar.register(port=nodes[1].port, lineage=own["lineage"], last=own["last"], voter="yes")
                    assert isinstance(reply, ErrorReply) and "DUPLICATEID" in str(reply)

        undisturbed(nodes, lie)

    def test_every_field_of_every_message_at_its_edges(self, nodes):
        """Values that are no numbers, too; each is answered, by a refusal or not."""
        known = facts(nodes[0])
        me = os.urandom(20).hex()
        common = ["node-id", me, "addr", "127.0.0.1", "port", 1, "lineage", known["lineage"]]
        messages = [
            ["MS_NEW_MASTER", 2, "term", 5, "first", 9, *common],
            ["MS_VOTE", 2, "term", 5, "candidate", me, "addr", "127.0.0.1", "port", 1, "last", "5:9", "lineage", known["lineage"], "pre-vote", "no"],
            ["MS_REGISTER_SLAVE", 2, *common, "last", "1:1", "known-term", 0, "known-owner", me, "voter", "no", "yields", "no", "chain", "none"],
            ["MS_SYNC_SLAVE", 2, *common[:2], "position", "1:1", "history", f"1:1@{me}", "lineage", known["lineage"], "resume", "none", "rewind-floor", 0],
            ["MS_STATE", 2],
            ["MS_PLAN", me],
            ["MS_VOTER", me, "no"],
            ["FAILOVER", "TO", "127.0.0.1", 1, "TIMEOUT", 100],
            ["WAIT", 0, 1],
            ["WAITLSN", 0, 1],
        ]

        def lie():
            for node in nodes[:2]:
                for message in messages:
                    for at in range(1, len(message)):
                        if message[0] in ("WAIT", "WAITLSN", "FAILOVER") and at == len(message) - 1:
                            continue  # a timeout of a thousand years is waited for
                        for edge in EDGES + [f"{e}:1" for e in EDGES[:11]] + [f"1:{e}" for e in EDGES[:11]]:
                            changed = list(message)
                            changed[at] = edge
                            with node.wire(timeout=60) as wire:
                                wire.ask(*changed)

        undisturbed(nodes, lie)

    def test_and_all_start_again(self, nodes):
        """Nothing of it was written down."""
        terms = [int(node.info()["term"]) for node in nodes]
        assert max(terms) < 50
        for node in nodes:
            node.restart()
        becomes(nodes[0], "master")
        follow(nodes[0], *nodes[1:])
        assert int(nodes[0].info()["term"]) < 60


class TestTruths:
    def test_a_failover_and_a_promotion_are_believed(self, cluster):
        nodes = row(cluster, "--commit", "quorum")
        nodes[0].call("FAILOVER", "TO", "localhost", nodes[1].port)
        follow(nodes[1], nodes[0], nodes[2])
        nodes[1].kill()
        promoted(nodes[2])
        follow(nodes[2], nodes[0])
        nodes[1].start()
        follow(nodes[2], nodes[0], nodes[1])


class TestLyingMaster:
    """Whom one follows one believes, but not numbers that would end the process, now or at a later start."""

    @pytest.mark.parametrize("clock", [2**63, 2**64 - 1, 2**63 - 1, 253_402_300_800_000])
    def test_a_clock_beyond_all_time(self, cluster, clock):
        slave, lineage, last = self.slave(cluster)
        beat = frame("heartbeat", last=last, committed=last, clock=clock)
        self.lie(slave, lineage, last, beat)
        assert slave.call("GET", "key:7") is not None
        slave.restart()
        assert slave.call("GET", "key:7") is not None
        self.becomes_master(slave)

    @pytest.mark.parametrize("term", [2**32 - 1, 2**32 - 2, 4_000_000_001])
    def test_a_term_at_the_end_of_all_terms(self, cluster, term):
        slave, lineage, last = self.slave(cluster)
        self.lie(slave, lineage, last, frame("heartbeat", last=last, committed=last, term=term))
        self.becomes_master(slave)
        slave.restart()
        becomes(slave, "master")

    @staticmethod
    def slave(cluster):
        master = cluster.master()
        fill(master, 50)
        slave = cluster.slave(master)
        in_sync(master, slave)
        state = facts(slave)
        master.kill()
        return slave, state, int(slave.info()["applied_lsn"])

    @staticmethod
    def lie(slave, state, last, frames):
        node_id = os.urandom(20).hex()
        owner = state["last"].split("@")[1]
        answers = {
            "MS_REGISTER_SLAVE": registration_answer(
                state["lineage"], owner, last=f"1:{last}@{owner}", node_id=node_id, history=f"1:1@{owner}"
            ),
            "MS_SYNC_SLAVE": sync_answer("partial", start=last + 1, barrier=last) + frames,
        }
        with FakeMaster(answers) as liar:
            answers["MS_STATE"] = state_answer(node_id, state["lineage"], liar.port)
            slave.call("REPLICAOF", "127.0.0.1", liar.port)
            wait_until(lambda: "MS_SYNC_SLAVE" in liar.asked)
            wait_until(lambda: liar.closed > 0 or not slave.running)
            # What would end the process comes right behind the frame; one that lives comes again.
            visits = liar.visits
            wait_until(lambda: liar.visits > visits or not slave.running)
            assert slave.running

    @staticmethod
    def becomes_master(slave):
        assert slave.call("REPLICAOF", "NO", "ONE") == b"OK"
        assert slave.call("SET", "after", "1") == b"OK"
