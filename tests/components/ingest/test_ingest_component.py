from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from kfp import dsl

from components._shared import storage
from components._shared.manifest import Listing, Manifest, Source
from components._shared.windows import Window, Windows
from components.ingest.component import ingest
from components.split.component import split


def at(day: int) -> datetime:
    return datetime(2024, 1, day, tzinfo=UTC)


def artifact(path: Path) -> dsl.Dataset:
    return dsl.Dataset(uri=str(path))


def test_ingest_and_split_hand_on_manifests_on_every_store(any_root, tmp_path, make_section):
    text = "id,at,amount,town,late\n" + "".join(
        f"{i},2024-01-{1 + i % 20:02d}T{i % 24:02d}:00:00Z,1,Ulm,{'yes' if i % 3 else 'no'}\n" for i in range(2000)
    )
    source = storage.join(any_root, "rows.csv")
    storage.create(source, text.encode())
    info = storage.stat(source)
    listing = Listing(sources=(Source(uri=info.uri, generation=info.generation, size=info.size),))
    listed = storage.join(any_root, "listings", "x.json")
    storage.create(listed, listing.to_json().encode())
    windows = Windows(
        as_of=at(20),
        timezone="UTC",
        span=Window(start=at(1), end=at(20)),
        labelled_until=at(18),
        train=Window(start=at(1), end=at(10)),
        tune=Window(start=at(10), end=at(14)),
        test=Window(start=at(14), end=at(18)),
    ).to_json()
    examples, *parts = [artifact(tmp_path / name) for name in ("examples", "train", "tune", "test", "recent")]
    ingest.python_func(
        listing=listed,
        data=make_section().to_json(),
        windows=windows,
        data_root=storage.join(any_root, "data"),
        sample=1,
        cache_epoch="0",
        examples=examples,
    )
    train, tune, test, recent = parts
    split.python_func(examples=examples, windows=windows, train=train, tune=tune, test=test, recent=recent)
    whole, *manifests = [Manifest.from_json(Path(found.path).read_text()) for found in (examples, *parts)]
    assert whole.rows.kept == 1700 and whole.rows.label_pending == 200 and whole.rows.out_of_window == 100
    assert [manifest.count for manifest in manifests] == [900, 400, 400, 200]
    assert examples.metadata["rows"] == 1900 and train.metadata["digest"] == manifests[0].digest
    assert Path(examples.path).stat().st_size < 20_000
