"""What holds for any CSV: texts come back, every row is accounted for, the digest does not see the order."""

from __future__ import annotations

import csv
import io
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components._shared.errors import DataError
from components._shared.tables import read_table
from components._shared.task import CsvOptions
from components.ingest import csv_rows
from components.ingest.blocks import Header
from components.ingest.csv_rows import read_csv
from components.ingest.executor import ingest

OPTIONS = CsvOptions(null_values=("\x00",))
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=12)
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


def read(content: bytes, names: list[str], make_section) -> tuple[list[dict], list]:
    columns = make_section(
        columns={name: {"type": "string"} for name in names} | {"late": {"type": "bool", "required": False}}
    ).columns
    blocks = list(read_csv(io.BytesIO(content), OPTIONS, Header(columns), "a file"))
    rows = [
        {"row": int(number)} | {name: values[i].as_py() for name, values in block.columns.items()}
        for block in blocks
        for i, number in enumerate(block.rows)
    ]
    return rows, [broken for block in blocks for broken in block.broken]


@settings(max_examples=150, **QUIET)
@given(
    names=st.lists(
        TEXT.filter(lambda n: n.strip() and not n.startswith("_") and n != "late" and n.isprintable()),
        min_size=2,
        max_size=4,
        unique=True,
    ),
    data=st.data(),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    piece=st.sampled_from([16, 64, 1 << 20]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_any_text_comes_back_as_it_was(names, data, quoting, piece, end, make_section, monkeypatch):
    monkeypatch.setattr(csv_rows, "PIECE_BYTES", piece)
    rows = data.draw(st.lists(st.lists(TEXT, min_size=len(names), max_size=len(names)), max_size=8))
    buffer = io.StringIO()
    csv.writer(buffer, quoting=quoting, lineterminator=end).writerows([names, *rows])
    found, broken = read(buffer.getvalue().encode(), names, make_section)
    assert not broken
    assert [[row[name] for name in names] for row in found] == rows
    assert [row["row"] for row in found] == list(range(1, len(rows) + 1))


@settings(max_examples=150, **QUIET)
@given(lines=st.lists(st.text('ab,"', max_size=8).filter(str.strip), max_size=12), piece=st.sampled_from([8, 1 << 20]))
def test_a_line_of_plain_fields_is_never_lost_to_its_neighbours(lines, piece, make_section, monkeypatch):
    monkeypatch.setattr(csv_rows, "PIECE_BYTES", piece)
    text = "x,y\n" + "".join(f"{line}\n{i},plain\n" for i, line in enumerate(lines))
    found, broken = read(text.encode(), ["x", "y"], make_section)
    numbers = sorted([row["row"] for row in found] + [b.row for b in broken])
    assert numbers == list(range(1, len(numbers) + 1))
    if not any('"' in line for line in lines):
        assert [row["x"] for row in found if row["y"] == "plain"] == [str(i) for i in range(len(lines))]
        assert len(numbers) == 2 * len(lines)


ROW = st.tuples(
    st.integers(0, 9).map(str) | st.sampled_from(["x", "1.5", ""]),
    st.sampled_from(["2024-01-05", "2024-01-20", "2023-12-01", "2024-03-01", "never", ""]),
    st.sampled_from(["1", "-1", "900", "", "much"]),
    st.sampled_from(["Ulm", 'a"b', "a,b", ""]),
    st.sampled_from(["true", "false", "", "maybe"]),
)


@settings(max_examples=40, **QUIET)
@given(rows=st.lists(ROW, min_size=1, max_size=25), sample=st.sampled_from([1.0, 0.5]), seed=st.integers(0, 99))
def test_every_row_is_accounted_for_and_order_does_not_matter(
    rows, sample, seed, tmp_path_factory, make_section, make_listing, make_windows
):
    from datetime import UTC, datetime

    folder = tmp_path_factory.mktemp("rows")
    within = make_windows(start=datetime(2024, 1, 1, tzinfo=UTC), labelled_until=datetime(2024, 1, 15, tzinfo=UTC))
    first_of_key = list({row[0]: row for row in reversed(rows)}.values())
    shuffled = first_of_key.copy()
    random.Random(seed).shuffle(shuffled)

    def run(some, name):
        path = folder / f"{name}.csv"
        with path.open("w", newline="") as stream:
            csv.writer(stream).writerows([["id", "at", "amount", "town", "late"], *some])
        data = make_section(population="amount < 500", weight="amount")
        try:
            return ingest(
                listing=make_listing(path), data=data, windows=within, data_root=str(folder / "d"), sample=sample
            )
        except DataError as refused:
            assert "No row" in refused.what
            return None

    manifest = run(rows, "all")
    if manifest is not None:
        counts = manifest.rows.model_dump()
        assert counts.pop("read") == len(rows) == sum(counts.values())
        assert manifest.count == counts["kept"] + counts["label_pending"] == read_table(manifest).num_rows
        aside = sum(shard.rows for shard in manifest.set_aside)
        assert aside == sum(counts[name] for name in ("malformed", "duplicate", "label_missing", "out_of_population"))
    one, other = run(first_of_key, "one"), run(shuffled, "other")
    assert (one and one.digest) == (other and other.digest)
