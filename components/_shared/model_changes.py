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
        checked: Whether its files were read, and are those that the digest is of.
        rows: Used to fit (`train`) and to tune (`tune`).
        data: From the first row that it was fitted on to the last one that it was fitted, tuned or calibrated on.
        code: Image tag that trained it.
    """

    name: str
    digest: str
    checked: bool = False
    trainer: str
    rows: dict[str, int] = {}
    data: Window | None = None
    code: str = ""


class Changed(Contract):
    """A field whose value differs, as text; none: it is not there on that side.

    A parameter that is not there is one that was not given: the trainer's own default.
    """

    name: str
    before: str | None
    after: str | None


class TermChange(Contract):
    """A term of a linear model whose weight differs; one that is not there on a side counts as zero there.

    Attributes:
        name: Of the term that changed.
        before, after: Against the same average row, that of *train* of the second model. Of a category that one of the
            models does not know, its term of all other values stands there, under the name of that.
        clear: Whether the intervals of both sides do not overlap (of a term on one side: does not hold zero).
        size: By how much the change moves the scores of the rows: the standard deviation of its effect, in the unit
            of the weights (log-odds, or the label's); 0: of the intercept, or not known.
    """

    name: str
    before: Term | None
    after: Term | None
    clear: bool = False
    size: float = 0.0


class CategoryChange(Contract):
    """Values of a feature that one of the two models knows and the other does not."""

    feature: str
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class MetricChange(Contract):
    """A metric of both, each on the rows that judged it then; the same rows only where `same_rows` says so.

    Attributes:
        difference: After minus before, paired, where one run judged both: intervals of the two may overlap where this
            one leaves no doubt, since a hard day is hard for both.
    """

    metric: str
    before: Estimate | None
    after: Estimate | None
    difference: Estimate | None = None


class Judged(Contract):
    """The rows that judged both models.

    Attributes:
        clusters: What the rows were resampled by, in number.
        noun: What a cluster is: `day`, `cluster`, or `row`.
    """

    rows: int
    clusters: int
    noun: str
    window: Window | None = None


class ModelChanges(Contract):
    """What changed from one model to another; only what differs stands here, the largest change first.

    Attributes:
        same: Their files are byte for byte the same, by their digests; `model.json` may differ.
        features_gained, features_lost: Feature → kind.
        features_changed: Features whose kind changed.
        parameters: Of the trainer, and what else was chosen: problem, classes, trainer, seed, budget, code.
        preprocessing: Means, scales and other figures of the features' encoding, as `feature: figure`; those of one
            feature stand together.
        native: The trainer's own figures of the features, such as gains of trees, in the same way.
        data: Rows, window and base rate.
        terms: Of linear models.
        metrics: All that both or one of them have, changed or not.
        same_rows: Whether the metrics are of the same rows.
        judged: Those rows.
        timezone: Of the moments that stand here as text, and of the days of `judged`.
        notices: What could not be compared, and why.
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
    native: tuple[Changed, ...] = ()
    data: tuple[Changed, ...] = ()
    categories: tuple[CategoryChange, ...] = ()
    terms: tuple[TermChange, ...] = ()
    metrics: tuple[MetricChange, ...] = ()
    same_rows: bool = False
    judged: Judged | None = None
    timezone: str = "UTC"
    notices: tuple[str, ...] = ()
