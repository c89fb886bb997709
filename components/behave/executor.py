"""Does the model answer as one may expect when rows are changed? Asked near the decision boundary above all."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from components._shared.behaviour import BehaviourEvidence, BehaviourFound
from components._shared.behaviour_tests import BehaviourTest
from components._shared.errors import DataError
from components._shared.manifest import Manifest
from components._shared.model_files import read_model_info, registered_model, verify_model
from components._shared.model_inputs import check_features
from components._shared.records import ModelRef
from components._shared.saved_model import SavedModel
from components._shared.scoring import score_batch
from components._shared.task import BehaviourSection
from components._shared.verdict import Check, Outcome, Verdict, merge
from components.behave.wording import case_in_words, expectation_in_words, interval_in_words, share_in_words


@dataclass(frozen=True)
class Behaved:
    """How a model behaves when rows are changed."""

    verdict: Verdict
    evidence: BehaviourEvidence


def behave(
    *,
    model: Path,
    predictions: Manifest,
    examples: Manifest,
    section: BehaviourSection,
    registered: ModelRef | None = None,
) -> Behaved:
    """Changes rows as the tests say, asks the model again, and holds its answers against what is expected.

    Args:
        model: Directory of the candidate.
        predictions: What it predicted; says which rows are near the decision boundary.
        examples: The rows that it predicted.
        section: The tests.
        registered: The champion, which is asked the same; the gates are on the candidate alone.

    Raises:
        CorruptError, NotFoundError: A model's files are not those that were trained, or are gone.
        DataError: The predictions are not those of this model and these rows, or the rows lack a feature.
        ModelError: A model does not load, or does not answer rows that are not changed.
    """
    if not section.gates.tests:
        said = "The task declares no tests of behaviour (gates.behaviour.tests)."
        return Behaved(Verdict(subject="tests", outcome="passed", checks=(), summary=said), BehaviourEvidence())
    evidence = _evidence(model, predictions, examples, section, registered)
    return Behaved(_verdict(section.gates.tests, evidence), evidence)


def _evidence(
    model: Path, predictions: Manifest, examples: Manifest, section: BehaviourSection, registered: ModelRef | None
) -> BehaviourEvidence:
    from components.behave.asking import rows_to_ask
    from components.behave.testing import Loaded, found_by

    tests, info = section.gates.tests, verify_model(model)
    if predictions.model != info.digest or predictions.count != examples.count:
        raise DataError("The predictions are not those of this model on these rows", where="behave")
    if not examples.count:
        return BehaviourEvidence(tests=tuple(_without_rows(test, section) for test in tests))
    with ExitStack() as held:
        places = [model] + ([] if registered is None else [held.enter_context(registered_model(registered))])
        infos = [info, *(read_model_info(place) for place in places[1:])]
        for each in infos:
            check_features(each.learning.features, examples.columns, where=f"{examples.role} rows")
        features = dict.fromkeys(name for each in infos for name in each.learning.features)
        jittered = sorted({name for test in tests if test.change.jitter is not None for name in test.features})
        asked = rows_to_ask(predictions, examples, section, info.learning, list(features), jittered)
        models = [SavedModel(place) for place in places]
        loaded = [
            Loaded(each, said, score_batch(each, said, asked.rows)) for each, said in zip(models, infos, strict=True)
        ]
        champion = loaded[1] if len(loaded) > 1 else None
        found = tuple(found_by(test, section, asked, loaded[0], champion) for test in tests)
    return BehaviourEvidence(
        rows=asked.rows.num_rows,
        near=int(asked.near.sum()),
        boundary=section.decision.threshold_of(section.problem),
        farthest=asked.farthest,
        tests=found,
    )


def _without_rows(test: BehaviourTest, section: BehaviourSection) -> BehaviourFound:
    return BehaviourFound(
        name=test.name,
        change=test.change.kind,
        expectation=expectation_in_words(test.expect, section),
        rows=0,
        clusters=0,
        limit=test.violations,
        reason="There are no rows to change.",
    )


def _verdict(tests: tuple[BehaviourTest, ...], evidence: BehaviourEvidence) -> Verdict:
    checks = tuple(_check(test, found) for test, found in zip(tests, evidence.tests, strict=True))
    outcome = merge(check.outcome for check in checks)
    failed = [check for check in checks if check.outcome == outcome]
    many = f"{len(checks)} tests of behaviour" if len(checks) > 1 else "test of behaviour"
    nearest = f", {evidence.near:,} of them the nearest to where the decision turns" if evidence.near else ""
    match outcome:
        case "passed":
            said = f"The {many} hold{'' if len(checks) > 1 else 's'} on {evidence.rows:,} rows{nearest}."
        case "failed":
            names = ", ".join(check.name.rpartition(".")[2] for check in failed)
            said = f"{len(failed)} of {len(checks)} tests of behaviour failed: {names}. {failed[0].reason}"
        case "cannot_judge":
            names = ", ".join(check.name.rpartition(".")[2] for check in failed)
            said = f"{len(failed)} of {len(checks)} tests of behaviour tested nothing: {names}. {failed[0].reason}"
    return Verdict(subject="tests", outcome=outcome, checks=checks, summary=said)


def _check(test: BehaviourTest, found: BehaviourFound) -> Check:
    limit = f"at most {share_in_words(test.violations)}" if test.violations else "none"
    limit += " of the changed rows"
    if test.evidence == "interval":
        limit += ", by the upper end of the interval"
    share = found.violations
    if share is None:
        outcome: Outcome = "failed" if found.rows else "cannot_judge"
        return Check(name=f"behaviour.tests.{test.name}", limit=limit, outcome=outcome, reason=found.reason)
    judged = share.value if test.evidence == "point" or share.interval is None else share.interval[1]
    return Check(
        name=f"behaviour.tests.{test.name}",
        observed=share.value,
        interval=share.interval,
        limit=limit,
        outcome="passed" if judged <= test.violations else "failed",
        reason=_reason(found),
    )


def _reason(found: BehaviourFound) -> str:
    """What was found, in words, with the worst case."""
    assert found.violations is not None
    count = round(found.violations.value * found.rows)
    broken = f"{count:,}" if count else "None"
    rows = "the one row" if found.rows == 1 else f"{found.rows:,} rows"
    said = f"{broken} of {rows} {'break' if count > 1 else 'breaks'} it"
    beside = [share_in_words(found.violations.value)] if count else []
    beside.append(interval_in_words(found.violations))
    if count and found.near is not None and found.elsewhere is not None:
        beside.append(
            f"{share_in_words(found.near.value)} of the nearest rows, "
            f"{share_in_words(found.elsewhere.value)} of the others"
        )
    if found.champion is not None:
        beside.append(f"the champion’s {share_in_words(found.champion.value)}")
    said = f"Expected with {found.change}: {found.expectation}. {said} ({'; '.join(filter(None, beside))})."
    return f"{said} The worst: {case_in_words(found.cases[0])}." if found.cases else said
