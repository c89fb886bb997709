"""The task: everything that is particular to a problem, in one file, and the pinned schema beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from components._shared.behaviour_tests import check_tests
from components._shared.contract import Contract
from components._shared.decision_rule import DecisionRule
from components._shared.errors import TaskError
from components._shared.gates import (
    BehaviourGates,
    ChampionGates,
    DifferenceGates,
    ExplanationGates,
    GateChoice,
    MetricGates,
    PromiseGates,
    resolve_gates,
)
from components._shared.windows import Cadence, parse_span, zone

Problem = Literal["binary_classification", "multiclass_classification", "regression"]
ColumnType = Literal["int64", "float64", "string", "bool", "timestamp", "date"]
FeatureKind = Literal["numeric", "categorical", "boolean", "datetime"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Text = Annotated[str, StringConstraints(min_length=1)]

RESERVED_PREFIX = "_"


def _span(value: str) -> str:
    parse_span(value)
    return value


class CsvOptions(Contract):
    """How a CSV is written."""

    delimiter: str = ","
    quote: str = '"'
    null_values: tuple[str, ...] = ("", "NA", "NaN", "nan", "null", "NULL")


class Data(Contract):
    """Where the rows come from.

    Attributes:
        sources: Paths, URIs or globs; relative ones start at the task file. `{date}` stands for the days of the window.
        format: By the file's ending if left out.
    """

    sources: tuple[Text, ...] = Field(min_length=1)
    format: Literal["csv", "parquet", "jsonl", "tfrecord"] | None = None
    csv: CsvOptions = CsvOptions()


class Derived(Contract):
    """A column computed from source columns by a SQL scalar expression."""

    expression: Text
    type: ColumnType


class Label(Contract):
    """What is predicted.

    Attributes:
        expression: SQL scalar expression over source columns.
        positive: Binary: the value that counts as 1; left out, the expression must be boolean or 0/1.
        classes: Multiclass: the values in the order of the model's outputs.
        known_after: How long after `time` the label is known.
    """

    expression: Text
    positive: str | int | bool | None = None
    classes: tuple[str | int, ...] | None = None
    known_after: str = "0d"

    _check_span = field_validator("known_after")(_span)


class Feature(Contract):
    """One model input, a raw column.

    Attributes:
        kind: How it is preprocessed inside the model's graph.
        available: When its value is known, relative to the prediction; `unknown` and `after` are left out.
    """

    kind: FeatureKind
    available: Literal["before", "after", "unknown"] = "unknown"


class WindowRule(Contract):
    """How far back rows are taken.

    Attributes:
        length: Span such as `365d`, or none for all that there is.
        start: First moment, ISO 8601; needs `time`.
    """

    length: str | None = None
    start: str | None = None

    @field_validator("length")
    @classmethod
    def _check_length(cls, value: str | None) -> str | None:
        return None if value is None else _span(value)


class SplitRule(Contract):
    """Sizes of *tune* and *test*: spans such as `30d` with a `time` column, shares such as 0.2 without."""

    tune: str | float = 0.1
    test: str | float = 0.2

    @field_validator("tune", "test")
    @classmethod
    def _check_size(cls, value: str | float) -> str | float:
        if isinstance(value, str):
            return _span(value)
        if not 0 < value < 1:
            raise ValueError("a share lies between 0 and 1")
        return value


class TrainerChoice(Contract):
    """The default trainer: `linear`, `mlp`, `constant` or `package.module:function`, its parameters and the seed."""

    name: Text = "linear"
    parameters: dict[str, Any] = {}
    seed: int = 17


class Task(Contract):
    """The task file.

    Attributes:
        question: What the model is asked, in a sentence, for the reader of a report.
        schema_file: The pinned schema, relative to the task file.
        derived: Columns computed at ingestion.
        time: Column with the moment of each row; none for tasks without time (split by hash of the key).
        key: Columns that identify a row; none: the row's position in its source.
        population: SQL scalar expression, true for rows in scope.
        cluster: Column or expression whose rows are not independent; by default the calendar day of `time`.
        weight: Column.
        slices: Columns whose values metrics are shown for.
        decision: How a score becomes a decision, and what it costs.
        embargo: Span left out between the parts, and between `fit_until` and the rows that judge.
        cadence: `as_of` is floored to it.
    """

    format: Literal["saiki/task/v1"] = "saiki/task/v1"
    name: Name
    question: str = ""
    problem: Problem
    data: Data
    schema_file: str = Field("schema.yaml", alias="schema")
    derived: dict[str, Derived] = {}
    label: Label
    time: str | None = None
    timezone: str = "UTC"
    key: tuple[str, ...] = ()
    population: Text | None = None
    cluster: Text | None = None
    weight: str | None = None
    features: dict[str, Feature] = Field(min_length=1)
    slices: tuple[str, ...] = ()
    decision: DecisionRule = DecisionRule()
    window: WindowRule = WindowRule()
    split: SplitRule = SplitRule()
    embargo: str = "0d"
    cadence: Cadence = "daily"
    trainer: TrainerChoice = TrainerChoice()
    gates: GateChoice = GateChoice()

    _check_embargo = field_validator("embargo")(_span)

    @field_validator("timezone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        zone(value)
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        for size in ("tune", "test"):
            if isinstance(getattr(self.split, size), str) and self.time is None:
                raise ValueError(f"split.{size} is a span but the task has no time column: give a share such as 0.2")
        if self.time is None and (self.window.length or self.window.start):
            raise ValueError("window needs a time column")
        if self.problem == "multiclass_classification" and not self.label.classes:
            raise ValueError("label.classes is needed for multiclass_classification")
        if self.label.classes is not None and self.problem != "multiclass_classification":
            raise ValueError(f"label.classes is for multiclass_classification, this is {self.problem}")
        if self.label.positive is not None and self.problem != "binary_classification":
            raise ValueError(f"label.positive is for binary_classification, this is {self.problem}")
        self.decision.check(self.problem, self.label.classes)
        if not self.used_features():
            raise ValueError("no feature is available before the prediction (features.<name>.available: before)")
        for name in self.derived:
            if name.startswith(RESERVED_PREFIX):
                raise ValueError(f"derived.{name}: names that start with '_' are Saiki's own")
        return self

    def used_features(self) -> dict[str, FeatureKind]:
        """Name → kind of the features that are available before the prediction, in the file's order."""
        return {name: feature.kind for name, feature in self.features.items() if feature.available == "before"}

    def left_out(self) -> dict[str, str]:
        """Name → availability of the features that are declared but not used."""
        return {name: f.available for name, f in self.features.items() if f.available != "before"}


