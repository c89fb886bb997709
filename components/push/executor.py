"""The one step that changes the world: records the attempt, writes the version, moves the champion pointer.

::

    settlements of earlier decisions ────────────▶ those that are not there yet, each for ever, unless the rows of this
                                                   run are not what was to be delivered; then, of this one:
    judged before ───────────────────────────────▶ what was recorded then; nothing is written
    verdict is not `passed`, no override ────────▶ rejected: its model stays with the attempt, to be settled later
    only whether it is better cannot be told ────▶ undecided: the same, and nothing to be alarmed about
    a rollback holds the champion ───────────────▶ held            (to be judged again after the release)
    the pointer moved since `plan` ──────────────▶ superseded      (to be judged again, against the new champion)
    the model is the champion's, byte for byte ──▶ already_champion
    others were judged since `plan` ─────────────▶ superseded      (to be judged again, by a smaller share of luck)
    otherwise ── version ── served? ── pointer ──▶ promoted
                               └─────────────────▶ not_served       (to be judged again, when the server is better)

Settlements come first, and whatever becomes of this candidate: they are about others. A run that was killed between
them and its own record writes the missing ones when it runs again, and so does one that was judged before. The record
comes last, after all files of the attempt: whoever finds a promise finds the model that made it.

With a server, whatever the result, it serves the champion at the end.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from components._shared.errors import PreconditionError
from components._shared.facts import Facts
from components._shared.ledger import Settlements
from components._shared.looks import looks_in_a_quarter
from components._shared.model_files import MODEL_CARD, SAMPLES_JSON, SKETCHES_JSON, verify_model
from components._shared.model_info import ModelInfo
from components._shared.records import (
    TURNED_DOWN,
    Attempt,
    Baseline,
    Champion,
    History,
    Lineage,
    ModelRef,
    Pointer,
    Promise,
)
from components._shared.registry import Registry
from components._shared.task import EvaluationSection
from components._shared.verdict import Check, Verdict, merge
from components._shared.windows import Windows
from components.push.deployment import deploy, follow_champion, samples_of, wait_for_others
from components.push.promises import are_sound, loser_files, promise_of
from components.push.server import Busy, Overtaken, Server

Result = Literal["promoted", "rejected", "undecided", "superseded", "held", "already_champion", "not_served"]

_WHO = "push"
_OVERRIDDEN = "overridden: "


@dataclass(frozen=True)
class Pushed:
    """What became of a candidate.

    Attributes:
        version: The version made of it, else the champion's; 0: there is none.
        reason: One sentence.
        replayed: It was judged before: nothing was written.
    """

    result: Result
    version: int
    reason: str
    replayed: bool = False


@dataclass(frozen=True)
class _Candidate:
    """What `push` was given, checked.

    Attributes:
        gates: What it was judged by.
        sampled: A share of the rows was left out, for a quick cycle.
        files: Stand with the attempt.
        beside: Stand beside the version, if it becomes one.
    """

    experiment: str
    judgement: str
    pointer: Pointer
    baseline: Baseline
    windows: Windows
    model: Path
    info: ModelInfo
    verdict: Verdict
    gates: EvaluationSection
    sampled: bool
    made_from: dict[str, str]
    promise: Promise | None
    files: Mapping[str, Path]
    beside: Mapping[str, Path]
    override: str

    @property
    def holder(self) -> str:
        """By what name it deploys."""
        return f"push {self.judgement[:12]}"


def push(
    *,
    experiment: str,
    judgement: str,
    registry: str,
    pointer: Pointer,
    baseline: Baseline,
    windows: Windows,
    model: Path,
    verdict: Path,
    facts: Path,
    report: Path,
    card: Path,
    statistics: Path,
    samples: Path,
    sketches: Path,
    settlements: Path,
    override: str = "",
    server: Server | None = None,
) -> Pushed:
    """Promotes a candidate if its verdict allows it, and records the attempt in any case.

    Safe to run again after it was killed anywhere: it goes on where it stopped.

    Args:
        experiment, judgement: Digests from `plan`.
        registry: Root of the registry.
        pointer: The champion pointer as `plan` saw it.
        baseline: What the candidate was judged against.
        model: Directory of the SavedModel with `model.json`.
        verdict: File with the merged `Verdict`.
        facts: File with the report's `Facts`.
        report: The report as HTML.
        card: The model card, Markdown.
        statistics: Statistics of *train*, for the drift of later runs.
        samples: File with `Samples`: what is asked of a server before it may serve this version.
        sketches: File with `ScoreSketches`, for the comparison with later traffic.
        settlements: File with `Settlements` of earlier decisions.
        override: A reason to promote in spite of the verdict; it is recorded.
        server: What serves the champion; None: it is promoted without being served.

    Raises:
        CorruptError: The model's files are not those that `model.json` describes.
        RegistryError: The registry is not one, or its pointer cannot be read.
        ServingError: The server cannot be reached or changed, or does not serve the champion.
    """
    info = verify_model(model)
    settled = Settlements.from_json(settlements.read_bytes(), where=str(settlements))
    checked = Facts.from_json(facts.read_bytes(), where=str(facts))
    candidate = _Candidate(
        experiment=experiment,
        judgement=judgement,
        pointer=pointer,
        baseline=baseline,
        windows=windows,
        model=model,
        info=info,
        verdict=Verdict.from_json(verdict.read_bytes(), where=str(verdict)),
        gates=checked.gates,
        sampled=checked.data.rows.not_sampled > 0,
        made_from={**info.made_from, "examples": checked.dataset.digest},
        promise=promise_of(checked),
        files={
            "report.html": report,
            MODEL_CARD: card,
            "evidence.json": facts,
            "statistics.pb": statistics,
            "verdict.json": verdict,
        },
        beside={SAMPLES_JSON: samples, SKETCHES_JSON: sketches, MODEL_CARD: card},
        override=override.strip(),
    )
    models = Registry(registry, pointer.task)
    if server is not None:
        # A server that is not there is said before anything is recorded.
        server.told()
    models.open(create=True)
    for settlement in settled.settlements if are_sound(candidate.verdict) else ():
        # Where a model could not be asked, or labels were missing, there are no rows: a later run has the say.
        if settlement.whole.rows:
            models.record_settlement(settlement)
    pushed = _recorded_before(models, candidate) or _decide(models, candidate, server)
    if server is not None:
        follow_champion(server, models, holder=candidate.holder)
    return pushed


def _recorded_before(models: Registry, candidate: _Candidate) -> Pushed | None:
    attempt = models.attempt(candidate.judgement)
    promotion = models.promotion_of(candidate.judgement)
    if promotion is not None:
        # Where the run that promoted it was killed before it could say so, this says it now.
        return _promoted(models, candidate, promotion)
    if attempt is None or (attempt.result in TURNED_DOWN and candidate.override):
        return None
    champion, _ = models.champion()
    return _replay(attempt, champion)


def _replay(attempt: Attempt, champion: Champion | None) -> Pushed:
    reason = f"already judged: {attempt.reason}"
    return Pushed(result=attempt.result, version=attempt.version or _number(champion), reason=reason, replayed=True)


def _decide(models: Registry, candidate: _Candidate, server: Server | None) -> Pushed:
    champion, generation = models.champion()
    passed = candidate.verdict.outcome == "passed"
    if not passed and not candidate.override:
        return _record(models, candidate, _refusal(candidate.verdict), candidate.verdict.summary)
    if champion is not None and champion.hold:
        reason = f"the champion is held since a rollback ({champion.hold}): release it (saiki release), then run again"
        return _record(models, candidate, "held", reason)
    if generation != candidate.pointer.generation:
        return _superseded(models, candidate, champion)
    if champion is not None and models.version_ref(champion.version).digest == candidate.info.digest:
        reason = f"the candidate is version {champion.version}, the champion, byte for byte"
        return _record(models, candidate, "already_champion", reason, champion.version)
    if more := _more_looks(models, candidate):
        return _record(models, candidate, "superseded", more)
    if server is not None:
        server.check()
    version = models.add_version(
        candidate.model,
        _lineage(candidate),
        {"verdict.json": candidate.files["verdict.json"], **candidate.beside},
    )
    return _serve_and_promote(models, candidate, server, version, generation)


def _serve_and_promote(
    models: Registry, candidate: _Candidate, server: Server | None, version: int, generation: str | None
) -> Pushed:
    checks: tuple[Check, ...] = ()
    if server is not None:
        try:
            checks = _deploy(models, candidate, server, version, generation)
        except Overtaken as cause:
            reason = f"version {version} was being deployed, and then {cause}: run again"
            return _record(models, candidate, "superseded", reason, version)
    failed = next((check for check in checks if check.outcome != "passed"), None)
    if server is not None and failed is not None:
        try:
            follow_champion(server, models, holder=candidate.holder)
        finally:
            pushed = _record(models, candidate, "not_served", failed.reason, version, checks=checks)
        return pushed
    # Serving took its time.
    if server is not None and (more := _more_looks(models, candidate)):
        return _record(models, candidate, "superseded", more, version)
    passed = candidate.verdict.outcome == "passed"
    why = candidate.verdict.summary if passed else f"{_OVERRIDDEN}{candidate.override}"
    with suppress(PreconditionError):
        models.promote(version, generation=generation, who=_WHO, why=why, judgement=candidate.judgement)
    promotion = models.promotion_of(candidate.judgement)
    if promotion is not None:
        return _promoted(models, candidate, promotion, checks)
    # Somebody moved the pointer at the same moment. The version stays, for the next try.
    return _superseded(models, candidate, models.champion()[0], version)


def _more_looks(models: Registry, candidate: _Candidate) -> str:
    """Why its share of the quarter's false alarms is smaller than `plan` knew; empty: it is not, or none was needed."""
    if candidate.override or candidate.baseline.champion is None or candidate.gates.champion.improve != "evidence":
        return ""
    now = looks_in_a_quarter(models.tries().values(), candidate.gates, candidate.windows, candidate.judgement)
    if now <= candidate.baseline.looks:
        return ""
    return (
        f"others were judged after this run was planned: it is one of {now:,} looks a quarter now, and was held to a "
        f"share of {candidate.baseline.looks:,}: run again, to be judged by its own share"
    )


