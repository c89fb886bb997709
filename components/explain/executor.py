"""What has a model learned? Asked of the model alone, whatever trained it, so that all have the same table."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components._shared.errors import DataError, ModelError
from components._shared.explanation import Dependence, Explanation, FeatureImportance
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
        ModelError: A model does not load, or the candidate does not answer the rows as they are with scores.
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
        unanswered = ""
        if len(rows) >= FEWEST_ROWS:
            asked = Asked(other, rows) if other else None
            explanation, unanswered = _asked(explanation, Asked(model, rows), asked, rows, section)
    return Explained(explanation, judge(explanation, section.gates, unanswered))


def _asked(
    explanation: Explanation, model: Asked, champion: Asked | None, rows: AskedRows, section: ExplanationSection
) -> tuple[Explanation, str]:
    """The explanation with what the models answered, and why the candidate did not; empty: it did."""
    repeats = repeats_for(len(rows))
    base, mean = base_loss(section.problem, model, rows)
    explanation = explanation.model_copy(update={"base": mean, "repeats": repeats})
    features = model.info.learning.features
    try:
        found = {
            name: shuffled_losses(section.problem, model, rows, base, name, repeats, sliced=True) for name in features
        }
    except ModelError as cause:
        why = f"What matters to the model cannot be said. {cause.what}."
        return explanation.model_copy(update={"notices": (*explanation.notices, why)}), why
    notices = list(explanation.notices)
    beside: dict[str, Shuffled] = {}
    if champion is not None:
        try:
            beside = _beside(champion, rows, features, repeats, section)
        except ModelError as cause:
            notices.append(f"The champion was left out. {cause.what}.")
            champion = None
    table = importance_table(found, shares(found, rows), features, beside, model.info.native)
    lines, unsaid = _lines(model, champion, rows, table, section)
    update = {"importances": table, "dependences": lines, "notices": (*notices, *unsaid)}
    return explanation.model_copy(update=update), ""


def _beside(
    champion: Asked, rows: AskedRows, features: Container[str], repeats: int, section: ExplanationSection
) -> dict[str, Shuffled]:
    """The champion's losses under the shuffles of the features that it has too."""
    base, _ = base_loss(section.problem, champion, rows)
    return {
        name: shuffled_losses(section.problem, champion, rows, base, name, repeats, sliced=False)
        for name in champion.info.learning.features
        if name in features
    }


def _lines(
    model: Asked,
    champion: Asked | None,
    rows: AskedRows,
    table: tuple[FeatureImportance, ...],
    section: ExplanationSection,
) -> tuple[tuple[Dependence, ...], list[str]]:
    """The partial dependences, as far as the models answer, and notices."""
    features = [(one.feature, one.kind) for one in table]
    outputs = tuple(str(one) for one in section.classes or ())
    try:
        return dependences(model, champion, rows, features, outputs, section.timezone), []
    except ModelError as cause:
        if champion is None:
            return (), [f"How the score moves with a feature cannot be said. {cause.what}."]
        lines, notices = _lines(model, None, rows, table, section)
        # If the candidate answers alone, it was the champion that did not.
        return lines, notices or [f"The champion was left out of the partial dependences. {cause.what}."]


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
