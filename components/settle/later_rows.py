"""The rows that settle, and what each model says of them: every model is asked once, however many decisions it is in.

Six decisions beside one champion are about seven models, and their windows overlap. So the rows are read once without
their features, and a model is loaded once, one after the other, for all the rows that any of its decisions is settled
on. What stays in memory is a few narrow columns and one score a row and model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from components._shared.errors import CorruptError, InputError, ModelError, NotFoundError
from components._shared.manifest import Manifest
from components._shared.model_info import ModelInfo
from components._shared.records import ModelRef
from components._shared.task import EvaluationSection
from components._shared.windows import Window
from components._shared.wording import rows_word

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from components._shared.measuring.metrics import Floats

_COLUMNS = ("_time", "_label", "_cluster", "_weight")


class NotScored(Exception):
    """There is nothing to settle a decision on; the reason is a sentence."""


class _CannotBeAsked(Exception):
    """What is wrong with a model."""


@dataclass(frozen=True)
class _Answers:
    """What a model says of the rows from the first one on."""

    info: ModelInfo
    first: int
    scores: Floats


class LaterRows:
    """The rows after decisions.

    Args:
        examples: All rows of the run's window.
        section: Problem and classes.
        asked: Every model that will be asked, and about which rows.
    """

    def __init__(
        self, examples: Manifest, section: EvaluationSection, asked: Iterable[tuple[ModelRef, Window]]
    ) -> None:
        self._examples = examples
        self._section = section
        self._windows: dict[tuple[str, str], Window] = {}
        for model, window in asked:
            known = self._windows.get(_name(model), window)
            self._windows[_name(model)] = _around((known, window))
        self._answers: dict[tuple[str, str], _Answers | str] = {}

    def table(self, window: Window) -> pa.Table:
        """The rows of a window without their features."""
        first, last = self._range(window)
        return self._table.slice(first, last - first)

    def without_label(self, window: Window) -> tuple[int, int]:
        """How many rows of a window have no label, those that `ingest` has set aside for it included; and of how many.

        Args:
            window: Its labels should be known by now.
        """
        from components._shared.tables import row_range

        labels = self.table(window).column("_label")
        ranges = [row_range(shard, window) for shard in self._examples.without_label]
        aside = sum(last - first for first, last in ranges)
        return labels.null_count + aside, len(labels) + aside

    def scored(self, name: str, model: ModelRef, window: Window) -> tuple[Floats, ModelInfo]:
        """What a model says of each row of a window, and what is known of the model.

        Args:
            name: Of the model, for a sentence.
            model: One of those that will be asked.
            window: One of those that it will be asked about.

        Raises:
            NotScored: It is gone, or does not go with the rows.
        """
        if _name(model) not in self._answers:
            try:
                self._answers[_name(model)] = self._ask(model, self._windows[_name(model)])
            except _CannotBeAsked as why:
                self._answers[_name(model)] = str(why)
        found = self._answers[_name(model)]
        if isinstance(found, str):
            raise NotScored(f"Nothing can be said, for {name} cannot be asked: {found}.")
        first, last = self._range(window)
        scores = found.scores[first - found.first : last - found.first]
        try:
            self._check(scores)
        except _CannotBeAsked as why:
            raise NotScored(f"Nothing can be said, for {name} cannot be asked: {why}.") from why
        return scores, found.info

    @cached_property
    def _table(self) -> pa.Table:
        from components._shared.tables import read_table

        return read_table(self._examples, _COLUMNS, _around(self._windows.values())).combine_chunks()

    @cached_property
    def _times(self) -> NDArray[np.int64]:
        return self._table.column("_time").cast("int64").combine_chunks().to_numpy()  # type: ignore[no-any-return]

    def _range(self, window: Window) -> tuple[int, int]:
        """Where the rows of a window are: they stand in the order of their time."""
        import numpy as np

        from components._shared.tables import microseconds_of

        moments = [microseconds_of(start_of(window)), microseconds_of(window.end)]
        first, last = np.searchsorted(self._times, moments)
        return int(first), int(last)

    def _ask(self, ref: ModelRef, window: Window) -> _Answers:
        """Loads a model and scores the rows of a window.

        Raises:
            _CannotBeAsked: It is gone, or does not go with the rows.
            NotFoundError, CorruptError: The rows cannot be read.
        """
        import numpy as np

        from components._shared.model_files import read_model_info, registered_model
        from components._shared.model_inputs import check_features
        from components._shared.saved_model import SavedModel
        from components._shared.scoring import BATCH_ROWS, score_batch
        from components._shared.tables import iter_batches

        with ExitStack() as stack:
            with _explained():
                folder = stack.enter_context(registered_model(ref))
                info = read_model_info(folder)
                _check_kind(info, self._section)
                check_features(info.learning.features, self._examples.columns, where="the rows")
                model = SavedModel(folder)
            scores = [np.empty((0, len(info.learning.classes or (1,))))]
            for batch in iter_batches(self._examples, list(info.learning.features), BATCH_ROWS, window):
                with _explained():
                    scores.append(score_batch(model, info, batch))
        score = np.concatenate(scores)
        first, _ = self._range(window)
        return _Answers(info, first, score if self._section.problem == "multiclass_classification" else score[:, 0])

    def _check(self, scores: Floats) -> None:
        """Refuses scores that are none.

        Raises:
            _CannotBeAsked: They are not finite, or no probabilities where the problem asks for them.
        """
        from components._shared.measuring.fair_rows import broken_scores, check_probabilities

        if broken := broken_scores(scores):
            raise _CannotBeAsked(f"its score is not a finite number for {rows_word(broken)}")
        with _explained():
            check_probabilities("model", scores, self._section.problem)


@contextmanager
def _explained() -> Iterator[None]:
    """Tells what is wrong with a model, which leaves its decisions unsettled, from what is wrong with the rows."""
    try:
        yield
    except (NotFoundError, CorruptError, ModelError, InputError) as cause:
        raise _CannotBeAsked(cause.what) from cause


def _check_kind(info: ModelInfo, section: EvaluationSection) -> None:
    """Refuses a model of another problem or of other classes than the task has now.

    Raises:
        ModelError: It is one.
    """
    if info.learning.problem != section.problem:
        raise ModelError(f"it was made for {info.learning.problem}, and the task is {section.problem} now")
    if info.learning.classes != section.classes:
        raise ModelError("its classes are not those that the task has now")


def _name(model: ModelRef) -> tuple[str, str]:
    """What tells models apart: the same one may lie in two places, and be gone from one of them."""
    return model.uri, model.digest


def _around(windows: Iterable[Window]) -> Window:
    """From the first start to the last end."""
    every = list(windows)
    return Window(start=min(start_of(window) for window in every), end=max(window.end for window in every))


def start_of(window: Window) -> datetime:
    """Of a window that does not reach back without end."""
    assert window.start is not None
    return window.start
