"""Computes what changed from one model to another, out of what their `model.json` says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from components._shared.contract import canonical_json
from components._shared.evidence import Estimate
from components._shared.gates import METRIC_NAMES
from components._shared.model_changes import (
    CategoryChange,
    Changed,
    Judged,
    MetricChange,
    ModelChanges,
    Side,
)
from components._shared.model_info import FeatureEncodingInfo, ModelInfo
from components._shared.term_difference import term_changes
from components._shared.windows import Window, Windows, zone
from components._shared.wording import listed_values


def data_window(info: ModelInfo, windows: Windows | None) -> Window | None:
    """From the first row that a model was fitted on to the last one that it was tuned on; none in tasks without time.

    Args:
        info: The model.
        windows: Of the run that made it, where they are known.
    """
    if windows is None or windows.train is None:
        return None
    return Window(start=windows.train.start, end=info.fit_until or windows.train.end)


def differences(
    before: ModelInfo,
    after: ModelInfo,
    *,
    before_name: str,
    after_name: str,
    before_metrics: Mapping[str, Estimate] | None = None,
    after_metrics: Mapping[str, Estimate] | None = None,
    before_data: Window | None = None,
    after_data: Window | None = None,
    before_checked: bool = False,
    after_checked: bool = False,
    paired: Mapping[str, Estimate] | None = None,
    same_rows: bool = False,
    judged: Judged | None = None,
    timezone: str = "UTC",
) -> ModelChanges:
    """What changed between two models, whatever trained them.

    Args:
        before, after: The two models.
        before_name, after_name: As a reader would say it, such as `version 2`.
        before_metrics, after_metrics: Metric → its value on the rows that judged the model.
        before_data, after_data: From the first row that the model was fitted on to the last one that it was tuned on.
        before_checked, after_checked: Whether the model's files were found to be those that its digest is of.
        paired: Metric → after minus before, where one run judged both.
        same_rows: Whether both metrics are of the same rows.
        judged: Those rows.
        timezone: Of the moments.
    """
    old, new = before.learning.features, after.learning.features
    terms, notices = term_changes(before, after)
    both = [name for name in before.learning.features if name in new]
    return ModelChanges(
        before=_side(before, before_name, before_data, checked=before_checked),
        after=_side(after, after_name, after_data, checked=after_checked),
        same=before.digest == after.digest,
        features_gained={name: kind for name, kind in new.items() if name not in old},
        features_lost={name: kind for name, kind in old.items() if name not in new},
        features_changed=_changed({name: old[name] for name in old if name in new}, new, only_common=True),
        parameters=_changed(_choices(before), _choices(after)),
        preprocessing=_preprocessing(before.encoding, after.encoding),
        native=_native(both, before.native, after.native),
        data=_changed(
            {**_first_row(before_data, after_data, timezone), **_data(before, timezone)},
            {**_first_row(after_data, before_data, timezone), **_data(after, timezone)},
        ),
        categories=tuple(_categories(before.encoding, after.encoding)),
        terms=terms,
        metrics=tuple(_metrics(before_metrics or {}, after_metrics or {}, paired or {})),
        same_rows=same_rows,
        judged=judged,
        timezone=timezone,
        notices=(*notices, *_cut_off(before.encoding, after.encoding)),
    )


def _side(info: ModelInfo, name: str, data: Window | None, *, checked: bool) -> Side:
    return Side(
        name=name,
        digest=info.digest,
        checked=checked,
        trainer=info.learning.trainer.name,
        rows=info.rows,
        data=data,
        code=info.code,
    )


def _changed(
    before: Mapping[str, str | None], after: Mapping[str, str | None], *, only_common: bool = False
) -> tuple[Changed, ...]:
    names = before if only_common else dict.fromkeys([*before, *after])
    return tuple(
        Changed(name=name, before=before.get(name), after=after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    )


def _choices(info: ModelInfo) -> dict[str, str | None]:
    """What was chosen for a model, as texts."""
    learning = info.learning
    return {
        "trainer": learning.trainer.name,
        **{name: _text(value) for name, value in sorted(learning.trainer.parameters.items())},
        "problem": learning.problem,
        "classes": listed_values(map(str, learning.classes)) if learning.classes else None,
        "seed": str(learning.trainer.seed),
        "budget": f"{learning.budget} epochs" if learning.budget else None,
        "source of the trainer": learning.trainer_source[:12] or None,
        "code": info.code or None,
    }


def _first_row(data: Window | None, other: Window | None, timezone: str) -> dict[str, str | None]:
    """From when on a model had rows, where that is known of both."""
    if data is None or other is None:
        return {}
    return {"first row": "the first there was" if data.start is None else _moment(data.start, timezone)}


def _data(info: ModelInfo, timezone: str) -> dict[str, str | None]:
    """What a model was made from, as texts."""
    rates = info.learning.classes or ("",)
    kind = "mean of the label" if info.learning.problem == "regression" else "base rate"
    return {
        "fit until": _moment(info.fit_until, timezone),
        **{f"rows to {part}": f"{rows:,}" for part, rows in zip(("fit", "tune"), _rows(info), strict=True)},
        **{f"{kind} {name}".strip(): f"{value:.5g}" for name, value in zip(rates, info.base, strict=False)},
        "keys held out": None if info.held_out is None else f"{info.held_out:.6g} of all",
        "digest of the rows to fit": (info.made_from.get("train") or "")[:12] or None,
        "digest of the rows to tune": (info.made_from.get("tune") or "")[:12] or None,
    }


def _rows(info: ModelInfo) -> tuple[int, int]:
    return info.rows.get("train", 0), info.rows.get("tune", 0)


def _moment(moment: datetime | None, timezone: str) -> str | None:
    return None if moment is None else f"{moment.astimezone(zone(timezone)):%Y-%m-%d %H:%M} {timezone}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value).decode()


def _preprocessing(
    before: Mapping[str, FeatureEncodingInfo], after: Mapping[str, FeatureEncodingInfo]
) -> tuple[Changed, ...]:
    """Figures of the features that both have: the feature that moved most first, in units of its scale."""
    both = {name: (before[name].figures, after[name].figures) for name in before if name in after}
    return _figures(both, lambda feature, _: both[feature][0].get("scale") or 1.0)


def _native(
    both: Iterable[str], before: Mapping[str, Mapping[str, float]], after: Mapping[str, Mapping[str, float]]
) -> tuple[Changed, ...]:
    """The trainer's own figures of the features that both have: the feature that moved most first, in units of the
    largest value of the figure.
    """
    largest: dict[str, float] = {}
    for figures in (*before.values(), *after.values()):
        for figure, value in figures.items():
            largest[figure] = max(largest.get(figure, 0.0), abs(value))
    found = {name: (before.get(name, {}), after.get(name, {})) for name in both}
    return _figures(found, lambda _, figure: largest[figure] or 1.0)


def _figures(
    features: Mapping[str, tuple[Mapping[str, float], Mapping[str, float]]], unit: Callable[[str, str], float]
) -> tuple[Changed, ...]:
    """The figures that differ; those of a feature stand together.

    Args:
        features: Feature → its figures in both models.
        unit: Of a feature and a figure, what its move is measured in.
    """
    found: list[tuple[float, list[Changed]]] = []
    for name, (old, new) in features.items():
        moved, changes = 0.0, []
        for figure in dict.fromkeys([*old, *new]):
            one, other = old.get(figure), new.get(figure)
            if one == other:
                continue
            moved = max(moved, math.inf if one is None or other is None else abs(other - one) / unit(name, figure))
            changes.append(Changed(name=f"{name}: {figure}", before=_number(one), after=_number(other)))
        if changes:
            found.append((moved, changes))
    found.sort(key=lambda each: (-each[0], each[1][0].name))
    return tuple(change for _, changes in found for change in changes)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.6g}"


def _categories(
    before: Mapping[str, FeatureEncodingInfo], after: Mapping[str, FeatureEncodingInfo]
) -> Iterable[CategoryChange]:
    """Values of the features that both have, most frequent first. What a list lacks that was cut off is not told."""
    for name in before:
        if name not in after:
            continue
        old, new = before[name], after[name]
        before_there, after_there = set(old.values), set(new.values)
        gained = tuple(value for value in new.values if value not in before_there and not _is_cut_off(old))
        lost = tuple(value for value in old.values if value not in after_there and not _is_cut_off(new))
        if gained or lost:
            yield CategoryChange(feature=name, gained=gained, lost=lost)


def _is_cut_off(encoding: FeatureEncodingInfo) -> bool:
    """Whether a feature has more values than are listed."""
    return encoding.figures.get("values", 0.0) > len(encoding.values)


def _cut_off(before: Mapping[str, FeatureEncodingInfo], after: Mapping[str, FeatureEncodingInfo]) -> Iterable[str]:
    """What to say of lists of values that do not hold all."""
    for name in before:
        cut = [encoding for encoding in (before[name], after.get(name)) if encoding and _is_cut_off(encoding)]
        if name in after and cut:
            yield (
                f"Of '{name}', model.json lists the {len(cut[0].values):,} most frequent values alone: "
                "which of the others came or went is not known."
            )


def _metrics(
    before: Mapping[str, Estimate], after: Mapping[str, Estimate], paired: Mapping[str, Estimate]
) -> Iterable[MetricChange]:
    order = {metric: place for place, metric in enumerate(METRIC_NAMES)}
    for metric in sorted({*before, *after}, key=lambda name: (order.get(name, len(order)), name)):
        yield MetricChange(
            metric=metric, before=before.get(metric), after=after.get(metric), difference=paired.get(metric)
        )
