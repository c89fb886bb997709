"""A month on a schedule: `saiki schedule apply` once, then thirty nights of whatever nights bring.

The twin of the KFP API server keeps the recurring run, a clock of the test makes it due, and each run is the real
pipeline, as `saiki run` executes it, with the parameters that the recurring run has. `pytest -s` shows the month.
"""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, date, datetime, timedelta

import pytest
import yaml

from components._shared import storage
from components._shared.facts import Facts
from components._shared.registry import Registry
from pipelines.commands.schedule import schedule
from pipelines.training.config import UNCACHED
from tests.end_to_end.test_overlapping_runs import nobody_replaced_a_champion_unseen
from tests.end_to_end.warm_runs import ROOT, Outcome, warm_runs
from tests.kfp_clock import Scheduler
from tests.kfp_server import kfp_server
from tests.small_task import sales, write_csv, write_task

FIRST, NIGHTS = date(2024, 6, 1), 30
DAYS_BEFORE = 152
TRAINER = "tests.stands_trainer:train"
WINDOW_DAYS = 120
NEVER_CAME = "2024-06-04"

EVENTS = {
    5: "no file came for 4 June",
    8: "late rows of 6 June came",
    10: "the cluster is down",
    11: "the first night after it",
    13: "the run is killed in train",
    16: "another run at the same time",
    18: "a bad delivery: text for degrees",
    19: "the delivery was corrected",
    20: "rolled back before it, held",
    21: "held",
    22: "held",
    24: "the schedule's cron was changed",
    25: "a bad delivery: a column renamed",
    26: "the delivery was corrected",
}


