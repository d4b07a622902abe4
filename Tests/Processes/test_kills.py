"""Nothing acknowledged is lost, whatever node dies: three nodes with `--commit quorum` under load and faults by seed.

The long form: `scripts/soak MINUTES [SEED]`, or PACELINE_TEST_SCALE=10.
"""

import os
import shutil

import pytest

from kills import PacelineRow, RedisRow, run

SCALE = max(1, int(float(os.environ.get("PACELINE_TEST_SCALE", "1"))))
SOAK_SECONDS = float(os.environ.get("PACELINE_SOAK_MINUTES", "0")) * 60
# Many files, compacted soon, and no log kept beyond what slaves need: rewinds and new masters meet all of that.
SMALL = ["--segment-bytes", 16384, "--wal-keep", 0, "--ops-buffer", 65536]
SEED = int(os.environ.get("PACELINE_SOAK_SEED", "1"))


@pytest.mark.timeout(300 + 60 * SCALE + 3 * SOAK_SECONDS)
@pytest.mark.soak
@pytest.mark.parametrize("flags", [[], SMALL], ids=["defaults", "small-segments"])
def test_nothing_acknowledged_is_lost(cluster, flags):
    limit = {"seconds": SOAK_SECONDS} if SOAK_SECONDS else {"kills": 6 * SCALE}
    result = run(PacelineRow(cluster, *flags), SEED, say=print, **limit)
    print(result)
    assert result.report, f"seed {SEED}: {result}"
    assert result.kills and result.promotions and result.acknowledged > 100, str(result)


class TestTheSameWithRedis:
    """The harness sees what it is made to see: Redis with WAIT 1 loses acknowledged writes under the same faults."""

    @pytest.mark.skipif(not shutil.which("redis-server"), reason="redis-server is not installed")
    @pytest.mark.timeout(400)
    def test_acknowledged_writes_are_lost(self, cluster):
        for seed in range(5):
            # One set of nodes for each try; all belong to the test.
            cluster.directory = cluster.directory / f"try{seed}"
            result = run(RedisRow(cluster), seed, rounds=8, kinds=["lagging slave"])
            print(result)
            for process in cluster.processes:
                process.end()
            if result.report.lost:
                return
        raise AssertionError("five tries, and no lost write was found: is the harness blind?")
