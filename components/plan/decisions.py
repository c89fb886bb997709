"""Decisions of the past whose promises this run can settle: their labels have matured since.

A pure function of the attempts, of the champion that the run is judged against, and of its windows. Until its book is
closed, what has been settled already is settled again, to the same result: so a run that is repeated finds every step
in the cache, and one that was killed loses nothing.

A run settles a few decisions only: those of which a block became whole most recently. With nightly runs these are not
the newest ones, which nothing is known of, but those of 30, 60 and 90 days ago (for blocks of 30 days), so that each
is settled after each of its blocks, however many there are.

Where several candidates are judged each night, there are not places enough for all. Half of them, or as many as a
decision has blocks, are for promotions, so that what was turned down beside one never keeps it from being settled; the
others are for rejections, so that promotions of long ago do not keep those from it. What the one leave, the others get.

Where the task asks something else since (its label, its population …), there is nothing to settle: such decisions get
the places that nobody else wants, so that the report says why.
"""

from __future__ import annotations

from collections.abc import Mapping

from components._shared.ledger import Decision, Decisions, blocks_to_settle, decision_of, question_of
from components._shared.records import TURNED_DOWN, Attempt, ModelRef
from components._shared.registry import Registry
from components._shared.task import EvaluationSection
from components._shared.windows import Windows

_LONGEST = 300
"""Characters of a sentence that a decision hands on: all of them together are one parameter."""


def decisions_to_settle(
    models: Registry,
    attempts: Mapping[str, Attempt],
    champion: ModelRef | None,
    gates: EvaluationSection,
    windows: Windows,
) -> Decisions:
    """Promotions and rejections of which a block of labelled rows became whole most recently, the newest first.

    Args:
        models: Knows where a model lies.
        attempts: Name of the record → attempt, by time.
        champion: What this run's candidate is judged against.
        gates: Says what is asked, how long a block is, and how many decisions a run settles.
        windows: Of this run.
    """
    last: dict[str, tuple[str, Attempt]] = {}
    for name, attempt in attempts.items():
        if attempt.result in ("promoted", *TURNED_DOWN) and attempt.promise is not None:
            # Promoted by an override after it was rejected: the later decision counts.
            last[attempt.judgement] = (name, attempt)
    ripe = []
    for name, attempt in last.values():
        blocks = blocks_to_settle(attempt.windows.as_of, gates, windows)
        if blocks:
            ripe.append((blocks[max(blocks)].end, attempt.windows.as_of, attempt.created, name, attempt))
    ripe.sort(key=lambda each: each[:4], reverse=True)
    same = [each for each in ripe if _asks_the_same(each[-1], gates)]
    others = [each for each in ripe if not _asks_the_same(each[-1], gates)]
    promoted = [each for each in same if each[-1].result == "promoted"]
    rejected = [each for each in same if each[-1].result in TURNED_DOWN]
    places = gates.promises.decisions
    first = max(gates.promises.blocks, places // 2)
    found: list[Decision] = []
    # Of a run on a sample of the rows no rejected model is kept: it takes no place.
    for *_, name, attempt in [*promoted[:first], *rejected, *promoted[first:], *others]:
        decision = _decision(models, name, attempt, champion) if len(found) < places else None
        found += [decision] if decision is not None else []
    found.sort(key=lambda decision: decision.as_of, reverse=True)
    return Decisions(decisions=tuple(found))


def _asks_the_same(attempt: Attempt, gates: EvaluationSection) -> bool:
    promise = attempt.promise
    return promise is not None and promise.meaning == question_of(promise.metric, gates)


def _decision(models: Registry, name: str, attempt: Attempt, champion: ModelRef | None) -> Decision | None:
    """None: its model is not there any more. Of one that cannot be read, `settle` says why, and of no other."""
    candidate = models.attempted_model(attempt)
    if candidate is None or attempt.promise is None:
        return None
    current = champion is not None and candidate.version == champion.version
    decision = decision_of(name, attempt, attempt.promise, candidate, current=current)
    return decision.model_copy(update={"why": _short(decision.why), "overridden": _short(decision.overridden)})


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
