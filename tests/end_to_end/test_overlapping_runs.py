"""Two real processes at once, many times, on each kind of root: nobody replaces a champion unseen."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from components._shared.registry import Registry
from tests.small_task import AS_OF, write_task

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 6


class Pusher(subprocess.Popen):
    """`pushing.py`, running."""

    def __init__(self):
        command = [sys.executable, str(ROOT / "tests" / "end_to_end" / "pushing.py")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        super().__init__(command, env=environment, text=True, bufsize=1, **pipes)

    def tell(self, text):
        self.stdin.write(text + "\n")
        self.stdin.flush()

    def said(self):
        text = self.stdout.readline().strip()
        assert text, f"it ended: {self.wait()}"
        return text


@pytest.fixture(scope="module")
def pushers():
    both = [Pusher(), Pusher()]
    yield both
    for each in both:
        each.stdin.close()
        each.wait(60)
        each.stdout.close()


def at_once(pushers, jobs):
    """Both have read the pointer; then both act."""
    emulators = {name: value for name, value in os.environ.items() if name.startswith(("STORAGE_", "AWS_"))}
    for each, job in zip(pushers, jobs, strict=True):
        each.tell(json.dumps({**job, "environment": emulators}))
    assert [each.said() for each in pushers] == ["ready", "ready"]
    for each in pushers:
        each.tell("go")
    return [each.said() for each in pushers]


@pytest.fixture
def candidate(tmp_path, make_model, any_root):
    """A job: a candidate that no one has seen."""
    numbers = iter(range(10_000))

    def make():
        number = str(next(numbers))
        judgement = hashlib.sha256(number.encode()).hexdigest()
        names = {"registry": any_root, "folder": str(tmp_path / "files"), "model": str(make_model(number))}
        return {"do": "push", "judgement": judgement, **names}

    return make


def nobody_replaced_a_champion_unseen(registry):
    """Each promotion moved on from the champion that its candidate was judged beside."""
    settled = {each.judgement: each for each in registry.attempts()}
    promotions = [move for move in registry.moves() if move.action == "promotion"]
    for move in promotions:
        beside = settled[move.judgement].baseline.champion
        assert move.previous == (beside.version if beside else None)
    return promotions


def test_of_two_that_push_at_once_one_is_promoted(any_root, candidate, pushers):
    registry = Registry(any_root, "flights")
    registry.open(create=True)
    for number in range(1, ROUNDS + 1):
        jobs = [candidate(), candidate()]
        results = at_once(pushers, jobs)
        assert sorted(results) == ["promoted", "superseded"]
        champion, _ = registry.champion()
        winner = jobs[results.index("promoted")]["judgement"]
        assert registry.promotion_of(winner).version == champion.version
        assert len(registry.moves()) == number
    assert len(nobody_replaced_a_champion_unseen(registry)) == ROUNDS
    assert len(registry.tries()) == 2 * ROUNDS, "the losers are on record, too"


def test_the_same_candidate_pushed_twice_at_once_is_one_promotion(any_root, candidate, pushers):
    registry = Registry(any_root, "flights")
    registry.open(create=True)
    for number in range(1, ROUNDS + 1):
        job = candidate()
        assert at_once(pushers, [job, {**job, "folder": job["folder"] + "-2"}]) == ["promoted", "promoted"]
        assert len(registry.moves()) == len(registry.versions()) == number
    assert len(registry.tries()) == ROUNDS


def test_a_rollback_at_the_same_moment_holds_or_is_refused(any_root, candidate, pushers):
    registry = Registry(any_root, "flights")
    registry.open(create=True)
    at_once(pushers, [candidate(), candidate()])
    for _ in range(ROUNDS):
        at_once(pushers, [candidate(), candidate()])
        before, _ = registry.champion()
        pushed, rolled_back = at_once(pushers, [candidate(), {"do": "roll back", "registry": any_root}])
        champion, _ = registry.champion()
        last = registry.moves()[0].action
        if rolled_back == "refused":
            assert (pushed, last, champion.hold) == ("promoted", "promotion", "")
            continue
        # It came before the push, which then promoted nothing; or after it, and took it back.
        assert (last, champion.hold) == ("rollback", "complaints")
        assert pushed in ("held", "superseded", "promoted")
        assert (champion.version == before.version) == (pushed == "promoted")
        registry.release(who="a person", why="again")


@pytest.mark.parametrize("any_root", ["gs", "s3"], indirect=True)
def test_two_whole_runs_at_once(any_root, tmp_path):
    task = write_task(tmp_path / "task")
    registry = Registry(f"{any_root}/registry", "stands")
    runs = []
    for number in (3, 8):
        settings = {"task": task, "as_of": AS_OF, "trainer": "tests.stands_trainer:train"}
        settings |= {
            "data_root": f"{any_root}/data",
            "registry": f"{any_root}/registry",
            "parameters.iterations": number,
        }
        command = [sys.executable, "-m", "pipelines", "run", "--json", "--state", str(tmp_path / f"state-{number}")]
        command += [text for name, value in settings.items() for text in ("--set", f"{name}={value}")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        runs.append(subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes))
    ended = [run.communicate(timeout=300) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], ended
    results = sorted(json.loads(out[out.index("{") :])["result"] for out, _ in ended)
    promotions = nobody_replaced_a_champion_unseen(registry)
    # Where one was so late that it planned after the other had ended, it was judged beside it.
    assert results == ["promoted", "superseded"] or len(promotions) == 2
    assert registry.champion()[0].version == promotions[0].version
