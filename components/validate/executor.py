"""Judges the rows: statistics, what they object to, how they moved, and whether the task's gates hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from components._shared import storage
from components._shared.errors import CorruptError
from components._shared.evidence import Anomaly, Bin, DataEvidence, FeatureDrift, FeatureFacts
from components._shared.gates import DataGates
from components._shared.manifest import Manifest
from components._shared.task import Column, FeatureKind, LearningSection, Schema
from components._shared.verdict import Verdict
from components.validate import checks, pinned, statistics
from components.validate.distributions import Distribution, chance_psi, distributions, drift
from components.validate.proposal import propose

LABEL = "_label"

_LABEL_KIND: dict[str, FeatureKind] = {
    "binary_classification": "boolean",
    "multiclass_classification": "categorical",
    "regression": "numeric",
}
_MOST_BINS = 20


@dataclass(frozen=True)
class Validation:
    """What `validate` found.

    Attributes:
        statistics: TFDV's `DatasetFeatureStatisticsList` of *train*, serialized.
        anomalies: TFDV's `Anomalies` of *train* as text.
    """

    statistics: bytes
    anomalies: str
    evidence: DataEvidence
    verdict: Verdict


def validate(
    *,
    examples: Manifest,
    train: Manifest,
    test: Manifest,
    learning: LearningSection,
    gates: DataGates,
    schema: Schema,
    previous: str = "",
    runner: str = "",
) -> Validation:
    """Judges the rows.

    Args:
        examples: All rows, for the accounting of the ingestion.
        train: The rows that statistics describe.
        test: The rows that skew is measured on.
        learning: The features.
        gates: The limits.
        schema: The pinned schema.
        previous: URI of the statistics of an earlier snapshot, which drift is measured against; empty: there is none.
        runner: Flags of an Apache Beam runner; empty: in memory.

    Raises:
        CorruptError: `previous` does not hold statistics, or a shard is not the one that was written.
        NotFoundError: `previous`, or a shard, is gone.
    """
    import tensorflow_data_validation as tfdv

    columns = _measured(train, learning, schema)
    kinds = {name: learning.features.get(name) or statistics.kind_of(column.type) for name, column in columns.items()}
    kinds[LABEL] = _LABEL_KIND[learning.problem]
    gone = [name for name in learning.features if name not in columns]

    train_statistics = _statistics(train, kinds, runner)
    test_statistics = _statistics(test, kinds, runner)
    seen = {"train": distributions(train_statistics), "test": distributions(test_statistics)}
    before = distributions(_previous_statistics(previous)) if previous else {}

    rules = pinned.metadata_schema({**columns, LABEL: Column(type="float64", required=False)}, kinds, gates.unseen)
    found = tfdv.validate_statistics(train_statistics, rules)
    anomalies = list(pinned.anomalies(found, columns, seen["train"], rows="train")) if train.count else []
    if test.count:
        known = {(anomaly.column, anomaly.kind) for anomaly in anomalies}
        found_in_test = tfdv.validate_statistics(test_statistics, rules)
        in_test = pinned.anomalies(found_in_test, columns, seen["test"], rows="test")
        anomalies += [anomaly for anomaly in in_test if (anomaly.column, anomaly.kind) not in known]
    unseen = _unseen(columns, kinds, seen)
    anomalies += _few_unseen(unseen, gates, anomalies)

    names = [name for name in [*learning.features, LABEL] if name in kinds]
    drifted = {n: _moved(seen["train"], before, n) for n in names if n in before and n in seen["train"]}
    skewed = {n: _moved(seen["test"], seen["train"], n) for n in names if n in seen["test"] and n in seen["train"]}
    gated = [name for name in names if name != LABEL and kinds[name] != "datetime"]
    verdict = checks.verdict_of(
        [
            *checks.row_checks(examples.rows, {"train": train.count}, gates, examples.examples),
            *(checks.missing_feature(name) for name in gone),
            *checks.anomaly_checks(anomalies, unseen),
            *checks.unseen_checks(unseen, gates),
            *checks.moved_checks(
                "data.drift_psi",
                {name: drifted[name] for name in gated if name in drifted},
                gates.drift_psi,
                "between the previous snapshot and train",
            ),
            *checks.moved_checks(
                "data.skew_psi",
                {name: skewed[name] for name in gated if name in skewed},
                gates.skew_psi,
                "between train and test",
            ),
        ]
    )
    facts = {
        name: _facts(
            seen["train"][name], kinds[name], learning, drifted.get(name), skewed.get(name), unseen.get(name, {})
        )
        for name in names
        if name in seen["train"]
    }
    evidence = DataEvidence(
        rows=examples.rows,
        parts={"train": train.count, "test": test.count},
        features=tuple(facts[name] for name in learning.features if name in facts),
        label=facts.get(LABEL),
        anomalies=tuple(anomalies),
        set_aside=examples.examples,
        notices=(*examples.notices, *_notices(columns, kinds, previous, before, test, gated, seen["train"])),
        previous=previous,
        proposal=propose(schema, seen.values(), frozenset(n for n, kind in kinds.items() if kind == "numeric")),
    )
    return Validation(
        statistics=train_statistics.SerializeToString(deterministic=True),
        anomalies=_text(found),
        evidence=evidence,
        verdict=verdict,
    )


def _measured(rows: Manifest, learning: LearningSection, schema: Schema) -> dict[str, Column]:
    """The columns that are measured: the features, and what else the pinned schema sets limits for."""
    limited = [
        name
        for name, column in schema.columns.items()
        if column.domain or not (column.min is None and column.max is None and column.max_missing is None)
    ]
    measured = {}
    for name in [*learning.features, *limited]:
        if name in rows.columns:
            own = Column(type=rows.columns[name], required=False)
            measured[name] = schema.columns.get(name, own)
    return measured


def _statistics(rows: Manifest, kinds: Mapping[str, FeatureKind], runner: str) -> Any:
    if runner and rows.count:
        from components.validate.beam import with_beam

        return with_beam(rows, kinds, runner)
    return statistics.in_memory(rows, kinds)


def _previous_statistics(uri: str) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow_metadata.proto.v0 import statistics_pb2

    result = statistics_pb2.DatasetFeatureStatisticsList()
    try:
        result.ParseFromString(storage.read(uri))
    except DecodeError as cause:
        raise CorruptError("These are not the statistics of a snapshot", where=uri) from cause
    return result


def _moved(
    now: Mapping[str, Distribution], before: Mapping[str, Distribution], name: str
) -> tuple[FeatureDrift, float]:
    return drift(now[name], before[name]), chance_psi(now[name], before[name])


def _unseen(
    columns: Mapping[str, Column],
    kinds: Mapping[str, FeatureKind],
    seen: Mapping[str, Mapping[str, Distribution]],
) -> dict[str, dict[str, float]]:
    """Column → rows → share of its values outside its pinned domain."""
    result: dict[str, dict[str, float]] = {}
    for name, column in columns.items():
        if not column.domain or not (kinds[name] == "categorical" or column.type == "string"):
            continue
        known = frozenset(column.domain)
        for rows, found in seen.items():
            if name in found and found[name].values:
                outside = (share for value, share in found[name].categories.items() if value not in known)
                result.setdefault(name, {})[rows] = min(1.0, sum(outside))
    return result


def _few_unseen(unseen: Mapping[str, Mapping[str, float]], gates: DataGates, known: list[Anomaly]) -> list[Anomaly]:
    """Notices of values outside a domain that are few enough."""
    named = {anomaly.column for anomaly in known if anomaly.kind == pinned.UNSEEN}
    return [
        Anomaly(
            column=name,
            kind=pinned.UNSEEN,
            description=f"In {rows}: {share:.3%} of the values are outside the pinned domain.",
            severity="notice",
        )
        for name, shares in unseen.items()
        for rows, share in shares.items()
        if 1e-9 < share <= gates.unseen and name not in named
    ]


def _notices(
    columns: Mapping[str, Column],
    kinds: Mapping[str, FeatureKind],
    previous: str,
    before: Mapping[str, Distribution],
    test: Manifest,
    gated: list[str],
    now: Mapping[str, Distribution],
) -> list[str]:
    notices = []
    if not previous:
        notices.append("There is no earlier snapshot, so drift was not measured.")
    else:
        new = [name for name in gated if name in now and name not in before]
        if new:
            notices.append(
                f"The earlier snapshot has no statistics of {_listed(new)}, so their drift was not measured."
            )
    if not test.count:
        notices.append("There are no test rows, so skew was not measured.")
    moments = [name for name, kind in kinds.items() if kind == "datetime" and name in now]
    for name in [name for name in moments if name in columns]:
        if columns[name].min is not None or columns[name].max is not None:
            notices.append(f"The bounds of '{name}' were not checked: it holds dates or moments.")
    for name, column in columns.items():
        if kinds[name] == "categorical" and column.type in ("int64", "float64") and not column.domain:
            bounded = column.min is not None or column.max is not None
            if bounded and not pinned.domain_of_numbers(column):
                notices.append(f"The bounds of '{name}' were not checked: it is used as categories.")
    return notices


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _facts(
    found: Distribution,
    kind: FeatureKind,
    learning: LearningSection,
    drifted: tuple[FeatureDrift, float] | None,
    skewed: tuple[FeatureDrift, float] | None,
    unseen: Mapping[str, float],
) -> FeatureFacts:
    return FeatureFacts(
        name=found.name,
        kind=kind,
        rows=found.rows,
        missing=found.missing,
        distinct=found.distinct,
        mean=_finite(found.mean),
        std=_finite(found.std),
        min=_finite(found.min),
        median=_finite(found.median),
        max=_finite(found.max),
        bins=_bins(found, kind, learning),
        unseen=unseen.get("train"),
        drift=drifted[0] if drifted else None,
        skew=skewed[0] if skewed else None,
    )


def _bins(found: Distribution, kind: FeatureKind, learning: LearningSection) -> tuple[Bin, ...]:
    """The bars of a histogram, twenty at most; shares are of the values that are there."""
    if not found.values:
        return ()
    if not found.numeric:
        return _category_bins(found, learning)
    if kind == "boolean":
        true = found.mean or 0.0
        return (Bin(label="false", share=1 - true), Bin(label="true", share=true))
    return tuple(
        Bin(label=f"{_number(low, kind)} – {_number(high, kind)}", share=share, low=_finite(low), high=_finite(high))
        for low, high, share in found.histogram
    )


def _category_bins(found: Distribution, learning: LearningSection) -> tuple[Bin, ...]:
    shares = dict(found.categories)
    if found.name == LABEL and learning.classes:
        shares = {str(learning.classes[int(float(value))]): share for value, share in shares.items()}
    shown = list(shares.items()) if len(shares) <= _MOST_BINS else list(shares.items())[: _MOST_BINS - 1]
    bins = [Bin(label=value, share=share) for value, share in shown]
    rest = 1 - sum(share for _, share in shown)
    if len(shares) > _MOST_BINS:
        bins.append(Bin(label=f"({len(shares) - len(shown)} others)", share=max(0.0, rest)))
    return tuple(bins)


def _finite(value: float | None) -> float | None:
    """Infinite figures are left out: JSON has none."""
    return value if value is not None and math.isfinite(value) else None


def _number(value: float, kind: FeatureKind) -> str:
    if kind == "datetime":
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)
        return moment.strftime("%Y-%m-%d %H:%M")
    return f"{value:.6g}"


def _text(message: Any) -> str:
    from google.protobuf import text_format

    return str(text_format.MessageToString(message))
