"""What changed between two models, read as a reviewer reads a code diff. `saiki diff` and the report show it."""

from __future__ import annotations

from typing import Literal

from components._shared.contract import Contract
from components._shared.evidence import Estimate
from components._shared.model_info import Term
from components._shared.windows import Window


class Side(Contract):
    """One of the two models.

    Attributes:
        name: As a reader would say it, such as `version 2`, `candidate 3fa4…` or a path.
    """

    name: str
    digest: str
    trainer: str
    rows: dict[str, int] = {}
    data: Window | None = None
    code: str = ""


class Changed(Contract):
    """A field whose value differs; none: it is not there on that side."""

    name: str
    before: str | None
    after: str | None


class TermChange(Contract):
    """A term of a linear model on both sides.

    Attributes:
        clear: Whether the intervals of both sides do not overlap.
    """

    name: str
    before: Term | None
    after: Term | None
    clear: bool = False


class CategoryChange(Contract):
    """Values of a feature that one of the two models knows and the other does not."""

    feature: str
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class MetricChange(Contract):
    """A metric of both, each on the rows that judged it then; the same rows only where `same_rows` says so."""

    metric: str
    before: Estimate | None
    after: Estimate | None


class ModelChanges(Contract):
    """What changed from one model to another.

    Attributes:
        same: They are byte for byte the same.
        features_gained, features_lost: Feature → kind.
        features_changed: Features whose kind changed.
        preprocessing: Means, scales and other figures of the features' encoding.
        same_rows: Whether the metrics are of the same rows.
    """

    format: Literal["saiki/model-changes/v1"] = "saiki/model-changes/v1"
    before: Side
    after: Side
    same: bool = False
    features_gained: dict[str, str] = {}
    features_lost: dict[str, str] = {}
    features_changed: tuple[Changed, ...] = ()
    parameters: tuple[Changed, ...] = ()
    preprocessing: tuple[Changed, ...] = ()
    data: tuple[Changed, ...] = ()
    categories: tuple[CategoryChange, ...] = ()
    terms: tuple[TermChange, ...] = ()
    metrics: tuple[MetricChange, ...] = ()
    same_rows: bool = False
