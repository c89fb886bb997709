"""Whatever is killed, whenever: run it again and it completes, and what can be seen is never half of something."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.small_task import AS_OF, write_task

ROOT = Path(__file__).resolve().parents[2]

STEPS = (
    "plan",
    "ingest",
    "split",
    "validate",
    "train",
    "predict",
    "evaluate",
    "compare",
    "behave",
    "smoke_test",
    "explain",
    "settle",
    "judge",
)


class Run:
    """`saiki run` as a process of its own group, and every process that comes of it.

    Args:
        folder: Holds the task and, below `state`, what the run writes.
        settings: `NAME=VALUE`.
    """

    def __init__(self, folder, *settings):
        self.mark = f"SAIKI_TEST_RUN={os.getpid()}-{time.monotonic_ns()}"
        self.temporary = folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        name, _, value = self.mark.partition("=")
        given = [f"task={folder / 'task' / 'task.yaml'}", f"as_of={AS_OF}", "budget=1", *settings]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipelines", "run", "--json", "--state", str(folder / "state")]
            + [text for setting in given for text in ("--set", setting)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary), name: value},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def processes(self):
        """Process id → command line of all that live."""
        found = {}
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdecimal() and self.mark.encode() in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().decode().split("\0")
            except (OSError, UnicodeDecodeError):
                continue
        return found

    def wait_for(self, *components):
        """Waits until a step of one of the components runs, and says which; None if the run ends before."""
        while self.process.poll() is None:
            for command in self.processes().values():
                for option, value in pairwise(command):
                    if option == "--function_to_execute" and value in components:
                        return value
            time.sleep(0.01)
        return None

    def ended(self):
        """Exit code, output and error output."""
        out, err = self.process.communicate(timeout=300)
        return self.process.returncode, out, err

    def nothing_is_left(self, seconds):
        """All processes end, and their temporary files go."""
        deadline = time.monotonic() + seconds
        while self.processes() or list(self.temporary.iterdir()):
            assert time.monotonic() < deadline, (self.processes(), list(self.temporary.iterdir()))
            time.sleep(0.05)


def parent_of(pid):
    """The process id of a process's parent; None if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except FileNotFoundError:
        return None


def visible(folder):
    """The files that a reader sees; Saiki's own temporary files are hidden."""
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".saiki-")]


def is_consistent(state):
    """Every object is whole, and whatever is referred to is there."""
    for path in visible(state / "data"):
        if path.suffix == ".parquet":
            assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            json.loads(path.read_text())
    home = state / "registry" / "stands"
    for path in visible(state / "registry"):
        if path.suffix == ".json":
            json.loads(path.read_text())
    if (home / "champion.json").exists():
        champion = json.loads((home / "champion.json").read_text())
        version = home / "versions" / str(champion["version"])
        names = {path.name for path in version.iterdir()}
        assert {"saved_model.pb", "model.json", "lineage.json", "verdict.json", "variables"} <= names
        assert json.loads((home / "history" / f"{champion['history']}.json").read_text())["version"] == 1
    versions = list((home / "versions").iterdir()) if (home / "versions").exists() else []
    assert [path.name for path in versions] in ([], ["1"]), "one judgement has one version"


def names_below(folder):
    return sorted(path.name for path in visible(folder))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The state that a run leaves which nobody kills."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_task(folder / "task")
    run = Run(folder)
    code, out, err = run.ended()
    assert code == 0, out + err
    run.nothing_is_left(5)
    is_consistent(folder / "state")
    return folder / "state"


def test_a_run_that_is_killed_in_every_step_completes(tmp_path, undisturbed):
    write_task(tmp_path / "task")
    state = tmp_path / "state"
    left = set(STEPS)
    while left:
        run = Run(tmp_path)
        # Steps that do not depend on each other run in any order.
        step = run.wait_for(*left)
        assert step, (left, run.ended())
        left.remove(step)
        time.sleep(0.1)
        run.process.kill()
        run.process.communicate()
        run.nothing_is_left(20)
        is_consistent(state)
        assert not (state / "registry" / "stands" / "champion.json").exists()
    # The one step that changes the world is killed at several moments.
    for delay in (0.05, 0.15, 0.2, 0.3):
        run = Run(tmp_path)
        if run.wait_for("push"):
            time.sleep(delay)
        run.process.kill()
        run.process.communicate()
        run.nothing_is_left(20)
        is_consistent(state)
    run = Run(tmp_path)
    code, out, err = run.ended()
    assert code == 0, out + err
    is_consistent(state)
    result = json.loads(out)
    assert (result["result"], result["version"]) == ("promoted", 1)
    assert names_below(state / "data" / "shards") == names_below(undisturbed / "data" / "shards")
    home = state / "registry" / "stands"
    assert [path.stem for path in (home / "attempts").glob("*.json")] == [result["judgement"]]
    assert json.loads((home / "champion.json").read_text())["version"] == 1


def test_a_step_that_is_killed_alone_is_told_and_is_run_again(tmp_path):
    write_task(tmp_path / "task")
    run = Run(tmp_path, "trainer=constant")
    assert run.wait_for("ingest")
    killed = False
    processes = run.processes()
    workers = {pid for pid in processes if parent_of(pid) == run.process.pid and "worker.py" in str(processes[pid])}
    while not killed:
        for pid in run.processes().keys() - workers:
            # A task is a fork of its worker.
            if parent_of(pid) in workers:
                os.kill(pid, signal.SIGKILL)
                killed = True
    code, _, err = run.ended()
    assert code == 2
    assert "The step was killed before it could say why" in err
    assert "step ingest" in err
    assert "Traceback" not in err
    run.nothing_is_left(5)
    again = Run(tmp_path, "trainer=constant")
    assert again.wait_for("split"), again.ended()
    again.process.kill()
    again.process.communicate()


@pytest.mark.parametrize(("number", "step"), [(signal.SIGINT, "train"), (signal.SIGTERM, "ingest")])
def test_an_interrupted_run_ends_at_once_and_leaves_no_process(number, step, tmp_path):
    write_task(tmp_path / "task")
    run = Run(tmp_path)
    assert run.wait_for(step), run.ended()
    # As a terminal does it for Ctrl-C: the whole group hears it.
    os.killpg(run.process.pid, number)
    asked = time.monotonic()
    code, _, err = run.ended()
    assert time.monotonic() - asked < 5
    assert code == 128 + number
    assert "Traceback" not in err
    if number == signal.SIGINT:
        assert "Interrupted" in err
        assert "is not repeated" in err
    run.nothing_is_left(5)
