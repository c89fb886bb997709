"""Garbage collection while a run is under way, on buckets."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from components._shared import storage
from components._shared.garbage import find_garbage, remove_garbage
from tests.small_task import AS_OF, write_task

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["gs", "s3"])
def bucket(request):
    """A fresh prefix on an emulated store."""
    return request.getfixturevalue("gcs_root" if request.param == "gs" else "s3_root")


class Run:
    """`saiki run` on a bucket, as a process of its own."""

    def __init__(self, folder, bucket, *settings):
        given = [f"task={folder / 'task' / 'task.yaml'}", f"data_root={bucket}/data", f"registry={bucket}/registry"]
        given += ["budget=1", *settings]
        self.log = (folder / "err").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipelines", "run", "--json", "--state", str(folder / "state")]
            + [text for setting in given for text in ("--set", setting)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def while_it_runs(self, work):
        """Does it again and again; gives exit code, result and error output."""
        while self.process.poll() is None:
            work()
            time.sleep(0.2)
        out, _ = self.process.communicate()
        self.log.seek(0)
        return self.process.returncode, json.loads(out) if out else None, self.log.read()


def collect(bucket, older_than):
    garbage = find_garbage(f"{bucket}/data", [], older_than=older_than)
    return remove_garbage(f"{bucket}/data", garbage)


def rows_of(bucket):
    return {info.uri for info in storage.list_objects(f"{bucket}/data/shards")}


def test_a_run_loses_nothing_and_the_next_one_heals_what_a_grace_period_that_is_too_short_breaks(bucket, tmp_path):
    write_task(tmp_path / "task")
    litter = [
        f"{bucket}/data/shards/{'0' * 64}.parquet",
        f"{bucket}/data/checkpoints/{'0' * 64}/latest.json",
        f"{bucket}/registry/stands/versions/7/lineage.json",
    ]
    for uri in litter:
        storage.create(uri, b"left")
    storage.create(f"{bucket}/registry/saiki-registry.json", b'{"format": "saiki/registry/v1"}')
    time.sleep(2.1)

    # A grace period that is longer than the run: what is older goes, and the run never notices.
    begin = datetime.now(UTC)
    run = Run(tmp_path, bucket, f"as_of={AS_OF}")
    removed = []

    def once_planned():
        if next(storage.list_objects(f"{bucket}/data/registries"), None):
            removed.append(collect(bucket, begin))

    code, result, err = run.while_it_runs(once_planned)
    assert code == 0, err
    assert (result["result"], result["version"]) == ("promoted", 1)
    assert sum(removed) == len(litter)
    assert not any(storage.exists(uri) for uri in litter)
    # The rows that the record names; predictions may be made again.
    garbage = find_garbage(f"{bucket}/data", [], older_than=datetime.now(UTC))
    recorded = rows_of(bucket) - {info.uri for info in garbage.shards}
    assert recorded

    # None at all: whatever is not recorded yet goes at once. The run ends, or says what vanished and what to do.
    run = Run(tmp_path, bucket, "as_of=2024-05-25")
    code, result, err = run.while_it_runs(lambda: collect(bucket, datetime.now(UTC)))
    assert code in (0, 1, 2), err
    if code == 2:
        assert "vanished" in err or "no such object" in err.lower(), err
        assert f"{bucket}/data/" in err
        assert "do:" in err
        assert "Traceback" not in err
    # What is recorded is never touched.
    assert recorded <= rows_of(bucket)
    champion = json.loads(storage.read(f"{bucket}/registry/stands/champion.json"))
    assert storage.exists(f"{bucket}/registry/stands/versions/{champion['version']}/saved_model.pb")

    # And the next run heals itself.
    run = Run(tmp_path, bucket, "as_of=2024-05-25")
    code, result, err = run.while_it_runs(lambda: None)
    assert code in (0, 1), err
    assert result["result"] in ("promoted", "rejected", "already_champion")
