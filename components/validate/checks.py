"""The checks of the rows against the task's gates: facts in, a verdict out."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from components._shared.evidence import Anomaly, FeatureDrift
from components._shared.gates import DataGates
from components._shared.manifest import Example, Rows
from components._shared.verdict import Check, Outcome, Verdict, merge
from components.validate.pinned import UNSEEN


def row_checks(rows: Rows, parts: Mapping[str, int], gates: DataGates, examples: Sequence[Example] = ()) -> list[Check]:
    """Where the rows went: enough kept, few enough set aside.

    Args:
        rows: How many went where.
        parts: Rows of each part.
        gates: The limits.
        examples: Some of the rows that were set aside, to name one.
    """
    first = {example.reason: example for example in reversed(examples)}
    looked_at = rows.read - rows.out_of_window - rows.malformed
    mature = rows.kept + rows.label_missing
    checks = [
        Check(
            name="data.min_rows",
            observed=rows.kept,
            limit=f"at least {gates.min_rows:,}",
            outcome="passed" if rows.kept >= gates.min_rows else "failed",
            reason=f"{rows.kept:,} rows were kept.",
        ),
        _share(
            "data.malformed",
            rows.malformed,
            rows.read,
            gates.malformed,
            "rows read could not be used",
            first.get("malformed"),
        ),
        _share(
            "data.label_missing",
            rows.label_missing,
            mature,
            gates.label_missing,
            "rows old enough for a label have none",
            first.get("label_missing"),
        ),
        _share(
            "data.duplicates",
            rows.duplicate,
            looked_at,
            gates.duplicates,
            "rows have a key that was seen before",
            first.get("duplicate"),
        ),
    ]
    if not parts.get("train"):
        checks.append(
            Check(
                name="data.min_rows",
                slice="part=train",
                observed=0,
                limit="at least 1",
                outcome="failed",
                reason="There is no row to train on.",
            )
        )
    return checks


def _share(name: str, part: int, whole: int, limit: float, what: str, example: Example | None) -> Check:
    observed = part / whole if whole else 0.0
    named = ""
    if example is not None and part:
        named = f", such as row {example.row} of {example.source.rsplit('/', 1)[-1]}"
        named += f": {example.detail}" if example.reason == "malformed" else ""
    return Check(
        name=name,
        observed=observed,
        limit=f"at most {limit:.4g}",
        outcome="passed" if observed <= limit else "failed",
        reason=f"{part:,} of {whole:,} {what} ({observed:.3%}, at most {limit:.3%} is allowed){named}.",
    )


def missing_feature(name: str) -> Check:
    """A feature that the rows do not have."""
    return Check(
        name="data.schema",
        slice=f"feature={name}",
        limit="is there",
        outcome="failed",
        reason=f"The rows have no column '{name}', which is a feature of the task.",
    )


def unseen_checks(unseen: Mapping[str, Mapping[str, float]], gates: DataGates) -> list[Check]:
    """Values outside pinned domains: column → rows (`train`, `test`) → share."""
    checks = []
    for name, shares in unseen.items():
        worst = max(shares, key=lambda rows: shares[rows])
        told = ", ".join(f"{share:.2%} of them in {rows}" for rows, share in shares.items())
        checks.append(
            Check(
                name="data.unseen",
                slice=f"feature={name}",
                observed=shares[worst],
                limit=f"at most {gates.unseen:.4g}",
                outcome="passed" if shares[worst] <= gates.unseen else "failed",
                reason=f"Values of '{name}' outside its pinned domain: {told}.",
            )
        )
    return checks


def anomaly_checks(anomalies: Iterable[Anomaly], with_domain: Container[str]) -> list[Check]:
    """One check for each error, or one that says that there is none.

    Args:
        anomalies: All of them.
        with_domain: Columns whose values outside the pinned domain have their own gate.
    """
    failed = [
        Check(
            name="data.anomalies",
            slice=f"feature={anomaly.column}" if anomaly.column else "",
            limit="within the pinned schema",
            outcome="failed",
            reason=f"'{anomaly.column}': {anomaly.description}" if anomaly.column else anomaly.description,
        )
        for anomaly in anomalies
        if anomaly.severity == "error" and not (anomaly.kind == UNSEEN and anomaly.column in with_domain)
    ]
    return failed or [
        Check(
            name="data.anomalies",
            observed=0,
            limit="within the pinned schema",
            outcome="passed",
            reason="The columns keep to the pinned schema.",
        )
    ]


def moved_checks(
    name: str, moved: Mapping[str, tuple[FeatureDrift, float]], limit: float | None, between: str
) -> list[Check]:
    """Features whose distribution moved.

    Args:
        name: `data.drift_psi` or `data.skew_psi`.
        moved: Feature → how far, and what PSI may reach by chance.
        limit: None: reported only.
        between: In words, such as `between the previous snapshot and train`.
    """
    checks = []
    for feature, (found, chance) in moved.items():
        outcome: Outcome = "passed"
        reason = f"The values of '{feature}' moved by a PSI of {found.psi:.3f} {between} (KS {found.ks:.3f})."
        if limit is not None and found.psi > limit:
            if found.psi > chance:
                outcome = "failed"
            else:
                reason += f" With so few rows chance alone can bring it to {chance:.2f}, so it does not count."
        checks.append(
            Check(
                name=name,
                slice=f"feature={feature}",
                observed=found.psi,
                limit="reported only" if limit is None else f"at most {limit:.4g}",
                outcome=outcome,
                reason=reason,
            )
        )
    return checks


def verdict_of(checks: Iterable[Check]) -> Verdict:
    """The verdict on the data."""
    found = tuple(checks)
    outcome = merge(check.outcome for check in found)
    failed = [check for check in found if check.outcome == "failed"]
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        summary = f"The data do not hold {len(failed)} of {len(found)} limits: {failed[0].reason}{more}"
    else:
        summary = f"The data hold all {len(found)} limits."
    return Verdict(subject="data", outcome=outcome, checks=found, summary=summary)
