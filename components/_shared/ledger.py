"""The ledger: every decision is a promise, and what came of it stands beside it.

::

    <registry>/<task>/attempts/<judgement>.json               holds the promise (`Attempt.promise`)
    <registry>/<task>/attempts/<judgement>/model/             the model of a loser, so that it can be scored later
    <registry>/<task>/attempts/<judgement>/settled/<n>.json   what came true in n blocks of later rows
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from components._shared.contract import Contract
from components._shared.evidence import Figures
from components._shared.gates import Metric
from components._shared.records import ModelRef, Promise
from components._shared.windows import Window

Outcome = Literal["kept", "short", "broken", "missed", "cannot_tell"]
"""What became of a promise.

- `kept`: what came true is as good as was promised, or it was right to keep the champion.
- `short`: the gain is clearly less than promised, but the model is not clearly worse.
- `broken`: the promoted model is clearly worse than the one that it replaced, or than a constant.
- `missed`: the rejected model would clearly have been better.
- `cannot_tell`: too few rows, or the interval is too wide to say.
"""


class Decision(Contract):
    """A decision of the past that can be settled.

    Attributes:
        judgement: Names the attempt.
        as_of: Rows from then on were not looked at when it was made.
        why: The sentence that it was decided by.
        candidate: The model that was judged; of a loser `version` is 0.
        champion: What it was compared with.
    """

    judgement: str
    result: Literal["promoted", "rejected"]
    as_of: AwareDatetime
    why: str
    candidate: ModelRef
    champion: ModelRef | None = None
    promise: Promise


class Block(Contract):
    """Rows that came after a decision, and how the models did on them.

    Attributes:
        metrics: Candidate, champion, their difference and the constant, with intervals.
    """

    window: Window
    rows: int
    clusters: int
    metrics: dict[Metric, Figures] = {}


class Settlement(Contract):
    """A promise beside its outcome.

    Attributes:
        blocks: One after the other since the decision, none overlapping.
        whole: All of them together.
        proposal: What to do now, as a command, or empty.
        settled_as_of: Of the run that settled it.
    """

    format: Literal["saiki/settlement/v1"] = "saiki/settlement/v1"
    decision: Decision
    blocks: tuple[Block, ...]
    whole: Block
    outcome: Outcome
    reason: str
    proposal: str = ""
    settled_as_of: AwareDatetime


class Settlements(Contract):
    """What a run settled; the newest decision first."""

    format: Literal["saiki/settlements/v1"] = "saiki/settlements/v1"
    settlements: tuple[Settlement, ...] = ()


class Decisions(Contract):
    """What a run can settle; the newest first."""

    format: Literal["saiki/decisions/v1"] = "saiki/decisions/v1"
    decisions: tuple[Decision, ...] = ()
