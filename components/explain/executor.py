"""What has a model learned? Asked of the model alone, whatever trained it, so that all have the same table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components._shared.errors import DataError
from components._shared.explanation import Explanation
from components._shared.manifest import Manifest
from components._shared.model_files import read_model_info, registered_model
from components._shared.model_info import ModelInfo
from components._shared.model_inputs import check_features
from components._shared.records import ModelRef
from components._shared.task import ExplanationSection
from components._shared.verdict import Verdict
from components.explain.asking import Asked, AskedRows, asked_rows
from components.explain.dependence import dependences
from components.explain.gate_checks import FEWEST_ROWS, judge
from components.explain.importance import Shuffled, base_loss, importance_table, repeats_for, shares, shuffled_losses


@dataclass(frozen=True)
class Explained:
    """What a model has learned, and the verdict on it."""

    explanation: Explanation
    verdict: Verdict


def explain(
    *, model: Path, examples: Manifest, section: ExplanationSection, registered: ModelRef | None = None
) -> Explained:
    """Permutation importance and partial dependence of every feature.

    Args:
        model: Directory of the candidate.
        examples: The test part.
        section: Problem, slices, gates.
        registered: The champion, asked for the same rows; none: there is no champion.

    Raises:
        CorruptError, NotFoundError: A model is not the one that was trained, or is gone.
        ModelError: A model does not load, does not answer, or answers with something else than scores.
        DataError: The rows lack a feature.
    """
    info = read_model_info(model)
    check_features(info.learning.features, examples.columns, where=f"{examples.role} rows")
    with _champion(registered, info, examples) as (other, notices):
        others = read_model_info(other).learning.features if other else {}
        rows = asked_rows(
            examples, list(dict.fromkeys([*info.learning.features, *others])), section.slices, section.gates.rows
        )
        explanation = Explanation(
            loss="squared_error" if section.problem == "regression" else "log_loss",
            rows=len(rows),
            clusters=rows.clusters,
            notices=tuple(notices),
        )
        if len(rows) >= FEWEST_ROWS:
            explanation = _asked(explanation, Asked(model, rows), Asked(other, rows) if other else None, rows, section)
    return Explained(explanation, judge(explanation, section.gates))


def _asked(
    explanation: Explanation, model: Asked, champion: Asked | None, rows: AskedRows, section: ExplanationSection
) -> Explanation:
    """The explanation with what the models answered."""
    repeats = repeats_for(len(rows))
    base, mean = base_loss(section.problem, model, rows)
    features = model.info.learning.features
    found = {name: shuffled_losses(section.problem, model, rows, base, name, repeats, sliced=True) for name in features}
    beside: dict[str, Shuffled] = {}
    if champion is not None:
        own, _ = base_loss(section.problem, champion, rows)
        beside = {
            name: shuffled_losses(section.problem, champion, rows, own, name, repeats, sliced=False)
            for name in champion.info.learning.features
            if name in features
        }
    table = importance_table(found, shares(found, rows), features, beside, model.info.native)
    outputs = tuple(str(one) for one in section.classes or ())
    lines = dependences(model, champion, rows, [(one.feature, one.kind) for one in table], outputs, section.timezone)
    return explanation.model_copy(update={"base": mean, "repeats": repeats, "importances": table, "dependences": lines})


@contextmanager
def _champion(
    registered: ModelRef | None, candidate: ModelInfo, examples: Manifest
) -> Iterator[tuple[Path | None, list[str]]]:
    """The champion's directory if these rows can be asked of it fairly; else none, and why."""
    if registered is None:
        yield None, []
        return
    with registered_model(registered) as folder:
        why = _not_asked(read_model_info(folder), candidate, examples)
        yield (None, [f"The champion was not asked: {why}."]) if why else (folder, [])


def _not_asked(champion: ModelInfo, candidate: ModelInfo, examples: Manifest) -> str:
    """Why the champion cannot be asked beside the candidate; empty: it can."""
    learned, own = champion.learning, candidate.learning
    if learned.problem != own.problem or learned.classes != own.classes:
        return "its problem or its classes are others"
    try:
        check_features(learned.features, examples.columns, where="")
    except DataError as cause:
        return f"the rows are not such as it takes ({cause.what})"
    if candidate.fit_until is not None:
        if champion.fit_until is None or champion.fit_until > candidate.fit_until:
            return "it may have learned from the labels of these rows"
    elif champion.held_out is None or examples.shares is None or examples.shares[1] > champion.held_out:
        return "it may have learned from the labels of these rows"
    return ""
