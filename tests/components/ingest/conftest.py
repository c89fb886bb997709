"""A small task and a way to ingest a folder of files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components._shared import storage
from components._shared.manifest import Listing, Manifest, Source
from components._shared.tables import read_table
from components._shared.task import CsvOptions, DataSection
from components._shared.windows import Window, Windows
from components.ingest.executor import ingest

AS_OF = datetime(2024, 2, 1, tzinfo=UTC)


def section(**changes: Any) -> DataSection:
    """Binary, with time and key, unless changed."""
    values: dict[str, Any] = {
        "problem": "binary_classification",
        "csv": CsvOptions(),
        "file_format": None,
        "columns": {
            "id": {"type": "int64"},
            "at": {"type": "timestamp"},
            "amount": {"type": "float64"},
            "town": {"type": "string"},
            "late": {"type": "bool"},
        },
        "derived": {},
        "label": {"expression": "late"},
        "time": "at",
        "timezone": "UTC",
        "key": ("id",),
        "population": None,
        "cluster": None,
        "weight": None,
    }
    return DataSection.from_value({**values, **changes})


def windows(start: datetime | None = None, labelled_until: datetime = AS_OF) -> Windows:
    return Windows(as_of=AS_OF, timezone="UTC", span=Window(start=start, end=AS_OF), labelled_until=labelled_until)


def listing(*paths: Path) -> Listing:
    found = [storage.stat(str(path)) for path in paths]
    return Listing(sources=tuple(Source(uri=i.uri, generation=i.generation, size=i.size) for i in found if i))


class Ingestion:
    """What came of an ingestion."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    @property
    def rows(self) -> list[dict[str, Any]]:
        return read_table(self.manifest).to_pylist()

    @property
    def aside(self) -> list[dict[str, Any]]:
        columns = {"reason": "string", "source": "string", "row": "int64", "detail": "string", "values": "string"}
        shards = self.manifest.set_aside
        return read_table(self.manifest.model_copy(update={"columns": columns, "shards": shards})).to_pylist()


@pytest.fixture
def make_section() -> Callable[..., DataSection]:
    """The section, changed."""
    return section


@pytest.fixture
def make_windows() -> Callable[..., Windows]:
    """Until 2024-02-01, changed."""
    return windows


@pytest.fixture
def make_listing() -> Callable[..., Listing]:
    """The files as they are now."""
    return listing


@pytest.fixture
def ingested(tmp_path: Path) -> Callable[..., Ingestion]:
    """Ingests texts (CSV), or paths, with changes to the section."""

    def run(
        *files: str | bytes | Path, sample: float = 1.0, within: Windows | None = None, **changes: Any
    ) -> Ingestion:
        paths = []
        for number, file in enumerate(files):
            path = file if isinstance(file, Path) else tmp_path / f"{number}.csv"
            if not isinstance(file, Path):
                path.write_bytes(file.encode() if isinstance(file, str) else file)
            paths.append(path)
        data = section(**changes)
        manifest = ingest(
            listing=listing(*paths),
            data=data,
            windows=within or (windows() if data.time else Windows(as_of=AS_OF, timezone="UTC")),
            data_root=str(tmp_path / "data"),
            sample=sample,
        )
        rows = manifest.rows
        assert rows.read == sum(count for name, count in rows.model_dump().items() if name != "read")
        return Ingestion(manifest)

    return run
