"""How strongly one column alone tells the label, and whether its values stay the same over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipelines.proposal.table_profile import Table

_ROWS = 50_000
_BINS = 50
_PSI_BINS = 10
_ALL_BUT_UNKNOWN = 0.06
"""Less than what a month has in the same month of the year before: a season is not new."""
_LABEL, _TIME = "_label", "_time"


@dataclass(frozen=True)
class Sample:
    """Rows drawn from the table, as numpy columns; the label as text, the time in microseconds.

    Attributes:
        rows: Of the whole table.
    """

    columns: dict[str, Any]
    rows: int

    def noise(self, names: Sequence[str], test: str | float) -> float:
        """The largest PSI that a column is expected to have by chance, between the train and the test part."""
        share = test if isinstance(test, float) else 0.2
        per_bin = 1 / (self.rows * share) + 1 / (self.rows * (1 - share))
        bins = [_PSI_BINS if _is_number(self.columns[n]) else len(_codes(self.columns[n])[1]) for n in names]
        return max((count - 1) * per_bin for count in bins) if bins else 0.0


def take_sample(table: Table, label_sql: str, time_sql: str) -> Sample:
    """At most 50,000 rows, the same ones each time; rows without a label are left out."""
    time = f", epoch_us({time_sql}) AS {_TIME}" if time_sql else ""
    numbers = [name for name, column in table.columns.items() if column.type in ("int64", "float64")]
    moments = [name for name, column in table.columns.items() if column.type in ("date", "timestamp")]
    parts = []
    for name in table.columns:
        quoted = '"' + name.replace('"', '""') + '"'
        if name in numbers:
            parts.append(f"{quoted}::DOUBLE AS {quoted}")
        elif name in moments:
            parts.append(f"epoch_us({quoted}::TIMESTAMP)::DOUBLE AS {quoted}")
        else:
            parts.append(f"{quoted}::VARCHAR AS {quoted}")
    table.connection.execute(
        f"CREATE OR REPLACE TEMP TABLE sampled AS SELECT * FROM "
        f"(SELECT {', '.join(parts)}, {label_sql}::VARCHAR AS {_LABEL}{time} FROM typed) "
        f"WHERE {_LABEL} IS NOT NULL USING SAMPLE reservoir({_ROWS} ROWS) REPEATABLE (17)"
    )
    columns = dict(table.connection.execute("SELECT * FROM sampled").fetchnumpy())
    return Sample(columns=columns, rows=table.rows)


def strength(sample: Sample, name: str, problem: str) -> float:
    """What one column alone achieves on rows that it was not fitted on, 0 to 1.

    Binary: area under the ROC curve. Multiclass: accuracy beyond that of the most frequent class. Regression: explained
    variance. A number is cut into quantile bins, and each bin (or category, or missing) predicts its mean.
    """
    import numpy as np

    bins = _bins(sample.columns[name])
    label = sample.columns[_LABEL]
    order = np.random.default_rng(17).permutation(len(bins))
    fit, judge = order[::2], order[1::2]
    if problem == "multiclass_classification":
        return _beyond_chance(bins, np.unique(np.asarray(label, dtype=str), return_inverse=True)[1], fit, judge)
    if problem == "regression":
        target = np.asarray(label, dtype=float)
        spread = np.var(target[judge])
        return float(1 - np.mean((target[judge] - _means(bins, target, fit)[judge]) ** 2) / spread) if spread else 0.0
    values, codes = np.unique(np.asarray(label, dtype=str), return_inverse=True)
    return _auc(_means(bins, codes.astype(float), fit)[judge], codes[judge]) if len(values) == 2 else 0.0


def movement(sample: Sample, name: str, days: int) -> tuple[float, float]:
    """How a column's values in the last days differ from those before.

    Returns:
        The population stability index, and the share of the last days' rows whose values were all but unknown before.
    """
    import numpy as np

    time = np.asarray(sample.columns[_TIME], dtype=float)
    late = time >= time.max() - days * 86_400e6
    if late.all():
        return 0.0, 0.0
    before, after = _shares(_bins(sample.columns[name], _PSI_BINS), late)
    psi = float(np.sum((after - before) * np.log(after / before)))
    before, after = _shares(_bins(sample.columns[name]), late)
    return psi, float(after[before < _ALL_BUT_UNKNOWN * after].sum())


def _shares(bins: NDArray[np.int64], late: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import numpy as np

    count = bins.max() + 1
    before, after = (np.bincount(bins[part], minlength=count) + 0.5 for part in (~late, late))
    return before / before.sum(), after / after.sum()


def _is_number(column: Any) -> bool:
    return bool(column.dtype.kind == "f")


def _codes(column: Any) -> tuple[NDArray[np.int64], NDArray[Any]]:
    import numpy as np

    texts = np.where(np.ma.getmaskarray(column), "\0", np.ma.filled(column, "\0").astype(object)).astype(str)
    values, codes = np.unique(texts, return_inverse=True)
    return codes, values


def _bins(column: Any, count: int = _BINS) -> NDArray[np.int64]:
    import numpy as np

    if not _is_number(column):
        return _codes(column)[0]
    values = np.ma.filled(np.ma.masked_invalid(column), np.nan)
    known = values[~np.isnan(values)]
    if not len(known):
        return np.zeros(len(values), dtype=np.int64)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, count + 1)[1:-1], method="lower"))
    return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="left"))


def _means(bins: NDArray[np.int64], target: NDArray[np.float64], fit: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each row its bin's mean over the rows to fit, drawn towards the mean of all where there are few."""
    import numpy as np

    overall = target[fit].mean()
    count = np.bincount(bins[fit], minlength=bins.max() + 1)
    total = np.bincount(bins[fit], weights=target[fit], minlength=bins.max() + 1)
    return np.asarray(((total + overall) / (count + 1))[bins])


def _auc(score: NDArray[np.float64], positive: NDArray[np.int64]) -> float:
    import numpy as np

    ones = int(positive.sum())
    zeros = len(positive) - ones
    if not ones or not zeros:
        return 0.0
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((ranks[positive == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _beyond_chance(
    bins: NDArray[np.int64], codes: NDArray[np.int64], fit: NDArray[np.int64], judge: NDArray[np.int64]
) -> float:
    import numpy as np

    counts = np.zeros((bins.max() + 1, codes.max() + 1))
    np.add.at(counts, (bins[fit], codes[fit]), 1)
    overall = counts.sum(axis=0)
    guess = (counts + overall / overall.sum())[bins].argmax(axis=1)
    base = float(np.mean(codes[judge] == overall.argmax()))
    accuracy = float(np.mean(guess[judge] == codes[judge]))
    return (accuracy - base) / (1 - base) if base < 1 else 0.0