class SourceColumn(Contract):
    """What a source column has to be, to be read.

    Attributes:
        required: A file without this column is an error; otherwise its values are missing.
    """

    type: ColumnType
    required: bool = True


class Column(SourceColumn):
    """A source column of the pinned schema: how it is read, and the limits that `validate` holds it to.

    Attributes:
        domain: Known categories; others go to the model's out-of-vocabulary bucket and count towards a limit.
        min, max: Bounds of a number; values beyond are anomalies.
        max_missing: Largest share of missing values, 0 to 1.
    """

    domain: tuple[str, ...] | None = None
    min: float | None = None
    max: float | None = None
    max_missing: float | None = Field(None, ge=0, le=1)


class Schema(Contract):
    """The pinned types and domains of the source columns."""

    format: Literal["saiki/schema/v1"] = "saiki/schema/v1"
    columns: dict[str, Column] = Field(min_length=1)

    @field_validator("columns")
    @classmethod
    def _check_names(cls, value: dict[str, Column]) -> dict[str, Column]:
        for name in value:
            if not name or name.startswith(RESERVED_PREFIX) or re.search(r"[\x00-\x1f]", name):
                raise ValueError(
                    f"column name {name!r}: empty, starts with '_' (Saiki's own), or has control characters"
                )
        return value


class DataSection(Contract):
    """What `ingest` needs of the task and of the schema: a change of anything here makes other rows.

    The limits of the schema's columns are not among it: a wider domain judges the same rows again.
    """

    problem: Problem
    csv: CsvOptions
    file_format: Literal["csv", "parquet", "jsonl", "tfrecord"] | None
    columns: dict[str, SourceColumn]
    derived: dict[str, Derived]
    label: Label
    time: str | None
    timezone: str
    key: tuple[str, ...]
    population: str | None
    cluster: str | None
    weight: str | None


class LearningSection(Contract):
    """What `train` needs: a change of anything here makes another model.

    Attributes:
        trainer_source: Digest of the source of a trainer that is not ours; empty: ours, or `plan` did not find it.
        budget: Largest number of epochs, for a quick cycle; 0: the trainer's own.
    """

    problem: Problem
    classes: tuple[str | int, ...] | None
    features: dict[str, FeatureKind]
    trainer: TrainerChoice
    trainer_source: str = ""
    budget: int = Field(0, ge=0)


def data_section(task: Task, schema: Schema) -> DataSection:
    """The part of the task that decides which rows there are."""
    return DataSection(
        problem=task.problem,
        csv=task.data.csv,
        file_format=task.data.format,
        columns={name: SourceColumn(type=c.type, required=c.required) for name, c in schema.columns.items()},
        derived=task.derived,
        label=task.label,
        time=task.time,
        timezone=task.timezone,
        key=task.key,
        population=task.population,
        cluster=task.cluster,
        weight=task.weight,
    )


class ScoringSection(Contract):
    """What `predict` needs: a change of anything here makes other predictions, a change of a gate does not."""

    problem: Problem
    classes: tuple[str | int, ...] | None
    slices: tuple[str, ...]


def scoring_section(task: Task) -> ScoringSection:
    """The part of the task that decides what a table of predictions holds."""
    return ScoringSection(problem=task.problem, classes=task.label.classes, slices=task.slices)


