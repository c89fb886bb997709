"""Distributions of scores that are kept beside a version: t-digests that can be merged, and what two of them tell.

A t-digest (T. Dunning and O. Ertl, *Computing extremely accurate quantiles using t-digests*, 2019) holds some thousand
centroids, whatever the number of rows. The one of Apache DataSketches is deterministic: the same scores in the same
order give the same bytes, however they are cut into batches. With `COMPRESSION`, a rank is off by 0.2 % of the rows in
the middle of the distribution, and by less towards its ends.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

import numpy as np

from components._shared.comparison import ScoreSketch, ScoreSketches
from components._shared.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from components._shared.windows import Window

COMPRESSION = 2000
"""About as many centroids as a sketch has; 16 bytes each, so that a sketch has 40 kB."""

CELLS = 10
FLOOR = 1e-4
"""Of a cell's share, for the logarithm; as `validate` has it for features."""

NOISE = 2.0**-20
"""Share of its size by which a score may differ and still be the same: eight times the spacing of 32-bit floats."""

_GRID = 2000


class Sketcher:
    """Makes the sketches of a model's scores, batch by batch.

    Args:
        outputs: Names of the model's outputs.
    """

    def __init__(self, outputs: tuple[str, ...]) -> None:
        from datasketches import tdigest_double

        self._digests = {name: tdigest_double(COMPRESSION) for name in outputs}

    def add(self, scores: NDArray[np.float64]) -> None:
        """The next rows.

        Args:
            scores: Outputs × rows.

        Raises:
            InputError: A score is not a finite number; nothing of these rows has been added.
        """
        for name, values in zip(self._digests, scores, strict=True):
            broken = int((~np.isfinite(values)).sum())
            if broken:
                raise InputError(
                    f"{broken:,} of {len(values):,} scores are not finite numbers",
                    where=f"output {name!r}",
                    fix="find out why the model gives none; to go on, leave these rows out and count them yourself",
                )
        # The library takes arrays alone that may be written to, and those of Arrow may not.
        for digest, values in zip(self._digests.values(), scores, strict=True):
            digest.update(np.require(values, np.float64, ["C", "W"]))

    def sketches(self, model: str, window: Window | None) -> ScoreSketches:
        """What was seen so far, as it is stored.

        Args:
            model: Digest of the model.
            window: Of the rows.
        """
        return ScoreSketches(
            model=model,
            window=window,
            outputs=tuple(_stored(name, digest) for name, digest in self._digests.items()),
        )


