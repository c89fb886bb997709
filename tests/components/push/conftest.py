"""Runs up to `push`: a model, a verdict, and the pointer as `plan` saw it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components._shared.comparison import ScoreSketches
from components._shared.evidence import DataEvidence, Estimate, Evaluation, Figures, SliceFigures
from components._shared.facts import DatasetFacts, Facts
from components._shared.gates import BehaviourGates, ChampionGates, MetricGates
from components._shared.ledger import Block, Decision, Settlement, Settlements
from components._shared.looks import looks_in_a_quarter
from components._shared.manifest import Rows
from components._shared.model_files import read_model_info
from components._shared.records import Baseline, ModelRef, Pointer, Promise
from components._shared.registry import Registry
from components._shared.samples import Samples
from components._shared.task import EvaluationSection
from components._shared.verdict import Outcome, Verdict
from components._shared.windows import Window, Windows
from components.push.executor import Pushed, push
from components.push.server import Server
from tests.serving_cluster import ServingCluster

AS_OF = datetime(2013, 7, 1, tzinfo=UTC)
WINDOWS = Windows(as_of=AS_OF, timezone="UTC", labelled_until=datetime(2013, 6, 30, tzinfo=UTC))

FIGURES = Figures(
    candidate=Estimate(value=0.7, interval=(0.65, 0.75)),
    champion=Estimate(value=0.68),
    difference=Estimate(value=0.02, interval=(0.01, 0.03)),
    constant=0.5,
)

SAMPLES = Samples(inputs={"x": (1.5, None)}, dtypes={"x": "float32"}, scores=((0.5,), (0.25,)), tolerance=1e-5)


def settlement(record: str, number: int = 1, reason: str = "", rows: int = 100) -> Settlement:
    """What became of the promise of an earlier decision."""
    whole = Block(window=Window(start=None, end=AS_OF + timedelta(days=30 * number)), rows=rows, clusters=1)
    return Settlement(
        decision=Decision(
            record=record, judgement=record, result="promoted", as_of=datetime(2013, 1, 1, tzinfo=UTC), why="",
            candidate=ModelRef(version=1, uri="", digest=""),
            promise=Promise(metric="auc", candidate=Estimate(value=0.7)),
        ),
        number=number, blocks=(), whole=whole, outcome="cannot_tell", reason=reason, settled_as_of=AS_OF,
    )  # fmt: skip


class Run:
    """A run up to `push`: its model, its verdict, and the pointer as its `plan` saw it."""

    def __init__(
        self, registry: str, folder: Path, model: Path, judgement: str, outcome: Outcome, samples: Samples
    ) -> None:
        info = read_model_info(model)
        verdict = Verdict(subject="candidate", outcome=outcome, checks=(), summary=f"it {outcome}")
        self.gates = EvaluationSection(
            problem="binary_classification", classes=None, slices=(), metric=MetricGates(),
            champion=ChampionGates(primary="auc"), behaviour=BehaviourGates(), embargo="0d", timezone="UTC",
            has_time=True, test_length="30d", known_after="1d", meaning="late by 15 minutes",
        )  # fmt: skip
        facts = Facts(
            experiment="e",
            verdict=verdict,
            windows=WINDOWS,
            learning=info.learning,
            gates=self.gates,
            dataset=DatasetFacts(digest="d" * 64, columns={}, rows=1),
            data=DataEvidence(rows=Rows(), parts={}, features=()),
            model=info,
            evaluation=Evaluation(
                engine="vectorised", problem="binary_classification", rows=1, clusters=1,
                overall=SliceFigures(
                    column="", value="", rows=1, clusters=1, label_mean=None, metrics={"auc": FIGURES}
                ),
            ),
        )  # fmt: skip
        folder.mkdir(exist_ok=True)
        contents = {"verdict": verdict.to_json(), "facts": facts.to_json(), "report": "<html>", "statistics": "pb"}
        contents["card"] = "# Model card"
        contents["samples"] = samples.to_json()
        contents["sketches"] = ScoreSketches(model=info.digest).to_json()
        contents["settlements"] = Settlements(settlements=(settlement("j1"), settlement("j0", 2))).to_json()
        self.files = {name: folder / f"{judgement}-{name}" for name in contents}
        for name, text in contents.items():
            self.files[name].write_text(text)
        self.registry = registry
        self.model = model
        self.judgement = judgement
        self.plan()

    def plan(self) -> None:
        models = Registry(self.registry, "flights")
        champion, generation = models.champion()
        self.pointer = Pointer(
            task="flights", generation=generation, history=champion.history if champion else 0,
            hold=champion.hold if champion else "", replayed=False,
        )  # fmt: skip
        self.baseline = Baseline(
            champion=models.version_ref(champion.version) if champion else None,
            looks=looks_in_a_quarter(models.tries().values(), self.gates, WINDOWS, self.judgement),
        )

    def push(self, override: str = "", server: Server | None = None) -> Pushed:
        return push(
            experiment="e", judgement=self.judgement, registry=self.registry, pointer=self.pointer,
            baseline=self.baseline, windows=WINDOWS, model=self.model, override=override, server=server,
            **self.files,
        )  # fmt: skip


@pytest.fixture
def make_run(make_model: Callable[..., Path], tmp_path: Path) -> Callable[..., Run]:
    def make(
        registry: str,
        judgement: str,
        outcome: Outcome = "passed",
        weights: str = "",
        model: Path | None = None,
        samples: Samples = SAMPLES,
    ) -> Run:
        home = model or make_model(weights or judgement)
        return Run(registry, tmp_path / "files", home, judgement, outcome, samples)

    return make


@pytest.fixture
def make_served(make_run: Callable[..., Run], served_models: Path, cluster: ServingCluster) -> Callable[..., Run]:
    """A run up to `push`, of a model that can be served: by its judgement and its weight."""

    def make(judgement: str, weight: int, outcome: Outcome = "passed", samples_of: int | None = None) -> Run:
        text = (served_models / f"{samples_of or weight}.samples.json").read_text()
        return make_run(
            cluster.registry, judgement, outcome, model=served_models / str(weight), samples=Samples.from_json(text)
        )

    return make
