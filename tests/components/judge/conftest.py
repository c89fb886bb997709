"""Inputs of `judge` as a real run makes them: a monthly retraining that ranks better and calibrates worse."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from components._shared.comparison import Comparison
from components._shared.evidence import (
    Anomaly,
    Bin,
    Curves,
    DataEvidence,
    Estimate,
    Evaluation,
    FeatureDrift,
    FeatureFacts,
    Figures,
    Point,
    SliceFigures,
)
from components._shared.gates import METRICS_OF, GateChoice, resolve_gates
from components._shared.ledger import Settlements
from components._shared.manifest import Example, Manifest, Rows, Source
from components._shared.model_info import CurvePoint, ModelInfo, ModelInput
from components._shared.records import ModelRef
from components._shared.task import EvaluationSection, LearningSection, TrainerChoice
from components._shared.verdict import Check, Verdict
from components._shared.windows import Window, Windows
from components.judge.executor import Verdicts
from tests.late_flights_evidence import behaviour_of, changes_of, comparison_of, explanation_of, settlements_of

_ZONE = ZoneInfo("America/New_York")
_FEATURES = {
    "carrier": "categorical",
    "origin": "categorical",
    "dest": "categorical",
    "weekday": "categorical",
    "distance": "numeric",
    "sched_dep_minute": "numeric",
    "sched_arr_minute": "numeric",
}
_LEVELS = {
    "cost": (6.62, 6.80, -0.18, (-0.31, -0.05), 0.4, 7.21),
    "auc": (0.671, 0.648, 0.023, (0.010, 0.039), 0.012, 0.5),
    "pr_auc": (0.231, 0.214, 0.017, (0.002, 0.033), 0.021, 0.133),
    "log_loss": (0.420, 0.411, 0.009, (0.001, 0.017), 0.019, 0.391),
    "brier": (0.1243, 0.1216, 0.0027, (-0.0004, 0.0061), 0.0081, 0.1153),
    "calibration_error": (0.087, 0.071, 0.016, (0.004, 0.029), 0.014, 0.0021),
    "accuracy": (0.866, 0.8665, -0.0005, (-0.0011, 0.0002), 0.011, 0.867),
    "macro_f1": (0.512, 0.498, 0.014, (0.003, 0.025), 0.009, 0.21),
    "rmse": (41237.12, 42011.93, -774.81, (-1632.7, 83.2), 2210.0, 61200.5),
    "mae": (23871.4, 24120.8, -249.4, (-480.2, -18.7), 900.0, 45110.0),
    "r2": (0.546, 0.529, 0.017, (-0.002, 0.036), 0.03, 0.0),
    "bias": (-812.4, 1403.7, -2216.1, (-2904.4, -1527.0), 700.0, 3120.0),
}


def day(month: int, number: int) -> datetime:
    return datetime(2013, month, number, tzinfo=_ZONE).astimezone(UTC)


def gates_of(problem: str, **choice: Any) -> EvaluationSection:
    found = resolve_gates(GateChoice.from_value(choice), problem)
    return EvaluationSection(
        problem=problem,  # type: ignore[arg-type]
        classes=("red", "green", "blue") if problem == "multiclass_classification" else None,
        slices=("origin", "carrier"),
        metric=found.metric,
        champion=found.champion,
        behaviour=found.behaviour,
        embargo="1d",
        timezone="America/New_York",
        has_time=True,
    )


def figures_of(metric: str, *, champion: bool, shift: float = 0.0, wide: float = 1.0) -> Figures:
    candidate, beside, difference, pair, half, constant = _LEVELS[metric]
    half *= wide
    middle = (pair[0] + pair[1]) / 2
    around = (middle - (middle - pair[0]) * wide, middle + (pair[1] - middle) * wide)
    if not champion:
        return Figures(
            candidate=Estimate(value=candidate + shift, interval=(candidate + shift - half, candidate + shift + half)),
            constant=constant,
        )
    return Figures(
        candidate=Estimate(value=candidate + shift, interval=(candidate + shift - half, candidate + shift + half)),
        champion=Estimate(value=beside + shift, interval=(beside + shift - half, beside + shift + half)),
        difference=Estimate(value=difference, interval=around),
        constant=constant,
    )


def slice_of(column: str, value: str, rows: int, problem: str, *, champion: bool, seed: int = 0) -> SliceFigures:
    scale = 40000.0 if problem == "regression" else 0.04
    return SliceFigures(
        column=column,
        value=value,
        rows=rows,
        clusters=30,
        label_mean=0.1332 + 0.02 * math.sin(seed),
        metrics={
            metric: figures_of(
                metric,
                champion=champion,
                shift=scale * 0.3 * math.sin(seed * 1.7),
                wide=1.0 if not column else min(6.0, math.sqrt(27012 / max(rows, 1))),
            )
            for metric in METRICS_OF[problem]
        },
    )


def curves_of(problem: str, *, bend: float) -> Curves:
    unit = [n / 60 for n in range(61)]
    scores = tuple(Point(x=(n + 0.5) / 40, y=math.exp(-(((n / 40 - 0.2 * bend) / 0.1) ** 2)) / 7.2) for n in range(40))
    if problem == "regression":
        return Curves(
            predicted=tuple(
                Point(
                    x=20000.0 * n,
                    y=20000.0 * n + 1500 * math.sin(n) * bend,
                    low=20000.0 * n - 4000,
                    high=20000.0 * n + 4000,
                    rows=2701,
                )
                for n in range(1, 11)
            ),
            residuals=tuple(Point(x=5000.0 * (n - 20), y=math.exp(-(((n - 20) / 6) ** 2)) / 11) for n in range(41)),
            scores=tuple(Point(x=6000.0 * n, y=point.y) for n, point in enumerate(scores)),
        )
    calibration = tuple(
        Point(
            x=0.05 + 0.04 * n,
            y=0.04 + 0.03 * n / bend,
            low=0.02 + 0.028 * n / bend,
            high=0.06 + 0.032 * n / bend,
            rows=2701,
        )
        for n in range(10)
    )
    if problem == "multiclass_classification":
        return Curves(
            calibration=calibration,
            scores=scores,
            confusion=((810, 120, 33), (94, 640, 201), (12, 180, 702)),
            classes=("red", "green", "blue"),
        )
    return Curves(
        roc=tuple(Point(x=x, y=x ** (0.5 / bend)) for x in unit),
        pr=tuple(Point(x=x, y=0.133 + 0.4 * bend * math.exp(-4 * x)) for x in unit),
        calibration=calibration,
        scores=scores,
        confusion=((23290, 120), (3510, 92)),
        classes=("false", "true"),
    )


def feature_facts(name: str, kind: str, *, drift: float | None = 0.012, rows: int = 180000) -> FeatureFacts:
    moved = None if drift is None else FeatureDrift(psi=drift, ks=drift / 2)
    if kind == "numeric":
        bins = tuple(
            Bin(label=f"{80 * n} to {80 * n + 80}", share=share, low=80.0 * n, high=80.0 * n + 80)
            for n, share in enumerate((0.02, 0.11, 0.18, 0.21, 0.09, 0.14, 0.16, 0.05, 0.03, 0.01))
        )
        return FeatureFacts(
            name=name, kind="numeric", rows=rows, missing=0.0004, distinct=211, mean=1039.9, std=733.2,
            min=80.0, median=872.0, max=4983.0, bins=bins, drift=moved, skew=FeatureDrift(psi=0.004, ks=0.011),
        )  # fmt: skip
    labels = ("UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX")
    bins = tuple(Bin(label=label, share=0.174 / (1 + 0.35 * n)) for n, label in enumerate(labels))
    return FeatureFacts(
        name=name, kind="categorical", rows=rows, missing=0.0, distinct=16, bins=bins, unseen=0.0003, drift=moved,
        skew=FeatureDrift(psi=0.131, ks=0.09),
    )  # fmt: skip


def verdicts_of(checks: tuple[Check, ...], outcome: str) -> Verdicts:
    """What the judging steps say; the metrics' checks are given."""
    malformed = Check(
        name="data.malformed",
        observed=3.3e-5,
        limit="at most 0.001",
        outcome="passed",
        reason="11 of 336,776 rows could not be read.",
    )
    duplicates = Check(
        name="data.duplicates", observed=0.0, limit="at most 0", outcome="passed", reason="No key was seen twice."
    )
    drift = Check(
        name="data.drift_psi",
        slice="carrier",
        observed=0.012,
        limit="at most 0.25",
        outcome="passed",
        reason="Its values hardly moved against the previous snapshot.",
    )
    reproduces = Check(
        name="behaviour.reproduces",
        observed=2.4e-7,
        limit="at most 1e-05",
        outcome="passed",
        reason="A fresh process gives the stored scores again.",
    )
    return Verdicts(
        data=passed("data", malformed, duplicates, drift),
        metrics=Verdict(subject="metrics", outcome=outcome, checks=checks, summary="Judged."),  # type: ignore[arg-type]
        difference=passed("difference"),
        smoke=passed("behaviour", reproduces),
        tests=passed("tests"),
        explanation=passed("explanation"),
    )


