"""Looks at the changing world once, and hands it on as values: clock, sources, champion, earlier attempts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from components._shared import storage
from components._shared.cache_epoch import cache_epoch
from components._shared.columns import check_columns, meaning_of
from components._shared.contract import digest_of
from components._shared.errors import DataError, InputError, NotFoundError, TaskError, TrainerError
from components._shared.gates import DataGates, resolve_gates
from components._shared.image import code_digest
from components._shared.known_registries import remember_registry
from components._shared.ledger import Decisions
from components._shared.looks import looks_in_a_quarter
from components._shared.records import Attempt, Baseline, Champion, ModelRef, Pointer
from components._shared.registry import Registry
from components._shared.task import (
    BehaviourSection,
    DataSection,
    EvaluationSection,
    LearningSection,
    Schema,
    Task,
    TrainerChoice,
    behaviour_section,
    data_section,
    evaluation_section,
    explanation_section,
    scoring_section,
    smoke_test_section,
)
from components._shared.trainers import target_of
from components._shared.windows import Windows
from components.plan.decisions import decisions_to_settle
from components.plan.schedule_windows import schedule_windows, span_of
from components.plan.sources import absolute, find_sources, relative_to
from components.plan.trainer_source import source_digest

MAKE_ROWS_AND_MODEL = ("ingest", "split", "train")
_TRAINER_PARAMETER = "run parameter trainer"

_MOST_BYTES = 100_000
"""Of one parameter: KFP hands all of a step's over in one command line argument, of which Linux takes 131,072 bytes."""

JUDGE = ("validate", "predict", "evaluate", "compare", "behave", "smoke_test", "explain", "judge")


class Plan(NamedTuple):
    """What the other steps are given, all as text.

    Attributes:
        experiment: Digest over sources, rows, windows, learning and the code that makes them a model.
        judgement: Digest over the experiment, the gates and the code that judges.
        listing: URI of the exact sources.
        data, windows, learning, data_gates, gates, scoring, smoke_test, behaviour, explanation: Contracts as JSON;
            `gates` is an `EvaluationSection`, and what other steps need of it stands by itself: they are not repeated
            for any other gate.
        looks: How many decisions of this kind a quarter of a year holds.
        decisions: `Decisions` of the past that later rows can settle, as JSON.
        champion, reference: `ModelRef` as JSON, or empty.
        previous: URI of the earlier statistics that drift is measured against, or empty.
        schema: URI of the pinned schema.
        cache_epoch: Changes when garbage collection removes shards, and where a data root begins anew.
        pointer: `Pointer` as JSON.
    """

    experiment: str
    judgement: str
    listing: str
    data: str
    windows: str
    learning: str
    data_gates: str
    gates: str
    scoring: str
    smoke_test: str
    behaviour: str
    explanation: str
    looks: int
    decisions: str
    champion: str
    reference: str
    previous: str
    schema: str
    cache_epoch: str
    pointer: str


class _Sections(NamedTuple):
    data: DataSection
    learning: LearningSection
    data_gates: DataGates
    evaluation: EvaluationSection
    behaviour: BehaviourSection


