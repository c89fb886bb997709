"""One test: rows are changed, models are asked again, and what they answer is held against what is expected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from components._shared.behaviour import Before, BehaviourCase, BehaviourFound
from components._shared.behaviour_tests import BehaviourTest
from components._shared.errors import ModelError
from components._shared.evidence import Estimate
from components._shared.measuring.metrics import Floats, Integers
from components._shared.model_info import ModelInfo
from components._shared.saved_model import SavedModel
from components._shared.scoring import score_batch
from components._shared.task import BehaviourSection
from components.behave.asking import Asked
from components.behave.changes import changed_columns
from components.behave.expecting import Held, hold
from components.behave.rates import share_of
from components.behave.wording import change_in_words, expectation_in_words, value_in_words

if TYPE_CHECKING:
    import pyarrow as pa

WORST = 5
"""How many of the worst cases of a test are kept."""


@dataclass(frozen=True)
class Loaded:
    """A model, and its scores of the rows as they are."""

    model: SavedModel
    info: ModelInfo
    before: Floats


@dataclass(frozen=True)
class Changed:
    """The rows that a test changed.

    Attributes:
        rows: Raw feature columns, changed.
        place: Where they stand among the rows asked.
        asked: The rows as they were.
    """

    rows: pa.RecordBatch
    place: Integers
    asked: Asked

    @property
    def near(self) -> npt.NDArray[np.bool_]:
        """Which of them are near the decision boundary."""
        return self.asked.near[self.place]

    @property
    def cluster(self) -> Integers:
        """Of each of them."""
        return self.asked.cluster[self.place]


def found_by(
    test: BehaviourTest, section: BehaviourSection, asked: Asked, candidate: Loaded, champion: Loaded | None
) -> BehaviourFound:
    """What a test finds.

    Args:
        test: It.
        section: What is decided by a score, and the time zone.
        asked: The rows to change.
        candidate, champion: The models; the champion is asked for the reader's sake.
    """
    columns, changes = changed_columns(test, asked, section.timezone)
    changed = Changed(rows=_with(asked.rows, columns, changes), place=np.flatnonzero(changes), asked=asked)
    found = BehaviourFound(
        name=test.name,
        change=change_in_words(test, asked.spread, section.stale.get(test.name, ())),
        expectation=expectation_in_words(test.expect, section),
        rows=len(changed.place),
        clusters=len(np.unique(changed.cluster)),
        limit=test.violations,
    )
    if not found.rows:
        said = (
            f"None of the {asked.rows.num_rows:,} rows that were looked at is changed by this test: look at more "
            "(gates.behaviour.rows), or take the test out."
        )
        return found.model_copy(update={"reason": said})
    try:
        answers = _answers(test, section, changed, candidate)
    except ModelError as cause:
        return found.model_copy(update={"reason": f"The model does not answer the changed rows: {cause.what}"})
    finite = answers.amount[np.isfinite(answers.amount)]
    return found.model_copy(
        update={
            "violations": _share(answers, changed.cluster),
            "near": _share(answers, changed.cluster, changed.near),
            "elsewhere": _share(answers, changed.cluster, ~changed.near),
            "champion": _champion_share(test, section, changed, candidate, champion),
            "largest": float(finite.max()) if len(finite) else None,
            "cases": _worst(answers, test, section, changed, list(candidate.info.learning.features)),
        }
    )


def _answers(test: BehaviourTest, section: BehaviourSection, changed: Changed, asked: Loaded) -> Held:
    after = score_batch(asked.model, asked.info, changed.rows)
    return hold(test.expect, asked.before[changed.place], after, section)


def _champion_share(
    test: BehaviourTest, section: BehaviourSection, changed: Changed, candidate: Loaded, champion: Loaded | None
) -> Estimate | None:
    """None: there is no champion, or it cannot be asked the same."""
    if champion is None:
        return None
    own, asked = champion.info.learning.features, candidate.info.learning.features
    # Without a feature no change of it moves a model; of another kind, the new values may be none that it takes.
    if any(own.get(name) != asked[name] for name in test.features):
        return None
    try:
        return _share(_answers(test, section, changed, champion), changed.cluster)
    except ModelError:
        return None


def _share(answers: Held, cluster: Integers, which: npt.NDArray[np.bool_] | None = None) -> Estimate | None:
    rows = np.ones(len(cluster), bool) if which is None else which
    return share_of(answers.broken[rows].astype(np.float64), answers.moved[rows], cluster[rows])


def _with(rows: pa.RecordBatch, columns: dict[str, pa.Array], which: npt.NDArray[np.bool_]) -> pa.RecordBatch:
    """Some of the rows, with some of their columns replaced."""
    import pyarrow as pa

    arrays = [columns.get(name, rows.column(number)) for number, name in enumerate(rows.schema.names)]
    return pa.RecordBatch.from_arrays(arrays, names=rows.schema.names).filter(pa.array(which))


def _worst(
    answers: Held, test: BehaviourTest, section: BehaviourSection, changed: Changed, features: list[str]
) -> tuple[BehaviourCase, ...]:
    """The rows that broke it most; of equal ones, those of the smallest keys."""
    broken = np.flatnonzero(answers.broken)
    keys = changed.rows.column(changed.rows.schema.get_field_index("_key")).to_pylist()
    worst = sorted(broken.tolist(), key=lambda row: (-answers.excess[row], keys[row]))[:WORST]
    return tuple(_case(answers, test, section, changed, features, row) for row in worst)


def _case(
    answers: Held, test: BehaviourTest, section: BehaviourSection, changed: Changed, features: list[str], row: int
) -> BehaviourCase:
    def value(rows: pa.RecordBatch, name: str, number: int) -> Any:
        found = rows.column(rows.schema.get_field_index(name))[number]
        try:
            return found.as_py()
        except OverflowError:  # Arrow has days of years that Python does not know.
            return str(found.cast("string"))

    def pair(name: str) -> Before:
        values = value(before, name, place), value(changed.rows, name, row)
        said = [value_in_words(each, section.timezone) for each in values]
        if said[0] == said[1] and values[0] != values[1]:
            said = [str(each) for each in values]
        return Before(feature=name, before=said[0], after=said[1])

    before, place, output = changed.asked.rows, int(changed.place[row]), int(answers.output[row])
    after = float(answers.after[row, output])
    names = tuple(str(one) for one in section.classes or ())
    case = BehaviourCase(
        key=value(before, "_key", place),
        changed=tuple(each for each in map(pair, test.features) if each.before != each.after),
        row={
            name: value_in_words(value(before, name, place), section.timezone)
            for name in features
            if name not in test.features
        },
        score_before=float(answers.before[row, output]),
        score_after=after if np.isfinite(after) else None,
    )
    if not names or answers.decided_before is None or answers.decided_after is None:
        return case
    return case.model_copy(
        update={
            "output": names[output],
            "decision_before": names[int(answers.decided_before[row])],
            "decision_after": names[int(answers.decided_after[row])],
        }
    )