def passed(subject: str, *checks: Check) -> Verdict:
    return Verdict(subject=subject, outcome="passed", checks=checks, summary="Nothing is wrong.")


def judging_inputs(
    problem: str = "binary_classification",
    *,
    champion: bool = True,
    outcome: str = "failed",
    slices: dict[str, list[str]] | None = None,
    features: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Keyword arguments of `judge`."""
    gates = gates_of(problem)
    features = features or _FEATURES
    found_slices = (
        {"origin": ["EWR", "JFK", "LGA"], "carrier": ["UA", "B6", "EV", "DL", "AA"]} if slices is None else slices
    )
    windows = Windows(
        as_of=day(10, 1),
        timezone="America/New_York",
        span=Window(start=day(1, 1), end=day(10, 1)),
        labelled_until=day(10, 1) - timedelta(hours=12),
        train=Window(start=day(1, 1), end=day(8, 16)),
        tune=Window(start=day(8, 17), end=day(8, 31)),
        test=Window(start=day(9, 1), end=day(10, 1)),
        embargo="1d",
    )
    learning = LearningSection(
        problem=problem,  # type: ignore[arg-type]
        classes=gates.classes,
        features=features,  # type: ignore[arg-type]
        trainer=TrainerChoice(name="mlp", parameters={"layers": [64, 32], "epochs": 12, "batch": 512}),
    )
    ref = ModelRef(version=1, uri="gs://models/flights/versions/1", digest="c1" * 32, fit_until=day(6, 1))
    primary = gates.champion.primary
    checks = [
        Check(
            name=f"metric.{primary}",
            observed=0.671,
            interval=(0.659, 0.683),
            limit="at least 0.6",
            outcome="passed",
            reason="It is within its bounds.",
        )
    ]
    if champion:
        for metric, tolerance in gates.champion.tolerance.items():
            figures = figures_of(metric, champion=True)
            assert figures.difference is not None
            failed = outcome == "failed" and metric == "log_loss"
            checks.append(
                Check(
                    name=f"champion.{metric}",
                    observed=figures.difference.value,
                    interval=figures.difference.interval,
                    limit=f"worse by at most {tolerance.worse_by}",
                    outcome="failed" if failed else "passed",
                    reason="The difference is beyond its tolerance."
                    if failed
                    else "The difference is within its tolerance.",
                )
            )
    if outcome == "cannot_judge":
        checks.append(
            Check(
                name="metric.min_days",
                observed=3,
                limit="at least 5",
                outcome="cannot_judge",
                reason="Only 3 days are fair to both models, and 5 are needed.",
            )
        )
    metric_outcome = next((o for o in ("failed", "cannot_judge") if any(c.outcome == o for c in checks)), "passed")
    rows = Rows(
        read=336776,
        kept=245391,
        label_pending=412,
        out_of_population=7204,
        out_of_window=83755,
        malformed=11,
        duplicate=3,
    )
    return {
        "experiment": "e5" * 32,
        "windows": windows,
        "learning": learning,
        "gates": gates,
        "champion": ref if champion else None,
        "verdicts": verdicts_of(tuple(checks), metric_outcome),
        "data_evidence": DataEvidence(
            rows=rows,
            parts={"train": 201770, "test": 27012},
            features=tuple(
                feature_facts(name, kind, drift=0.012 + 0.05 * n) for n, (name, kind) in enumerate(features.items())
            ),
            label=feature_facts("late", "numeric", drift=0.02),
            anomalies=(
                Anomaly(
                    column="dest",
                    kind="unseen values",
                    description="1 value stands outside the pinned domain: LEX (1 row).",
                    severity="notice",
                ),
            ),
            set_aside=(
                Example(
                    reason="malformed",
                    source="data/flights.csv.zip",
                    row=120311,
                    detail="dep_time: 'x17' is not an int64",
                ),
            ),
            notices=("The source has a column that the schema does not know: minute. It is ignored.",),
            previous="gs://data/attempts/af12/statistics.json",
            proposal="columns:\n  dest: {type: string, domain: [ABQ, LEX]}\n",
        ),
        "evaluation": Evaluation(
            engine="vectorised",
            problem=problem,  # type: ignore[arg-type]
            rows=27012,
            clusters=30,
            window=Window(start=day(9, 1), end=day(10, 1)),
            champion=ref.digest if champion else "",
            overall=slice_of("", "", 27012, problem, champion=champion),
            slices=tuple(
                slice_of(column, value, int(9000 / (1 + n)), problem, champion=champion, seed=n + len(column))
                for column, values in found_slices.items()
                for n, value in enumerate(values)
            ),
            constant_beats_both=("log_loss", "brier") if problem == "binary_classification" else (),
            curves=curves_of(problem, bend=1.3),
            champion_curves=curves_of(problem, bend=1.1) if champion else None,
        ),
        "model": ModelInfo(
            digest="d4" * 32,
            learning=learning,
            inputs={name: ModelInput(name=f"input_{n}", dtype="float32") for n, name in enumerate(features)},
            fit_until=day(8, 31),
            base=(0.2403,),
            rows={"train": 201770, "tune": 13116},
            metrics={"tune_log_loss": 0.4811},
            curve=tuple(
                CurvePoint(epoch=n, train_loss=0.47 + 0.1 / n, tune_loss=0.482 + 0.05 / n + 0.0008 * n, seconds=2.1)
                for n in range(1, 11)
            ),
            made_from={"train": "a1" * 32, "tune": "a2" * 32, "learning": "a3" * 32},
            code="saiki-tensorflow:0123456789abcdef",
        ),
        "examples": Manifest(
            role="examples",
            digest="b7" * 32,
            columns={
                "carrier": "string",
                "distance": "float64",
                "dep_delay": "float64",
                "tailnum": "string",
                "_time": "timestamp",
                "_key": "string",
            },
            shards=(),
            count=245803,
            rows=rows,
            window=windows.span,
            timezone="America/New_York",
            sources=(Source(uri="data/flights.csv.zip", generation="1", size=7331000),),
        ),
        "comparison": comparison_of(gates.classes or ("score",)) if champion else Comparison(),
        "changes": changes_of() if champion else None,
        "behaviour": behaviour_of(),
        "explanation": explanation_of(features),
        "settlements": settlements_of() if champion else Settlements(),
    }


@pytest.fixture
def make_inputs() -> Callable[..., dict[str, Any]]:
    return judging_inputs


@pytest.fixture
def make_feature() -> Callable[..., FeatureFacts]:
    return feature_facts
