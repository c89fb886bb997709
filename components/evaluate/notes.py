"""What the gates have to know besides the figures."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Notes:
    """What the evidence does not hold.

    Attributes:
        broken: Model → rows whose score is not a finite number.
        unfair: Model → why it may have learnt from the rows that judge.
        reference_rows, reference_clusters: Those that are fair to the reference too; none without a reference.
    """

    broken: dict[str, int]
    unfair: dict[str, str] = field(default_factory=dict)
    reference_rows: int | None = None
    reference_clusters: int | None = None
