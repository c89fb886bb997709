"""Computes what changed from one model to another, out of what their `model.json` says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
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
    TermChange,
)
from components._shared.model_info import FeatureEncodingInfo, ModelInfo, Term
from components._shared.windows import Window, zone


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
        paired: Metric → after minus before, where one run judged both.
        same_rows: Whether both metrics are of the same rows.
        judged: Those rows.
        timezone: Of the moments.
    """
    old, new = before.learning.features, after.learning.features
    terms, notices = _terms(before, after)
    return ModelChanges(
        before=_side(before, before_name, before_data),
        after=_side(after, after_name, after_data),
        same=before.digest == after.digest,
        features_gained={name: kind for name, kind in new.items() if name not in old},
        features_lost={name: kind for name, kind in old.items() if name not in new},
        features_changed=_changed({name: old[name] for name in old if name in new}, new, only_common=True),
        parameters=_changed(_choices(before), _choices(after)),
        preprocessing=_preprocessing(before.encoding, after.encoding),
        data=_changed(_data(before, before_data, timezone), _data(after, after_data, timezone)),
        categories=tuple(_categories(before.encoding, after.encoding)),
        terms=terms,
        metrics=tuple(_metrics(before_metrics or {}, after_metrics or {}, paired or {})),
        same_rows=same_rows,
        judged=judged,
        timezone=timezone,
        notices=notices,
    )


def _side(info: ModelInfo, name: str, data: Window | None) -> Side:
    return Side(
        name=name, digest=info.digest, trainer=info.learning.trainer.name, rows=info.rows, data=data, code=info.code
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
        "classes": ", ".join(map(str, learning.classes)) if learning.classes else None,
        "seed": str(learning.trainer.seed),
        "budget": f"{learning.budget} epochs" if learning.budget else None,
        "source of the trainer": learning.trainer_source[:12] or None,
        "code": info.code or None,
    }


def _data(info: ModelInfo, data: Window | None, timezone: str) -> dict[str, str | None]:
    """What a model was made from, as texts."""
    rates = info.learning.classes or ("",)
    kind = "mean of the label" if info.learning.problem == "regression" else "base rate"
    return {
        "first row": _moment(data.start, timezone) if data else None,
        "fit until": _moment(info.fit_until, timezone),
        **{f"rows to {part}": f"{rows:,}" for part, rows in zip(("fit", "tune"), _rows(info), strict=True)},
        **{f"{kind} {name}".strip(): f"{value:.5g}" for name, value in zip(rates, info.base, strict=False)},
        "digest of the rows": (info.made_from.get("train") or "")[:12] or None,
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
    found: list[tuple[float, list[Changed]]] = []
    for name in before:
        if name not in after:
            continue
        old, new = before[name].figures, after[name].figures
        scale = old.get("scale") or 1.0
        moved, changes = 0.0, []
        for figure in dict.fromkeys([*old, *new]):
            one, other = old.get(figure), new.get(figure)
            if one == other:
                continue
            moved = max(moved, math.inf if one is None or other is None else abs(other - one) / scale)
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
    """Values of the features that both have, most frequent first."""
    for name in before:
        if name not in after:
            continue
        old, new = before[name].values, after[name].values
        before_there, after_there = set(old), set(new)
        gained = tuple(value for value in new if value not in before_there)
        lost = tuple(value for value in old if value not in after_there)
        if gained or lost:
            yield CategoryChange(feature=name, gained=gained, lost=lost)


def _terms(before: ModelInfo, after: ModelInfo) -> tuple[tuple[TermChange, ...], tuple[str, ...]]:
    """The weights that differ, the clear ones first and then by the size of their effect; and what to say about them.

    Weights are compared on the natural scale. A model from before there was one has them on the standardised scale,
    and then both are compared there.
    """
    old, new = {term.name: term for term in before.terms}, {term.name: term for term in after.terms}
    linear = [bool(info.terms or info.coefficients) for info in (before, after)]
    if linear[0] != linear[1]:
        which = "first" if linear[1] else "second"
        return (), (f"The {which} model is not linear: there are no weights to compare.",)
    if not any(linear) and before.digest != after.digest:
        names = " and ".join(dict.fromkeys(info.learning.trainer.name for info in (before, after)))
        return (), (f"No coefficients to compare: {names} {'are' if ' and ' in names else 'is'} not linear.",)
    notices: tuple[str, ...] = ()
    if not (old and new) and before.coefficients and after.coefficients:
        old, new = _standardised(before), _standardised(after)
        notices = ("One of the models has no weights on the natural scale: these are per standard deviation.",)
    changes = [
        _term_change(old.get(name), new.get(name), before, after)
        for name in dict.fromkeys([*new, *old])
        if _weight(old.get(name)) != _weight(new.get(name)) or (name in old) != (name in new)
    ]
    return tuple(sorted(changes, key=lambda change: (not change.clear, -change.size, change.name))), notices


def _standardised(info: ModelInfo) -> dict[str, Term]:
    return {name: Term(name=name, weight=weight, unit="standardised") for name, weight in info.coefficients.items()}


def _weight(term: Term | None) -> float:
    return 0.0 if term is None else term.weight


def _term_change(old: Term | None, new: Term | None, before: ModelInfo, after: ModelInfo) -> TermChange:
    some = new or old
    assert some is not None
    spread = max(_spread(old, before), _spread(new, after))
    return TermChange(
        name=some.name,
        before=old,
        after=new,
        clear=_apart(old, new),
        size=abs(_weight(new) - _weight(old)) * spread,
    )


def _spread(term: Term | None, info: ModelInfo) -> float:
    """Standard deviation of what a weight is multiplied with, over the rows of *train*, as far as it is known."""
    if term is None:
        return 0.0
    if term.share is not None:
        return math.sqrt(max(term.share * (1 - term.share), 0.0))
    encoding = info.encoding.get(term.feature)
    if encoding is not None and term.unit == "per unit" and not term.category:
        return encoding.figures.get("scale", 1.0)
    return 1.0


def _apart(old: Term | None, new: Term | None) -> bool:
    intervals = [(0.0, 0.0) if term is None else term.interval for term in (old, new)]
    if intervals[0] is None or intervals[1] is None:
        return False
    (low, high), (other_low, other_high) = intervals  # type: ignore[misc]
    return high < other_low or other_high < low


def _metrics(
    before: Mapping[str, Estimate], after: Mapping[str, Estimate], paired: Mapping[str, Estimate]
) -> Iterable[MetricChange]:
    order = {metric: place for place, metric in enumerate(METRIC_NAMES)}
    for metric in sorted({*before, *after}, key=lambda name: (order.get(name, len(order)), name)):
        yield MetricChange(
            metric=metric, before=before.get(metric), after=after.get(metric), difference=paired.get(metric)
        )