def plan(
    *,
    task_uri: str,
    as_of: str,
    data_root: str,
    registry: str,
    trainer: str,
    parameters: Mapping[str, Any],
    sample: float,
    budget: int,
    images: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> Plan:
    """Decides what a run looks at.

    Args:
        task_uri: The task file.
        as_of: ISO 8601 moment, or empty for now.
        data_root: Folder or bucket prefix of shards, listings and schemas.
        registry: Folder or bucket prefix of models, attempts and champions.
        trainer: Name that replaces the task's trainer, or empty. The task's parameters belong to the task's trainer:
            another one starts from its own defaults.
        parameters: Trainer parameters that replace the task's of the same name.
        sample: Share of the rows, for a quick cycle.
        budget: Largest number of epochs, for a quick cycle; 0: the trainer's own.
        images: Component → the image that it runs in, where that is not ours: another one may give another result.
        now: The clock, for tests.

    Raises:
        StorageError: A root cannot be read, written, or written conditionally.
        RegistryError: The registry is not one, or a record in it cannot be read.
        TaskError: The task or its schema is wrong, or its window is too short.
        DataError: No sources.
    """
    if not 0 < sample <= 1:
        raise InputError(f"sample is {sample:g}", where="sample", fix="give a share of the rows above 0, up to 1")
    if budget < 0:
        raise InputError(
            f"budget is {budget}", where="budget", fix="give a number of epochs, or 0 for the trainer's own"
        )
    storage.check_root(data_root)
    storage.check_root(registry)
    others = images or {}
    uri = absolute(task_uri)
    task, schema = _load(uri)
    models = Registry(registry, task.name)
    models.open(create=True)
    remember_registry(data_root, registry)
    with _said_of(uri):
        columns = check_columns(task, schema)
        data = data_section(task, schema)
        evaluation = evaluation_section(task, meaning_of(data, columns))
        sections = _Sections(
            data=data,
            learning=_learning(task, trainer, parameters, budget, others.get("train", "")),
            data_gates=resolve_gates(task.gates, task.problem, costs=bool(task.decision.costs)).data,
            evaluation=evaluation,
            behaviour=behaviour_section(
                evaluation, {name: columns.sources_of([name]) - {name} for name in task.used_features()}
            ),
        )
        _check_size("the schema and the derived columns", sections.data)
        _check_size("features", sections.learning)
        clock = now or datetime.now(UTC)
        span = span_of(task, as_of=as_of, now=clock)
        listing, objects = find_sources(uri, task.data.sources, span=span, timezone=task.timezone)
        newest = max(info.modified for info in objects)
        windows = schedule_windows(task, as_of=as_of, now=clock, newest=newest)
    experiment = digest_of(
        {
            "listing": listing.content_digest(),
            "data": sections.data.content_digest(),
            "windows": windows.content_digest(),
            "learning": sections.learning.content_digest(),
            "sample": float(sample),
            "code": _code(MAKE_ROWS_AND_MODEL, others),
        }
    )
    judgement = digest_of(
        {
            "experiment": experiment,
            "schema": schema.content_digest(),
            "data_gates": sections.data_gates.content_digest(),
            "gates": sections.evaluation.content_digest(),
            "code": _code(JUDGE, others),
        }
    )
    attempts = models.tries()
    baseline, pointer = _baseline(models, attempts, judgement, sections.evaluation, windows)
    # A settlement is written once: a quick cycle on a sample of the rows leaves it to a run that looks at all.
    decisions = Decisions()
    if sample == 1:
        decisions = decisions_to_settle(models, attempts, baseline.champion, sections.evaluation, windows)
    return Plan(
        experiment=experiment,
        judgement=judgement,
        listing=_store(data_root, f"listings/{listing.content_digest()}.json", listing.to_json()),
        data=sections.data.to_json(),
        windows=windows.to_json(),
        learning=sections.learning.to_json(),
        data_gates=sections.data_gates.to_json(),
        gates=sections.evaluation.to_json(),
        scoring=scoring_section(task).to_json(),
        smoke_test=smoke_test_section(sections.evaluation).to_json(),
        behaviour=sections.behaviour.to_json(),
        explanation=explanation_section(sections.evaluation).to_json(),
        looks=baseline.looks,
        decisions=decisions.to_json(),
        champion=_json(baseline.champion),
        reference=_json(baseline.reference),
        previous=baseline.previous,
        # JSON is YAML: this form has one digest however the file is laid out.
        schema=_store(data_root, f"schemas/{schema.content_digest()}.yaml", schema.to_json()),
        cache_epoch=cache_epoch(data_root),
        pointer=pointer.to_json(),
    )


@contextmanager
def _said_of(uri: str) -> Iterator[None]:
    """Names the task file in errors that name only its fields."""
    try:
        yield
    except (TaskError, DataError, TrainerError) as error:
        if error.where == _TRAINER_PARAMETER:
            raise
        where = (
            error.where.replace("the task file", uri) if "the task file" in error.where else f"{error.where} in {uri}"
        )
        raise type(error)(error.what, where=where, fix=error.fix) from error


def _load(uri: str) -> tuple[Task, Schema]:
    task = Task.from_json(
        _read(uri, "task file", "give the path or URI of a task file, or make one: saiki init DATA"),
        where=uri,
        error=TaskError,
    )
    schema_uri = relative_to(uri, task.schema_file)
    text = _read(schema_uri, "pinned schema", f"put it there, or correct schema: {task.schema_file} in {uri}")
    return task, Schema.from_json(text, where=schema_uri, error=TaskError)


def _read(uri: str, what: str, fix: str) -> bytes:
    try:
        return storage.read(uri)
    except NotFoundError as cause:
        raise TaskError(f"There is no {what}", where=uri, fix=fix) from cause


def _code(components: tuple[str, ...], others: Mapping[str, str]) -> str:
    """The digest of what the components do: of our code, and of the images in place of it."""
    ours, others = code_digest(*components), {name: others[name] for name in components if name in others}
    return digest_of({"ours": ours, "others": others}) if others else ours


def _learning(task: Task, trainer: str, parameters: Mapping[str, Any], budget: int, image: str = "") -> LearningSection:
    target_of(trainer or task.trainer.name, _TRAINER_PARAMETER if trainer else "trainer.name in the task file")
    own = {} if trainer and trainer != task.trainer.name else task.trainer.parameters
    name = trainer or task.trainer.name
    return LearningSection(
        problem=task.problem,
        classes=task.label.classes,
        features=task.used_features(),
        trainer=TrainerChoice(
            name=name,
            parameters=_whole_numbers({**own, **parameters}),
            seed=task.trainer.seed,
        ),
        # A trainer that only the image of train holds is as new as that image.
        trainer_source=source_digest(name) or (digest_of(image) if image else ""),
        budget=int(budget),
    )


def _check_size(what: str, section: DataSection | LearningSection) -> None:
    """Refuses what would end in `Argument list too long` some steps later."""
    size = len(json.dumps(section.to_json()))
    if size > _MOST_BYTES:
        raise TaskError(
            f"There are too many columns, or their names are too long: what a step has to know of {what} takes "
            f"{size:,} bytes, of {_MOST_BYTES:,} that it can be given",
            where="schema and features",
            fix="leave columns that the task does not use out of both, or give the sources shorter column names",
        )


def _whole_numbers(value: Any) -> Any:
    """KFP hands on every number of a dict as a float: 3.0 becomes 3 again."""
    if isinstance(value, Mapping):
        return {key: _whole_numbers(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_whole_numbers(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _baseline(
    models: Registry, attempts: Mapping[str, Attempt], judgement: str, section: EvaluationSection, windows: Windows
) -> tuple[Baseline, Pointer]:
    """What the candidate is judged against: as the registry stands, or as it stood when this was judged before."""
    champion, generation = models.champion()
    # Settled ones only: a superseded candidate is judged anew, against the champion that was faster.
    attempt = attempts.get(judgement)
    pointer = Pointer(
        task=models.task,
        generation=generation,
        history=champion.history if champion else 0,
        hold=champion.hold if champion else "",
        replayed=attempt is not None,
    )
    if attempt is not None:
        return attempt.baseline, pointer
    previous = _previous(models, attempts, windows)
    looks = looks_in_a_quarter(attempts.values(), section, windows, judgement)
    if champion is None:
        return Baseline(previous=previous, looks=looks), pointer
    return Baseline(
        champion=models.version_ref(champion.version),
        reference=_reference(models, champion),
        previous=previous,
        looks=looks,
    ), pointer


def _reference(models: Registry, champion: Champion) -> ModelRef | None:
    if champion.reference is None or champion.reference == champion.version:
        return None
    return models.version_ref(champion.reference)


def _previous(models: Registry, attempts: Mapping[str, Attempt], windows: Windows) -> str:
    """The statistics of the latest attempt as of an earlier moment, losers too."""
    earlier = [(a.windows.as_of, a.created, name) for name, a in attempts.items() if a.windows.as_of < windows.as_of]
    for _, _, name in sorted(earlier, reverse=True):
        uri = models.file_of(attempts[name], "statistics.pb")
        if storage.exists(uri):
            return uri
    return ""


def _store(data_root: str, name: str, text: str) -> str:
    uri = storage.join(data_root, name)
    storage.ensure(uri, text.encode())
    return uri


def _json(model: ModelRef | None) -> str:
    return "" if model is None else model.to_json()
