"""What the registry holds besides models: the champion pointer, attempts, history, lineage.

::

    <registry>/saiki-registry.json                         marks a folder or bucket prefix as a registry
    <registry>/<task>/attempts/<judgement>.json            every judged experiment, winner or loser
    <registry>/<task>/attempts/<judgement>.<result>-<n>.json   one that may be judged again: superseded, held
    <registry>/<task>/attempts/<judgement>/<files>/        named by the digest of what it holds, and by the record
                                                           (`Attempt.files`): report.html, model-card.md, evidence.json,
                                                           statistics.pb, verdict.json
    <registry>/<task>/attempts/<judgement>/<files>/model/  of a loser, so that its promise can be settled (`ledger.py`)
    <registry>/<task>/attempts/<judgement>/settled/<end>.json   what became of the promise, on rows up to that moment
    <registry>/<task>/versions/<n>/lineage.json            claims the number, written first, create-only
    <registry>/<task>/versions/<n>/samples.json            rows and the scores that it must give to them, served
    <registry>/<task>/versions/<n>/model-card.md           what a stranger should know of it
    <registry>/<task>/versions/<n>/sketches.json           its scores on the rows that judged it, for later traffic
    <registry>/<task>/versions/<n>/saved_model.pb          written last: a server never sees half a model
    <registry>/<task>/history/<n>.json                     every promotion, rollback, hold; before the pointer moves
    <registry>/<task>/champion.json                        the pointer, replaced by compare-and-swap
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from components._shared.contract import Contract
from components._shared.evidence import Estimate
from components._shared.gates import Metric
from components._shared.verdict import Outcome
from components._shared.windows import Window, Windows


class RegistryMarker(Contract):
    """`saiki-registry.json`: this folder or bucket prefix is a registry."""

    format: Literal["saiki/registry/v1"] = "saiki/registry/v1"


class ModelRef(Contract):
    """A version in the registry, as a value that a step can be given."""

    version: int
    uri: str
    digest: str
    fit_until: AwareDatetime | None = None


class Baseline(Contract):
    """What a candidate was judged against; replayed when the same experiment is planned again.

    Attributes:
        previous: URI of the earlier statistics for drift, or empty.
        looks: As one of how many decisions of a quarter this one counted: its share of the false alarms.
    """

    champion: ModelRef | None = None
    reference: ModelRef | None = None
    previous: str = ""
    looks: int = 1


class Champion(Contract):
    """The pointer.

    Attributes:
        history: Number of the history record that this pointer state comes from.
        hold: A rollback's reason: until released, the schedule promotes nothing.
        reference: The pinned reference version that quality must also hold against.
    """

    format: Literal["saiki/champion/v1"] = "saiki/champion/v1"
    version: int
    history: int
    reference: int | None = None
    hold: str = ""


class History(Contract):
    """A change of the pointer, written before it.

    Attributes:
        after: Number of the record behind the pointer that this one moves on from; 0: there was no pointer.
            Following it from the pointer gives the moves that took place; a record off that path lost its race, or its
            writer died.
    """

    format: Literal["saiki/history/v1"] = "saiki/history/v1"
    number: int
    action: Literal["promotion", "rollback", "hold", "release", "pin"]
    version: int
    previous: int | None
    after: int = 0
    who: str
    when: AwareDatetime
    why: str
    judgement: str = ""


class Lineage(Contract):
    """What a version was made from; it claims the version's number."""

    format: Literal["saiki/lineage/v1"] = "saiki/lineage/v1"
    experiment: str
    judgement: str
    model_digest: str
    made_from: dict[str, str]
    code: dict[str, str]
    windows: Windows
    created: AwareDatetime


class Promise(Contract):
    """What a decision says of the future, to be settled when it has come.

    Attributes:
        metric: The task's primary one.
        candidate: Its value on the rows that judged.
        gain: How much better than the champion, positive is better; none: there was no champion, or it was never
            measured beside the one that it replaced.
        constant: The value of the constant competitor.
        tolerated: How much worse than the champion a promoted one was allowed to be.
        worth: By how much a rejected one must have been better to matter.
        window: Of the rows that judged.
        meaning: Digest of the question (`ledger.question_of`): of another one nothing is settled.
        due: The first moment of the cadence as of which a run can settle it; none: it is not to be settled.
        closed: As of later moments no run settles it any more (`ledger.closes`): of a loser, the model is of no use.
    """

    metric: Metric
    candidate: Estimate
    gain: Estimate | None = None
    constant: float | None = None
    tolerated: float = 0.0
    worth: float = 0.0
    rows: int = 0
    clusters: int = 0
    window: Window | None = None
    meaning: str = ""
    due: AwareDatetime | None = None
    closed: AwareDatetime | None = None


TURNED_DOWN = ("rejected", "undecided")
"""Results of a candidate that its verdict kept from being promoted."""


class Attempt(Contract):
    """One judged experiment.

    Attributes:
        experiment: Digest over data, window, features, trainer, parameters, code.
        judgement: Digest over the experiment, the gates, and the code that judges: names the record.
        version: The version made of it, if it won.
        result: What became of it.
        baseline: What it was judged against.
        replaced: The champion whose place it took, if it was promoted: another one than it was judged against, where
            somebody promoted what had been rejected long before.
        promise: What was expected of the model; none: no rows could judge it.
        files: The folder of its report and its other files, below the task's; empty until it is recorded.
    """

    format: Literal["saiki/attempt/v1"] = "saiki/attempt/v1"
    experiment: str
    judgement: str
    task: str
    outcome: Outcome
    result: Literal["promoted", "rejected", "undecided", "superseded", "held", "already_champion", "not_served"]
    reason: str
    version: int | None = None
    baseline: Baseline
    replaced: ModelRef | None = None
    windows: Windows
    model_digest: str
    made_from: dict[str, str]
    created: AwareDatetime
    overridden: str = ""
    promise: Promise | None = None
    files: str = ""


class Pointer(Contract):
    """The state of the champion pointer that `plan` saw, and `push` must find unchanged.

    Attributes:
        task: Name of the task.
        generation: Of `champion.json`; none: there was no champion.
        history: Number of the history record behind the pointer; 0: none.
        hold: Why the schedule promotes nothing, or empty.
        replayed: The experiment was judged before, and its baseline of then stands in for today's.
    """

    task: str
    generation: str | None
    history: int
    hold: str
    replayed: bool


class CacheEpoch(Contract):
    """`<data root>/cache-epoch.json`: garbage collection counts it up, lest a cached step hand on a dead manifest.

    Attributes:
        root: Chance, when the file was made: one that is made anew never repeats the epochs of the one before it.
    """

    format: Literal["saiki/cache-epoch/v1"] = "saiki/cache-epoch/v1"
    epoch: int
    root: str


class KnownRegistry(Contract):
    """`<data root>/registries/<digest>.json`: a registry whose models are made from this data root."""

    format: Literal["saiki/known-registry/v1"] = "saiki/known-registry/v1"
    registry: str
