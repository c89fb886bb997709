from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from components._shared.cache_epoch import FILE, cache_epoch, count_up


def test_it_stays_until_it_is_counted_up(any_root: str) -> None:
    first = cache_epoch(any_root)
    assert cache_epoch(any_root) == first
    count_up(any_root)
    second = cache_epoch(any_root)
    assert second != first
    assert cache_epoch(any_root) == second


def test_a_data_root_that_was_lost_begins_another_one(tmp_path: Path) -> None:
    root = tmp_path / "data"
    first = cache_epoch(str(root))
    shutil.rmtree(root)
    second = cache_epoch(str(root))
    (root / FILE).unlink()
    assert len({first, second, cache_epoch(str(root))}) == 3


def test_runs_that_begin_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: cache_epoch(str(tmp_path)), range(16)))) == 1