class EvaluationSection(Contract):
    """What the judging steps need: a change of anything here judges again, and trains nothing.

    Attributes:
        task, question: The task's name and what it asks, for the report.
        label, population: The expressions that say what is predicted and of which rows, for the report.
        classes: Multiclass: the values in the order of the model's outputs.
        embargo: Span between a model's `fit_until` and the rows that judge it.
        has_time: Whether the rows have a moment; without one all test rows are fair, and clusters are single rows
            unless the task names a cluster.
        cluster: What the task names as cluster; none: calendar days, or single rows.
        test_length: Span of *test*; empty in tasks without time.
        cadence: How often the task is judged by plan.
        known_after: How long after the moment of a row its label is known.
        meaning: Digest of what a row and its label are (`columns.meaning_of`): figures of another one do not compare.
    """

    problem: Problem
    classes: tuple[str | int, ...] | None
    slices: tuple[str, ...]
    decision: DecisionRule = DecisionRule()
    metric: MetricGates
    champion: ChampionGates
    difference: DifferenceGates = DifferenceGates()
    behaviour: BehaviourGates
    explanation: ExplanationGates = ExplanationGates()
    promises: PromiseGates = PromiseGates()
    test_length: str = ""
    cadence: Cadence = "daily"
    known_after: str = "0d"
    embargo: str
    timezone: str
    has_time: bool
    cluster: str | None = None
    task: str = ""
    question: str = ""
    label: str = ""
    population: str = ""
    meaning: str = ""


def evaluation_section(task: Task, meaning: str = "") -> EvaluationSection:
    """The part of the task that decides how a candidate is judged, presets filled in.

    Args:
        task: The task.
        meaning: Digest of what a row and its label are.

    Raises:
        TaskError: A gate is unknown or not one of the problem's, names a feature that the model does not use, or a test
            of behaviour asks for something that cannot be.
    """
    gates = resolve_gates(task.gates, task.problem, costs=bool(task.decision.costs))
    named = {f"behaviour.tests.{test.name}.features": test.features for test in gates.behaviour.tests}
    named["explanation.must_matter"] = gates.explanation.must_matter
    named["explanation.must_not_matter"] = gates.explanation.must_not_matter
    for field, features in named.items():
        for name in features:
            if name not in task.used_features():
                raise TaskError(
                    f"{name!r} is not a feature that the model uses",
                    where=f"gates.{field} in the task file",
                    fix=f"use one of: {', '.join(task.used_features())}",
                )
    check_tests(gates.behaviour.tests, task.used_features(), task.problem, task.label.classes, task.decision)
    return EvaluationSection(
        problem=task.problem,
        classes=task.label.classes,
        slices=task.slices,
        decision=task.decision,
        metric=gates.metric,
        champion=gates.champion,
        difference=gates.difference,
        behaviour=gates.behaviour,
        explanation=gates.explanation,
        promises=gates.promises,
        test_length=task.split.test if isinstance(task.split.test, str) else "",
        cadence=task.cadence,
        known_after=task.label.known_after,
        embargo=task.embargo,
        timezone=task.timezone,
        has_time=task.time is not None,
        cluster=task.cluster,
        task=task.name,
        question=task.question,
        label=task.label.expression + ("" if task.label.positive is None else f" = {task.label.positive}"),
        population=task.population or "",
        meaning=meaning,
    )


class SmokeTestSection(Contract):
    """What `smoke_test` needs of the gates; see `BehaviourGates`."""

    score_difference: float
    export_difference: float


class BehaviourSection(Contract):
    """What `behave` needs: the tests, and what is decided by a score.

    Attributes:
        stale: Test → features that are computed from what it changes, and are not changed with it.
    """

    problem: Problem
    classes: tuple[str | int, ...] | None
    timezone: str
    decision: DecisionRule
    gates: BehaviourGates
    stale: dict[str, tuple[str, ...]] = {}


class ExplanationSection(Contract):
    """What `explain` needs."""

    problem: Problem
    classes: tuple[str | int, ...] | None
    timezone: str
    slices: tuple[str, ...]
    gates: ExplanationGates


def smoke_test_section(evaluation: EvaluationSection) -> SmokeTestSection:
    """The part of the gates that `smoke_test` holds a model to."""
    gates = evaluation.behaviour
    return SmokeTestSection(score_difference=gates.score_difference, export_difference=gates.export_difference)


def behaviour_section(evaluation: EvaluationSection, sources: Mapping[str, Set[str]]) -> BehaviourSection:
    """The part of the task that decides how a model is tested by changed rows.

    Args:
        sources: Feature → the columns that it is computed from, at any depth; of the features that the model uses.
    """
    stale = {
        test.name: tuple(
            name for name, read in sources.items() if name not in test.features and not read.isdisjoint(test.features)
        )
        for test in evaluation.behaviour.tests
    }
    return BehaviourSection(
        problem=evaluation.problem,
        classes=evaluation.classes,
        timezone=evaluation.timezone,
        decision=evaluation.decision,
        gates=evaluation.behaviour,
        stale={test: names for test, names in stale.items() if names},
    )


def explanation_section(evaluation: EvaluationSection) -> ExplanationSection:
    """The part of the task that decides how a model is explained."""
    return ExplanationSection(
        problem=evaluation.problem,
        classes=evaluation.classes,
        timezone=evaluation.timezone,
        slices=evaluation.slices,
        gates=evaluation.explanation,
    )
