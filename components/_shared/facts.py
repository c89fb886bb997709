"""Facts: what the report of a candidate shows, as one document that a script reads."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from components._shared.behaviour import BehaviourEvidence
from components._shared.comparison import Comparison
from components._shared.contract import Contract
from components._shared.evidence import DataEvidence, Evaluation
from components._shared.explanation import Explanation
from components._shared.ledger import Settlement
from components._shared.manifest import Hash, Manifest, Source
from components._shared.model_changes import ModelChanges
from components._shared.model_info import ModelInfo
from components._shared.records import ModelRef
from components._shared.task import ColumnType, EvaluationSection, LearningSection
from components._shared.verdict import Verdict
from components._shared.windows import Window, Windows

_MOST_SOURCES = 50


class DatasetFacts(Contract):
    """What the report says of the examples that a run started from.

    Attributes:
        first: The moment of the earliest row; absent in tasks without time.
        sources: The first of them, by name.
        source_count: All of them.
    """

    digest: Hash
    columns: dict[str, ColumnType]
    rows: int
    window: Window | None = None
    first: AwareDatetime | None = None
    sources: tuple[Source, ...] = ()
    source_count: int = 0
    notices: tuple[str, ...] = ()

    @classmethod
    def of(cls, examples: Manifest) -> DatasetFacts:
        """The facts of a manifest, without its shards."""
        sources = sorted(examples.sources, key=lambda source: source.uri)
        return cls(
            digest=examples.digest,
            columns={name: kind for name, kind in examples.columns.items() if not name.startswith("_")},
            rows=examples.count,
            window=examples.window,
            first=min((shard.min_time for shard in examples.shards if shard.min_time is not None), default=None),
            sources=tuple(sources[:_MOST_SOURCES]),
            source_count=len(sources),
            notices=examples.notices,
        )


class Facts(Contract):
    """Everything that the report shows; the page is a pure function of it.

    Attributes:
        experiment: Digest over data, window, features, trainer, parameters and code.
        verdict: The merged verdict on the candidate; its summary is the decision in one sentence.
        gates: The limits that the candidate was held to, besides those on the rows.
        champion: The version that it was compared with; none on a first run.
        changes: What the candidate is, beside what the champion is; none on a first run.
        promises: What became of earlier decisions, the newest first.
    """

    format: Literal["saiki/facts/v1"] = "saiki/facts/v1"
    experiment: str
    verdict: Verdict
    windows: Windows
    learning: LearningSection
    gates: EvaluationSection
    champion: ModelRef | None = None
    dataset: DatasetFacts
    data: DataEvidence
    model: ModelInfo
    evaluation: Evaluation
    comparison: Comparison = Comparison()
    behaviour: BehaviourEvidence = BehaviourEvidence()
    explanation: Explanation | None = None
    changes: ModelChanges | None = None
    promises: tuple[Settlement, ...] = ()