class ScoreDistribution:
    """What a stored sketch knows.

    Raises:
        InputError: It is not a sketch.
    """

    def __init__(self, sketch: ScoreSketch) -> None:
        self.rows = sketch.rows
        self._digest = _digest(sketch)

    def quantiles(self, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scores below which these shares of the rows lie."""
        if not self.rows:
            return np.full(len(levels), np.nan)
        return np.array([self._digest.get_quantile(float(level)) for level in levels])

    def share_up_to(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share of rows whose score is at most so large, up to noise.

        A digest gives a value that many rows have its middle rank; just above the value all of them are counted.
        """
        if not self.rows:
            return np.full(len(values), np.nan)
        return np.array([self._digest.get_rank(float(value)) for value in just_above(values)])


def merged(sketches: list[ScoreSketches]) -> ScoreSketches:
    """The sketches of all rows together, in the order given; their model is that of the first.

    Raises:
        InputError: There is none, they are of different models, or of models with other outputs.
    """
    if not sketches:
        raise InputError("There are no sketches to merge", where="score sketches")
    first = sketches[0]
    names = [one.output for one in first.outputs]
    for other in sketches[1:]:
        if other.model != first.model or [one.output for one in other.outputs] != names:
            raise InputError(
                "Sketches of different models cannot be merged: together they are the scores of neither",
                where=f"models {first.model[:12]} and {other.model[:12]}",
                fix="merge the sketches of each model apart",
            )
    together = []
    for place, name in enumerate(names):
        digest = _digest(first.outputs[place])
        for other in sketches[1:]:
            digest.merge(_digest(other.outputs[place]))
        together.append(_stored(name, digest))
    return ScoreSketches(model=first.model, window=_spanned(sketches), outputs=tuple(together))


def stability_index(before: ScoreSketch, after: ScoreSketch) -> float:
    """Population stability index of later scores over the deciles of the earlier ones, natural logarithm.

    Raises:
        InputError: One of them holds no rows.
    """
    earlier, later = _both(before, after)
    edges = np.unique(earlier.quantiles(np.arange(1, CELLS) / CELLS))
    return index_of(cell_shares(earlier.share_up_to(edges)), cell_shares(later.share_up_to(edges)))


def distance(before: ScoreSketch, after: ScoreSketch) -> float:
    """Kolmogorov-Smirnov distance, looked for at the quantiles of both.

    Raises:
        InputError: One of them holds no rows.
    """
    earlier, later = _both(before, after)
    levels = np.linspace(0, 1, _GRID + 1)
    places = np.unique(np.concatenate([earlier.quantiles(levels), later.quantiles(levels)]))
    return float(np.abs(earlier.share_up_to(places) - later.share_up_to(places)).max())


def just_above(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """A little more than these scores: what is not above it is the same score, or a smaller one.

    Models answer in 32-bit floats, whose last digits differ from machine to machine, and with the rows that share a
    batch. Where many rows have one score, as in the leaf of a tree, half of them would lie beyond a quantile by that
    noise alone, and the distribution would seem to have moved. So shares are counted up to just above a score. To
    round the scores would not do: what lies near the edge of a step is rounded to both sides of it.
    """
    return np.nextafter(scores + NOISE * np.abs(scores), np.inf)


def cell_shares(up_to: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of the cells between edges, from the shares up to each edge."""
    return np.diff(up_to, prepend=0.0, append=1.0)


def index_of(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """`Σ (a − b) · ln(a / b)` over the cells' shares, which are floored at `FLOOR` (N. Siddiqi, 2006)."""
    one, other = np.maximum(before, FLOOR), np.maximum(after, FLOOR)
    return float(((other - one) * np.log(other / one)).sum())


def _both(before: ScoreSketch, after: ScoreSketch) -> tuple[ScoreDistribution, ScoreDistribution]:
    if not before.rows or not after.rows:
        raise InputError("A sketch without rows cannot be compared", where=f"score sketch of {before.output!r}")
    return ScoreDistribution(before), ScoreDistribution(after)


def _stored(name: str, digest: Any) -> ScoreSketch:
    text = base64.b64encode(digest.serialize()).decode()
    return ScoreSketch(output=name, rows=digest.get_total_weight(), sketch=text)


def _digest(sketch: ScoreSketch) -> Any:
    from datasketches import tdigest_double

    try:
        digest = tdigest_double.deserialize(base64.b64decode(sketch.sketch, validate=True))
        if digest.get_total_weight() != sketch.rows:
            raise ValueError(f"it holds {digest.get_total_weight()} rows, not {sketch.rows}")
    except (binascii.Error, ValueError, RuntimeError, IndexError) as cause:
        raise InputError(
            f"This is not a readable score sketch: {cause}",
            where=f"score sketch of {sketch.output!r}",
            fix="restore sketches.json of the version",
        ) from cause
    return digest


def _spanned(sketches: list[ScoreSketches]) -> Window | None:
    """From the first start to the last end; none if one of them has no window."""
    from components._shared.windows import Window

    windows = [one.window for one in sketches if one.window is not None]
    if len(windows) < len(sketches):
        return None
    starts = [window.start for window in windows]
    start = None if None in starts else min(start for start in starts if start is not None)
    return Window(start=start, end=max(window.end for window in windows))
