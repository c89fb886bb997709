"""Which columns are features, and which are left out and why."""

from __future__ import annotations

import math

from components._shared.errors import DataError
from components._shared.task import FeatureKind
from pipelines.proposal.contents import ID_NAME, STEADY_PSI, Asker, FeatureChoice, Proposal, quoted, sql_name
from pipelines.proposal.label import MOST_CLASSES, Label
from pipelines.proposal.label_strength import Sample, movement, strength
from pipelines.proposal.rows import counts_rows
from pipelines.proposal.table_profile import ColumnProfile, Table

LEAK = 0.95
_MOST_CATEGORIES = 1000
_SLICE_VALUES = (2, 20)
_MOST_SLICES = 3


def choose_features(table: Table, label: Label, proposal: Proposal, sample: Sample, ask: Asker) -> None:
    """Sets features, slices, and what is left out.

    Raises:
        DataError: Nothing is left to predict from.
    """
    for column in table.columns.values():
        if column.name in proposal.label_columns or column.name in proposal.left_out or column.name == proposal.time:
            continue
        reason = _no_feature(column, proposal)
        if reason:
            proposal.left_out[column.name] = reason
            continue
        proposal.features.append(_feature(table, label, column, proposal, sample, ask))
    for name in sorted(proposal.label_columns):
        proposal.left_out[name] = "the label is made of it"
    if proposal.time in table.columns:
        proposal.left_out[proposal.time] = (
            "the moment itself; what returns with it is a column to derive, such as "
            f"dayname({sql_name(proposal.time)}) or hour({sql_name(proposal.time)})"
        )
    proposal.left_out.update(
        {name: reason for name, reason in table.unusable.items() if not name.startswith("_unnamed_")}
    )
    if not any(feature.available == "before" for feature in proposal.features):
        raise DataError(
            "No column is left to predict from: "
            + "; ".join(f"{name}: {reason}" for name, reason in proposal.left_out.items()),
            fix="add columns that are known before the prediction",
        )
    used = {feature.name for feature in proposal.features if feature.available == "before"}
    low, high = _SLICE_VALUES
    slices = [
        c
        for c in table.columns.values()
        if c.name in used and c.type in ("string", "bool") and low <= c.distinct <= high
    ]
    proposal.slices = tuple(c.name for c in slices[:_MOST_SLICES])


def _no_feature(column: ColumnProfile, proposal: Proposal) -> str:
    present = column.rows - column.missing
    if column.is_constant:
        return "always the same" if column.distinct else "always missing"
    if proposal.key == (column.name,):
        return "identifies the row"
    if column.written_as:
        return f"dates as text: derive a column, such as strptime({sql_name(column.name)}, '{column.written_as[0]}')"
    if column.type == "string" and (column.distinct > _MOST_CATEGORIES or column.distinct > max(50, present / 2)):
        return f"{column.distinct} different texts: free text or an identifier"
    if column.type == "int64" and counts_rows(column):
        return "counts the rows"
    if ID_NAME.search(column.name) and column.distinct > MOST_CLASSES:
        if not proposal.cluster and column.distinct < 0.9 * present:
            proposal.cluster = column.name
            proposal.notes["cluster"] = "rows that share it are not independent of each other"
        return f"an identifier, by its name ({column.distinct} different values)"
    return ""


def _feature(
    table: Table, label: Label, column: ColumnProfile, proposal: Proposal, sample: Sample, ask: Asker
) -> FeatureChoice:
    kinds: dict[str, FeatureKind] = {
        "bool": "boolean",
        "string": "categorical",
        "date": "datetime",
        "timestamp": "datetime",
    }
    kind = kinds.get(column.type, "numeric")
    suspicion = _suspicion(table, label, column, proposal, sample)
    if suspicion:
        known = ask.confirm(f"{column.name}: {suspicion}. Is its value known before the prediction?")
        return FeatureChoice(column.name, kind, "before" if known else "unknown", suspicion)
    new = movement(sample, column.name, proposal.test_days)[1] if proposal.time else 0.0
    if new > 0.5:
        note = f"it moves with time: {new:.0%} of the test rows have values that were all but unknown before"
        return FeatureChoice(column.name, kind, "unknown", note)
    notes = [f"{column.missing_share:.0%} missing"] if column.missing_share >= 0.005 else []
    if column.unparsed:
        notes.append(f"{column.unparsed} values are no {column.type}: their rows are set aside")
    return FeatureChoice(column.name, kind, "before", "; ".join(notes))


def _suspicion(table: Table, label: Label, column: ColumnProfile, proposal: Proposal, sample: Sample) -> str:
    """Why a column may be known only after the label."""
    if label.missing >= 10 and column.missing:
        both = table.query(f"SELECT count(*) FROM typed WHERE {quoted(column.name)} IS NULL AND {label.sql} IS NULL")[
            0
        ][0]
        if both > 0.8 * label.missing and both > 0.8 * column.missing:
            return "it is missing where the label is"
    found = strength(sample, column.name, proposal.problem)
    if found > LEAK:
        measure = {"binary_classification": "AUC", "multiclass_classification": "accuracy beyond chance"}
        return f"it alone predicts the label ({measure.get(proposal.problem, 'explained variance')} {found:.3f})"
    return ""


def limit_drift(proposal: Proposal, sample: Sample) -> None:
    """A limit on PSI that chance alone does not reach, nor what moves anyway."""
    noise = sample.noise(
        [feature.name for feature in proposal.features if feature.available == "before"], proposal.test
    )
    worst = 0.0
    if proposal.time:
        used = [feature.name for feature in proposal.features if feature.available == "before"]
        moving = {name: movement(sample, name, proposal.test_days)[0] for name in used}
        worst = max(moving.values(), default=0.0)
        named = [f"{name} ({psi:.2f})" for name, psi in moving.items() if psi > STEADY_PSI]
        if named:
            proposal.notes["psi"] = f"move in this data already: {', '.join(named)}"
    limit = max(STEADY_PSI, worst * 1.5, STEADY_PSI * (noise > 0.1) + 2 * noise * (noise > 0.1))
    if limit > 2:
        proposal.psi = None
        reason = proposal.notes.get("psi", "too few rows to tell drift from chance")
        proposal.notes["psi"] = f"{reason}: reported, not judged"
    elif limit > STEADY_PSI:
        proposal.psi = math.ceil(limit * 20) / 20
        proposal.notes.setdefault("psi", "with few rows or many categories, chance alone makes it large")
