"""How two models' answers to the same rows differ: the evidence that `compare` hands to `judge`."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from components._shared.contract import Contract
from components._shared.evidence import Estimate
from components._shared.windows import Window


class QuantilePoint(Contract):
    """A point of a Q–Q plot: the same quantile of both models' scores.

    Attributes:
        low, high: Where the candidate's quantile would lie if it had the champion's distribution: a band over clusters
            that holds for all points together in 95 % of cases.
    """

    level: float
    champion: float
    candidate: float
    low: float | None = None
    high: float | None = None


class OutputComparison(Contract):
    """One output: the score, or (multiclass) the probability of one class. Differences are candidate minus champion.

    Attributes:
        mean: Mean difference.
        absolute: Mean of the absolute difference.
        quantiles: Level, such as 0.05 → quantile of the difference.
        psi: Population stability index of the scores, natural logarithm, over the champion's deciles.
        ks: Kolmogorov-Smirnov distance of the scores.
        rank_agreement: Spearman's correlation of the two scores.
        outside: Quantiles of the Q–Q plot whose candidate lies outside the band.
    """

    name: str
    mean: Estimate
    absolute: Estimate
    quantiles: dict[str, float] = {}
    psi: float
    ks: float
    rank_agreement: Estimate | None = None
    qq: tuple[QuantilePoint, ...] = ()
    outside: int = 0


class Flip(Contract):
    """Rows that are decided otherwise: from what the champion decides to what the candidate decides.

    Attributes:
        before, after: `negative` and `positive`; of several classes their names; regression `below …`, `at least …`.
        share: Of all rows.
        right: Of the labelled ones among them, the share in which the candidate is right.
        label_mean: Their mean label (binary: the share of positives).
        saved: What the candidate costs less on them, in the unit of the task's costs, summed; none for a regression,
            whose costs are of errors, whatever is decided.
    """

    before: str
    after: str
    rows: int
    share: Estimate
    labelled: int = 0
    right: Estimate | None = None
    label_mean: float | None = None
    saved: float | None = None


class SliceComparison(Contract):
    """Where they differ.

    Attributes:
        mean: Of the score's difference; multiclass: of the probability of the class that the champion gives most to.
        absolute: Of the size of the difference; multiclass: the probability that went to other classes (half the sum
            of the absolute differences of all classes).
        share_of_difference: Of the sum of all absolute differences.
        surprising: Whether it moves otherwise than the rest does, many slices considered (false discovery rate of 5 %);
            the rest are the slices of its column that do not explain more of the difference still.
        by_size: Whether it stands out by the mean size of its differences, up or down, more than by their mean.
    """

    column: str
    value: str
    rows: int
    mean: Estimate
    absolute: Estimate
    flipped: float | None = None
    share_of_difference: float
    surprising: bool = False
    by_size: bool = False


class RowComparison(Contract):
    """One of the rows that differ most, with its features as a reader would write them."""

    key: str
    time: AwareDatetime | None = None
    label: str = ""
    output: str = ""
    candidate: float
    champion: float
    features: dict[str, str] = {}


class Comparison(Contract):
    """How the candidate's answers differ from the champion's.

    Attributes:
        champion: Digest of the champion; empty: there is none, and nothing was compared.
        rows: Of the test part, labelled or not, fair or not: no label is used but for `flips`.
        story: What a reader should see first, in one to three sentences: whether there is much to see, and where the
            difference comes from.
        little: Whether there is little to see.
        sampled: Rows that quantiles, distances and ranks were taken from: all, or those with the smallest keys.
        known: Rows whose label is known.
        labelled: Rows whose label was used: known, and fair to both models.
        fair_from: Rows before it are fair to one of the two models only; their labels were not used.
        unfair: Why no label was used at all; empty: labels were used.
        threshold: What decides; none: nothing is decided by a threshold.
        flipped: Share of the rows that are decided otherwise; none: nothing is decided.
        ways: In how many ways decisions flip; `flips` are the most frequent ones.
        judged: Flipped rows whose label was used.
        saved: What the candidate costs less on them, in the unit of the task's costs, summed; none: without costs of
            decisions, or without labels.
        slices: Where they differ most, the largest share first.
        most_different: The rows that differ most; of rows with the same two scores one, with the smallest key.
    """

    format: Literal["saiki/comparison/v1"] = "saiki/comparison/v1"
    champion: str = ""
    rows: int = 0
    clusters: int = 0
    window: Window | None = None
    story: str = ""
    little: bool = False
    sampled: int = 0
    known: int = 0
    labelled: int = 0
    fair_from: AwareDatetime | None = None
    unfair: str = ""
    threshold: float | None = None
    flipped: Estimate | None = None
    ways: int = 0
    judged: int = 0
    saved: Estimate | None = None
    outputs: tuple[OutputComparison, ...] = ()
    flips: tuple[Flip, ...] = ()
    slices: tuple[SliceComparison, ...] = ()
    most_different: tuple[RowComparison, ...] = ()

    @property
    def flipped_rows(self) -> int:
        """How many rows are decided otherwise."""
        return 0 if self.flipped is None else round(self.flipped.value * self.rows)


class ScoreSketch(Contract):
    """The distribution of one output's scores, mergeable with others of its kind.

    Attributes:
        sketch: Serialised t-digest of Apache DataSketches, base64.
    """

    output: str
    rows: int
    sketch: str


class ScoreSketches(Contract):
    """`sketches.json` beside a version: what it answered on the test part, for later traffic to be compared with."""

    format: Literal["saiki/score-sketches/v1"] = "saiki/score-sketches/v1"
    model: str
    window: Window | None = None
    outputs: tuple[ScoreSketch, ...] = ()