def _deploy(
    models: Registry, candidate: _Candidate, server: Server, version: int, generation: str | None
) -> tuple[Check, ...]:
    """The checks; none if the pointer moved while another run was deploying."""
    while models.champion()[1] == generation:
        try:
            return deploy(server, version, samples_of(models, version), holder=candidate.holder)
        except Busy:
            wait_for_others(server, candidate.holder)
    return ()


def _promoted(models: Registry, candidate: _Candidate, promotion: History, checks: tuple[Check, ...] = ()) -> Pushed:
    return _record(models, candidate, "promoted", promotion.why, promotion.version, promotion=promotion, checks=checks)


def _refusal(verdict: Verdict) -> Result:
    """`undecided` where every other gate holds: most nights of a good champion end so."""
    open_checks = [check for check in verdict.checks if check.outcome != "passed"]
    untold = [
        check for check in open_checks if check.outcome == "cannot_judge" and check.name.startswith("champion.improve.")
    ]
    return "undecided" if untold and untold == open_checks else "rejected"


def _superseded(
    models: Registry, candidate: _Candidate, champion: Champion | None, version: int | None = None
) -> Pushed:
    reason = (
        f"version {_number(champion)} became champion after this run was planned: run again, to be judged against it"
    )
    return _record(models, candidate, "superseded", reason, version)


