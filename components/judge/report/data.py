"""The report's section on data: where every row went, and the values of every feature."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup

from components._shared.evidence import FeatureDrift, FeatureFacts
from components._shared.facts import Facts
from components._shared.windows import zone
from components.judge.report import plots
from components.judge.report.wording import capital, count, number, percent, shorten, size_of_psi

MOST_FEATURES = 150
_PARTS = ("train", "tune", "test", "recent")

_FATES: tuple[tuple[str, str, str], ...] = (
    ("kept", "kept", "with a mature label"),
    ("label_pending", "label pending", "too young for their label to be known; kept, but not learnt or judged from"),
    ("malformed", "malformed", "set aside: could not be read as declared"),
    ("duplicate", "duplicate", "set aside: their key was seen before"),
    ("label_missing", "without label", "set aside: old enough, but the label is missing"),
    ("out_of_population", "out of population", "set aside: not what the task asks about"),
    ("out_of_window", "out of window", "before or after the time that this run looks at"),
    ("not_sampled", "not sampled", "left out because the run takes a sample"),
)


@dataclass(frozen=True)
class Fate:
    """What became of some of the rows."""

    role: str
    name: str
    meaning: str
    rows: str
    share: str


@dataclass(frozen=True)
class Accounting:
    """All rows read; `missing` is what the fates do not account for (none, if all is well)."""

    fates: tuple[Fate, ...]
    read: str
    missing: int
    plot: Markup


@dataclass(frozen=True)
class FeatureRow:
    """A feature's values, in words and drawn; `drift` and `skew` are (PSI, KS, size in words)."""

    name: str
    kind: str
    used: bool
    missing: str
    distinct: str
    centre: str
    spread: str
    unseen: str
    drift: tuple[str, str, str] | None
    skew: tuple[str, str, str] | None
    histogram: Markup
    bins: tuple[tuple[str, str], ...]


def accounting(facts: Facts) -> Accounting:
    """Where every row went."""
    rows = facts.data.rows
    counts = [(role, name, meaning, int(getattr(rows, role))) for role, name, meaning in _FATES]
    shown = [one for one in counts if one[3] or one[0] == "kept"]
    whole = rows.read or 1
    alt = f"Of {count(rows.read)} rows read: " + ", ".join(
        f"{count(number_)} {name} ({percent(number_ / whole)})" for _, name, _, number_ in shown
    )
    return Accounting(
        fates=tuple(
            Fate(role, capital(name), meaning, count(number_), percent(number_ / whole))
            for role, name, meaning, number_ in shown
        ),
        read=count(rows.read),
        missing=rows.read - sum(number_ for *_, number_ in counts),
        plot=plots.stacked([(role, number_ / whole) for role, _, _, number_ in shown], alt),
    )


def parts(facts: Facts) -> list[tuple[str, str, str]]:
    """Name, rows and share of each part that the rows kept were split into, and of the embargo between them."""
    sizes = {name: rows for name, rows in facts.model.rows.items() if name in _PARTS}
    if facts.data.rows.label_pending:
        sizes["recent"] = facts.data.rows.label_pending
    sizes |= facts.data.parts
    if not sizes:
        return []
    between = facts.dataset.rows - sum(sizes.values())
    if between > 0:
        sizes["between the parts (embargo)"] = between
    whole = facts.dataset.rows or 1
    order = [*_PARTS, *sorted(set(sizes) - set(_PARTS))]
    return [(name, count(sizes[name]), percent(sizes[name] / whole)) for name in order if name in sizes]


def feature_rows(facts: Facts) -> tuple[list[FeatureRow], int]:
    """The label and the features, and how many features stand in the facts only (the least moved of very many)."""
    features = facts.data.features
    kept = set(sorted(range(len(features)), key=lambda n: (-_movement(features[n]), n))[:MOST_FEATURES])
    shown = [feature for n, feature in enumerate(features) if n in kept]
    first = [_feature_row(facts.data.label, facts, is_label=True)] if facts.data.label else []
    return [*first, *(_feature_row(feature, facts) for feature in shown)], len(features) - len(shown)


def _movement(feature: FeatureFacts) -> float:
    return max((moved.psi for moved in (feature.drift, feature.skew) if moved is not None), default=0.0)


def _feature_row(feature: FeatureFacts, facts: Facts, *, is_label: bool = False) -> FeatureRow:
    name = shorten(feature.name)
    bins = tuple((shorten(found.label, 60), percent(found.share)) for found in feature.bins)
    common = max(feature.bins, key=lambda found: found.share, default=None)
    alt = f"Histogram of {name}" + (
        f"; most rows, {percent(common.share)}, lie in {shorten(common.label, 60)}" if common else ""
    )

    def value(found: float | None) -> str:
        return _moment(found, facts) if feature.kind == "datetime" else number(found)

    centre = spread = ""
    if feature.median is not None or feature.mean is not None:
        centre = value(feature.median if feature.median is not None else feature.mean)
    if feature.min is not None and feature.max is not None:
        spread = f"{value(feature.min)} to {value(feature.max)}"
    return FeatureRow(
        name="Label" if is_label else name,
        kind=feature.kind,
        used=is_label or feature.name in facts.learning.features,
        missing=percent(feature.missing),
        distinct=count(feature.distinct),
        centre=centre,
        spread=spread,
        unseen=percent(feature.unseen) if feature.unseen is not None else "–",
        drift=_moved(feature.drift),
        skew=_moved(feature.skew),
        histogram=plots.small_histogram(feature.bins, alt),
        bins=bins,
    )


def _moment(microseconds: float | None, facts: Facts) -> str:
    if microseconds is None:
        return "–"
    try:
        when = datetime.fromtimestamp(microseconds / 1e6, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return number(microseconds)
    return f"{when.astimezone(zone(facts.windows.timezone)):%Y-%m-%d %H:%M}"


def _moved(found: FeatureDrift | None) -> tuple[str, str, str] | None:
    if found is None:
        return None
    return number(found.psi, 3), number(found.ks, 3), size_of_psi(found.psi)
