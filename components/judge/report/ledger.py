"""The page of the ledger: every decision that could be settled, its promise beside its outcome."""

from __future__ import annotations

from collections.abc import Sequence

from components._shared.ledger import Decision, Settlement
from components.judge.report.afterwards import OUTCOMES, RESULTS, afterwards
from components.judge.report.document import document
from components.judge.report.wording import moment, shorten


def render_ledger(
    task: str,
    settlements: Sequence[Settlement],
    unsettled: Sequence[Decision] = (),
    *,
    timezone: str = "UTC",
    notice: str = "",
) -> str:
    """One self-contained page; the same records give the same bytes.

    Args:
        task: Name of the task.
        settlements: The latest of each decision, in the order in which they are to be shown.
        unsettled: Decisions of which nothing is known yet.
        timezone: Of the task, in which days are written.
        notice: What else is to be said of the champion, or empty.
    """
    shown = [afterwards(one, timezone) for one in settlements]
    counted = [one.outcome for one in settlements]
    return document(
        "ledger.html.jinja",
        title=f"Ledger of {task}",
        task=shorten(task, 80),
        shown=shown,
        counts=[(role, f"{name}: {counted.count(key)}") for key, (name, role, _) in OUTCOMES.items() if key in counted],
        unsettled=[
            (moment(one.as_of, timezone), RESULTS[one.result], shorten(one.why, 600), shorten(one.record))
            for one in unsettled
        ],
        timezone=timezone,
        notice=notice,
    )