def _record(
    models: Registry,
    candidate: _Candidate,
    result: Result,
    reason: str,
    version: int | None = None,
    *,
    promotion: History | None = None,
    checks: tuple[Check, ...] = (),
) -> Pushed:
    verdict = _with_checks(candidate.verdict, checks)
    replaced = None if promotion is None else _replaced(models, candidate, promotion)
    promise = _promise(candidate, result, replaced)
    attempt = Attempt(
        experiment=candidate.experiment,
        judgement=candidate.judgement,
        task=candidate.pointer.task,
        outcome=verdict.outcome,
        result=result,
        reason=reason,
        version=version,
        baseline=candidate.baseline,
        replaced=replaced,
        windows=candidate.windows,
        model_digest=candidate.info.digest,
        made_from=candidate.made_from,
        created=datetime.now(UTC),
        overridden=reason.removeprefix(_OVERRIDDEN) if reason.startswith(_OVERRIDDEN) else "",
        promise=promise,
    )
    settled = promise is not None and promise.due is not None
    kept = loser_files(candidate.model) if result in TURNED_DOWN and settled else {}
    move = None if promotion is None else promotion.number
    with tempfile.TemporaryDirectory(prefix="saiki-push-") as scratch:
        judged = Path(scratch) / "verdict.json"
        judged.write_text(verdict.to_json(), encoding="utf-8")
        earlier = models.record_attempt(attempt, {**kept, **candidate.files, "verdict.json": judged}, move=move)
    champion, _ = models.champion()
    if earlier is not None:
        return _replay(earlier, champion)
    return Pushed(result=result, version=version or _number(champion), reason=reason)


def _replaced(models: Registry, candidate: _Candidate, promotion: History) -> ModelRef | None:
    """The champion whose place it took.

    Where somebody overrides a judgement of long ago, that is not the one that it was judged against: `plan` replays
    what was known then.
    """
    judged = candidate.baseline.champion
    if promotion.previous is None:
        return None
    if judged is not None and judged.version == promotion.previous:
        return judged
    return models.version_ref(promotion.previous)


def _promise(candidate: _Candidate, result: Result, replaced: ModelRef | None) -> Promise | None:
    """What the attempt says of the future.

    Of a quick cycle on a sample only what was promoted is settled: what it turned down is of no interest. And what has
    replaced another champion than it was judged against promised nothing beside that one.
    """
    promise = candidate.promise
    if promise is None:
        return None
    if candidate.sampled and result != "promoted":
        promise = promise.model_copy(update={"due": None, "closed": None})
    if result == "promoted" and replaced != candidate.baseline.champion:
        promise = promise.model_copy(update={"gain": None})
    return promise


def _with_checks(verdict: Verdict, checks: tuple[Check, ...]) -> Verdict:
    """The verdict, with what was found when the version was served."""
    failed = [check.reason for check in checks if check.outcome != "passed"]
    return verdict.model_copy(
        update={
            "outcome": merge((verdict.outcome, *(check.outcome for check in checks))),
            "checks": (*verdict.checks, *checks),
            "summary": failed[0] if failed else verdict.summary,
        }
    )


def _lineage(candidate: _Candidate) -> Lineage:
    return Lineage(
        experiment=candidate.experiment,
        judgement=candidate.judgement,
        model_digest=candidate.info.digest,
        made_from=candidate.made_from,
        code={"train": candidate.info.code},
        windows=candidate.windows,
        created=datetime.now(UTC),
    )


def _number(champion: Champion | None) -> int:
    return 0 if champion is None else champion.version
