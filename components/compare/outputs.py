"""What the Kubeflow UI shows of a comparison."""

from __future__ import annotations

import json
from pathlib import Path

from components._shared.comparison import Comparison
from components._shared.markdown import table
from components._shared.verdict import Verdict
from components._shared.wording import estimate, number
from components.compare.wording import percent_estimate

_DIGITS = 6
_MOST_SLICES = 10


def scalars_of(comparison: Comparison) -> dict[str, float]:
    """The figures that one looks for first; of several outputs those that differ most."""
    found = {"rows": float(comparison.rows)}
    if not comparison.outputs:
        return found
    found["mean_difference"] = max((output.mean.value for output in comparison.outputs), key=abs)
    found["mean_absolute_difference"] = max(output.absolute.value for output in comparison.outputs)
    found["psi"] = max(output.psi for output in comparison.outputs)
    found["ks"] = max(output.ks for output in comparison.outputs)
    agreements = [output.rank_agreement.value for output in comparison.outputs if output.rank_agreement]
    if agreements:
        found["rank_agreement"] = min(agreements)
    if comparison.flipped is not None:
        found["flipped"] = comparison.flipped.value
    return {name: float(f"{value:.{_DIGITS}g}") for name, value in found.items()}


def markdown(comparison: Comparison, verdict: Verdict) -> str:
    """The verdict, the figures of each output, the flips and the slices that differ most."""
    parts = [verdict.to_markdown()]
    if comparison.outputs:
        parts.append(
            table(
                ("output", "mean difference", "mean size", "PSI", "KS", "rank agreement"),
                [
                    (
                        output.name,
                        estimate(output.mean),
                        estimate(output.absolute),
                        number(output.psi),
                        number(output.ks),
                        estimate(output.rank_agreement) if output.rank_agreement else "",
                    )
                    for output in comparison.outputs
                ],
            )
        )
    if comparison.flips:
        parts.append(
            table(
                ("decided by the champion", "by the candidate", "rows", "share", "candidate right"),
                [
                    (
                        flip.before,
                        flip.after,
                        f"{flip.rows:,}",
                        percent_estimate(flip.share),
                        percent_estimate(flip.right) if flip.right else "",
                    )
                    for flip in comparison.flips
                ],
            )
        )
        if comparison.ways > len(comparison.flips):
            parts.append(f"These are the {len(comparison.flips)} most frequent of {comparison.ways:,} ways.")
    if comparison.slices:
        parts.append(
            table(
                ("slice", "rows", "mean difference", "share of the difference", "otherwise than the rest"),
                [
                    (
                        f"{one.column} = {one.value}",
                        f"{one.rows:,}",
                        estimate(one.mean),
                        f"{100 * one.share_of_difference:.1f} %",
                        "yes" if one.surprising else "",
                    )
                    for one in comparison.slices[:_MOST_SLICES]
                ],
            )
        )
    return "\n\n".join(parts) + "\n"


def write_scalars(path: Path, scalars: dict[str, float]) -> None:
    """The metrics as a file: a step that leaves an output without one is never a cache hit."""
    path.write_text(json.dumps(scalars), encoding="utf-8")
