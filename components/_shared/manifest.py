"""The manifest: what a `Dataset` artifact holds. Rows stay in content-addressed Parquet shards.

Columns whose names start with `_` are Saiki's own:

=============  ==========  ====================================================================================
`_time`        timestamp   moment of the row, microseconds UTC (tasks with time)
`_key`         string      16-byte hash of the key columns as 32 hexadecimal digits; rows are unique by it
`_label`       float64     0/1, class index, or value; null where it is not mature or missing
`_cluster`     string      rows with the same value are not independent
`_weight`      float64     1.0 if the task names none
=============  ==========  ====================================================================================

A predictions table holds these, the slice columns, and `score` (binary: probability of the positive class; regression:
the value) or `score_0` … `score_{k-1}` (multiclass: probability of each class).

Rows of a shard, and shards of a manifest, stand in the order (`_time`, `_key`), or by `_key` alone in tasks without
time. So a window, and a share by hash, is a contiguous range of rows: a part refers to the same shards and says which
rows.
"""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from components._shared.contract import Contract
from components._shared.task import ColumnType
from components._shared.windows import Window

Hash = str
"""SHA-256, 64 hexadecimal digits."""


class Source(Contract):
    """A source object as `plan` listed it.

    Attributes:
        generation: What changes when the object changes: the store's generation, or for files size and mtime.
    """

    uri: str
    generation: str
    size: int = Field(ge=0)


class Listing(Contract):
    """The sources of a run, exactly.

    Attributes:
        notices: What a reader should know, such as days of the window without a source.
    """

    format: Literal["saiki/listing/v1"] = "saiki/listing/v1"
    sources: tuple[Source, ...]
    notices: tuple[str, ...] = ()


class Shard(Contract):
    """A Parquet file, and which of its rows belong.

    Attributes:
        sha256: Of the file's bytes.
        digest: Of the file's rows (logical content; see `digests.py`).
        rows: Rows in the file.
        start, stop: The rows that belong, half-open.
        min_time, max_time: Of the rows in the file; absent in tasks without time.
    """

    uri: str
    sha256: Hash
    digest: Hash
    bytes: int
    rows: int
    start: int
    stop: int
    min_time: AwareDatetime | None = None
    max_time: AwareDatetime | None = None


class Rows(Contract):
    """Where every row read went: `read` is the sum of all the others.

    Attributes:
        kept: In the shards, with a mature label.
        label_pending: In the shards, too young for their label to be known.
        malformed: Set aside: does not parse, or a value is not of its type.
        duplicate: Set aside: its key was seen before.
        label_missing: Set aside: mature and in population, but without a label.
        out_of_population: Set aside.
        out_of_window: Not looked at.
        not_sampled: Left out by `sample`.
    """

    read: int = 0
    kept: int = 0
    label_pending: int = 0
    malformed: int = 0
    duplicate: int = 0
    label_missing: int = 0
    out_of_population: int = 0
    out_of_window: int = 0
    not_sampled: int = 0


class Example(Contract):
    """One set-aside row, for the report: enough to find it."""

    reason: str
    source: str
    row: int
    detail: str


class Manifest(Contract):
    """A dataset: its rows by reference.

    Attributes:
        role: `examples` (all rows), a part of them, or predictions.
        digest: Of the logical content: columns, and shard digests with row ranges.
        columns: Name → type, in the shards' order.
        rows: The accounting of the ingestion that made the shards.
        count: Rows that this manifest refers to.
        window: Of event time; absent in tasks without time.
        shares: A part in tasks without time: its keys lie from the first to the second of these shares of all keys.
        made_from: Name → digest of the inputs.
        set_aside: Shards of rows that were set aside (columns `reason`, `source`, `row`, `detail`, `values`).
        without_label: Shards of the moments (column `_time` alone) of the rows that were set aside as `label_missing`:
            how many of a stretch of time they are. None in tasks without time.
        examples: A few of them.
        notices: What a reader should know (new columns ignored, …).
        model: Predictions: the model's digest; empty string: there was no model, and there are no rows.
        fit_until: Predictions: the latest moment whose labels that model has used.
        held_out: Predictions in tasks without time: the share of all keys, from the first, that the model has not used.
        base: Predictions: statistics of the model's training labels, for the constant competitor (rate, or class rates,
            or mean).
    """

    format: Literal["saiki/manifest/v1"] = "saiki/manifest/v1"
    role: Literal["examples", "train", "tune", "test", "recent", "predictions"]
    digest: Hash
    columns: dict[str, ColumnType]
    shards: tuple[Shard, ...]
    count: int
    rows: Rows = Rows()
    window: Window | None = None
    shares: tuple[float, float] | None = None
    timezone: str = "UTC"
    sources: tuple[Source, ...] = ()
    made_from: dict[str, str] = {}
    set_aside: tuple[Shard, ...] = ()
    without_label: tuple[Shard, ...] = ()
    examples: tuple[Example, ...] = ()
    notices: tuple[str, ...] = ()
    model: str | None = None
    fit_until: AwareDatetime | None = None
    held_out: float | None = None
    base: tuple[float, ...] = ()
