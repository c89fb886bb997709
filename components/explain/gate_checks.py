"""The limits on what a model has learned, held against what it has."""

from __future__ import annotations

from components._shared.explanation import Explanation, FeatureImportance
from components._shared.gates import ExplanationGates
from components._shared.verdict import Check, Outcome, Verdict, merge
from components.explain.importance import surely_matters

FEWEST_ROWS = 30
_SHOWN = 3


def judge(explanation: Explanation, gates: ExplanationGates, unanswered: str = "") -> Verdict:
    """The verdict on what a model has learned; with no gates declared it passes.

    Args:
        explanation: What it has learned.
        gates: The limits.
        unanswered: Why it did not answer the rows with values replaced, in sentences; empty: it did.
    """
    if not unanswered and explanation.rows < FEWEST_ROWS:
        unanswered = f"There are {explanation.rows} labelled rows, too few to say what matters to the model."
    checks = tuple(_checks(explanation, gates, unanswered))
    failed = [check.reason for check in checks if check.outcome == "failed"]
    unsure = [check.reason for check in checks if check.outcome == "cannot_judge"]
    return Verdict(
        subject="explanation",
        outcome=merge(check.outcome for check in checks),
        checks=checks,
        summary=(failed or unsure or [unanswered or _what_matters(explanation)])[0],
    )


def _checks(explanation: Explanation, gates: ExplanationGates, unanswered: str) -> list[Check]:
    wanted = [
        *([("largest_share", "")] if gates.largest_share is not None else []),
        *(("must_matter", name) for name in gates.must_matter),
        *(("must_not_matter", name) for name in gates.must_not_matter),
    ]
    if unanswered:
        names = [".".join(filter(None, ["explanation", *gate])) for gate in wanted]
        return [Check(name=name, outcome="cannot_judge", reason=unanswered) for name in names]
    table = {found.feature: found for found in explanation.importances}
    checks = []
    for gate, name in wanted:
        match gate:
            case "largest_share":
                checks.append(_largest_share(explanation, gates.largest_share or 1.0))
            case "must_matter":
                checks.append(_must_matter(table[name]))
            case _:
                checks.append(_must_not_matter(table[name], gates.negligible))
    return checks


def _largest_share(explanation: Explanation, limit: float) -> Check:
    largest = max(explanation.importances, key=lambda found: found.share)
    said = f"'{largest.feature}' has {_percent(largest.share)} of all importance"
    outcome: Outcome = "passed"
    if largest.share <= limit:
        reason = f"{said}, the most of all features."
    elif surely_matters(largest.importance) is False:
        reason = f"{said}, but no feature matters beyond doubt, so this is no sign of a leak."
    else:
        outcome = "failed"
        reason = (
            f"{said}: when one feature decides nearly alone, look whether it is known before the prediction is asked "
            "for, or holds the label itself."
        )
    return Check(
        name="explanation.largest_share",
        observed=largest.share,
        interval=largest.share_interval,
        limit=f"at most {limit:g}",
        outcome=outcome,
        reason=reason,
    )


def _must_matter(found: FeatureImportance) -> Check:
    surely = surely_matters(found.importance)
    said = f"Shuffling '{found.feature}' makes the loss grow by {found.importance.value:.3g}"
    outcome: Outcome = "passed"
    if surely is None:
        outcome, reason = "cannot_judge", f"{said}; there are too few clusters for an interval."
    elif surely:
        reason = f"{said}, and the interval lies above zero."
    else:
        outcome = "failed"
        reason = f"{said}, but the interval does not lie above zero: the model does not use what it must."
    return Check(
        name=f"explanation.must_matter.{found.feature}",
        observed=found.importance.value,
        interval=found.importance.interval,
        limit="above 0 beyond doubt",
        outcome=outcome,
        reason=reason,
    )


def _must_not_matter(found: FeatureImportance, negligible: float) -> Check:
    said = f"'{found.feature}' has {_percent(found.share)} of all importance"
    surely = surely_matters(found.importance)
    outcome: Outcome = "passed"
    if found.share < negligible:
        reason = f"{said}: next to nothing."
    elif surely is None:
        outcome, reason = "cannot_judge", f"{said}; there are too few clusters to say whether that is chance."
    elif surely:
        outcome = "failed"
        reason = f"{said}, and its importance is above zero beyond doubt: the model uses what it must not."
    else:
        reason = f"{said}, but the interval of its importance holds zero: nothing says that it matters."
    return Check(
        name=f"explanation.must_not_matter.{found.feature}",
        observed=found.share,
        interval=found.share_interval,
        limit=f"below {negligible:g}",
        outcome=outcome,
        reason=reason,
    )


def _what_matters(explanation: Explanation) -> str:
    """The three most important features, in a sentence."""
    top = [found for found in explanation.importances[:_SHOWN] if found.share > 0]
    if not top:
        return "Shuffling no feature makes the model worse: it has learned nothing from them."
    named = ", ".join(f"{found.feature} ({_percent(found.share)} of all importance)" for found in top)
    return f"What matters most to the model: {named}; asked for {explanation.rows:,} rows."


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
