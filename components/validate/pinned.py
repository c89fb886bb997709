"""The pinned schema in the words of TensorFlow Metadata, and what TFDV finds against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from components._shared.evidence import Anomaly

if TYPE_CHECKING:
    from components._shared.task import Column, FeatureKind
    from components.validate.distributions import Distribution

UNSEEN = "enum_type_unexpected_string_values"
"""TFDV's name of values outside the domain; the limit on their share is `data.unseen`."""

_LARGEST_DOMAIN_OF_NUMBERS = 1000


def metadata_schema(columns: Mapping[str, Column], kinds: Mapping[str, FeatureKind], unseen: float) -> Any:
    """A `schema_pb2.Schema` for the measured columns.

    Args:
        columns: Column → what the pinned schema says of it (of derived columns the type).
        kinds: Column → kind under which it is measured.
        unseen: Share of values that may lie outside a domain.
    """
    from tensorflow_metadata.proto.v0 import schema_pb2

    result = schema_pb2.Schema()
    for name, pinned in columns.items():
        feature = result.feature.add(name=name)
        as_text = kinds[name] == "categorical" or pinned.type == "string"
        if as_text:
            feature.type = schema_pb2.BYTES
        elif pinned.type == "float64" and kinds[name] == "numeric":
            feature.type = schema_pb2.FLOAT
        else:
            feature.type = schema_pb2.INT
        if pinned.required:
            feature.presence.min_count = 1
        if pinned.max_missing is not None:
            feature.presence.min_fraction = 1 - pinned.max_missing
        if as_text:
            domain, share = (pinned.domain, 1 - unseen) if pinned.domain else (domain_of_numbers(pinned), 1.0)
            if domain:
                feature.string_domain.value.extend(domain)
                feature.distribution_constraints.min_domain_mass = share
        elif kinds[name] == "numeric":
            limits = feature.float_domain if feature.type == schema_pb2.FLOAT else feature.int_domain
            _set_bounds(limits, pinned, whole=feature.type == schema_pb2.INT)
    return result


def domain_of_numbers(column: Column) -> tuple[str, ...]:
    """The whole numbers between the bounds of a column that is measured as categories; empty if they are too many."""
    if column.type != "int64" or column.min is None or column.max is None:
        return ()
    low, high = round(column.min), round(column.max)
    return tuple(str(value) for value in range(low, high + 1)) if high - low < _LARGEST_DOMAIN_OF_NUMBERS else ()


def _set_bounds(limits: Any, column: Column, *, whole: bool) -> None:
    import math

    if column.min is not None:
        limits.min = math.ceil(column.min) if whole else column.min
    if column.max is not None:
        limits.max = math.floor(column.max) if whole else column.max


def anomalies(
    found: Any, columns: Mapping[str, Column], seen: Mapping[str, Distribution], *, rows: str
) -> tuple[Anomaly, ...]:
    """TFDV's anomalies as ours, sorted by column.

    Args:
        found: An `anomalies_pb2.Anomalies`.
        columns: Column → what the pinned schema says of it.
        seen: Column → distribution.
        rows: Which rows, for the description: `train` or `test`.
    """
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    info = anomalies_pb2.AnomalyInfo
    named = [(value.path.step[0] if value.path.step else key, value) for key, value in found.anomaly_info.items()]
    if found.HasField("dataset_anomaly_info"):
        named.append(("", found.dataset_anomaly_info))
    result = []
    for column, value in named:
        for reason in value.reason:
            kind = info.Type.Name(reason.type).lower()
            text = reason.description or reason.short_description or value.description
            if column in columns and column in seen:
                text = _in_plain_words(kind, columns[column], seen[column]) or text
            severity: Literal["error", "notice"] = "error" if value.severity == info.ERROR else "notice"
            result.append(
                Anomaly(column=column, kind=kind, description=f"In {rows}: {text.strip()}", severity=severity)
            )
    return tuple(sorted(result, key=lambda anomaly: (anomaly.column, anomaly.kind)))


def _in_plain_words(kind: str, column: Column, seen: Distribution) -> str:
    """What TFDV means, with the figures; empty: its own words do."""
    if not seen.values:
        return "no row has a value."
    if "_big_" in kind and column.max is not None and seen.max is not None:
        return f"the largest value is {seen.max:g}, above the pinned {column.max:g}."
    if "_small_" in kind and column.min is not None and seen.min is not None:
        return f"the smallest value is {seen.min:g}, below the pinned {column.min:g}."
    if "low_fraction_present" in kind and column.max_missing is not None:
        return f"{seen.missing:.2%} of the rows have no value, more than the pinned {column.max_missing:.2%}."
    return ""