class Month:
    """The shop that delivers, the cluster that runs, and what came of each night."""

    def __init__(self, folder, server, runs, bucket):
        self.folder, self.server, self.runs, self.bucket = folder, server, runs, bucket
        self.now = datetime(2024, 5, 31, 12, tzinfo=UTC)
        server.now = lambda: self.now
        self.scheduler = Scheduler(server)
        self.rows = sales(DAYS_BEFORE + NIGHTS)
        self.registry = Registry(str(folder / "registry"), "stands")
        self.table = []
        self.task = write_task(folder / "task", rows=self.sold(None), task=_by_day)
        (folder / "task" / "daily").mkdir()
        self.settings = folder / "settings.yaml"
        storage.create(f"{bucket}/task/task.yaml", self.task)
        data = {"endpoint": server.endpoint, "data_root": f"{bucket}/data", "registry": f"{bucket}/registry"}
        metadata = {"name": "saiki-settings", "namespace": "kubeflow"}
        self.settings.write_text(yaml.safe_dump({"kind": "ConfigMap", "metadata": metadata, "data": data}))

    def sold(self, day):
        """The rows of a day; none: of all days before the month."""
        if day is None:
            return [row for row in self.rows if row["day"] < (FIRST - timedelta(days=1)).isoformat()]
        return [dict(row) for row in self.rows if row["day"] == day.isoformat()]

    def deliver(self, day, rows, part=""):
        write_csv(self.folder / "task" / "daily" / f"{day}{part}.csv", rows)

    def delivered(self):
        """Every row that lies in a file now."""
        found = []
        for path in sorted((self.folder / "task").rglob("*.csv")):
            with path.open(newline="") as stream:
                found += csv.DictReader(stream)
        return found

    def schedule(self, command, *arguments):
        """`saiki schedule …`: exit code, and what it prints as JSON."""
        out = io.StringIO()
        try:
            with redirect_stdout(out):
                schedule.main(
                    [command, *map(str, arguments), "--cluster", str(self.settings), "--json"], standalone_mode=False
                )
        except SystemExit as ended:
            return ended.code, json.loads(out.getvalue())
        return 0, json.loads(out.getvalue())

    def apply(self, cron):
        path = self.folder / "schedules.yaml"
        wanted = {
            "name": "stands-nightly",
            "cron": cron,
            "parameters": {"task": f"{self.bucket}/task/task.yaml", "trainer": TRAINER},
        }
        path.write_text(yaml.safe_dump({"format": "saiki/schedules/v1", "schedules": [wanted]}))
        return self.schedule("apply", path)[1]

    def parameters(self, run_id):
        """What the run was started with; here the bucket is a folder."""
        given = self.server.runs[run_id]["runtime_config"]["parameters"]
        return {name: value.replace(self.bucket, str(self.folder)) for name, value in given.items()}

    def night(self, number):
        """The time is half past three; what is due runs."""
        self.now = datetime.combine(FIRST, datetime.min.time(), UTC) + timedelta(days=number - 1, hours=4, minutes=20)
        started = self.scheduler.start_due()
        assert len(started) == 1, "a night has one run, also after one that was missed"
        return started[0]

    def execute(self, run_id):
        """The run's steps, here; how it ended is told to the server."""
        outcome = self.runs.run(self.parameters(run_id), self.now)
        failed = outcome.code == 2 or outcome.result["result"] == "rejected"
        self.server.finish(run_id, "FAILED" if failed else "SUCCEEDED")
        return outcome

    def kill_in(self, step, run_id):
        """The run is a process of its own, and dies while a step is at work."""
        with self.process(self.folder / "state", self.parameters(run_id)) as process:
            process.wait_for(step)
            os.killpg(process.pid, signal.SIGKILL)
        self.server.finish(run_id, "FAILED")
        return Outcome(137, {}, "killed")

    def beside(self, other, run_id):
        """The run, while another with these parameters is under way: both have planned before either pushes."""
        with self.process(self.folder / "state-of-another", {**self.parameters(run_id), **other}) as process:
            process.wait_for("ingest")
            outcome = self.execute(run_id)
            out, err = process.communicate(timeout=120)
            assert process.returncode in (0, 1), err
        return outcome, json.loads(out[out.index("{") :])

    @contextmanager
    def process(self, state, parameters):
        """`saiki run` in its own process group."""
        process = _Process(state, parameters, self.now)
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def champion(self):
        champion, _ = self.registry.champion()
        return (champion.version, champion.hold) if champion else (0, "")

    def once_more(self, run_id):
        """The same parameters again, by day."""
        return self.runs.run(self.parameters(run_id), self.now + timedelta(hours=8))

    def note(self, number, outcome, other="", event=""):
        """A line of the table, and what every night has to hold."""
        result = outcome.result.get("result", "—") + (", recorded before" if outcome.result.get("replayed") else "")
        champion, hold = self.champion()
        rows = self.rows_of(outcome) if outcome.result else None
        steps = f"{len(outcome.steps) - outcome.cached} + {outcome.cached} cached" if outcome.result else "—"
        self.table.append(
            {
                "night": f"{FIRST + timedelta(days=number - 1):%-d June}",
                "what happened": event or EVENTS.get(number, ""),
                "steps": steps,
                "rows read": rows.read if rows else "—",
                "kept": rows.kept if rows else "—",
                "verdict": outcome.result.get("outcome") or outcome.error.splitlines()[0],
                "result": result + (f" (the other: {other})" if other else ""),
                "champion": f"{champion}, held" if hold else champion,
            }
        )

    def rows_of(self, outcome):
        """The accounting of the rows that a run was made from, as its attempt keeps it."""
        tries = self.registry.tries().values()
        attempt = next(each for each in tries if each.judgement == outcome.result["judgement"])
        facts = Facts.from_json(storage.read(self.registry.file_of(attempt, "evidence.json")))
        return facts.data.rows

    def all_rows_are_accounted_for(self, outcome):
        """What was read is all that had been delivered, and each row of it went somewhere that is written down."""
        rows = self.rows_of(outcome)
        as_of = self.now.date()
        files = [
            path
            for path in (self.folder / "task").rglob("*.csv")
            if path.name == "sales.csv"
            or as_of - timedelta(days=WINDOW_DAYS) <= date.fromisoformat(path.stem[:10]) < as_of
        ]
        assert rows.read == sum(len(path.read_text().splitlines()) - 1 for path in files)
        assert rows.read == sum(value for name, value in rows if name != "read")

    def markdown(self):
        titles = list(self.table[0])
        lines = [titles, ["---"] * len(titles), *([str(line[title]) for title in titles] for line in self.table)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


class _Process(subprocess.Popen):
    def __init__(self, state, parameters, now):
        self.folder = state / "runs"
        self.before = set(self.folder.glob("*"))
        command = [sys.executable, "-m", "pipelines", "run", "--json", "--state", str(state)]
        command += [text for name, value in parameters.items() for text in ("--set", f"{name}={value}")]
        environment = {**os.environ, "SAIKI_TEST_NOW": now.isoformat()}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        super().__init__(command, cwd=ROOT, env=environment, text=True, start_new_session=True, **pipes)

    def wait_for(self, step):
        while not any((run / step).exists() for run in set(self.folder.glob("*")) - self.before):
            assert self.poll() is None, self.communicate()
            time.sleep(0.02)


def _by_day(task):
    task["data"]["sources"] = ["sales.csv", "daily/{date}*.csv"]
    task["window"] = {"length": f"{WINDOW_DAYS}d"}
    # Models of two nights are nearly the same: chance shall not decide which of them is champion.
    tolerance = {"auc": {"worse_by": 0.05}, "log_loss": {"worse_by": 0.1}}
    task["gates"]["champion"] = {"improve": "no", "tolerance": tolerance}


def _in_words(rows):
    return [{**row, "temperature": f"{row['temperature']} degrees"} for row in rows]


def _renamed(rows):
    return [{"degrees" if name == "temperature" else name: value for name, value in row.items()} for row in rows]


@pytest.fixture
def month(tmp_path, gcs_root):
    with warm_runs(tmp_path / "state") as runs, kfp_server() as server:
        yield Month(tmp_path, server, runs, gcs_root)


def before_night(month, number):
    """What is delivered by day, and what people do."""
    yesterday = FIRST + timedelta(days=number - 2)
    the_day_before = yesterday - timedelta(days=1)
    rows = month.sold(yesterday)
    match number:
        case 5:
            rows = []
        case 7:
            rows = rows[:2]
        case 8:
            month.deliver(the_day_before, month.sold(the_day_before)[2:], "-late")
        case 18:
            rows = _in_words(rows)
        case 19 | 26:
            month.deliver(the_day_before, month.sold(the_day_before))
        case 20:
            month.registry.rollback(who="a person", why="complaints")
        case 24:
            assert month.apply("15 4 * * *")["changed"] == 1
        case 25:
            rows = _renamed(rows)
    if rows:
        month.deliver(yesterday, rows)


def night(month, number):
    """The night's run, another one at the same time if there is one, and what has to be true of them."""
    before, run_id, other = month.champion()[0], month.night(number), {}
    match number:
        case 13:
            outcome = month.kill_in("train", run_id)
        case 16:
            outcome, other = month.beside({"parameters.iterations": 3}, run_id)
        case _:
            outcome = month.execute(run_id)
    month.note(number, outcome, other.get("result", ""))
    result, champion = outcome.result.get("result"), month.champion()[0]
    match number:
        case 13:
            assert champion == before
        case 16:
            assert (sorted([result, other["result"]]), champion) == (["promoted", "superseded"], before + 1)
        case 18:
            assert (outcome.result["outcome"], result, champion) == ("failed", "rejected", before)
        case 20 | 21 | 22:
            assert (outcome.result["outcome"], result, champion) == ("passed", "held", before)
        case 25:
            assert (outcome.code, champion) == (2, before)
            assert "temperature" in outcome.error
        case _:
            newest = max(each.number for each in month.registry.versions())
            assert (result, champion) == ("promoted", newest), outcome.error
    if outcome.result:
        month.all_rows_are_accounted_for(outcome)
    return run_id, [each["judgement"] for each in (outcome.result, other) if each]


def after_night(month, number, run_id):
    """A run that is started again by day."""
    match number:
        case 22:
            month.registry.release(who="a person", why="it was the weather")
            again = month.once_more(run_id)
            month.note(number, again, event="released by day; the same run again")
            assert again.result["result"] == "promoted"
            done_again = {name.split(":")[0] for name, step in again.steps.items() if not step["cached"]}
            assert done_again <= UNCACHED, "all else comes from the cache"
        case 27:
            records = month.registry.tries()
            again = month.once_more(run_id)
            month.note(number, again, event="the same run again by day")
            assert again.result["replayed"]
            assert month.registry.tries() == records, "what was judged is not judged again"


def test_thirty_nights(month, tmp_path):
    assert month.apply("30 3 * * *")["changed"] == 1
    assert month.apply("30 3 * * *")["changed"] == 0
    judged = []
    for number in range(1, NIGHTS + 1):
        before_night(month, number)
        if number == 10:
            month.note(number, Outcome(0, {}, "not run"))
            continue
        run_id, judgements = night(month, number)
        judged += judgements
        after_night(month, number, run_id)
    table = month.markdown()
    (tmp_path / "thirty-nights.md").write_text(table)
    print(f"\n{table}")
    tries = month.registry.tries().values()
    assert len(judged) == len(set(judged)) == len({each.judgement for each in tries}), "nothing is judged twice"
    nobody_replaced_a_champion_unseen(month.registry)
    first, today = (month.now.date() - timedelta(days=WINDOW_DAYS)).isoformat(), month.now.date().isoformat()
    delivered = [row for row in month.rows if first <= row["day"] < today and row["day"] != NEVER_CAME]
    kept = next(line["kept"] for line in reversed(month.table))
    assert kept == len(delivered), "each row that was delivered is learned from, late and corrected ones too"
