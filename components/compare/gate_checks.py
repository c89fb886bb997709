"""The gates on the difference, looked at: only figures that stand in the evidence are used."""

from __future__ import annotations

from components._shared.comparison import Comparison
from components._shared.evidence import Estimate
from components._shared.task import EvaluationSection
from components._shared.verdict import Check, Outcome, Verdict, merge
from components.compare.wording import extent, observed_and_limit

_LEAST = {"rank_agreement"}


def judge(comparison: Comparison, section: EvaluationSection) -> Verdict:
    """Holds the difference to the task's limits.

    Args:
        comparison: The figures.
        section: The gates.

    Returns:
        The verdict on `difference`. Without a champion there is nothing to hold to a limit, and it is passed.
    """
    if not comparison.champion:
        summary = "There is no champion to compare with."
        return Verdict(subject="difference", outcome="passed", checks=(), summary=summary)
    gates = section.difference
    limits = {
        "flipped": gates.flipped,
        "psi": gates.psi,
        "ks": gates.ks,
        "mean": gates.mean,
        "rank_agreement": gates.rank_agreement,
    }
    checks = tuple(_check(name, limit, comparison, section) for name, limit in limits.items() if limit is not None)
    failed = [check.reason for check in checks if check.outcome != "passed"]
    summary = " ".join(failed) if failed else comparison.story
    return Verdict(
        subject="difference", outcome=merge(check.outcome for check in checks), checks=checks, summary=summary
    )


def _check(name: str, limit: float, comparison: Comparison, section: EvaluationSection) -> Check:
    found, output = _observed(name, comparison)
    of = f" of {output}" if output and len(comparison.outputs) > 1 else ""
    least = name in _LEAST
    shown, allowed = observed_and_limit(limit if found is None else found.value, limit, share=name == "flipped")
    words = f"{'at least' if least else 'at most'} {allowed}"
    if found is None:
        reason = _UNKNOWN[name] if comparison.rows else "There are no rows to compare."
        return Check(name=f"difference.{name}", limit=words, outcome="cannot_judge", reason=reason)
    held = found.value >= limit if least else found.value <= limit
    outcome: Outcome = "passed" if held else "failed"
    reason = f"{_WHAT[name].format(shown=shown, of=of)} over {extent(comparison, section)}; the task allows {words}."
    return Check(
        name=f"difference.{name}",
        observed=found.value,
        interval=found.interval,
        limit=words,
        outcome=outcome,
        reason=reason,
    )


_WHAT = {
    "flipped": "{shown} of the rows are decided otherwise than by the champion",
    "psi": "The distribution{of} of the scores moved by a stability index of {shown}",
    "ks": "The distribution{of} of the scores lies up to {shown} from the champion's (Kolmogorov-Smirnov)",
    "mean": "The mean score{of} moved by {shown}",
    "rank_agreement": "The two models rank the rows{of} with a correlation of {shown}",
}

_UNKNOWN = {
    "flipped": "Nothing is decided by a score here: declare decision.threshold in the task file, or take the gate out.",
    "rank_agreement": "One of the models gives every row the same score, so that there is no order to compare.",
}


def _observed(name: str, comparison: Comparison) -> tuple[Estimate | None, str]:
    """The figure that a gate looks at, and the output that it is of: the one that differs most."""
    if name == "flipped":
        return comparison.flipped, ""
    found: list[tuple[Estimate, str]] = []
    for output in comparison.outputs:
        match name:
            case "psi" | "ks":
                found.append((Estimate(value=output.psi if name == "psi" else output.ks), output.name))
            case "mean":
                found.append((_size(output.mean), output.name))
            case _:
                if output.rank_agreement is None:
                    return None, output.name
                found.append((output.rank_agreement, output.name))
    if not found:
        return None, ""
    worst = min if name in _LEAST else max
    return worst(found, key=lambda one: one[0].value)


def _size(found: Estimate) -> Estimate:
    """The absolute value of a figure, and what it may be."""
    if found.interval is None:
        return Estimate(value=abs(found.value))
    low, high = sorted(abs(bound) for bound in found.interval)
    straddles = found.interval[0] <= 0 <= found.interval[1]
    return Estimate(value=abs(found.value), interval=(0.0 if straddles else low, high))
