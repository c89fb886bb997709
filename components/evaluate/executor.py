"""Judges a candidate's predictions, beside the champion's and the pinned reference's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from components._shared.errors import DataError, InputError
from components._shared.evidence import Curves, Evaluation, SliceFigures
from components._shared.gates import Metric, is_better
from components._shared.manifest import Manifest
from components._shared.measuring.fair_rows import (
    Rows,
    broken_scores,
    check_probabilities,
    fair,
    fair_from,
    read_rows,
    unfair,
)
from components._shared.measuring.figures import figures_of, slices_of, with_reference
from components._shared.measuring.value import value_of
from components._shared.task import EvaluationSection
from components._shared.verdict import Verdict
from components._shared.windows import Window
from components.evaluate.curves import Drawn, draw
from components.evaluate.gate_checks import judge
from components.evaluate.notes import Notes

Engine = Literal["vectorised", "tfma"]


@dataclass(frozen=True)
class Result:
    """What `evaluate` gives.

    Attributes:
        thresholds: The score threshold of each point of the candidate's ROC curve.
    """

    evaluation: Evaluation
    verdict: Verdict
    thresholds: tuple[float, ...] = ()


def evaluate(
    *,
    candidate: Manifest,
    champion: Manifest,
    reference: Manifest,
    section: EvaluationSection,
    looks: int = 1,
    engine: str = "vectorised",
    beam_options: str = "",
    eval_result: Path | None = None,
) -> Result:
    """Metrics with intervals, overall and by slice, and the verdict of the gates.

    Args:
        candidate: Predictions of the candidate on the test part.
        champion, reference: Predictions of the others on the same rows; empty ones (`model` is empty): there is none.
        section: Gates, slices, embargo.
        looks: As one of how many decisions of a quarter this one counts.
        engine: `vectorised`, or `tfma` for figures by TensorFlow Model Analysis.
        beam_options: Flags of the Beam runner for `tfma`, separated by spaces; empty: in this process.
        eval_result: Folder for the EvalResults of `tfma`.

    Returns:
        The evidence and the verdict. With too few fair rows the verdict is *cannot judge*, and the evidence
        says how many there were.

    Raises:
        DataError: The predictions cannot be compared.
        InputError: There is no such engine.
    """
    if engine not in ("vectorised", "tfma"):
        raise InputError(f"There is no engine {engine!r}", where="parameter engine", fix="give vectorised or tfma")
    if not candidate.model:
        raise DataError("There are no predictions of a candidate", where="candidate", fix="run predict with a model")
    manifests = {"candidate": candidate}
    if champion.model:
        manifests["champion"] = champion
    if reference.model:
        manifests["reference"] = reference
    labelled = read_rows(manifests, section)
    broken = {name: count for name, score in labelled.scores.items() if (count := broken_scores(score))}
    sound = labelled.only(*[name for name in manifests if name not in broken])
    for name, score in sound.scores.items():
        check_probabilities(name, score, section.problem)

    start = fair_from((candidate, champion), section)
    rows = sound.take(fair(sound, start))
    later = fair_from((candidate, champion, reference), section)
    beside = rows.take(fair(rows, later)) if "reference" in rows.scores else None
    other_rows = beside is not None and len(beside) < len(rows)
    if "candidate" in rows.scores:
        overall, slices = _figures(rows, section, candidate.base, later if other_rows else None)
    else:
        overall, slices = figures_of(rows.only(), section.problem, ()), []
    if engine == "tfma" and overall.metrics:
        from components.evaluate.engine_tfma import replace_figures

        overall, slices = replace_figures(
            overall,
            slices,
            manifests={name: manifests[name] for name in rows.scores if name != "reference" or not other_rows},
            section=section,
            start=start,
            beam_options=beam_options,
            output=eval_result,
        )
    drawn = {name: _drawn(name, rows, section) for name in ("candidate", "champion") if name in rows.scores}
    evaluation = Evaluation(
        engine="tfma" if engine == "tfma" else "vectorised",
        problem=section.problem,
        rows=len(rows),
        clusters=rows.clusters,
        window=_window(candidate.window, start),
        fair_from=start,
        left_out=len(labelled) - len(rows),
        champion=champion.model or "",
        reference=reference.model or "",
        overall=overall,
        slices=tuple(slices),
        constant_beats_both=_constant_beats(overall),
        looks=looks,
        curves=drawn["candidate"].curves if "candidate" in drawn else Curves(),
        champion_curves=drawn["champion"].curves if "champion" in drawn else None,
        value=value_of(rows, section.problem, candidate.base, decision=section.decision, classes=section.classes),
    )
    notes = Notes(
        broken=broken,
        unfair={
            name: why
            for name, manifest in manifests.items()
            if name != "candidate" and (why := unfair(manifest, candidate, section))
        },
        reference_rows=None if beside is None else len(beside),
        reference_clusters=None if beside is None else beside.clusters,
    )
    return Result(
        evaluation=evaluation,
        verdict=judge(evaluation, section, notes),
        thresholds=drawn["candidate"].thresholds if "candidate" in drawn else (),
    )


def class_names(section: EvaluationSection) -> tuple[str, ...]:
    """Names of the classes in the order of the labels' numbers."""
    return tuple(str(one) for one in section.classes) if section.classes else ("0", "1")


def _figures(
    rows: Rows, section: EvaluationSection, base: tuple[float, ...], later: datetime | None
) -> tuple[SliceFigures, list[SliceFigures]]:
    """Figures of all rows and of the slices.

    Args:
        rows: Fair to candidate and champion.
        section: Problem, slices, gates.
        base: The constant competitor.
        later: The first moment that is fair to the reference, if that is later than the first row's.
    """
    asked = [rule.min_rows for rule in section.metric.worst_slice]
    asked += [rule.min_rows for rule in section.champion.slices]
    gated = min(asked, default=None)
    task: dict[str, Any] = {"decision": section.decision, "classes": section.classes}

    def whole(some: Rows) -> SliceFigures:
        return figures_of(some, section.problem, base, **task)

    def by_slice(some: Rows) -> list[SliceFigures]:
        return slices_of(some, section.problem, base, gated_rows=gated, **task)

    if later is None:
        return whole(rows), by_slice(rows)
    first = rows.only("candidate", "champion")
    second = rows.only("candidate", "reference").take(fair(rows, later))
    overall = with_reference(whole(first), whole(second))
    beside = {(found.column, found.value): found for found in by_slice(second)}
    slices = by_slice(first)
    return overall, [with_reference(found, beside.get((found.column, found.value))) for found in slices]


def _drawn(name: str, rows: Rows, section: EvaluationSection) -> Drawn:
    names = () if section.problem == "regression" else class_names(section)
    return draw(section.problem, rows, rows.scores[name], decision=section.decision, classes=names)


def _window(test: Window | None, start: datetime | None) -> Window | None:
    """The part of the test window that judged."""
    if test is None or start is None or (test.start is not None and start <= test.start):
        return test
    return Window(start=min(start, test.end), end=test.end)


def _constant_beats(overall: SliceFigures) -> tuple[Metric, ...]:
    """The metrics in which a constant is better than every model there is."""
    return tuple(
        metric
        for metric, found in overall.metrics.items()
        if found.constant is not None
        and is_better(metric, found.constant, found.candidate.value)
        and (found.champion is None or is_better(metric, found.constant, found.champion.value))
    )
