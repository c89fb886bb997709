from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from components._shared.errors import DataError, TaskError
from components._shared.manifest import Listing
from components._shared.windows import Window
from components.plan.sources import find_sources, relative_to

BERLIN = ZoneInfo("Europe/Berlin")
SPAN = Window(start=datetime(2024, 3, 1, tzinfo=BERLIN), end=datetime(2024, 3, 4, tzinfo=BERLIN))


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("a\n1\n")


def find(folder: Path, *patterns: str, span: Window | None = SPAN) -> Listing:
    return find_sources(f"{folder}/task.yaml", patterns, span=span, timezone="Europe/Berlin")[0]


def names(folder: Path, listing: Listing) -> list[str]:
    return [source.uri.removeprefix(f"{folder}/") for source in listing.sources]


def test_a_plain_path_is_relative_to_the_task_file(tmp_path: Path) -> None:
    put(tmp_path, "data/a b [1].csv")
    listing = find(tmp_path, "data/a b [1].csv")
    assert names(tmp_path, listing) == ["data/a b [1].csv"]
    assert listing.sources[0].size == 4
    assert listing.sources[0].generation


def test_globs_are_sorted_and_a_file_that_two_patterns_mean_is_read_once(tmp_path: Path) -> None:
    put(tmp_path, "data/b.csv", "data/a.csv", "data/c.json", "data/deep/d.csv")
    assert names(tmp_path, find(tmp_path, "data/b.csv", "data/*.csv")) == ["data/a.csv", "data/b.csv"]
    assert names(tmp_path, find(tmp_path, "data/**/*.csv")) == ["data/a.csv", "data/b.csv", "data/deep/d.csv"]


def test_a_date_stands_for_each_day_of_the_window(tmp_path: Path) -> None:
    put(tmp_path, *(f"day={day}/part-0.csv" for day in ("2024-02-29", "2024-03-01", "2024-03-02", "2024-03-03")))
    put(tmp_path, "day=2024-03-02/part-1.csv", "day=2024-03-04/part-0.csv", "day=nonsense/part-0.csv")
    listing = find(tmp_path, "day={date}/part-*.csv")
    assert names(tmp_path, listing) == [
        "day=2024-03-01/part-0.csv",
        "day=2024-03-02/part-0.csv",
        "day=2024-03-02/part-1.csv",
        "day=2024-03-03/part-0.csv",
    ]
    assert listing.notices == ()


def test_days_are_those_of_the_time_zone(tmp_path: Path) -> None:
    put(tmp_path, "2024-03-01.csv", "2024-03-02.csv")
    span = Window(
        start=datetime(2024, 3, 1, 23, 30, tzinfo=UTC), end=datetime(2024, 3, 2, 22, 0, tzinfo=UTC)
    )  # 00:30 to 23:00 on 2 March in Berlin
    assert names(tmp_path, find(tmp_path, "{date}.csv", span=span)) == ["2024-03-02.csv"]


def test_a_date_may_be_written_otherwise_and_in_parts(tmp_path: Path) -> None:
    put(tmp_path, "2024/03/01/x.csv", "2024/03/02/x.csv", "2023/03/02/x.csv", "flights-20240303.csv")
    parts = find(tmp_path, "{date:%Y}/{date:%m}/{date:%d}/x.csv")
    assert names(tmp_path, parts) == ["2024/03/01/x.csv", "2024/03/02/x.csv"]
    assert names(tmp_path, find(tmp_path, "{date:%Y/%m/%d}/*.csv")) == names(tmp_path, parts)
    assert names(tmp_path, find(tmp_path, "flights-{date:%Y%m%d}*")) == ["flights-20240303.csv"]


def test_missing_days_are_a_notice_that_names_them(tmp_path: Path) -> None:
    put(tmp_path, "2024-03-02.csv")
    assert find(tmp_path, "{date}.csv").notices == (
        "{date}.csv: no source for 2 days of the window: 2024-03-01, 2024-03-03",
    )


def test_no_day_at_all_is_an_error_that_names_what_is_there(tmp_path: Path) -> None:
    put(tmp_path, "in/2023-03-02.csv")
    with pytest.raises(
        DataError, match=r"(?s)in/\{date\}.csv for any day from 2024-03-01 to 2024-03-03.*2023-03-02.csv"
    ):
        find(tmp_path, "in/{date}.csv")


def test_nothing_found_names_the_pattern_and_the_files_that_lie_near(tmp_path: Path) -> None:
    put(tmp_path, "data/flights.csv.zip", "data/readme.md")
    with pytest.raises(DataError) as caught:
        find(tmp_path, "data/flihgts.csv")
    assert "No source matches data/flihgts.csv" in str(caught.value)
    assert f"in {tmp_path}/data there are: flights.csv.zip" in str(caught.value)


def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is nothing at all"):
        find(tmp_path, "nowhere/*.csv")


@pytest.mark.parametrize("span", [None, Window(start=None, end=datetime(2024, 3, 4, tzinfo=UTC))])
def test_a_date_without_a_start_of_the_window_is_refused(tmp_path: Path, span: Window | None) -> None:
    with pytest.raises(TaskError, match="needs to know the first day"):
        find(tmp_path, "{date}.csv", span=span)


def test_other_words_in_braces_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"\{dat\} means nothing"):
        find(tmp_path, "{dat}.csv")


@pytest.mark.parametrize(
    ("reference", "meant"),
    [
        ("schema.yaml", "gs://bucket/tasks/schema.yaml"),
        ("../data/*.csv", "gs://bucket/data/*.csv"),
        ("gs://other/x/**", "gs://other/x/**"),
        ("file:///a%20b/c.csv", "/a b/c.csv"),
        ("/local/c.csv", "/local/c.csv"),
    ],
)
def test_references_start_at_the_task_file(reference: str, meant: str) -> None:
    assert relative_to("gs://bucket/tasks/task.yaml", reference) == meant
