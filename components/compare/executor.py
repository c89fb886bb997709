"""Lays a candidate's answers beside the champion's: one pass over both, whatever the number of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components._shared.comparison import Comparison, Flip, OutputComparison, ScoreSketches
from components._shared.errors import DataError
from components._shared.evidence import Estimate
from components._shared.manifest import Manifest
from components._shared.measuring.fair_rows import check_labels, fair_from, unfair
from components._shared.measuring.figures import rounded
from components._shared.measuring.metrics import Floats
from components._shared.model_info import ModelInfo
from components._shared.score_sketches import Sketcher
from components._shared.tables import microseconds_of
from components._shared.task import EvaluationSection
from components._shared.verdict import Verdict
from components.compare.clusters import Clusters, ratios
from components.compare.distributions import (
    DIFFERENCE_LEVELS,
    distance,
    outside,
    quantile_points,
    quantiles,
    rank_agreement,
    stability_index,
)
from components.compare.gate_checks import judge
from components.compare.most_different import MostDifferent, described
from components.compare.pairs import Pairs, outputs_of, read_pairs
from components.compare.sampling import Sample, Sampled
from components.compare.slices import estimate_of, slices_of
from components.compare.story import is_little, story_of
from components.compare.tallies import Tallies


@dataclass(frozen=True)
class Compared:
    """What `compare` gives.

    Attributes:
        sketches: The distribution of the candidate's scores, for later traffic to be compared with.
    """

    verdict: Verdict
    comparison: Comparison
    sketches: ScoreSketches


def compare(
    *, candidate: Manifest, champion: Manifest, examples: Manifest, model: ModelInfo, section: EvaluationSection
) -> Compared:
    """How the candidate's answers differ from the champion's, where, and whether by more than the task allows.

    Every row counts once, whatever its weight: the question is how many answers change. Labels are used of rows alone
    that are fair to both models.

    Args:
        candidate: Predictions of the candidate on the test part.
        champion: Predictions of the champion on the same rows, in the same order; an empty one: there is no champion,
            and only the sketches are made.
        examples: The test part, for the features of the rows that differ most.
        model: The candidate's `model.json`, for the names of its features.
        section: Gates, decision, slices, embargo.

    Raises:
        DataError: The predictions cannot be compared.
    """
    if not candidate.model:
        raise DataError("There are no predictions of a candidate", where="candidate", fix="run predict with a model")
    outputs = outputs_of(section)
    sketcher = Sketcher(outputs)
    seen = _Seen(candidate, champion, section)
    for pairs in read_pairs(candidate, champion, section):
        sketcher.add(pairs.candidate)
        if champion.model:
            seen.add(pairs)
    comparison = Comparison()
    if champion.model:
        comparison = seen.comparison(examples, model)
    return Compared(
        verdict=judge(comparison, section),
        comparison=comparison,
        sketches=sketcher.sketches(candidate.model, candidate.window),
    )


class _Seen:
    """What is kept of the rows that have passed."""

    def __init__(self, candidate: Manifest, champion: Manifest, section: EvaluationSection) -> None:
        self._manifests = (candidate, champion)
        self._section = section
        self._outputs = outputs_of(section)
        self._clusters = Clusters()
        self._tallies = Tallies(
            section, len(self._outputs), tuple(name for name in section.slices if name in candidate.columns)
        )
        self._known = 0
        self._sample = Sample(len(self._outputs))
        self._most = MostDifferent()
        self._fair_from = fair_from((candidate, champion), section)
        self._unfair = unfair(champion, candidate, section) if champion.model else ""

    def add(self, pairs: Pairs) -> None:
        """The next rows."""
        rows = pairs.rows
        names = rows.schema.get_field_index
        label = rows.column(names("_label")).fill_null(float("nan")).to_numpy(zero_copy_only=False)
        time = None
        usable = np.isfinite(label)
        check_labels(label[usable], self._section)
        self._known += int(usable.sum())
        if self._section.has_time:
            time = rows.column(names("_time")).cast("int64").to_numpy(zero_copy_only=False)
            if self._fair_from is not None:
                usable &= time >= microseconds_of(self._fair_from)
        if self._unfair:
            usable[:] = False
        slot = self._clusters.slots(rows.column(names("_cluster")), rows.column(names("_key")))
        self._tallies.add(pairs, slot, label, usable)
        self._sample.add(pairs, slot)
        self._most.add(pairs, label, time)

    def comparison(self, examples: Manifest, model: ModelInfo) -> Comparison:
        """The figures of all rows."""
        candidate, champion = self._manifests
        section, tallies = self._section, self._tallies
        if not tallies.rows.sum():
            return Comparison(champion=champion.model or "", story="There are no rows to compare.")
        groups = self._clusters.groups()
        tallies.fold(groups)
        sampled, flips = self._sample.rows(groups), tallies.flips.whole
        found = Comparison(
            champion=champion.model or "",
            rows=int(tallies.rows.sum()),
            clusters=self._clusters.count,
            window=candidate.window,
            sampled=len(sampled.group),
            known=self._known,
            labelled=int(tallies.labelled.sum()),
            fair_from=self._fair_from,
            unfair=self._unfair,
            threshold=section.decision.threshold_of(section.problem),
            flipped=_share(flips.rows, tallies.rows) if tallies.decided else None,
            ways=tallies.flips.ways,
            judged=int(flips.labelled.sum()),
            saved=_saved(tallies, section),
            outputs=_outputs(self._outputs, tallies, sampled),
            flips=_flips(tallies, section),
            slices=slices_of(tallies.slices, decided=tallies.decided),
            most_different=described(self._most.rows(), examples, model.learning.features, section),
        )
        return found.model_copy(update={"little": is_little(found), "story": story_of(found, section)})


def _outputs(names: tuple[str, ...], tallies: Tallies, sampled: Sampled) -> tuple[OutputComparison, ...]:
    means, widths = ratios(tallies.signed.T, tallies.rows)
    sizes, size_widths = ratios(tallies.absolute.T, tallies.rows)
    found = []
    for number, name in enumerate(names):
        candidate, champion = sampled.candidate[number], sampled.champion[number]
        ordered = np.sort(champion), np.sort(candidate)
        difference = quantiles(np.sort(candidate - champion), np.array(DIFFERENCE_LEVELS))
        points = quantile_points(champion, candidate, sampled.group)
        found.append(
            OutputComparison(
                name=name,
                mean=estimate_of(means[number], widths[number]),
                absolute=estimate_of(sizes[number], size_widths[number], least=0.0),
                quantiles={
                    f"{level:g}": rounded(float(value))
                    for level, value in zip(DIFFERENCE_LEVELS, difference, strict=True)
                },
                psi=rounded(stability_index(*ordered)),
                ks=rounded(distance(*ordered)),
                rank_agreement=rank_agreement(champion, candidate, sampled.group),
                qq=points,
                outside=outside(points),
            )
        )
    return tuple(found)


MOST_FLIPS = 20


def _flips(tallies: Tallies, section: EvaluationSection) -> tuple[Flip, ...]:
    """The ways in which decisions flip, the most frequent first."""
    costs = _has_costs(section)
    found = []
    for (before, after), tally in tallies.flips.most_frequent(MOST_FLIPS):
        labelled = int(tally.labelled.sum())
        binary_or_value = section.problem != "multiclass_classification"
        found.append(
            Flip(
                before=_decision(before, section),
                after=_decision(after, section),
                rows=int(tally.rows.sum()),
                share=_share(tally.rows, tallies.rows),
                labelled=labelled,
                right=_share(tally.right, tally.labelled) if labelled else None,
                label_mean=rounded(float(tally.label.sum()) / labelled) if labelled and binary_or_value else None,
                saved=rounded(float(tally.saved.sum())) if labelled and costs else None,
            )
        )
    return tuple(found)


def _saved(tallies: Tallies, section: EvaluationSection) -> Estimate | None:
    """What the candidate costs less on all flipped rows together: costs of one way are beside savings of the other."""
    labelled = tallies.labelled.sum()
    if not (_has_costs(section) and labelled):
        return None
    saved = tallies.flips.whole.saved
    _, widths = ratios(saved[:, None], tallies.labelled)
    return estimate_of(saved.sum(), widths[0] * labelled)


def _has_costs(section: EvaluationSection) -> bool:
    """Whether decisions cost anything; the costs of a regression are of errors, whatever is decided."""
    return bool(section.decision.costs) and section.problem != "regression"


def _share(part: Floats, whole: Floats) -> Estimate:
    values, widths = ratios(part[:, None], whole)
    return estimate_of(values[0], widths[0], least=0.0, most=1.0)


def _decision(number: int, section: EvaluationSection) -> str:
    match section.problem:
        case "binary_classification":
            return "positive" if number else "negative"
        case "multiclass_classification":
            return str((section.classes or ())[number])
        case _:
            return f"{'at least' if number else 'below'} {section.decision.threshold:g}"
